//! Requests as a client writes them: what is refused, how bodies are delimited, and that a server reads what was meant.

use http::proto::EncodeError::*;
use http::proto::{
    Decoder, EncodeError, Event, FieldTable, Limits, OutgoingRequest, ParseError, RequestEncoder, ResponseTo,
};

fn head(method: &str, fields: &[(&str, &str)]) -> OutgoingRequest {
    let target = if method == "CONNECT" { "a:1" } else { "/" };
    let mut head = OutgoingRequest::new(method, target).expect("it is valid");
    for (name, value) in [("Host", "a")].iter().chain(fields) {
        head.append(name, value.as_bytes()).expect("it is valid");
    }
    head
}

/// The bytes of a request whose body is known whole.
fn whole(head: &OutgoingRequest, body: &[u8]) -> Result<String, EncodeError> {
    let mut out = Vec::new();
    let mut request = RequestEncoder::begin(head, body.len() as u64, true, true)?;
    request.put_head(head, &mut out);
    request.put(body, &mut out)?;
    request.end(head, &mut out)?;
    assert_read(&out);
    Ok(String::from_utf8(out).expect("text"))
}

/// The bytes of a request whose body comes in parts.
fn in_parts(head: &OutgoingRequest, parts: &[&[u8]]) -> Result<String, EncodeError> {
    let mut out = Vec::new();
    let first = parts.first().map_or(0, |part| part.len() as u64);
    let mut request = RequestEncoder::begin(head, first, false, true)?;
    request.put_head(head, &mut out);
    for part in parts {
        request.count(part.len())?;
        request.put_front(part.len(), &mut out);
        out.extend_from_slice(part);
        out.extend_from_slice(request.back(part.len()));
    }
    request.end(head, &mut out)?;
    assert_read(&out);
    Ok(String::from_utf8(out).expect("text"))
}

/// Asserts that a server reads one whole request and nothing behind it.
fn assert_read(mut bytes: &[u8]) {
    let (mut decoder, mut table, limits) = (Decoder::new(), FieldTable::new(), Limits::default());
    loop {
        match decoder.decode(&mut bytes, &mut table, &limits) {
            Ok(Event::End(_)) => break,
            Ok(Event::NeedMore | Event::Done) => panic!("the request is incomplete"),
            Ok(Event::Head(_) | Event::Body(_)) => {}
            Err(fault) => panic!("{fault}"),
        }
    }
    assert_eq!(bytes, b"", "a body without a delimiter");
}

// HC1. Node: test-http-client-check-http-token.
#[test]
fn a_method_is_a_token() {
    for method in ["", "G T", "GET\r\n", "G(T", "\u{e9}"] {
        assert_eq!(OutgoingRequest::new(method, "/").map(drop), Err(InvalidMethod), "{method:?}");
    }
    assert_eq!(
        OutgoingRequest::new("PURGE", "/").map(|head| head.method().to_owned()),
        Ok("PURGE".to_owned())
    );
}

// HC2. Node: test-http-client-unescaped-path, test-http-invalid-path-chars.
#[test]
fn a_target_is_visible_ascii_in_a_form_that_the_method_allows() {
    for target in ["", "/a b", "/a\r\nX: y", "/\u{e9}", "/\0", "/\x7f", "/a#b", "a", "*", "a:1"] {
        assert_eq!(OutgoingRequest::new("GET", target).map(drop), Err(InvalidTarget), "{target:?}");
    }
    for (method, target) in [("GET", "/?a={}|"), ("GET", "http://a/b"), ("OPTIONS", "*"), ("CONNECT", "a:1")]
    {
        assert_eq!(
            OutgoingRequest::new(method, target).map(|head| head.target().to_owned()),
            Ok(target.to_owned())
        );
    }
    assert_eq!(OutgoingRequest::new("CONNECT", "/").map(drop), Err(InvalidTarget));
}

// HC3.
#[test]
fn line_ends_in_fields_are_refused_when_they_are_set() {
    let mut head = head("GET", &[]);
    assert_eq!(head.set("A\r\nB", b""), Err(InvalidFieldName));
    for value in [&b"a\r\nB: c"[..], b"a\nb", b"a\rb", b"a\0b"] {
        assert_eq!(head.set("A", value), Err(InvalidFieldValue));
        assert_eq!(head.set("Host", value), Err(InvalidFieldValue));
        assert_eq!(head.add_trailer("A", value), Err(InvalidFieldValue));
    }
}

