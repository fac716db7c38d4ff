//! What the server writes: RFC 9112, 4 to 7, byte for byte.

use http::proto::{EncodeError, Encoder, HeadCache, RequestFacts, ResponseHead};

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// The status line and the fields that were set, of a response whose whole body is empty.
fn head(head: &mut ResponseHead) -> String {
    for name in ["Date", "Connection", "Content-Length"] {
        head.remove(name);
    }
    head.set("Transfer-Encoding", b"chunked").expect("a coding");
    let encoder = Encoder::begin(&RequestFacts::default(), head, 0, false).expect("a response");
    let mut out = Vec::new();
    encoder.put_head(head, &HeadCache::new(None), &mut out);
    String::from_utf8_lossy(&out).replace("Transfer-Encoding: chunked\r\n", "")
}

fn with_status(status: u16, reason: Option<&[u8]>) -> Result<String, EncodeError> {
    let mut response = ResponseHead::new();
    response.set_status(status)?;
    if let Some(reason) = reason {
        response.set_reason(reason)?;
    }
    Ok(head(&mut response))
}

fn with_field(name: &str, value: &[u8]) -> Result<String, EncodeError> {
    let mut response = ResponseHead::new();
    let (set, appended) = (response.set(name, value), ResponseHead::new().append(name, value));
    assert_eq!(set, appended);
    let text = head(&mut response);
    assert_eq!(set.is_err(), text == "HTTP/1.1 200 OK\r\n\r\n", "an error sets nothing: {text}");
    set.map(|()| text)
}

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

// RFC 9112, 4.
#[test]
fn status_lines() {
    for (status, reason, line) in [
        (200, None, "HTTP/1.1 200 OK"),
        (404, None, "HTTP/1.1 404 Not Found"),
        (200, Some(&b"Fine by me"[..]), "HTTP/1.1 200 Fine by me"),
        // The space stays even without a reason phrase.
        (200, Some(b""), "HTTP/1.1 200 "),
        (999, None, "HTTP/1.1 999 unknown"),
    ] {
        assert_eq!(with_status(status, reason), Ok(format!("{line}\r\n\r\n")));
    }
}

// test-http-response-statuscode.
#[test]
fn a_status_has_three_digits() {
    for status in [0, 1, 99, 1000, u16::MAX] {
        assert_eq!(with_status(status, None), Err(EncodeError::InvalidStatus(status)));
    }
}

// test-http-status-reason-invalid-chars.
#[test]
fn a_reason_cannot_end_the_line() {
    for reason in ["a\r\nSet-Cookie: x", "\r", "\n", "\0", "a\x7f", "\x1b[2J"] {
        assert_eq!(with_status(200, Some(reason.as_bytes())), Err(EncodeError::InvalidReason));
    }
    assert_eq!(with_status(200, Some(b"\t\xe9")).unwrap(), "HTTP/1.1 200 \t\u{fffd}\r\n\r\n");
}

