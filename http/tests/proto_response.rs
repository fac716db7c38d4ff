//! How responses are delimited: Node's `_storeHeader`, RFC 9110, 6.4.1 and 8.6, RFC 9112, 6 and 9.

use http::proto::{EncodeError, Encoder, HeadCache, RequestFacts, ResponseHead, Version};

const GET: RequestFacts =
    RequestFacts { is_head: false, is_connect: false, version: Version::Http11, keep_alive: true };
const GET_CLOSE: RequestFacts = RequestFacts { keep_alive: false, ..GET };
const GET_10: RequestFacts = RequestFacts { version: Version::Http10, keep_alive: false, ..GET };
const GET_10_KEEP: RequestFacts = RequestFacts { keep_alive: true, ..GET_10 };
const HEAD: RequestFacts = RequestFacts { is_head: true, ..GET };
const HEAD_10: RequestFacts = RequestFacts { is_head: true, ..GET_10 };
const CONNECT: RequestFacts = RequestFacts { is_connect: true, keep_alive: false, ..GET };

/// What an application does to a response before its head is written.
#[derive(Clone, Copy, Debug, Default)]
struct Response {
    status: u16,
    known_length: Option<u64>,
    content_length: Option<u64>,
    transfer_encoding: Option<&'static str>,
    connection: Option<&'static str>,
    trailer: bool,
    no_content_length: bool,
    no_transfer_encoding: bool,
    no_connection: bool,
}

const CHUNKED: &str = "gzip, Chunked";
const OTHER: &str = "chunked, gzip";

fn ok() -> Response {
    status(200)
}

fn status(status: u16) -> Response {
    Response { status, ..Response::default() }
}

/// `end(data)` with so many bytes as the first call.
fn known(length: u64, response: Response) -> Response {
    Response { known_length: Some(length), ..response }
}

fn with_length(length: u64, response: Response) -> Response {
    Response { content_length: Some(length), ..response }
}

fn with_encoding(codings: &'static str, response: Response) -> Response {
    Response { transfer_encoding: Some(codings), ..response }
}

fn with_connection(options: &'static str, response: Response) -> Response {
    Response { connection: Some(options), ..response }
}

fn with_trailer(response: Response) -> Response {
    Response { trailer: true, ..response }
}

/// What was decided, read off the bytes of the head and off what becomes of a body.
#[derive(Debug)]
struct Decision {
    body: Body,
    length: Option<String>,
    encoding: Option<String>,
    connection: Option<String>,
    trailer: bool,
    keep_alive: bool,
}

#[derive(Debug, PartialEq)]
enum Body {
    None,
    Length,
    Chunked,
    UntilClose,
}

fn decide(request: RequestFacts, response: Response) -> Result<Decision, EncodeError> {
    let mut head = ResponseHead::new();
    head.set_status(response.status)?;
    let digits = response.content_length.map(|length| length.to_string());
    let set = [
        ("Content-Length", digits.as_deref(), response.no_content_length),
        ("Transfer-Encoding", response.transfer_encoding, response.no_transfer_encoding),
        ("Connection", response.connection, response.no_connection),
        ("Trailer", response.trailer.then_some("X"), false),
    ];
    for (name, value, removed) in set {
        // What was set after it was removed is there again.
        if removed {
            head.remove(name);
        }
        if let Some(value) = value {
            head.set(name, value.as_bytes())?;
        }
        assert!(head.set(name, b"\n").is_err(), "a refused value changes nothing");
    }
    let mut encoder =
        Encoder::begin(&request, &head, response.known_length.unwrap_or(0), response.known_length.is_some())?;
    let mut out = Vec::new();
    encoder.put_head(&head, &HeadCache::new(None), &mut out);
    let text = String::from_utf8(out).expect("text");
    let (start, fields) = text.split_once("\r\n").expect("a status line");
    assert!(start.starts_with(&format!("HTTP/1.1 {} ", response.status)));
    let fields: Vec<_> = fields.trim_end().lines().filter_map(|line| line.split_once(": ")).collect();
    let value = |name: &str| {
        let values: Vec<_> = fields.iter().filter(|field| field.0 == name).map(|field| field.1).collect();
        assert!(values.len() <= 1, "{name} is sent once: {text}");
        values.first().map(|value| (*value).to_owned())
    };
    let body = match (encoder.is_chunked(), encoder.is_until_close()) {
        (true, _) => Body::Chunked,
        (_, true) => Body::UntilClose,
        _ if encoder.count(0).expect("nothing is not too much") => Body::Length,
        _ => Body::None,
    };
    Ok(Decision {
        body,
        length: value("Content-Length"),
        encoding: value("Transfer-Encoding"),
        connection: value("Connection"),
        trailer: value("Trailer").is_some(),
        keep_alive: encoder.keep_alive(),
    })
}

