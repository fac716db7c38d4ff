//! What the server writes: RFC 9112, 4 to 7, byte for byte.

use http::proto::{
    CHUNK_END, CONTINUE, EncodeError, check_field, chunk, chunk_head, closing_answer, content_length_end,
    date_field, field, informational, keep_alive_field, last_chunk, reason_phrase, status_line,
};
use std::num::NonZeroUsize;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// What `write` appends; an error must leave the buffer as it was.
fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Result<String, EncodeError> {
    let mut out = b"before ".to_vec();
    let result = write(&mut out);
    let text = String::from_utf8_lossy(&out).strip_prefix("before ").expect("only appends").to_string();
    if result.is_err() {
        assert_eq!(text, "", "an error appends nothing");
    }
    result.map(|()| text)
}

#[track_caller]
fn check(expected: &str, write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) {
    assert_eq!(written(write).as_deref(), Ok(expected));
}

#[track_caller]
fn refuse(fault: EncodeError, write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) {
    assert_eq!(written(write), Err(fault));
}

// RFC 9112, 4.
#[test]
fn status_lines() {
    check("HTTP/1.1 200 OK\r\n", |out| status_line(out, 200, None));
    check("HTTP/1.1 404 Not Found\r\n", |out| status_line(out, 404, None));
    check("HTTP/1.1 200 Fine by me\r\n", |out| status_line(out, 200, Some(b"Fine by me")));
    // The space stays even without a reason phrase.
    check("HTTP/1.1 200 \r\n", |out| status_line(out, 200, Some(b"")));
    check("HTTP/1.1 100 Continue\r\n", |out| status_line(out, 100, None));
    check("HTTP/1.1 999 unknown\r\n", |out| status_line(out, 999, None));
}

// test-http-response-statuscode.
#[test]
fn a_status_has_three_digits() {
    for status in [0, 1, 99, 1000, u16::MAX] {
        refuse(EncodeError::InvalidStatus(status), |out| status_line(out, status, None));
    }
}

// test-http-status-reason-invalid-chars.
#[test]
fn a_reason_cannot_end_the_line() {
    for reason in ["a\r\nSet-Cookie: x", "\r", "\n", "\0", "a\x7f", "\x1b[2J"] {
        refuse(EncodeError::InvalidReason, |out| status_line(out, 200, Some(reason.as_bytes())));
    }
    assert_eq!(written(|out| status_line(out, 200, Some(b"\t\xe9"))).unwrap(), "HTTP/1.1 200 \t\u{fffd}\r\n");
}

#[test]
fn reasons() {
    for (status, reason) in [(100, "Continue"), (408, "Request Timeout"), (413, "Content Too Large")] {
        assert_eq!(reason_phrase(status), reason);
    }
    assert_eq!(reason_phrase(431), "Request Header Fields Too Large");
    assert_eq!(reason_phrase(299), "unknown");
}

#[test]
fn field_lines() {
    check("X-A: b c\r\n", |out| field(out, "X-A", b"b c"));
    check("X-A: \r\n", |out| field(out, "X-A", b""));
    check("!#$%&'*+-.^_`|~: \ta\r\n", |out| field(out, "!#$%&'*+-.^_`|~", b"\ta"));
    check("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", |out| {
        date_field(out, DATE);
        Ok(())
    });
    for (length, text) in [(0, "0"), (10, "10"), (u64::MAX, "18446744073709551615")] {
        check(&format!("Content-Length: {text}\r\n\r\n"), |out| {
            content_length_end(out, length);
            Ok(())
        });
    }
}

#[test]
fn keep_alive_lines() {
    for (max, expected) in
        [(None, "Keep-Alive: timeout=5\r\n"), (Some(3), "Keep-Alive: timeout=5, max=3\r\n")]
    {
        check(expected, |out| {
            keep_alive_field(out, 5, max);
            Ok(())
        });
    }
}

