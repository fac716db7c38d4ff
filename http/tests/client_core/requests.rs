//! Requests as they are written, and the calls of a simple one.

use crate::harness::{Acting, Peer, Recorder, Scripted, run};
use http::client::{ClientRequest, ErrorKind, Phase};
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
