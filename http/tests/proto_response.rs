//! How responses are delimited: Node's `_storeHeader`, RFC 9110, 6.4.1 and 8.6, RFC 9112, 6 and 9.

use http::proto::{
    BodyFraming, ConnectionLine, ConnectionOptions, FieldLine, RequestFacts, ResponseFacts, SetEncoding,
    TrailerWithoutChunked, Version, response_framing,
};

const GET: RequestFacts =
    RequestFacts { is_head: false, is_connect: false, version: Version::Http11, keep_alive: true };
const GET_CLOSE: RequestFacts = RequestFacts { keep_alive: false, ..GET };
const GET_10: RequestFacts = RequestFacts { version: Version::Http10, keep_alive: false, ..GET };
const GET_10_KEEP: RequestFacts = RequestFacts { keep_alive: true, ..GET_10 };
const HEAD: RequestFacts = RequestFacts { is_head: true, ..GET };
const HEAD_10: RequestFacts = RequestFacts { is_head: true, ..GET_10 };
const CONNECT: RequestFacts = RequestFacts { is_connect: true, keep_alive: false, ..GET };

fn ok() -> ResponseFacts {
    status(200)
}

fn status(status: u16) -> ResponseFacts {
    ResponseFacts { status, ..ResponseFacts::default() }
}

/// `end(data)` with so many bytes as the first call.
fn known(length: u64, response: ResponseFacts) -> ResponseFacts {
    ResponseFacts { known_length: Some(length), ..response }
}

fn with_length(length: u64, response: ResponseFacts) -> ResponseFacts {
    ResponseFacts { content_length: Some(length), ..response }
}

fn with_encoding(encoding: SetEncoding, response: ResponseFacts) -> ResponseFacts {
    ResponseFacts { transfer_encoding: Some(encoding), ..response }
}

fn with_connection(value: &str, response: ResponseFacts) -> ResponseFacts {
    let mut options = ConnectionOptions::default();
    options.add(value.as_bytes());
    ResponseFacts { connection: Some(options), ..response }
}

fn with_trailer(response: ResponseFacts) -> ResponseFacts {
    ResponseFacts { trailer: true, ..response }
}

