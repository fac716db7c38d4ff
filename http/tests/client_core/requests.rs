//! Requests as they are written, and the calls of a simple one.

use crate::harness::{Acting, Peer, Recorder, Scripted, run};
use bytes::Bytes;
use http::client::{Client, ClientRequest, ErrorKind, Phase, RequestBuilder};
use http::proto::EncodeError;

// HC1, HC2, HC4, HC14; Node: test-http-client-get-url, test-http-full-response
#[test]
fn a_request_is_answered() {
    let server = Scripted::once(|mut peer| {
        let head = peer.read_head();
        assert!(head.starts_with("GET /path?q=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{head}");
        assert!(!head.contains("Content-Length") && !head.contains("Transfer-Encoding"), "{head}");
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(peer.read_to_end(), b"");
    });
    let recorder = Recorder::default();
    run(|client| {
        client.get(server.url("/path?q=1#part")).send(recorder.clone()).expect("to send");
        assert_eq!(recorder.take(), Vec::<String>::new());
    });
    assert_eq!(recorder.take(), ["finish", "response 200", "data hello", "end", "close"]);
    server.join();
}

// HC3; Node: test-http-client-check-http-token, test-http-client-unescaped-path
#[test]
fn what_cannot_be_sent_is_refused_before_anything_is() {
    run(|client| {
        for (request, fault) in [
            (client.request("GE T", "http://127.0.0.1:1/"), EncodeError::InvalidMethod),
            (client.get("http://127.0.0.1:1/a b"), EncodeError::InvalidTarget),
            (client.get("http://127.0.0.1:1/\u{fc}"), EncodeError::InvalidTarget),
            (client.get("http://127.0.0.1:1/").field("A\r", "1"), EncodeError::InvalidFieldName),
            (client.get("http://127.0.0.1:1/").field("A", "1\r\nB: 2"), EncodeError::InvalidFieldValue),
        ] {
            let error = request.send(Recorder::default()).expect_err("it is refused");
            assert_eq!(error.kind(), ErrorKind::InvalidRequest(fault));
            assert_eq!(error.phase(), None);
        }
    });
}

// HC7, HC12; Node: test-http-automatic-headers, test-http-client-upload
#[test]
fn a_body_that_is_written_is_chunked_and_one_that_is_whole_has_its_length() {
    let server = Scripted::new(|listener| {
        let mut peer = Peer::accept(listener);
        let head = peer.read_head();
        assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n"), "{head}");
        assert_eq!(peer.read_until("0\r\n\r\n"), "2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n");
        peer.write("HTTP/1.1 204 No Content\r\n\r\n");
        for (method, length) in [("POST", "Content-Length: 5\r\n"), ("POST", "Content-Length: 0\r\n")] {
            let mut peer = Peer::accept(listener);
            let head = peer.read_head();
            assert!(head.starts_with(method) && head.contains(length), "{head}");
            peer.write("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let recorder = Recorder::default();
    run(|client| {
        let request = client.post(server.url("/")).begin(recorder.clone()).expect("to begin");
        assert_eq!(request.write(b"hi"), Ok(true));
        request.end(b"!").expect("to end");
        assert_eq!(request.write(b"more"), Err(http::Error::Closed));
    });
    assert_eq!(recorder.take(), ["finish", "response 204", "end", "close"]);
    for body in ["hello", ""] {
        run(|client| _ = client.post(server.url("/")).body(body).send(recorder.clone()).expect("to send"));
        assert_eq!(recorder.take(), ["finish", "response 204", "end", "close"]);
    }
    server.join();
}

// HC23, HC80; Node: test-http-client-aborted-event
#[test]
fn a_response_that_is_cut_off_is_an_error_behind_what_has_come() {
    let server = Scripted::once(|mut peer| {
        peer.read_head();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    });
    let recorder = Recorder::default();
    run(|client| _ = client.get(server.url("/")).send(recorder.clone()).expect("to send"));
    let calls = recorder.take();
    assert_eq!(calls[..3], ["finish", "response 200", "data hel"]);
    assert_eq!(recorder.kind(), ErrorKind::Truncated { expected: Some(5), received: 3 });
    assert_eq!((calls.len(), &*calls[4]), (5, "close"));
    server.join();
}

// HC81; Node: test-http-client-abort
#[test]
fn an_abort_ends_a_request_wherever_it_is() {
    let server = Scripted::once(|mut peer| {
        peer.read_head();
        assert_eq!(peer.read_to_end(), b"");
    });
    let recorder = Recorder::default();
    run(|client| {
        let request = client.get(server.url("/")).send(recorder.clone()).expect("to send");
        request.abort();
        request.abort();
        assert!(recorder.take().is_empty(), "no call comes within a call");
    });
    assert_eq!(recorder.take(), ["error the request was aborted", "close"]);
    let handler = Acting { recorder: recorder.clone(), at: "finish", act: ClientRequest::abort };
    run(|client| _ = client.get(server.url("/")).send(handler).expect("to send"));
    assert_eq!(recorder.take(), ["finish", "error the request was aborted", "close"]);
    assert_eq!(recorder.error().phase(), Some(Phase::Head));
    server.join();
}

/// Sends a request to a server that answers 204. Returns what the server has read up to a text.
fn sent(end: &'static str, prepare: impl FnOnce(&Client, String) -> RequestBuilder) -> String {
    let (tell, told) = std::sync::mpsc::channel();
    let server = Scripted::once(move |mut peer| {
        tell.send(peer.read_until(end)).expect("the test waits");
        peer.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let recorder = Recorder::default();
    run(|client| _ = prepare(client, server.url("/")).send(recorder.clone()).expect("to send"));
    assert_eq!(recorder.take(), ["finish", "response 204", "end", "close"]);
    server.join();
    told.recv().expect("it was read")
}

// HC4, HC5, HC6; Node: test-http-host-headers, test-http-decoded-auth
#[test]
fn the_programs_own_fields_win() {
    let with_user = |url: String| url.replace("://", "://user:pass@");
    let head = sent("\r\n\r\n", |client, url| client.get(with_user(url)));
    assert!(head.contains("\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
    let head = sent("\r\n\r\n", |client, url| {
        let get = client.get(with_user(url)).field("authorization", "mine").field("host", "other");
        get.field("Connection", "close").append_field("X-A", "1").append_field("X-A", "2").remove_field("X-B")
    });
    assert!(head.starts_with("GET / HTTP/1.1\r\nHost: other\r\nConnection: close\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: mine\r\n") && !head.contains("Basic"), "{head}");
    assert!(head.contains("\r\nX-A: 1\r\nX-A: 2\r\n"), "{head}");
}

// HC8, HC11; Node: test-http-request-method-delete-payload
#[test]
fn a_body_has_an_end_whatever_the_method_and_trailers_come_behind_it() {
    for method in ["GET", "DELETE", "OPTIONS", "X"] {
        let all = sent("hello", |client, url| client.request(method, url).body("hello"));
        assert!(all.contains("\r\nContent-Length: 5\r\n"), "{all}");
    }
    let all =
        sent("\r\n0\r\nX-A: 1\r\n\r\n", |client, url| client.post(url).trailer("X-A", "1").body("hello"));
    assert!(all.contains("\r\nTransfer-Encoding: chunked\r\n"), "{all}");
    assert!(all.ends_with("\r\n\r\n5\r\nhello\r\n0\r\nX-A: 1\r\n\r\n"), "{all}");
}

// HC10, HC11
#[test]
fn what_would_confuse_a_server_is_refused() {
    run(|client| {
        let post = || client.post("http://127.0.0.1:1/").field("Content-Length", "1");
        for (request, fault) in [
            (post().field("Transfer-Encoding", "chunked"), EncodeError::LengthWithTransferEncoding),
            (post().trailer("Content-Length", "1"), EncodeError::MisplacedField),
            (post().trailer("X-A", "1").body("x"), EncodeError::TrailerWithoutChunked),
            (post().target("/a#b"), EncodeError::InvalidTarget),
        ] {
            let error = request.send(Recorder::default()).expect_err("it is refused");
            assert_eq!(error.kind(), ErrorKind::InvalidRequest(fault));
        }
    });
}

// HC12, HC14; Node: test-http-client-upload-buf
#[test]
fn a_large_piece_leaves_with_its_head_and_one_that_waits_for_100_waits() {
    let large = Bytes::from(vec![b'x'; 100_000]);
    let len = large.len();
    let server = Scripted::new(move |listener| {
        for expects in [false, true] {
            let mut peer = Peer::accept(listener);
            let head = peer.read_head();
            assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n"), "{head}");
            if expects {
                peer.assert_silent();
                peer.write("HTTP/1.1 100 Continue\r\n\r\n");
            }
            let body = peer.read_until("\r\n0\r\n\r\n");
            assert_eq!(body.len(), "186a0\r\n".len() + len + "\r\n0\r\n\r\n".len());
            peer.write("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    for expects in [false, true] {
        let recorder = Recorder::default();
        run(|client| {
            let post = client.post(server.url("/"));
            let post = if expects { post.expect_continue() } else { post };
            let request = post.begin(recorder.clone()).expect("to begin");
            request.flush_headers().expect("to flush");
            let (request, large) = (request, large.clone());
            client.environment().set_timeout(std::time::Duration::from_millis(5), move || {
                request.write_bytes(large).expect("to write");
                request.end(b"").expect("to end");
            });
        });
        let mut calls = recorder.take();
        calls.retain(|call| call != "continue");
        assert_eq!(calls, ["finish", "response 204", "end", "close"]);
    }
    server.join();
}
