//! RFC 9112, 7.1: the chunked coding and its trailers.

use crate::harness::{check, refuse_at_end, trace};
use http::proto::{Limits, ParseError};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

#[track_caller]
fn check_body(body: &str, expected: &str) {
    let head = "POST / 1.1 Origin Chunked | Host: h | Transfer-Encoding: chunked";
    check(&format!("{HEAD}{body}"), &format!("{head} | {expected}"));
}

#[track_caller]
fn refuse_body(body: &str, fault: ParseError) {
    refuse_at_end(format!("{HEAD}{body}").as_bytes(), fault);
}

#[test]
fn chunks_are_joined_and_framing_is_removed() {
    check_body("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "body=hello! | end");
    check_body("0\r\n\r\n", "end");
    check_body("A\r\n0123456789\r\n00\r\n\r\n", "body=0123456789 | end");
    check_body("a\r\n\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n", "body=\\r\\n0\\r\\n\\r\\n0\\r\\n | end");
    check_body("0000000000000002\r\nhi\r\n0000000000000000\r\n\r\n", "body=hi | end");
    check_body("FfFfFfFfFfFfFfFf\r\nx", "body=x | cut");
}

#[test]
fn the_next_request_follows_the_last_chunk() {
    check_body(
        "1\r\nx\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        "body=x | end | GET /2 1.1 Origin None | Host: h | end",
    );
}

// 7.1: recipients MUST prevent errors from integer overflow.
#[test]
fn sizes_are_1_to_16_hex_digits() {
    for body in ["\r", "\n", " ", ";", "g", "-", "+", "0x", "1g", "1_", "1.", "\"", "1\r\nx\r\n\r"] {
        refuse_body(body, ParseError::InvalidChunkSize);
    }
    refuse_body("00000000000000001", ParseError::InvalidChunkSize);
    refuse_body("10000000000000000", ParseError::InvalidChunkSize);
    refuse_body("1\n", ParseError::InvalidChunkSize);
    refuse_body("1\r\r", ParseError::InvalidLineEnd);
    refuse_body("1\rx", ParseError::InvalidLineEnd);
}

// 7.1.1: unknown extensions MUST be ignored; BWS is accepted where the grammar has it.
#[test]
fn extensions_are_dropped() {
    for extension in [
        ";a",
        ";a=b",
        ";a=\"b\"",
        ";a;b",
        ";a=b;c=\"d\";e",
        ";a=\"\"",
        ";a=\"x;y\\\"z\\\\\"",
        ";a=\"\t \u{e9}\"",
        " ;a",
        "\t ; a",
        ";a =b",
        ";a= b",
        "; a = \"b\" ; c",
        ";a ;b",
        ";!#$%&'*+-.^_`|~=1",
    ] {
        check_body(&format!("2{extension}\r\nhi\r\n0{extension}\r\n\r\n"), "body=hi | end");
    }
}

#[test]
fn malformed_extensions_are_refused_where_they_go_wrong() {
    for body in [
        "1;\r",
        "1;;",
        "1;=",
        "1; \r",
        "1;a=\r",
        "1;a=;",
        "1;a=b=",
        "1;a==",
        "1;a \r",
        "1;a=b \r",
        "1;a=\"b\" \r",
        "1 \r",
        "1 a",
        "1 2",
        "1;a b",
        "1;a=b c",
        "1;a=\"b\"c",
        "1;a=\"\r",
        "1;a=\"\n",
        "1;a=\"\\\r",
        "1;a=\"\x01",
        "1;a\n",
        "1;a=b\n",
        "1;a=\"b\"\n",
        "1;a\0",
        "1;a=\x7f",
        "1;a=\"\x7f",
        "1;(",
        "1;a=(",
        "1;\"",
        "1;a=b\"",
    ] {
        refuse_body(body, ParseError::InvalidChunkExtension);
    }
    refuse_body("1;a\r\r", ParseError::InvalidLineEnd);
}

#[test]
fn extensions_are_bounded_for_each_chunk() {
    let limits = Limits::default().max_chunk_extensions(10);
    let fault = |body: &str| trace(format!("{HEAD}{body}").as_bytes(), &limits).fault;
    assert_eq!(fault("1;a=3456789\r\nx\r\n1;a=3456789\r\nx\r\n0;a=3456789\r\n\r\n"), None);
    assert_eq!(fault("1;a=34567890"), Some(ParseError::ChunkExtensionsTooLarge));
    assert_eq!(fault("1           "), Some(ParseError::ChunkExtensionsTooLarge));
    assert_eq!(ParseError::ChunkExtensionsTooLarge.status(), 413);
    assert_eq!(ParseError::ChunkExtensionsTooLarge.code(), Some("HPE_CHUNK_EXTENSIONS_OVERFLOW"));
}

// hyper: a total for each body; Node has none
#[test]
fn extensions_are_bounded_for_each_message() {
    let limits = Limits::default().max_chunk_extensions(4);
    let fault = |body: &str| trace(format!("{HEAD}{body}").as_bytes(), &limits).fault;
    let three = "1;a=3\r\nx\r\n".repeat(3);
    assert_eq!(fault(&format!("{three}1\r\nx\r\n1;a\r\nx\r\n0;a\r\n\r\n")), None);
    assert_eq!(fault(&format!("{three}1;a\r\nx\r\n0;a=")), Some(ParseError::ChunkExtensionsTooLarge));
    // The next message has its own.
    let message = format!("{three}0\r\n\r\n");
    assert_eq!(fault(&format!("{message}{HEAD}{message}")), None);
    // By default a peer may send this much beside its body, however many chunks that has.
    let chunk = format!("1;a={}\r\nx\r\n", "b".repeat(997));
    let fault =
        |chunks| trace(format!("{HEAD}{}", chunk.repeat(chunks)).as_bytes(), &Limits::default()).fault;
    assert_eq!(fault(65), None);
    assert_eq!(fault(66), Some(ParseError::ChunkExtensionsTooLarge));
}

#[test]
fn chunk_data_ends_in_exactly_cr_lf() {
    for body in ["1\r\nx\n", "1\r\nxy", "1\r\nx\r\r", "1\r\nx\rx", "1\r\nx0", "1\r\nx "] {
        refuse_body(body, ParseError::InvalidChunkEnd);
    }
}

// 7.1.2.
#[test]
fn trailers_come_with_the_end() {
    check_body("0\r\nA: 1\r\na:  2 \r\n\r\n", "A: 1 | a: 2 | end");
    check_body(
        "1\r\nx\r\n0\r\nA: 1\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "body=x | A: 1 | end | GET / 1.1 Origin None | Host: h | end",
    );
}

// RFC 9110, 6.5.1. Node keeps these.
#[test]
fn forbidden_trailers_are_dropped() {
    check_body(
        "0\r\nContent-Length: 5\r\nA: 1\r\nTRANSFER-ENCODING: x\r\nHost: a b\r\nTrailer: A\r\nCookie: c\r\n\
         Authorization: b\r\nContent-Type: t\r\nConnection: close\r\nB: 2\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "A: 1 | B: 2 | end | GET / 1.1 Origin None | Host: h | end",
    );
}

#[test]
fn trailers_obey_the_rules_of_fields() {
    refuse_body("0\r\n ", ParseError::LeadingWhitespace);
    refuse_body("0\r\nA: b\r\n ", ParseError::LeadingWhitespace);
    refuse_body("0\r\nA ", ParseError::InvalidFieldName);
    refuse_body("0\r\nA: \x01", ParseError::InvalidFieldValue);
    refuse_body("0\r\nContent-Length: \x01", ParseError::InvalidFieldValue);
    refuse_body("0\r\nA: b\n", ParseError::InvalidLineEnd);
    refuse_body("0\r\n\n", ParseError::InvalidLineEnd);
    refuse_body("0\r\n\rx", ParseError::InvalidLineEnd);
}