/// RFC 9110, 15; Node's `STATUS_CODES`.
const REASONS: &[(u16, &str)] = &[
    (100, "Continue"),
    (101, "Switching Protocols"),
    (102, "Processing"),
    (103, "Early Hints"),
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (203, "Non-Authoritative Information"),
    (204, "No Content"),
    (205, "Reset Content"),
    (206, "Partial Content"),
    (207, "Multi-Status"),
    (208, "Already Reported"),
    (226, "IM Used"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (304, "Not Modified"),
    (305, "Use Proxy"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (402, "Payment Required"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (407, "Proxy Authentication Required"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (411, "Length Required"),
    (412, "Precondition Failed"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Range Not Satisfiable"),
    (417, "Expectation Failed"),
    (421, "Misdirected Request"),
    (422, "Unprocessable Content"),
    (423, "Locked"),
    (424, "Failed Dependency"),
    (425, "Too Early"),
    (426, "Upgrade Required"),
    (428, "Precondition Required"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (451, "Unavailable For Legal Reasons"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (505, "HTTP Version Not Supported"),
    (506, "Variant Also Negotiates"),
    (507, "Insufficient Storage"),
    (508, "Loop Detected"),
    (511, "Network Authentication Required"),
];

#[test]
fn every_registered_status_has_its_reason_and_others_have_none() {
    for status in 100..=999 {
        let registered = REASONS.iter().find(|(code, _)| *code == status);
        let reason = registered.map_or("unknown", |(_, reason)| reason);
        let head = with_status(status, None).expect("a status");
        assert_eq!(head.lines().next(), Some(&*format!("HTTP/1.1 {status} {reason}")));
    }
}

#[test]
fn field_lines() {
    for (name, value, line) in [
        ("X-A", &b"b c"[..], "X-A: b c"),
        ("X-A", b"", "X-A: "),
        ("!#$%&'*+-.^_`|~", b"\ta", "!#$%&'*+-.^_`|~: \ta"),
    ] {
        assert_eq!(with_field(name, value), Ok(format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n")));
    }
}

/// The head of a record that may have been used before.
fn head_of(response: &ResponseHead, cache: &HeadCache) -> String {
    let encoder = Encoder::begin(&RequestFacts::default(), response, 0, true).expect("a response");
    let mut out = Vec::new();
    encoder.put_head(response, cache, &mut out);
    String::from_utf8(out).expect("text")
}

// A record keeps the line that its last response began with.
#[test]
fn a_first_line_that_comes_again_is_the_same_and_any_other_replaces_it() {
    let mut cache = HeadCache::new(Some((5, None)));
    cache.set_date(DATE);
    let mut again = ResponseHead::new();
    let fields = ["A", "Content-Type", "Date", "Keep-Alive", "Trailer"];
    let sets = fields.map(|name| [(name, &b"1"[..]), (name, b""), (name, b"text/plain")]);
    for first in sets.as_flattened() {
        for next in sets.as_flattened() {
            // Each one twice, so that the record's last use began with the same field.
            for (name, value) in [first, first, next, next] {
                let mut new = ResponseHead::new();
                for head in [&mut again, &mut new] {
                    head.clear();
                    // Without a length, so that a `Trailer` may stand there.
                    head.set("Transfer-Encoding", b"chunked").expect("a coding");
                    head.set(name, value).expect("a field");
                }
                assert_eq!(head_of(&again, &cache), head_of(&new, &cache));
                for head in [&mut again, &mut new] {
                    head.append(name, value).expect("it is not the first one now");
                }
                assert_eq!(head_of(&again, &cache), head_of(&new, &cache));
            }
        }
    }
}

#[test]
fn what_was_refused_or_removed_is_not_taken_for_the_first_line() {
    let cache = HeadCache::new(None);
    let mut head = ResponseHead::new();
    let lines = |head: &ResponseHead| {
        let text = head_of(head, &cache);
        let lines = text.strip_prefix("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n").expect("the start");
        lines.strip_suffix("Content-Length: 0\r\n\r\n").expect("the end").to_owned()
    };
    assert_eq!(head.set("A", b"b: c"), Ok(()));
    head.clear();
    // The same bytes with the name ending elsewhere.
    for _ in 0..2 {
        assert_eq!(head.set("A: b", b"c"), Err(EncodeError::InvalidFieldName));
        assert_eq!(lines(&head), "");
    }
    assert_eq!(head.set("A", b"b: c"), Ok(()));
    assert_eq!(lines(&head), "A: b: c\r\n");
    head.remove("a");
    assert_eq!(lines(&head), "");
    assert_eq!(head.set("A", b"b: c"), Ok(()));
    assert_eq!(lines(&head), "A: b: c\r\n");
}

#[test]
fn without_a_date_there_is_no_date_line() {
    for (facts, line) in [
        (RequestFacts::default(), "Connection: keep-alive"),
        (RequestFacts { keep_alive: false, ..RequestFacts::default() }, "Connection: close"),
    ] {
        let response = ResponseHead::new();
        let encoder = Encoder::begin(&facts, &response, 0, true).expect("a response");
        let mut out = Vec::new();
        encoder.put_head(&response, &HeadCache::new(None), &mut out);
        let expected = format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
    assert_eq!(
        written(|out| Encoder::closing(400, Some(&HeadCache::new(None)), out)),
        written(|out| Encoder::closing(400, None, out))
    );
}

#[test]
fn heads_have_a_date_and_tell_how_long_the_connection_stays() {
    for (keep_alive, max, line) in [
        (None, None, ""),
        (Some(5), None, "Keep-Alive: timeout=5\r\n"),
        (Some(5), Some(3), "Keep-Alive: timeout=5, max=3\r\n"),
    ] {
        let mut cache = HeadCache::new(keep_alive.map(|secs| (secs, max)));
        cache.set_date(DATE);
        for (length, digits) in [(0, "0"), (10, "10"), (u64::MAX, "18446744073709551615")] {
            let response = ResponseHead::new();
            let encoder =
                Encoder::begin(&RequestFacts::default(), &response, length, true).expect("a response");
            let mut out = Vec::new();
            encoder.put_head(&response, &cache, &mut out);
            let expected = format!(
                "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: keep-alive\r\n{line}\
                 Content-Length: {digits}\r\n\r\n"
            );
            assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
    }
}

#[test]
fn known_fields_replace_those_of_the_server_in_any_case_and_others_do_not() {
    let mut cache = HeadCache::new(Some((5, None)));
    cache.set_date(DATE);
    for (name, line) in
        [("date", "Date: "), ("KEEP-alive", "Keep-Alive: "), ("connection", "Connection: keep")]
    {
        for (set, is_known) in
            [(name.to_owned(), true), (name.replace('e', "3"), false), (format!("{name}s"), false)]
        {
            let mut response = ResponseHead::new();
            response.set(&set, b"x").expect("a field");
            let encoder = Encoder::begin(&RequestFacts::default(), &response, 0, true).expect("a response");
            let mut out = Vec::new();
            encoder.put_head(&response, &cache, &mut out);
            assert_eq!(!String::from_utf8(out).expect("text").contains(line), is_known, "{set}");
        }
    }
}

// RFC 9110, 5.1 and 5.5; RFC 9112, 11.1: test-http-response-splitting, test-http-header-validators.
#[test]
fn a_field_cannot_split_the_response() {
    for name in ["", " ", "A ", "A:", "A\r\nB", "A\n", "A\0", "\u{e9}", "A(", "\"A\"", "A,B"] {
        assert_eq!(with_field(name, b"v"), Err(EncodeError::InvalidFieldName));
    }
    for name in ["A", "Date", "Connection", "Content-Length", "Transfer-Encoding", "Keep-Alive", "Trailer"] {
        for byte in (0..b' ').chain([0x7f]).filter(|&byte| byte != b'\t') {
            let set = ResponseHead::new().set(name, &[b'v', byte, b'v']);
            assert_eq!(set, Err(EncodeError::InvalidFieldValue), "{name}");
        }
    }
    for byte in (0x80..=0xff).chain(*b"\t ~") {
        assert_eq!(ResponseHead::new().set("A", &[byte]), Ok(()));
    }
}

// RFC 9110, 8.6.
#[test]
fn a_content_length_is_digits() {
    for value in ["", " ", "+1", "-1", "1 ", "1,1", "0x1", "18446744073709551616"] {
        assert_eq!(
            ResponseHead::new().set("content-length", value.as_bytes()),
            Err(EncodeError::InvalidFraming)
        );
    }
    assert_eq!(ResponseHead::new().set("Transfer-Encoding", b" "), Err(EncodeError::InvalidFraming));
}

/// The end of a response, from its body on, and what becomes of the connection.
fn body(parts: &[&[u8]], head: &ResponseHead) -> (String, Result<bool, EncodeError>) {
    let mut encoder = Encoder::begin(&RequestFacts::default(), head, 0, false).expect("a response");
    let mut out = Vec::new();
    for part in parts {
        if let Err(error) = encoder.put(part, &mut out) {
            return (String::from_utf8(out).expect("text"), Err(error));
        }
    }
    let end = encoder.end(head, &mut out);
    (String::from_utf8(out).expect("text"), end)
}

// RFC 9112, 7.1.
#[test]
fn chunks() {
    for (len, size) in [
        (1, "1"),
        (15, "f"),
        (16, "10"),
        (255, "ff"),
        (256, "100"),
        (1024, "400"),
        (4095, "fff"),
        (4096, "1000"),
        (0xabcd, "abcd"),
        (65_535, "ffff"),
        (65_536, "10000"),
        (0x12_3456, "123456"),
    ] {
        // An interpreter reads text byte by byte.
        if cfg!(miri) && len > 5000 {
            continue;
        }
        let data = vec![b'x'; len];
        let text = String::from_utf8_lossy(&data);
        let expected = format!("{size}\r\n{text}\r\n0\r\n\r\n");
        assert_eq!(body(&[&data], &ResponseHead::new()), (expected, Ok(true)));
    }
    // An empty chunk would end the body.
    assert_eq!(body(&[b"", b"a", b""], &ResponseHead::new()), ("1\r\na\r\n0\r\n\r\n".into(), Ok(true)));
}

// test-http-content-length-mismatch.
#[test]
fn a_body_has_the_length_that_was_promised() {
    let five = || {
        let mut head = ResponseHead::new();
        head.set("Content-Length", b"5").expect("a length");
        head
    };
    assert_eq!(body(&[b"hel", b"lo"], &five()), ("hello".into(), Ok(true)));
    assert_eq!(body(&[b"hel", b"lo!"], &five()), ("hel".into(), Err(EncodeError::BodyTooLong)));
    assert_eq!(body(&[b"hel"], &five()), ("hel".into(), Err(EncodeError::BodyTooShort)));
    let too_long = Encoder::begin(&RequestFacts::default(), &five(), 6, true);
    assert_eq!(too_long.err(), Some(EncodeError::BodyTooLong));
}

// RFC 9112, 7.1.2: test-http-set-trailers.
#[test]
fn trailers_follow_the_last_chunk() {
    let mut head = ResponseHead::new();
    assert_eq!(head.add_trailer("A", b"1"), Ok(()));
    // RFC 9110, 6.5.1.
    for name in ["Content-Length", "transfer-encoding", "Host", "Trailer", "Set-Cookie", "Content-Type", "TE"]
    {
        assert_eq!(head.add_trailer(name, b"2"), Err(EncodeError::MisplacedField));
    }
    assert_eq!(head.add_trailer("A B", b"2"), Err(EncodeError::InvalidFieldName));
    assert_eq!(head.add_trailer("A", b"\r\n"), Err(EncodeError::InvalidFieldValue));
    assert_eq!(head.add_trailer("B", b"2"), Ok(()));
    assert_eq!(body(&[], &head), ("0\r\nA: 1\r\nB: 2\r\n\r\n".into(), Ok(true)));
    head.clear();
    assert_eq!(body(&[], &head), ("0\r\n\r\n".into(), Ok(true)));
}

// RFC 9110, 15.2.
#[test]
fn informational_responses() {
    let link = |status| written(|out| Encoder::informational(status, [("Link", &b"</a.css>"[..])], out));
    let none = |status| written(|out| Encoder::informational(status, [], out));
    assert_eq!(none(100).as_deref(), Ok("HTTP/1.1 100 Continue\r\n\r\n"));
    assert_eq!(none(102).as_deref(), Ok("HTTP/1.1 102 Processing\r\n\r\n"));
    assert_eq!(link(103).as_deref(), Ok("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"));
    for status in [0, 99, 101, 200, 404] {
        assert_eq!(none(status), Err(EncodeError::InvalidStatus(status)));
    }
    // RFC 9110, 8.6; RFC 9112, 6.1.
    for name in ["Content-Length", "TRANSFER-ENCODING"] {
        let fields = [("Link", &b"x"[..]), (name, b"1")];
        assert_eq!(written(|out| Encoder::informational(103, fields, out)), Err(EncodeError::MisplacedField));
    }
    let split = written(|out| Encoder::informational(103, [("Link", &b"a\nb"[..])], out));
    assert_eq!(split, Err(EncodeError::InvalidFieldValue));
}

#[test]
fn closing_answers() {
    let mut cache = HeadCache::new(None);
    cache.set_date(DATE);
    assert_eq!(
        written(|out| Encoder::closing(400, None, out)).as_deref(),
        Ok("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    );
    assert_eq!(
        written(|out| Encoder::closing(431, Some(&cache), out)).as_deref(),
        Ok("HTTP/1.1 431 Request Header Fields Too Large\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            Connection: close\r\nContent-Length: 0\r\n\r\n")
    );
    for status in [100, 200, 204, 304, 399, 600] {
        assert_eq!(
            written(|out| Encoder::closing(status, None, out)),
            Err(EncodeError::InvalidStatus(status))
        );
    }
}

#[test]
fn faults_say_what_they_are() {
    assert!(EncodeError::InvalidStatus(42).to_string().starts_with("status 42 is out of range"));
    assert_eq!(EncodeError::InvalidFieldName.to_string(), "the field name is not a token");
}