/// Asserts a decision, written `body; fields sent; stays or closes`.
#[track_caller]
fn check(request: RequestFacts, response: Response, expected: &str) {
    let found = decide(request, response).expect("a decision");
    let length = found.length.as_deref().unwrap_or("?");
    let body = match found.body {
        Body::None => "none".to_string(),
        Body::Length => format!("length {length}"),
        Body::Chunked => "chunked".into(),
        Body::UntilClose => "until close".into(),
    };
    assert!(!found.trailer || found.body == Body::Chunked, "only a chunked body has trailers");
    let mut fields = Vec::new();
    if let Some(length) = found.length {
        fields.push(format!("CL {length}"));
    }
    match found.encoding.as_deref() {
        None => {}
        set if set == response.transfer_encoding => fields.push("TE as set".into()),
        Some("chunked") => fields.push("TE".into()),
        Some(other) => fields.push(format!("TE {other}")),
    }
    match found.connection.as_deref() {
        None => {}
        set if set == response.connection => fields.push("C as set".into()),
        Some(other) => fields.push(format!("C {other}")),
    }
    let end = if found.keep_alive { "stays" } else { "closes" };
    assert_eq!(format!("{body}; {}; {end}", fields.join(", ")), expected, "{request:?} {response:?}");
}

// test-http-content-length, test-http-automatic-headers.
#[test]
fn a_body_that_is_known_has_a_length_and_another_is_chunked() {
    check(GET, known(5, ok()), "length 5; CL 5, C keep-alive; stays");
    check(GET, known(0, ok()), "length 0; CL 0, C keep-alive; stays");
    check(GET, ok(), "chunked; TE, C keep-alive; stays");
    check(GET, with_length(7, ok()), "length 7; CL 7, C keep-alive; stays");
    check(GET, known(5, with_length(7, ok())), "length 7; CL 7, C keep-alive; stays");
    check(GET, known(5, status(404)), "length 5; CL 5, C keep-alive; stays");
}

// RFC 9112, 9.3 and 9.6.
#[test]
fn a_client_that_closes_is_told_so() {
    check(GET_CLOSE, known(5, ok()), "length 5; CL 5, C close; closes");
    check(GET_CLOSE, ok(), "chunked; TE, C close; closes");
}

// test-http-1.0, test-http-1.0-keep-alive. RFC 9112, 6.1: no Transfer-Encoding to HTTP/1.0.
#[test]
fn http10_knows_no_chunked() {
    check(GET_10, known(5, ok()), "length 5; CL 5, C close; closes");
    check(GET_10, ok(), "until close; C close; closes");
    check(GET_10_KEEP, known(5, ok()), "length 5; CL 5, C keep-alive; stays");
    check(GET_10_KEEP, with_length(5, ok()), "length 5; CL 5, C keep-alive; stays");
    check(GET_10_KEEP, ok(), "until close; C close; closes");
    check(GET_10_KEEP, with_encoding(CHUNKED, ok()), "until close; C close; closes");
    check(GET_10_KEEP, known(5, with_encoding(CHUNKED, ok())), "length 5; CL 5, C keep-alive; stays");
    check(GET_10_KEEP, status(204), "none; C keep-alive; stays");
}

// test-http-head-response-has-no-body. RFC 9110, 8.6 and 9.3.2.
#[test]
fn head_has_the_fields_of_get_and_no_body() {
    check(HEAD, with_length(7, ok()), "none; CL 7, C keep-alive; stays");
    check(HEAD, known(5, ok()), "none; CL 5, C keep-alive; stays");
    check(HEAD, known(0, ok()), "none; C keep-alive; stays");
    check(HEAD, ok(), "none; C keep-alive; stays");
    check(HEAD, with_encoding(CHUNKED, ok()), "none; TE as set, C keep-alive; stays");
    check(HEAD_10, with_encoding(CHUNKED, ok()), "none; C close; closes");
    check(HEAD, status(204), "none; C keep-alive; stays");
}

