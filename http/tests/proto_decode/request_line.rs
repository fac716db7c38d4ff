//! RFC 9112, 3: the request line.

use crate::harness::{check, refuse, refuse_at_end};
use http::proto::{Decoder, Event, FieldTable, Limits, ParseError};

/// `line` with what else a valid HTTP/1.1 head needs.
fn with_host(line: &str) -> String {
    format!("{line}\r\nHost: h\r\n\r\n")
}

#[test]
fn a_minimal_request_is_read() {
    check("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / 1.1 Origin None | Host: h | end");
    check("GET / HTTP/1.0\r\n\r\n", "GET / 1.0 Origin None close | end | done=");
}

#[test]
fn pipelined_requests_are_read_in_order() {
    let one = "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n";
    let two = "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";
    check(
        &format!("{one}{two}{one}"),
        "GET /1 1.1 Origin None | Host: h | end | POST /2 1.1 Origin Length(1) | Host: h | Content-Length: 1 | \
         body=x | end | GET /1 1.1 Origin None | Host: h | end",
    );
}

// RFC 9112, 2.2: a server SHOULD ignore at least one empty line before the request line.
#[test]
fn empty_lines_before_a_request_are_skipped_up_to_a_bound() {
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for count in [1, 2, 16] {
        check(&("\r\n".repeat(count) + request), "GET / 1.1 Origin None | Host: h | end");
    }
    check(&format!("{request}\r\n{request}"), &["GET / 1.1 Origin None | Host: h | end"; 2].join(" | "));
    refuse_at_end("\r\n".repeat(17).as_bytes(), ParseError::TooManyBlankLines);
    refuse_at_end(b"\n", ParseError::InvalidLineEnd);
    refuse_at_end(b"\r\r", ParseError::InvalidLineEnd);
    refuse_at_end(b"\r\n\rG", ParseError::InvalidLineEnd);
    check("\r\n\r", "");
}

// RFC 9110, 9.1: methods are case-sensitive tokens, and the set is open.
#[test]
fn any_token_is_a_method() {
    for method in ["get", "PURGE", "M-SEARCH", "A!#$%&'*+-.^_`|~09", "QUERY", &"M".repeat(64)] {
        let expected = format!("{method} / 1.1 Origin None | Host: h | end");
        check(&with_host(&format!("{method} / HTTP/1.1")), &expected);
    }
}
#[test]
fn a_method_that_is_no_token_is_refused_at_its_first_wrong_byte() {
    for start in [" ", "GE(", "GET\t", "GET\r", "GET\n", "\x01", "\0", "{", "\"", "G\x7f", "@"] {
        refuse_at_end(start.as_bytes(), ParseError::InvalidMethod);
    }
    refuse_at_end(b"\x80", ParseError::InvalidMethod);
    refuse_at_end(b"\x16", ParseError::InvalidMethod); // a TLS handshake
}

// RFC 9112, 3: a method longer than any implemented one SHOULD be answered with 501.
#[test]
fn a_very_long_method_is_not_implemented() {
    refuse_at_end("M".repeat(65).as_bytes(), ParseError::MethodTooLong);
}

// RFC 9112, 3: exactly one SP between the parts; lenient parsing is a MAY that is not used.
#[test]
fn other_whitespace_than_one_space_is_refused() {
    for (start, fault) in [
        ("GET  ", ParseError::InvalidTarget),
        ("GET \t", ParseError::InvalidTarget),
        ("GET /\t", ParseError::InvalidTarget),
        ("GET /\x0b", ParseError::InvalidTarget),
        ("GET /\x0c", ParseError::InvalidTarget),
        ("GET /  ", ParseError::InvalidVersion),
        ("GET / HTTP/1.1 ", ParseError::InvalidVersion),
        ("GET /a b", ParseError::InvalidVersion),
    ] {
        refuse_at_end(start.as_bytes(), fault);
    }
}

// RFC 9112, 3.2: no whitespace, no fragment (Node lets a fragment through).
#[test]
fn forbidden_bytes_in_a_target_are_refused_where_they_stand() {
    for byte in (0..=b' ').chain([b'#', 0x7f, 0x80, 0xc3, 0xff]) {
        if !matches!(byte, b' ' | b'\r' | b'\n') {
            refuse_at_end(&[b"GET /a".as_slice(), &[byte]].concat(), ParseError::InvalidTarget);
        }
    }
    refuse_at_end("GET /é".as_bytes().split_last().unwrap().1, ParseError::InvalidTarget);
    check(
        &with_host("GET /a\"<>\\^`{|}[]%zz HTTP/1.1"),
        "GET /a\"<>\\^`{|}[]%zz 1.1 Origin None | Host: h | end",
    );
}