// HC4.
#[test]
fn a_request_has_a_host_which_comes_first() {
    let mut bare = OutgoingRequest::new("GET", "/").expect("valid");
    assert_eq!(whole(&bare, b""), Err(InvalidHost));
    for host in ["a b", "a,b", "a:x", "[::1", "u@h"] {
        assert_eq!(bare.set("Host", host.as_bytes()), Err(InvalidHost), "{host}");
    }
    bare.set("Accept", b"*/*").expect("valid");
    bare.set("host", b"[::1]:8080").expect("valid");
    let sent = whole(&bare, b"").expect("valid");
    assert_eq!(sent, "GET / HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n");
    bare.remove("Host");
    assert_eq!(whole(&bare, b""), Err(InvalidHost));
}

// HC6.
#[test]
fn a_request_says_whether_the_connection_is_kept() {
    let sent = |head: &OutgoingRequest, keep_alive| {
        let request = RequestEncoder::begin(head, 0, true, keep_alive).expect("valid");
        let mut out = Vec::new();
        request.put_head(head, &mut out);
        let text = String::from_utf8(out).expect("text");
        let line = text.lines().find(|line| line.starts_with("Connection")).map(str::to_owned);
        (line.unwrap_or_default(), request.keep_alive())
    };
    let is = |line: &str, keep_alive| (line.to_owned(), keep_alive);
    assert_eq!(sent(&head("GET", &[]), true), is("Connection: keep-alive", true));
    assert_eq!(sent(&head("GET", &[]), false), is("Connection: close", false));
    let own = head("GET", &[("Connection", "close")]);
    assert_eq!(sent(&own, true), is("Connection: close", false));
    assert_eq!(sent(&own, false), is("Connection: close", false));
    let own = head("GET", &[("Connection", "x-hop"), ("X-Hop", "1")]);
    assert_eq!(sent(&own, true), is("Connection: x-hop", true));
    assert_eq!(sent(&own, false), is("Connection: x-hop, close", false));
    let offer = head("GET", &[("Upgrade", "websocket")]);
    assert_eq!(sent(&offer, true), is("Connection: upgrade", true));
    assert_eq!(sent(&offer, false), is("Connection: upgrade, close", false));
    let mut removed = head("GET", &[]);
    removed.remove("Connection");
    assert_eq!(sent(&removed, true), is("", true));
    assert_eq!(sent(&removed, false), is("Connection: close", false));
    removed.set("Upgrade", b"websocket").expect("valid");
    assert_eq!(sent(&removed, true), is("", true));
    assert_eq!(sent(&removed, false), is("Connection: close", false));
}

