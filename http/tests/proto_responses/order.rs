//! Which response belongs to which request: informational ones, the next one, and bytes that no request has asked for.

use crate::harness::{GET, check, refuse, trace};
use http::proto::ParseError::*;
use http::proto::{FieldTable, Limits, ResponseDecoder, ResponseEvent};

// HC16.
#[test]
fn informational_responses_come_before_the_final_one() {
    let input = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 B\r\n\r\n";
    check(
        &[GET],
        input,
        "info 100 Continue 1.1 | info 103 Hints 1.1 | Link: a | Content-Length: 9 | 204 B 1.1 | end",
    );
}

// HC16.
#[test]
fn the_thirty_third_informational_response_is_refused() {
    let one = "HTTP/1.1 102 P\r\n\r\n";
    check(
        &[GET],
        &format!("{}HTTP/1.1 204 B\r\n\r\n", one.repeat(32)),
        &format!("{}204 B 1.1 | end", "info 102 P 1.1 | ".repeat(32)),
    );
    let input = one.repeat(33);
    refuse(input.as_bytes(), TooManyInformational, input.len() as u64 - 1);
}

// HC26 to HC28.
#[test]
fn bytes_that_no_request_has_asked_for_are_refused() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    let surplus = format!("{response}HTTP/1.1 200 OK\r\n\r\n");
    refuse(surplus.as_bytes(), Unsolicited, response.len() as u64);
    refuse(format!("{response}\r\n").as_bytes(), Unsolicited, response.len() as u64);
    let early = trace(&[], b"HTTP/1.1 200 OK\r\n\r\n", &Limits::default());
    assert_eq!(early.fault, Some((Unsolicited, 0)));
}

// HC43.
#[test]
fn after_the_last_response_nothing_is_read() {
    let input = "HTTP/1.1 204 A\r\nConnection: close\r\n\r\nHTTP/1.1 204 B\r\n\r\n";
    check(&[GET, GET], input, "204 A 1.1 close | Connection: close | end | done HTTP/1.1 204 B\\r\\n\\r\\n");
    let old = "HTTP/1.0 204 A\r\n\r\n";
    check(&[GET, GET], old, "204 A 1.0 close | end | done");
    let kept = "HTTP/1.0 204 A\r\nConnection: keep-alive\r\n\r\nHTTP/1.1 204 B\r\n\r\n";
    check(&[GET, GET], kept, "204 A 1.0 | Connection: keep-alive | end | 204 B 1.1 | end");
}

#[test]
fn a_request_is_expected_only_when_the_last_one_is_answered() {
    let (mut decoder, mut table, limits) = (ResponseDecoder::new(), FieldTable::new(), Limits::default());
    assert!(decoder.is_idle() && !decoder.has_started());
    assert!(decoder.begin(GET));
    assert!(!decoder.begin(GET) && !decoder.is_idle() && !decoder.has_started());
    let mut input: &[u8] = b"HTTP/1.1 100 A\r\n\r\n";
    assert!(matches!(decoder.decode(&mut input, &mut table, &limits), Ok(ResponseEvent::Information(_))));
    assert!(decoder.has_started(), "a byte of the answer has come");
    let mut input: &[u8] = b"HTTP/1.1 204 A\r\n\r\n";
    assert!(matches!(decoder.decode(&mut input, &mut table, &limits), Ok(ResponseEvent::Head(_))));
    assert!(!decoder.begin(GET));
    assert!(matches!(decoder.decode(&mut input, &mut table, &limits), Ok(ResponseEvent::End(_))));
    assert!(decoder.is_idle() && decoder.begin(GET));
    assert_eq!(decoder.offset(), 0);
}

#[test]
fn a_fault_is_repeated() {
    let (mut decoder, mut table, limits) = (ResponseDecoder::new(), FieldTable::new(), Limits::default());
    assert!(decoder.begin(GET));
    for input in [&b"HTTP/1.1 20x"[..], b"HTTP/1.1 200 OK\r\n\r\n", b""] {
        let mut input = input;
        assert_eq!(decoder.decode(&mut input, &mut table, &limits).map(|_| ()), Err(InvalidStatus));
        assert_eq!(decoder.offset(), 11);
    }
    assert_eq!(decoder.finish(), Err(InvalidStatus));
    assert!(!decoder.begin(GET));
}
