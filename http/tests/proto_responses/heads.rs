//! Status lines and fields: what is accepted, and at which byte the rest is refused.

use crate::harness::{GET, check, refuse, trace};
use http::proto::ParseError::*;
use http::proto::{FieldTable, Limits, ResponseDecoder, ResponseEvent, ResponseTo, Value};

// HC15.
#[test]
fn a_status_line_has_a_version_three_digits_and_perhaps_a_reason() {
    check(
        &[GET],
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "200 OK 1.1 Length(0) | Content-Length: 0 | end",
    );
    check(&[GET], "HTTP/1.1 204\r\n\r\n", "204  1.1 | end");
    check(&[GET], "HTTP/1.1 204 \r\n\r\n", "204  1.1 | end");
    check(
        &[GET],
        "HTTP/1.1 204 No  Content, \u{e9}t\u{e9}\t\r\n\r\n",
        "204 No  Content, \\xc3\\xa9t\\xc3\\xa9\\t 1.1 | end",
    );
    check(
        &[GET],
        "HTTP/1.7 999 X\r\nContent-Length: 0\r\n\r\n",
        "999 X 1.1 Length(0) | Content-Length: 0 | end",
    );
}

// HC15.
#[test]
fn another_version_is_refused_at_its_digit() {
    refuse(b"HTTP/2.0 200 OK\r\n\r\n", UnsupportedVersion, 7);
    refuse(b"HTTP/0.9 200 OK\r\n\r\n", UnsupportedVersion, 7);
    refuse(b"HTTP/1.1.1 200 OK\r\n\r\n", InvalidVersion, 8);
    refuse(b"HTTP/1.1\t200 OK\r\n\r\n", InvalidVersion, 8);
    refuse(b"HTTP/11 200 OK\r\n\r\n", InvalidVersion, 6);
    refuse(b"http/1.1 200 OK\r\n\r\n", InvalidVersion, 0);
    refuse(b"HTTP/1.1\r\n\r\n", InvalidVersion, 8);
    refuse(b"SSH-2.0-x\r\n", InvalidVersion, 0);
    refuse(b"\r\nHTTP/1.1 200 OK\r\n\r\n", InvalidVersion, 0);
}

// HC15.
#[test]
fn a_status_of_another_form_is_refused_at_its_byte() {
    refuse(b"HTTP/1.1 20 OK\r\n\r\n", InvalidStatus, 11);
    refuse(b"HTTP/1.1 2000 OK\r\n\r\n", InvalidStatus, 12);
    refuse(b"HTTP/1.1 099 OK\r\n\r\n", InvalidStatus, 9);
    refuse(b"HTTP/1.1  200 OK\r\n\r\n", InvalidStatus, 9);
    refuse(b"HTTP/1.1 +20 OK\r\n\r\n", InvalidStatus, 9);
    refuse(b"HTTP/1.1 200\tOK\r\n\r\n", InvalidStatus, 12);
    refuse(b"HTTP/1.1 200 O\0K\r\n\r\n", InvalidReason, 14);
}