/// Asserts a decision, written `body; fields sent; stays or closes`.
#[track_caller]
fn check(request: RequestFacts, response: ResponseFacts, expected: &str) {
    let found = response_framing(&request, &response).expect("a decision");
    let body = match found.body {
        BodyFraming::None => "none".to_string(),
        BodyFraming::Length(length) => format!("length {length}"),
        BodyFraming::Chunked => "chunked".into(),
        BodyFraming::UntilClose => "until close".into(),
    };
    assert_eq!(found.is_body_allowed(), body != "none");
    assert_eq!(found.trailers, body == "chunked");
    let mut fields = Vec::new();
    if let Some(length) = found.content_length {
        fields.push(format!("CL {length}"));
    }
    match found.transfer_encoding {
        FieldLine::Omit => {}
        FieldLine::AsSet => fields.push("TE as set".into()),
        FieldLine::Send(()) => fields.push("TE".into()),
    }
    match found.connection {
        FieldLine::Omit => {}
        FieldLine::AsSet => fields.push("C as set".into()),
        FieldLine::Send(ConnectionLine::KeepAlive) => fields.push("C keep-alive".into()),
        FieldLine::Send(ConnectionLine::Close) => fields.push("C close".into()),
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
    check(GET_10_KEEP, with_encoding(SetEncoding::Chunked, ok()), "until close; C close; closes");
    check(
        GET_10_KEEP,
        known(5, with_encoding(SetEncoding::Chunked, ok())),
        "length 5; CL 5, C keep-alive; stays",
    );
    check(GET_10_KEEP, status(204), "none; C keep-alive; stays");
}

// test-http-head-response-has-no-body. RFC 9110, 8.6 and 9.3.2.
#[test]
fn head_has_the_fields_of_get_and_no_body() {
    check(HEAD, with_length(7, ok()), "none; CL 7, C keep-alive; stays");
    check(HEAD, known(5, ok()), "none; CL 5, C keep-alive; stays");
    check(HEAD, known(0, ok()), "none; C keep-alive; stays");
    check(HEAD, ok(), "none; C keep-alive; stays");
    check(HEAD, with_encoding(SetEncoding::Chunked, ok()), "none; TE as set, C keep-alive; stays");
    check(HEAD_10, with_encoding(SetEncoding::Chunked, ok()), "none; C close; closes");
    check(HEAD, status(204), "none; C keep-alive; stays");
}

// test-http-chunked-304, test-http-allow-content-length-304, test-http-allow-req-after-204-res.
#[test]
fn some_statuses_have_no_body() {
    for code in [204, 304] {
        check(GET, status(code), "none; C keep-alive; stays");
        check(GET, known(5, status(code)), "none; C keep-alive; stays");
        check(GET, with_encoding(SetEncoding::Chunked, status(code)), "none; C close; closes");
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
    check(GET, with_encoding(SetEncoding::Chunked, status(205)), "none; CL 0, C keep-alive; stays");
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
    check(CONNECT, with_encoding(SetEncoding::Chunked, ok()), "none; ; closes");
    check(CONNECT, known(5, status(405)), "length 5; CL 5, C close; closes");
    check(GET, with_connection("upgrade", status(101)), "none; C as set; closes");
    check(GET, with_length(5, status(101)), "none; ; closes");
}

// RFC 9112, 6.2: no Content-Length beside Transfer-Encoding.
#[test]
fn a_transfer_encoding_that_was_set_decides() {
    check(GET, with_encoding(SetEncoding::Chunked, ok()), "chunked; TE as set, C keep-alive; stays");
    check(
        GET,
        known(5, with_encoding(SetEncoding::Chunked, ok())),
        "chunked; TE as set, C keep-alive; stays",
    );
    check(
        GET,
        with_length(5, with_encoding(SetEncoding::Chunked, ok())),
        "chunked; TE as set, C keep-alive; stays",
    );
    // RFC 9112, 6.3 step 4: the end of the connection is the end of the body.
    check(GET, with_encoding(SetEncoding::Other, ok()), "until close; TE as set, C close; closes");
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
    let no_length = ResponseFacts { no_content_length: true, ..ok() };
    let no_encoding = ResponseFacts { no_transfer_encoding: true, ..ok() };
    let neither = ResponseFacts { no_content_length: true, ..no_encoding };
    let no_connection = ResponseFacts { no_connection: true, ..ok() };
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
        with_encoding(SetEncoding::Other, ok()),
        ResponseFacts { no_transfer_encoding: true, ..ok() },
        status(204),
        status(304),
        status(205),
    ] {
        assert_eq!(
            response_framing(&GET, &with_trailer(response)),
            Err(TrailerWithoutChunked),
            "{response:?}"
        );
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
    let encodings = [None, Some(SetEncoding::Chunked), Some(SetEncoding::Other)];
    for request in requests {
        for code in [101, 102, 200, 204, 205, 206, 304, 404, 500] {
            for (content_length, known_length) in
                lengths.iter().flat_map(|&set| lengths.map(|known| (set, known)))
            {
                for (encoding, flags) in encodings.iter().flat_map(|&te| (0..16).map(move |bits| (te, bits)))
                {
                    let response = ResponseFacts {
                        content_length,
                        known_length,
                        transfer_encoding: encoding,
                        trailer: flags & 1 != 0,
                        no_content_length: flags & 2 != 0,
                        no_transfer_encoding: flags & 4 != 0,
                        no_connection: flags & 8 != 0,
                        ..status(code)
                    };
                    check_consistency(&request, &response);
                }
            }
        }
    }
}

fn check_consistency(request: &RequestFacts, response: &ResponseFacts) {
    let Ok(found) = response_framing(request, response) else {
        assert!(response.trailer);
        return;
    };
    let context = format!("{request:?} {response:?} {found:?}");
    let sends_encoding = found.transfer_encoding != FieldLine::Omit;
    assert!(!(sends_encoding && found.content_length.is_some()), "both lengths: {context}");
    assert!(!(sends_encoding && request.version == Version::Http10), "coding for 1.0: {context}");
    assert!(!found.keep_alive || request.keep_alive, "kept against the client's will: {context}");
    match found.body {
        BodyFraming::Length(length) => assert_eq!(found.content_length, Some(length), "{context}"),
        BodyFraming::Chunked => assert!(sends_encoding, "{context}"),
        BodyFraming::UntilClose => assert!(!found.keep_alive, "{context}"),
        BodyFraming::None => {}
    }
    let has_no_content = request.is_head || matches!(response.status, 100..=199 | 204 | 205 | 304);
    assert!(!has_no_content || !found.is_body_allowed(), "{context}");
}
