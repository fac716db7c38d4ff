//! RFC 9112, 3.2 and RFC 9110, 7.2: the `Host` field.

use crate::harness::{check, refuse};
use http::proto::ParseError;

#[test]
fn http11_needs_exactly_one_host() {
    refuse("GET / HTTP/1.1\r\n\r\n", ParseError::MissingHost);
    refuse("GET / HTTP/1.1\r\nHos: a\r\n\r\n", ParseError::MissingHost);
    refuse("GET http://a/ HTTP/1.1\r\n\r\n", ParseError::MissingHost);
    refuse("CONNECT a:1 HTTP/1.1\r\n\r\n", ParseError::MissingHost);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", ParseError::DuplicateHost);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n", ParseError::DuplicateHost);
    refuse("GET / HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n", ParseError::DuplicateHost);
}

#[test]
fn http10_may_have_a_host_and_it_has_to_be_valid() {
    check("GET / HTTP/1.0\r\n\r\n", "GET / 1.0 Origin None close | end | done=");
    check("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / 1.0 Origin None close | Host: a | end | done=");
    refuse("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", ParseError::InvalidHost);
    refuse("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", ParseError::DuplicateHost);
}

#[test]
fn hosts_that_are_accepted() {
    for host in [
        "",
        "a",
        "example.org",
        "example.org:8080",
        "a:",
        "a:0",
        "a:00080",
        "a:65535",
        "127.0.0.1:80",
        "999.1.1.1",
        "a_b-c.d~e",
        "!$&'()*+;=",
        "%41%ff",
        "a%2Cb:1",
        "[::1]",
        "[::1]:80",
        "[2001:db8::1]:",
        "[::ffff:1.2.3.4]",
        "[v1.a:b]",
        "[vF.~]:1",
        "xn--bcher-kva.example",
    ] {
        let sep = if host.is_empty() { "" } else { " " };
        let input = format!("GET / HTTP/1.1\r\nHost:{sep}{host}\r\n\r\n");
        check(&input, &format!("GET / 1.1 Origin None | Host: {} | end", host.as_bytes().escape_ascii()));
    }
    check("GET / HTTP/1.1\r\nhOsT: \t a \t\r\n\r\n", "GET / 1.1 Origin None | hOsT: a | end");
}

#[test]
fn hosts_that_are_refused() {
    for host in [
        "a b",
        "a, b",
        "a,b",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:99999999999999999999",
        "a:-1",
        "a:+1",
        "a: 1",
        "a:1 2",
        ":",
        ":80",
        "u@a",
        "u:p@a",
        "http://a",
        "a/",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a\"",
        "<a>",
        "a|b",
        "a^b",
        "{a}",
        "%",
        "%4",
        "%zz",
        "a%",
        "a%4g",
        "[",
        "[]",
        "]",
        "[::1",
        "::1",
        "[::1]a",
        "[::1]]",
        "[:::1]",
        "[1.2.3.4]",
        "[::1%25eth0]",
        "[v.a]",
        "[v1.]",
        "[v1a]",
        "[vg.a]",
        "[v1.a@b]",
        "a[::1]",
        "a\tb",
        "\u{e9}",
    ] {
        refuse(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), ParseError::InvalidHost);
    }
}

// RFC 9112, 3.2.2: the target's host wins, but the field still has to be there and valid.
#[test]
fn an_absolute_target_does_not_excuse_a_bad_host() {
    refuse("GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", ParseError::InvalidHost);
}
