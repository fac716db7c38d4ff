//! How bodies are delimited, and what is refused because two recipients could delimit it differently.

use crate::harness::{CONNECT, GET, HEAD, OFFER, check, refuse};
use http::proto::ParseError::*;

fn response(fields: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes()
}

/// Refused when its head is complete.
#[track_caller]
fn refuse_fields(fields: &str, fault: http::proto::ParseError) {
    let head = response(fields);
    refuse(&head, fault, head.len() as u64 - 1);
}

// HC17.
#[test]
fn what_has_no_body_has_none_whatever_its_fields_say() {
    let next = "HTTP/1.1 204 B\r\n\r\n";
    for framing in ["Content-Length: 9", "Transfer-Encoding: chunked"] {
        for status in [204, 304] {
            let input = format!("HTTP/1.1 {status} A\r\n{framing}\r\n\r\n{next}");
            check(&[GET, GET], &input, &format!("{status} A 1.1 | {framing} | end | 204 B 1.1 | end"));
        }
        let input = format!("HTTP/1.1 200 A\r\n{framing}\r\n\r\n{next}");
        check(&[HEAD, GET], &input, &format!("200 A 1.1 | {framing} | end | 204 B 1.1 | end"));
    }
    check(&[HEAD, GET], &format!("HTTP/1.1 200 A\r\n\r\n{next}"), "200 A 1.1 | end | 204 B 1.1 | end");
}

// HC18.
#[test]
fn a_length_that_is_repeated_signed_a_list_or_too_large_is_refused() {
    refuse_fields("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", LengthWithTransferEncoding);
    refuse_fields("Content-Length: 1\r\nContent-Length: 1\r\n", DuplicateContentLength);
    refuse_fields("Content-Length: 1, 1\r\n", InvalidContentLength);
    refuse_fields("Content-Length: +1\r\n", InvalidContentLength);
    refuse_fields("Content-Length: -1\r\n", InvalidContentLength);
    refuse_fields("Content-Length: 0x1\r\n", InvalidContentLength);
    refuse_fields("Content-Length:\r\n", InvalidContentLength);
    refuse_fields("Content-Length: 9223372036854775808\r\n", InvalidContentLength);
    refuse_fields("Content-Length: 99999999999999999999\r\n", InvalidContentLength);
}

// HC19: what is not chunked last is refused. llhttp reads it up to the end of the connection.
#[test]
fn a_transfer_coding_other_than_chunked_is_refused() {
    refuse_fields("Transfer-Encoding: gzip, chunked\r\n", UnsupportedTransferCoding);
    refuse_fields("Transfer-Encoding: gzip\r\n", UnsupportedTransferCoding);
    refuse_fields("Transfer-Encoding: chunked, gzip\r\n", InvalidTransferEncoding);
    refuse_fields("Transfer-Encoding: chunked, chunked\r\n", InvalidTransferEncoding);
    refuse_fields("Transfer-Encoding: chunked;a=b\r\n", InvalidTransferEncoding);
    refuse_fields("Transfer-Encoding:\r\n", InvalidTransferEncoding);
    let old = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    refuse(old, TransferEncodingInHttp10, old.len() as u64 - 1);
}

// HC23, HC24.
#[test]
fn an_end_inside_a_body_is_not_its_end() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let seen = "200 OK 1.1 Length(5) | Content-Length: 5";
    check(&[GET], head, &format!("{seen} | cut 5"));
    check(&[GET], &format!("{head}abc"), &format!("{seen} | body=abc | cut 2"));
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let seen = "200 OK 1.1 Chunked | Transfer-Encoding: chunked";
    for (input, items) in [
        ("", ""),
        ("3\r\nab", " | body=ab"),
        ("2\r\nab\r\n", " | body=ab"),
        ("0\r\n", ""),
        ("0\r\nA: b\r\n", ""),
    ] {
        check(&[GET], &format!("{head}{input}"), &format!("{seen}{items} | cut"));
    }
    check(&[GET], "", "cut");
    check(&[GET], "HTTP/1.1 200 OK\r\n", "cut");
}

// HC25.
#[test]
fn a_body_without_a_delimiter_ends_with_the_connection() {
    let input = "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    check(&[GET], input, "200 OK 1.1 UntilClose close | body=HTTP/1.1 200 OK\\r\\n\\r\\n | eof");
    check(
        &[GET],
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
        "200 OK 1.0 UntilClose close | Connection: keep-alive | eof",
    );
}

// HC35.
#[test]
fn trailers_come_with_the_end_without_those_that_may_not_stand_there() {
    let input = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\nContent-Length: 1\r\nC: d\r\n\r\n";
    check(&[GET], input, "200 OK 1.1 Chunked | Transfer-Encoding: chunked | body=a | A: b | C: d | end");
}

#[test]
fn faults_of_chunks_and_trailers_have_their_byte() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let at = |rest: &str, fault, at: usize| {
        refuse(format!("{head}{rest}").as_bytes(), fault, (head.len() + at) as u64)
    };
    at("x", InvalidChunkSize, 0);
    at("1\nab", InvalidChunkSize, 1);
    at("1 \r\n", InvalidChunkExtension, 2);
    at("1\r\nab\r\n", InvalidChunkEnd, 4);
    at("1;=\r\n", InvalidChunkExtension, 2);
    at("0\r\nA : b\r\n\r\n", InvalidFieldName, 4);
    at("1\r\na\r\n0\r\nA: b\r\nC: d\0\r\n\r\n", InvalidFieldValue, 19);
    at("0\r\nA: b\n", InvalidLineEnd, 7);
}

// HC77, HC78.
#[test]
fn behind_an_upgrade_that_was_offered_the_connection_is_no_longer_http() {
    let switch = "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 4\r\n\r\nsurplus";
    let items = "101 Go 1.1 close upgrade | Connection: upgrade | Upgrade: x | Content-Length: 4 | end | done surplus";
    check(&[OFFER], switch, items);
    let tunnel = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsurplus";
    check(&[CONNECT], tunnel, "200 OK 1.1 close upgrade | Transfer-Encoding: chunked | end | done surplus");
    let refused = "HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nx";
    check(&[CONNECT], refused, "407 No 1.1 Length(1) | Content-Length: 1 | body=x | end");
}

// HC77.
#[test]
fn an_upgrade_that_was_not_offered_or_names_no_protocol_is_refused() {
    use crate::harness::trace;
    use http::proto::Limits;
    let full = "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    refuse(full.as_bytes(), UnexpectedUpgrade, full.len() as u64 - 1);
    for bare in [
        "HTTP/1.1 101 Go\r\n\r\n",
        "HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 101 Go\r\nConnection: upgrade\r\n\r\n",
    ] {
        let trace = trace(&[OFFER], bare.as_bytes(), &Limits::default());
        assert_eq!(trace.fault, Some((UnexpectedUpgrade, bare.len() as u64 - 1)));
    }
}