// RFC 9112, 2.3 and RFC 9110, 2.5.
#[test]
fn versions() {
    for (start, fault) in [
        ("GET /\r", ParseError::InvalidVersion), // HTTP/0.9
        ("GET /\n", ParseError::InvalidVersion),
        ("GET / \r", ParseError::InvalidVersion),
        ("GET / h", ParseError::InvalidVersion),
        ("GET / HTTP/\r", ParseError::InvalidVersion),
        ("GET / HTTP/x", ParseError::InvalidVersion),
        ("GET / HTTP/1,", ParseError::InvalidVersion),
        ("GET / HTTP/1.x", ParseError::InvalidVersion),
        ("GET / HTTP/1.\r", ParseError::InvalidVersion),
        ("GET / HTTP/1.10", ParseError::InvalidVersion),
        ("GET / HTTP/11", ParseError::InvalidVersion),
        ("GET / HTTPS", ParseError::InvalidVersion),
        ("GET / R", ParseError::InvalidVersion),
        ("GET / HTTP/0.9", ParseError::UnsupportedVersion),
        ("GET / HTTP/2.0", ParseError::UnsupportedVersion),
        ("PRI * HTTP/2.0", ParseError::UnsupportedVersion),
        ("GET / HTTP/3.1", ParseError::UnsupportedVersion),
        ("GET / HTTP/1.1\n", ParseError::InvalidLineEnd),
        ("GET / HTTP/1.1\r\r", ParseError::InvalidLineEnd),
        ("GET / HTTP/1.1\rH", ParseError::InvalidLineEnd),
    ] {
        refuse_at_end(start.as_bytes(), fault);
    }
    assert_eq!(ParseError::UnsupportedVersion.status(), 505);
    // A higher minor version is processed as the highest known one.
    check(&with_host("GET / HTTP/1.2"), "GET / 1.1 Origin None | Host: h | end");
    check(&with_host("GET / HTTP/1.9"), "GET / 1.1 Origin None | Host: h | end");
}

// RFC 9112, 3.2.1 to 3.2.4.
#[test]
fn target_forms_that_are_accepted() {
    for (line, form) in [
        ("GET /", "Origin"),
        ("GET //a", "Origin"),
        ("GET /a?b=/c?d", "Origin"),
        ("GET /http://x", "Origin"),
        ("GET http://h", "Absolute"),
        ("GET HTTP://h:80/a?b", "Absolute"),
        ("POST https://h:/", "Absolute"),
        ("GET http://[::1]:8080?q", "Absolute"),
        ("GET ws+x-y.z://h/", "Absolute"),
        ("GET file:///etc", "Absolute"),
        ("OPTIONS *", "Asterisk"),
        ("OPTIONS /", "Origin"),
        ("OPTIONS http://h", "Absolute"),
    ] {
        check(&with_host(&format!("{line} HTTP/1.1")), &format!("{line} 1.1 {form} None | Host: h | end"));
    }
    for target in ["h:80", "[::1]:443", "1.2.3.4:65535"] {
        let expected = format!("CONNECT {target} 1.1 Authority None close | Host: h | end | done=");
        check(&with_host(&format!("CONNECT {target} HTTP/1.1")), &expected);
    }
}

#[test]
fn target_forms_that_are_refused() {
    for line in [
        "GET *", // 3.2.4: for OPTIONS only
        "OPTIONS **",
        "GET h:80", // 3.2.3: for CONNECT only
        "GET h",
        "GET ?q",
        "GET urn:a",
        "GET ://h/",
        "GET 1http://h/",
        "GET ht_tp://h/",
        "GET http:///a", // RFC 9110, 4.2.1: no host
        "GET https://",
        "GET http://:80/",
        "GET http://?q",
        "GET http://u@h/", // RFC 9110, 4.2.4: user information
        "GET http://u:p@h/",
        "GET http://h:65536/",
        "GET http://h:x/",
        "GET http://[::1/",
        "GET http://a,b/",
        "CONNECT /",
        "CONNECT *",
        "CONNECT h", // RFC 9110, 9.3.6: empty or invalid port
        "CONNECT h:",
        "CONNECT h:0",
        "CONNECT h:65536",
        "CONNECT h:-1",
        "CONNECT :80",
        "CONNECT u@h:80",
        "CONNECT http://h:80",
    ] {
        refuse(&with_host(&format!("{line} HTTP/1.1")), ParseError::InvalidTarget);
    }
}

#[test]
fn path_query_and_authority() {
    for (line, path, query, authority) in [
        ("GET /", "/", None, "h:1"),
        ("GET /a?b?c", "/a", Some("b?c"), "h:1"),
        ("GET /?", "/", Some(""), "h:1"),
        ("GET http://x", "/", None, "x"),
        ("GET http://x?q", "/", Some("q"), "x"),
        ("GET http://x:2/a/b?q", "/a/b", Some("q"), "x:2"),
        ("OPTIONS http://x", "*", None, "x"),
        ("OPTIONS http://x?q", "/", Some("q"), "x"),
        ("OPTIONS http://x/", "/", None, "x"),
        ("OPTIONS *", "*", None, "h:1"),
        ("CONNECT y:443", "", None, "y:443"),
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: h:1\r\n\r\n");
        let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
        let event = decoder.decode(&mut text.as_bytes(), &mut table, &Limits::default());
        let Ok(Event::Head(head)) = event else { panic!("{line}: {event:?}") };
        assert_eq!((head.path(), head.query(), head.authority()), (path, query, authority), "{line}");
        assert_eq!(head.is_connect(), line.starts_with("CONNECT"));
        assert!(!head.is_head());
    }
}