// HC20.
#[test]
fn bare_line_ends_folds_and_spaces_before_colons_are_refused_at_their_byte() {
    refuse(b"HTTP/1.1 200 OK\nA: b\r\n\r\n", InvalidLineEnd, 15);
    refuse(b"HTTP/1.1 200 OK\rA: b\r\n\r\n", InvalidLineEnd, 16);
    refuse(b"HTTP/1.1 200\n\r\n", InvalidLineEnd, 12);
    refuse(b"HTTP/1.1 200 OK\r\nA: b\n\r\n", InvalidLineEnd, 21);
    refuse(b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n", InvalidFieldValue, 22);
    refuse(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", LeadingWhitespace, 23);
    refuse(b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", LeadingWhitespace, 17);
    refuse(b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", InvalidFieldName, 18);
    refuse(b"HTTP/1.1 200 OK\r\n: b\r\n\r\n", InvalidFieldName, 17);
    refuse(b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n", InvalidFieldValue, 21);
    refuse(b"HTTP/1.1 200 OK\r\nA: b\r\n\rx", InvalidLineEnd, 24);
}

// HC21.
#[test]
fn heads_beyond_the_limits_are_refused() {
    let limits = Limits::default().max_header_size(64).max_headers(2);
    let refused = |input: &str| trace(&[GET], input.as_bytes(), &limits).fault.map(|(fault, _)| fault);
    assert_eq!(refused("HTTP/1.1 200 OK\r\nA: b\r\nB: c\r\nContent-Length: 0\r\n\r\n"), Some(TooManyFields));
    assert_eq!(refused(&format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(64))), Some(HeadTooLarge));
    assert_eq!(refused(&format!("HTTP/1.1 204 OK\r\nA: {}\r\n\r\n", "x".repeat(64 - 24))), None);
    assert_eq!(
        refused(&format!("HTTP/1.1 204 OK\r\nA: {}\r\n\r\n", "x".repeat(64 - 23))),
        Some(HeadTooLarge)
    );
    let unended = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(1 << 20));
    let limits = Limits::default();
    assert_eq!(trace(&[GET], unended.as_bytes(), &limits).fault, Some((HeadTooLarge, 16_384)));
}

#[test]
fn a_host_means_nothing_in_a_response() {
    let twice = "HTTP/1.1 204 OK\r\nHost: a b\r\nHost: c\r\n\r\n";
    check(&[GET], twice, "204 OK 1.1 | Host: a b | Host: c | end");
}

#[test]
fn a_table_that_has_read_requests_reads_responses_and_the_other_way_round() {
    use http::proto::{Decoder, Event, FieldTable, ResponseDecoder, ResponseEvent};
    let (mut table, limits) = (FieldTable::new(), Limits::default());
    let fields = "Content-Length: 5\r\nContent-Type: a\r\n\r\n";
    for _ in 0..2 {
        let response = format!("HTTP/1.1 200 OK\r\n{fields}");
        let mut decoder = ResponseDecoder::new();
        assert!(decoder.begin(GET));
        let mut input = response.as_bytes();
        assert!(matches!(decoder.decode(&mut input, &mut table, &limits), Ok(ResponseEvent::Head(_))));
        let request = format!("POST / HTTP/1.1\r\n{fields}");
        let mut input = request.as_bytes();
        let read = Decoder::new()
            .decode(&mut input, &mut table, &limits)
            .map(|event| matches!(event, Event::Head(_)));
        assert_eq!(read, Err(MissingHost));
    }
}

// HC36. Node: test-http-server-multiheaders2, test-http-set-cookies
#[test]
fn repeated_fields_follow_the_table_of_node_and_the_lines_stay() {
    let mut input: &[u8] = b"HTTP/1.1 204 x\r\nSet-Cookie: a\r\nETag: 1\r\nVary: x\r\nset-cookie: b, c\r\netag: 2\r\nvary: y\r\n\r\n";
    let (mut decoder, mut table) = (ResponseDecoder::new(), FieldTable::new());
    assert!(decoder.begin(ResponseTo::default()));
    let decoded = decoder.decode(&mut input, &mut table, &Limits::default());
    let Ok(ResponseEvent::Head(head)) = decoded else { unreachable!("{decoded:?}") };
    let entries = head.fields.by_name().map(|(name, value)| match value {
        Value::One(value) => format!("{name}={}", value.escape_ascii()),
        Value::List(values) => {
            format!(
                "{name}={:?}",
                values.iter().map(|value| value.escape_ascii().to_string()).collect::<Vec<_>>()
            )
        }
    });
    assert_eq!(entries.collect::<Vec<_>>(), ["Set-Cookie=[\"a\", \"b, c\"]", "ETag=1", "Vary=x, y"]);
    let names: Vec<_> = head.fields.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Set-Cookie", "ETag", "Vary", "set-cookie", "etag", "vary"]);
}