// test-http-chunked-304, test-http-allow-content-length-304, test-http-allow-req-after-204-res.
#[test]
fn some_statuses_have_no_body() {
    for code in [204, 304] {
        check(GET, status(code), "none; C keep-alive; stays");
        check(GET, known(5, status(code)), "none; C keep-alive; stays");
        check(GET, with_encoding(CHUNKED, status(code)), "none; C close; closes");
    }
    check(GET, with_length(7, status(304)), "none; CL 7, C keep-alive; stays");
    // RFC 9110, 8.6: MUST NOT be sent with 1xx and 204.
    check(GET, with_length(7, status(204)), "none; C keep-alive; stays");
    check(GET, with_length(7, status(102)), "none; C keep-alive; stays");
}

// RFC 9110, 15.3.6.
#[test]
fn reset_content_is_empty_and_says_so() {
    for response in [status(205), known(5, status(205)), with_length(5, status(205))] {
        check(GET, response, "none; CL 0, C keep-alive; stays");
    }
    check(GET, with_encoding(CHUNKED, status(205)), "none; CL 0, C keep-alive; stays");
    check(GET_10_KEEP, status(205), "none; CL 0, C keep-alive; stays");
    // RFC 9110, 9.3.2: HEAD gets the fields that GET gets.
    for response in [status(205), known(5, status(205)), with_length(5, status(205))] {
        check(HEAD, response, "none; CL 0, C keep-alive; stays");
    }
}

// RFC 9110, 7.8, 8.6 and 9.3.6; RFC 9112, 6.1 and 6.3.
#[test]
fn responses_that_end_http_say_nothing_of_length() {
    check(CONNECT, ok(), "none; ; closes");
    check(CONNECT, with_length(5, status(299)), "none; ; closes");
    check(CONNECT, with_encoding(CHUNKED, ok()), "none; ; closes");
    check(CONNECT, known(5, status(405)), "length 5; CL 5, C close; closes");
    check(GET, with_connection("upgrade", status(101)), "none; C as set; closes");
    check(GET, with_length(5, status(101)), "none; ; closes");
}

// RFC 9112, 6.2: no Content-Length beside Transfer-Encoding.
#[test]
fn a_transfer_encoding_that_was_set_decides() {
    check(GET, with_encoding(CHUNKED, ok()), "chunked; TE as set, C keep-alive; stays");
    check(GET, known(5, with_encoding(CHUNKED, ok())), "chunked; TE as set, C keep-alive; stays");
    check(GET, with_length(5, with_encoding(CHUNKED, ok())), "chunked; TE as set, C keep-alive; stays");
    // RFC 9112, 6.3 step 4: the end of the connection is the end of the body.
    check(GET, with_encoding(OTHER, ok()), "until close; TE as set, C close; closes");
}

// test-http-server-keep-alive-defaults.
#[test]
fn a_connection_that_was_set_is_sent_unless_it_is_a_lie() {
    check(GET, with_connection("close", known(5, ok())), "length 5; CL 5, C as set; closes");
    check(GET, with_connection("keep-alive", known(5, ok())), "length 5; CL 5, C as set; stays");
    check(GET, with_connection("x", ok()), "chunked; TE, C as set; stays");
    check(GET, with_connection("keep-alive, close", ok()), "chunked; TE, C as set; closes");
    check(GET_CLOSE, with_connection("keep-alive", ok()), "chunked; TE, C close; closes");
    check(GET_CLOSE, with_connection("close", ok()), "chunked; TE, C as set; closes");
    check(GET_10_KEEP, with_connection("keep-alive", ok()), "until close; C close; closes");
    check(GET_10_KEEP, with_connection("keep-alive", known(5, ok())), "length 5; CL 5, C as set; stays");
    check(GET_10_KEEP, with_connection("x", known(5, ok())), "length 5; CL 5, C close; closes");
}

