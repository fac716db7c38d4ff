//! The life of a connection: persistence, expectations, upgrades, tunnels, and its end.

use crate::harness::check;
use http::proto::{Decoder, Event, FieldTable, Limits, ParseError};

fn get(version: &str, lines: &str, rest: &str) -> String {
    format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n{rest}")
}

/// Checks the flags in the head of a request with these lines.
#[track_caller]
fn check_flags(version: &str, lines: &str, flags: &str) {
    let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
    let input = get(version, lines, "");
    let event = decoder.decode(&mut input.as_bytes(), &mut table, &Limits::default());
    let Ok(Event::Head(head)) = event else { panic!("{lines:?}: {event:?}") };
    let found = format!("keep={} {:?} upgrade={}", head.keep_alive, head.expect, head.upgrade);
    assert_eq!(found, flags, "{lines:?}");
}

// RFC 9112, 9.3.
#[test]
fn persistence() {
    for (version, lines, keep) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive, close\r\n", false),
        ("1.1", "Connection: x ,\tclose ,y\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed, xclose, clos\r\n", true),
        ("1.1", "Connection:\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: Keep-Alive, x\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Keep-Alive: 300\r\n", false),
    ] {
        check_flags(version, lines, &format!("keep={keep} None upgrade=false"));
    }
}

// RFC 9110, 10.1.1.
#[test]
fn expectations() {
    for (version, lines, expect) in [
        ("1.1", "Expect: 100-continue\r\n", "Continue"),
        ("1.1", "expect: 100-CONTINUE\r\n", "Continue"),
        ("1.1", "Expect: 100-continue, 100-continue\r\n", "Continue"),
        ("1.1", "Expect: 100-continue, x\r\n", "Other"),
        ("1.1", "Expect: x\r\nExpect: 100-continue\r\n", "Other"),
        ("1.1", "Expect: 200-ok\r\n", "Other"),
        ("1.1", "Expect:\r\n", "None"),
        ("1.0", "Connection: keep-alive\r\nExpect: 100-continue\r\n", "None"),
        ("1.0", "Connection: keep-alive\r\nExpect: x\r\n", "None"),
    ] {
        check_flags(version, lines, &format!("keep=true {expect} upgrade=false"));
    }
}

// RFC 9110, 7.8
#[test]
fn an_upgrade_is_offered_by_two_fields_together() {
    for (version, lines, upgrade) in [
        ("1.1", "Upgrade: x\r\nConnection: upgrade\r\n", true),
        ("1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: x\r\n", true),
        ("1.1", "Upgrade: x\r\n", false),
        ("1.1", "Connection: upgrade\r\n", false),
        ("1.0", "Upgrade: x\r\nConnection: keep-alive, upgrade\r\n", false),
    ] {
        check_flags(version, lines, &format!("keep=true None upgrade={upgrade}"));
    }
}

// RFC 9112, 9.6: no requests are processed after one with close (Node raises
// HPE_CLOSED_CONNECTION).
#[test]
fn what_follows_the_last_message_is_left_alone() {
    let first = "GET / 1.1 Origin None close | Host: h | Connection: close | end";
    let input = get("1.1", "Connection: close\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    check(&input, &format!("{first} | done=GET / HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n"));
    check(&get("1.1", "Connection: close\r\n", "\r\n\n\r"), &format!("{first} | done="));
    check(&get("1.1", "Connection: close\r\n", "\0"), &format!("{first} | done=\\x00"));
}

// the surplus bytes belong to the other protocol, whatever they look like.
#[test]
fn an_accepted_upgrade_leaves_the_rest_of_the_input() {
    let lines = "Host: h\r\nUpgrade: x\r\nConnection: upgrade\r\n";
    let fields = "Host: h | Upgrade: x | Connection: upgrade";
    check(
        &format!("GET /accept HTTP/1.1\r\n{lines}\r\n\r\nGET\0"),
        &format!("GET /accept 1.1 Origin None upgrade | {fields} | end | done=\\r\\nGET\\x00"),
    );
    // RFC 9110, 7.8: the request is complete before the protocol changes.
    check(
        &format!("GET /accept HTTP/1.1\r\n{lines}Content-Length: 2\r\n\r\nhi!"),
        &format!(
            "GET /accept 1.1 Origin Length(2) upgrade | {fields} | Content-Length: 2 | body=hi | end | done=!"
        ),
    );
    // An upgrade that is not accepted is an ordinary request.
    check(
        &format!("GET / HTTP/1.1\r\n{lines}\r\n{}", get("1.1", "", "")),
        &format!("GET / 1.1 Origin None upgrade | {fields} | end | GET / 1.1 Origin None | Host: h | end"),
    );
}

// RFC 9110, 9.3.6: CONNECT has no body.
#[test]
fn connect_is_followed_by_the_tunnel_or_by_nothing() {
    for (target, rest) in [("accept:1", "\\r\\nabc"), ("refuse:1", "abc")] {
        check(
            &format!("CONNECT {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n\r\nabc"),
            &format!(
                "CONNECT {target} 1.1 Authority None close | Host: h | Content-Length: 3 | end | done={rest}"
            ),
        );
    }
}

#[test]
fn an_upgrade_can_be_accepted_until_more_is_decoded() {
    let (mut table, limits) = (FieldTable::new(), Limits::default());
    let mut input = [get("1.1", "", "").as_bytes(), b"G"].concat();
    for (calls, is_in_time) in [(1, true), (2, true), (3, false)] {
        let mut decoder = Decoder::new();
        let mut rest = &input[..];
        for _ in 0..calls {
            decoder.decode(&mut rest, &mut table, &limits).unwrap();
        }
        assert_eq!(decoder.upgrade(), is_in_time, "after {calls} events");
        assert_eq!(decoder.upgrade(), is_in_time, "again");
    }
    input[0] = b' ';
    let mut decoder = Decoder::new();
    assert!(decoder.decode(&mut &input[..], &mut table, &limits).is_err());
    assert!(!decoder.upgrade());
}

// EOF in the middle.
#[test]
fn the_end_of_input_is_clean_only_between_messages() {
    let whole = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n";
    for len in 0..=whole.len() {
        let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
        let mut input = &whole.as_bytes()[..len];
        while !matches!(decoder.decode(&mut input, &mut table, &Limits::default()), Ok(Event::NeedMore)) {}
        let is_clean = len == 0 || len == whole.len();
        assert_eq!(decoder.finish().is_ok(), is_clean, "after {len} bytes");
        assert_eq!(decoder.has_started(), !is_clean);
    }
    assert_eq!(ParseError::UnexpectedEof.code(), Some("HPE_INVALID_EOF_STATE"));
}