// HC7. Node: test-http-automatic-headers, test-http-request-method-delete-payload.
#[test]
fn a_whole_body_has_a_length_and_one_in_parts_is_chunked() {
    for method in ["POST", "PUT", "PATCH", "REPORT"] {
        assert!(
            whole(&head(method, &[]), b"").expect("valid").ends_with("\r\nContent-Length: 0\r\n\r\n"),
            "{method}"
        );
        assert!(
            whole(&head(method, &[]), b"ab").expect("valid").ends_with("\r\nContent-Length: 2\r\n\r\nab")
        );
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let sent = whole(&head(method, &[]), b"").expect("valid");
        assert_eq!(sent, format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"));
    }
    // HC8: a body is never sent without a delimiter.
    for method in ["GET", "DELETE", "POST"] {
        let sent = in_parts(&head(method, &[]), &[b"ab", b"", b"c"]).expect("valid");
        assert!(
            sent.ends_with("\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
            "{sent}"
        );
        assert!(
            whole(&head(method, &[]), b"ab").expect("valid").ends_with("\r\nContent-Length: 2\r\n\r\nab")
        );
    }
}

// HC8, RFC 9110, 9.3.6 and 9.3.8.
#[test]
fn a_connect_and_a_trace_have_no_body() {
    for method in ["CONNECT", "TRACE"] {
        assert_eq!(whole(&head(method, &[]), b"a"), Err(BodyTooLong), "{method}");
        assert_eq!(in_parts(&head(method, &[]), &[]), Err(BodyTooLong));
        assert_eq!(whole(&head(method, &[("Content-Length", "1")]), b""), Err(BodyTooLong));
        assert!(whole(&head(method, &[]), b"").is_ok());
    }
}

// HC9. Node: test-http-content-length-mismatch.
#[test]
fn a_body_is_as_long_as_was_declared() {
    let declared = head("POST", &[("Content-Length", "3")]);
    assert_eq!(whole(&declared, b"ab"), Err(BodyTooShort));
    assert_eq!(whole(&declared, b"abcd"), Err(BodyTooLong));
    assert_eq!(in_parts(&declared, &[b"ab"]), Err(BodyTooShort));
    assert_eq!(in_parts(&declared, &[b"ab", b"cd"]), Err(BodyTooLong));
    assert!(
        in_parts(&declared, &[b"ab", b"c"]).expect("valid").ends_with("\r\nContent-Length: 3\r\n\r\nabc")
    );
    let mut invalid = head("POST", &[]);
    for length in ["", "-1", "+1", "1, 1", "0x1", "9223372036854775808"] {
        assert_eq!(invalid.set("Content-Length", length.as_bytes()), Err(InvalidFraming), "{length}");
    }
}

// HC10.
#[test]
fn length_and_codings_together_are_refused_when_the_second_is_set() {
    let mut one = head("POST", &[("Content-Length", "3")]);
    assert_eq!(one.set("Transfer-Encoding", b"chunked"), Err(LengthWithTransferEncoding));
    one.remove("Content-Length");
    one.set("Transfer-Encoding", b"gzip, chunked").expect("valid");
    assert_eq!(one.append("content-length", b"3"), Err(LengthWithTransferEncoding));
    for codings in ["", "gzip", "chunked, gzip", "identity"] {
        assert_eq!(
            head("POST", &[]).set("Transfer-Encoding", codings.as_bytes()),
            Err(InvalidFraming),
            "{codings}"
        );
    }
}

// HC11.
#[test]
fn trailers_need_chunked() {
    let mut trailing = head("POST", &[("Trailer", "X-Sum")]);
    trailing.add_trailer("X-Sum", b"1").expect("valid");
    let sent = whole(&trailing, b"ab").expect("valid");
    assert!(
        sent.contains("\r\nTrailer: X-Sum\r\n") && sent.ends_with("2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n"),
        "{sent}"
    );
    trailing.set("Content-Length", b"2").expect("valid");
    assert_eq!(whole(&trailing, b"ab"), Err(TrailerWithoutChunked));
    for name in ["Content-Length", "Transfer-Encoding", "Host", "Authorization", "Connection"] {
        assert_eq!(trailing.add_trailer(name, b"1"), Err(MisplacedField), "{name}");
    }
}

#[test]
fn the_request_tells_what_its_response_depends_on() {
    let to =
        |head: &OutgoingRequest| RequestEncoder::begin(head, 0, true, true).expect("valid").response_to();
    assert_eq!(to(&head("GET", &[])), ResponseTo::default());
    assert_eq!(to(&head("HEAD", &[])), ResponseTo { is_head: true, ..ResponseTo::default() });
    assert_eq!(to(&head("CONNECT", &[])), ResponseTo { is_connect: true, ..ResponseTo::default() });
    let offer = ResponseTo { offers_upgrade: true, ..ResponseTo::default() };
    assert_eq!(to(&head("GET", &[("Upgrade", "x")])), offer);
    assert_eq!(to(&head("GET", &[("Upgrade", "x"), ("Connection", "Upgrade")])), offer);
    // RFC 9110, 7.8: without the option it is no offer.
    assert_eq!(to(&head("GET", &[("Upgrade", "x"), ("Connection", "close")])), ResponseTo::default());
    let mut silent = head("GET", &[("Upgrade", "x")]);
    silent.remove("Connection");
    assert_eq!(to(&silent), ResponseTo::default());
    assert!(head("PUT", &[("Expect", "100-Continue")]).expects_continue());
    assert!(head("PUT", &[]).is_idempotent() && !head("POST", &[]).is_idempotent());
}

#[test]
fn faults_of_responses_are_a_gateways_502() {
    use ParseError::{InvalidReason, InvalidStatus, TooManyInformational, UnexpectedUpgrade, Unsolicited};
    for fault in [InvalidStatus, InvalidReason, TooManyInformational, UnexpectedUpgrade, Unsolicited] {
        assert_eq!(fault.status(), 502);
    }
}