// test-http-remove-header-stays-removed.
#[test]
fn what_was_removed_stays_removed() {
    let no_length = Response { no_content_length: true, ..ok() };
    let no_encoding = Response { no_transfer_encoding: true, ..ok() };
    let neither = Response { no_content_length: true, ..no_encoding };
    let no_connection = Response { no_connection: true, ..ok() };
    check(GET, known(5, no_length), "chunked; TE, C keep-alive; stays");
    check(GET, known(5, no_encoding), "length 5; CL 5, C keep-alive; stays");
    check(GET, no_encoding, "until close; C close; closes");
    check(GET, known(5, neither), "until close; C close; closes");
    check(HEAD, known(5, no_length), "none; C keep-alive; stays");
    check(GET, known(5, no_connection), "length 5; CL 5; stays");
    check(GET_CLOSE, known(5, no_connection), "length 5; CL 5; closes");
    check(GET_10_KEEP, known(5, no_connection), "length 5; CL 5; closes");
}

// test-http-server-de-chunked-trailer (ERR_HTTP_TRAILER_INVALID).
#[test]
fn trailers_need_chunked() {
    check(GET, with_trailer(ok()), "chunked; TE, C keep-alive; stays");
    check(GET, known(5, with_trailer(ok())), "chunked; TE, C keep-alive; stays");
    for response in [
        with_length(5, ok()),
        with_encoding(OTHER, ok()),
        Response { no_transfer_encoding: true, ..ok() },
        status(204),
        status(304),
        status(205),
    ] {
        let found = decide(GET, with_trailer(response));
        assert_eq!(found.err(), Some(EncodeError::TrailerWithoutChunked), "{response:?}");
    }
    // The client's choice is not the application's fault.
    check(GET_10, known(5, with_trailer(ok())), "length 5; CL 5, C close; closes");
    check(HEAD, with_trailer(ok()), "none; C keep-alive; stays");
}

// Whatever is asked for: no framing that a client could misread, and never a promise that is not kept.
#[test]
fn every_decision_is_consistent() {
    let requests = [GET, GET_CLOSE, GET_10, GET_10_KEEP, HEAD, HEAD_10, CONNECT];
    let lengths = [None, Some(0), Some(5)];
    let encodings = [None, Some(CHUNKED), Some(OTHER)];
    for request in requests {
        for code in [101, 102, 200, 204, 205, 206, 304, 404, 500] {
            for (content_length, known_length) in
                lengths.iter().flat_map(|&set| lengths.map(|known| (set, known)))
            {
                for (encoding, flags) in encodings.iter().flat_map(|&te| (0..16).map(move |bits| (te, bits)))
                {
                    let response = Response {
                        content_length,
                        known_length,
                        transfer_encoding: encoding,
                        trailer: flags & 1 != 0,
                        no_content_length: flags & 2 != 0,
                        no_transfer_encoding: flags & 4 != 0,
                        no_connection: flags & 8 != 0,
                        ..status(code)
                    };
                    check_consistency(request, response);
                }
            }
        }
    }
}

fn check_consistency(request: RequestFacts, response: Response) {
    let too_long = response.content_length.is_some_and(|set| response.known_length.unwrap_or(0) > set);
    let found = match decide(request, response) {
        Ok(found) => found,
        Err(EncodeError::TrailerWithoutChunked) => return assert!(response.trailer, "{response:?}"),
        Err(error) => {
            assert_eq!(error, EncodeError::BodyTooLong, "{response:?}");
            return assert!(too_long, "{response:?}");
        }
    };
    let context = format!("{request:?} {response:?} {found:?}");
    let sends_encoding = found.encoding.is_some();
    assert!(!(sends_encoding && found.length.is_some()), "both lengths: {context}");
    assert!(!(sends_encoding && request.version == Version::Http10), "coding for 1.0: {context}");
    assert!(!found.keep_alive || request.keep_alive, "kept against the client's will: {context}");
    match found.body {
        Body::Length => assert!(found.length.is_some(), "{context}"),
        Body::Chunked => assert!(sends_encoding, "{context}"),
        Body::UntilClose => assert!(!found.keep_alive, "{context}"),
        Body::None => {}
    }
    let has_no_content = request.is_head || matches!(response.status, 100..=199 | 204 | 304);
    assert!(!has_no_content || found.body == Body::None, "{context}");
}