// RFC 9110, 5.1 and 5.5; RFC 9112, 11.1: test-http-response-splitting, test-http-header-validators.
#[test]
fn a_field_cannot_split_the_response() {
    for name in ["", " ", "A ", "A:", "A\r\nB", "A\n", "A\0", "\u{e9}", "A(", "\"A\"", "A,B"] {
        refuse(EncodeError::InvalidFieldName, |out| field(out, name, b"v"));
    }
    for byte in (0..b' ').chain([0x7f]).filter(|&byte| byte != b'\t') {
        refuse(EncodeError::InvalidFieldValue, |out| field(out, "A", &[b'v', byte, b'v']));
        assert_eq!(check_field("A", &[byte]), Err(EncodeError::InvalidFieldValue));
    }
    for byte in (0x80..=0xff).chain(*b"\t ~") {
        assert_eq!(check_field("A", &[byte]), Ok(()));
    }
}

// RFC 9112, 7.1.
#[test]
fn chunks() {
    for (len, head) in
        [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (1024, "400\r\n"), (usize::MAX, "ffffffffffffffff\r\n")]
    {
        check(head, |out| {
            chunk_head(out, NonZeroUsize::new(len).expect("not zero"));
            Ok(())
        });
    }
    check("5\r\nhello\r\n", |out| {
        chunk(out, b"hello");
        Ok(())
    });
    // An empty chunk would end the body.
    check("", |out| {
        chunk(out, b"");
        Ok(())
    });
    assert_eq!(CHUNK_END, b"\r\n");
}

// RFC 9112, 7.1.2: test-http-set-trailers.
#[test]
fn last_chunks() {
    check("0\r\n\r\n", |out| last_chunk(out, []));
    check("0\r\nA: 1\r\nB: 2\r\n\r\n", |out| last_chunk(out, [("A", &b"1"[..]), ("B", b"2")]));
    let after_a_good_one = |name| [("A", &b"1"[..]), (name, b"2")];
    // RFC 9110, 6.5.1.
    for name in ["Content-Length", "transfer-encoding", "Host", "Trailer", "Set-Cookie", "Content-Type", "TE"]
    {
        refuse(EncodeError::MisplacedField, |out| last_chunk(out, after_a_good_one(name)));
    }
    refuse(EncodeError::InvalidFieldName, |out| last_chunk(out, after_a_good_one("A B")));
    refuse(EncodeError::InvalidFieldValue, |out| last_chunk(out, [("A", &b"\r\n"[..])]));
}

// RFC 9110, 15.2.
#[test]
fn informational_responses() {
    assert_eq!(CONTINUE, b"HTTP/1.1 100 Continue\r\n\r\n");
    check("HTTP/1.1 102 Processing\r\n\r\n", |out| informational(out, 102, []));
    check("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", |out| {
        informational(out, 103, [("Link", &b"</a.css>"[..])])
    });
    for status in [0, 99, 101, 200, 404] {
        refuse(EncodeError::InvalidStatus(status), |out| informational(out, status, []));
    }
    // RFC 9110, 8.6; RFC 9112, 6.1.
    for name in ["Content-Length", "TRANSFER-ENCODING"] {
        refuse(EncodeError::MisplacedField, |out| {
            informational(out, 103, [("Link", &b"x"[..]), (name, b"1")])
        });
    }
    refuse(EncodeError::InvalidFieldValue, |out| informational(out, 103, [("Link", &b"a\nb"[..])]));
}

#[test]
fn closing_answers() {
    check("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", |out| {
        closing_answer(out, 400, None)
    });
    check(
        "HTTP/1.1 431 Request Header Fields Too Large\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Connection: close\r\nContent-Length: 0\r\n\r\n",
        |out| closing_answer(out, 431, Some(DATE)),
    );
    for status in [100, 200, 204, 304, 399, 600] {
        refuse(EncodeError::InvalidStatus(status), |out| closing_answer(out, status, None));
    }
}

#[test]
fn faults_say_what_they_are() {
    assert_eq!(EncodeError::InvalidStatus(42).to_string(), "the status 42 cannot be sent here");
    assert_eq!(EncodeError::InvalidFieldName.to_string(), "the field name is not a token");
}
