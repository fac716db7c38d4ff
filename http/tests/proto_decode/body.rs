//! RFC 9112, 6: where a body ends.

use crate::harness::{check, refuse};
use http::proto::ParseError;

/// A head with these lines, and `rest` after it.
fn post(lines: &str, rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n{rest}")
}

// 6.3 step 7.
#[test]
fn without_length_there_is_no_body() {
    check(&post("", ""), "POST / 1.1 Origin None | Host: h | end");
}

// 6.2 and 6.3 step 6.
#[test]
fn content_length_delimits() {
    check(
        &post("Content-Length: 5\r\n", "hello"),
        "POST / 1.1 Origin Length(5) | Host: h | Content-Length: 5 | body=hello | end",
    );
    check(
        &post("content-length: 0\r\n", ""),
        "POST / 1.1 Origin Length(0) | Host: h | content-length: 0 | end",
    );
    check(
        &post("Content-Length: 003\r\n", "\r\n\r"),
        "POST / 1.1 Origin Length(3) | Host: h | Content-Length: 003 | body=\\r\\n\\r | end",
    );
    check(
        &post("Content-Length: 18446744073709551615\r\n", "x"),
        "POST / 1.1 Origin Length(18446744073709551615) | Host: h | Content-Length: 18446744073709551615 | \
         body=x | cut",
    );
    check(
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
        "GET / 1.1 Origin Length(1) | Host: h | Content-Length: 1 | body=x | end",
    );
}

// 6.3 step 5.
#[test]
fn content_length_is_one_decimal_number() {
    for value in [
        "",
        "-1",
        "+1",
        "0x10",
        "1a",
        "a",
        "1 2",
        "5, 5",
        "5,5",
        ",5",
        "1.0",
        "1e3",
        "18446744073709551616",
        "99999999999999999999999",
        "٣",
    ] {
        refuse(&post(&format!("Content-Length: {value}\r\n"), ""), ParseError::InvalidContentLength);
    }
}

#[test]
fn a_second_content_length_is_refused_even_if_equal() {
    for second in ["5", "6", ""] {
        let lines = format!("Content-Length: 5\r\nX: y\r\ncontent-LENGTH: {second}\r\n");
        refuse(&post(&lines, ""), ParseError::DuplicateContentLength);
    }
}

// 6.1 and 6.3 step 4.
#[test]
fn chunked_delimits() {
    for value in ["chunked", "CHUNKED", "\t chunked ", ", chunked", "chunked,", " , ,chunked , "] {
        let shown = value.trim();
        check(
            &post(&format!("Transfer-Encoding:{value}\r\n"), "2\r\nhi\r\n0\r\n\r\n"),
            &format!("POST / 1.1 Origin Chunked | Host: h | Transfer-Encoding: {shown} | body=hi | end"),
        );
    }
}

#[test]
fn transfer_encoding_that_does_not_end_in_one_chunked_is_refused() {
    for value in [
        "",
        ",",
        " , ",
        "identity",
        "gzip",
        "chunked, gzip",
        "chunked, identity",
        "xchunked",
        "chunkedx",
        "chunkedchunked",
        "chunked chunked",
        "chunked, chunked",
        "chunked,chunked",
        "gzip, chunked, chunked",
        "chunked;a=b",
        "chunked ;a=b",
        "gzip, chunked;q=1",
        "\"chunked\"",
        "chun ked",
        "chunked\x0b",
        "(), chunked",
        "gzip x, chunked",
        "\u{ff}chunked",
    ] {
        // A vertical tab is no whitespace but a control character.
        let fault = if value.contains('\x0b') {
            ParseError::InvalidFieldValue
        } else {
            ParseError::InvalidTransferEncoding
        };
        refuse(&post(&format!("Transfer-Encoding: {value}\r\n"), ""), fault);
    }
    for (first, second) in [("chunked", "chunked"), ("chunked", "gzip"), ("chunked", "identity")] {
        let lines = format!("Transfer-Encoding: {first}\r\nTransfer-Encoding: {second}\r\n");
        refuse(&post(&lines, ""), ParseError::InvalidTransferEncoding);
    }
    let folded = post("Transfer-Encoding:\r\n chunked\r\n", "");
    refuse(&folded, ParseError::LeadingWhitespace);
    refuse(&post("Transfer-Encoding : chunked\r\n", ""), ParseError::InvalidFieldName);
}

// 6.1: a server that does not understand a transfer coding SHOULD answer 501. Node accepts these.
#[test]
fn other_codings_below_chunked_are_not_implemented() {
    for lines in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip;q=1 , chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
    ] {
        refuse(&post(lines, ""), ParseError::UnsupportedTransferCoding);
    }
    assert_eq!(ParseError::UnsupportedTransferCoding.status(), 501);
}

// 6.1 and 6.3 step 3.
#[test]
fn both_kinds_of_length_are_refused() {
    for coding in ["chunked", "identity", "gzip", ""] {
        let (te, cl) = (format!("Transfer-Encoding: {coding}\r\n"), "Content-Length: 5\r\n");
        refuse(&post(&format!("{te}{cl}"), ""), ParseError::LengthWithTransferEncoding);
        refuse(&post(&format!("{cl}{te}"), ""), ParseError::LengthWithTransferEncoding);
    }
}

// 6.1: transfer codings are of HTTP/1.1; a 1.0 message with one has faulty framing.
#[test]
fn transfer_encoding_in_http10_is_refused() {
    refuse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ParseError::TransferEncodingInHttp10);
}

// Names that only resemble those that matter.
#[test]
fn similar_names_do_not_delimit() {
    check(
        &post("Content_Length: 5\r\nContent-Lengths: 5\r\nXransfer-Encoding: chunked\r\n", ""),
        "POST / 1.1 Origin None | Host: h | Content_Length: 5 | Content-Lengths: 5 | \
         Xransfer-Encoding: chunked | end",
    );
}
