//! Bodies both ways: streamed, refused, cut, paused, discarded.

use crate::harness::{Acting, Peer, Recorder, Scripted, run};
use bytes::Bytes;
use http::client::{ClientRequest, Error, ErrorKind};
use http::proto::{EncodeError, Fields, IncomingResponse, ParseError};
use http::upcall::ClientHandler;
use std::cell::Cell;
use std::rc::Rc;

/// More than the kernel takes at once between two sockets of one machine.
const A_LOT: usize = 10 * 1024 * 1024;

fn refusal(peer: &mut Peer) {
    peer.write("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
}

// HC30, HC31; Node: test-http-client-request-large-payload, nodejs/node#12339
#[test]
fn an_answer_to_a_request_that_is_not_read_is_never_lost() {
    let rounds = 1000;
    let server = Scripted::new(move |listener| {
        for _ in 0..rounds {
            let mut peer = Peer::accept(listener);
            peer.read_head();
            refusal(&mut peer);
        }
    });
    let body = Bytes::from(vec![b'x'; A_LOT]);
    for _ in 0..rounds {
        let recorder = Recorder::default();
        run(|client| {
            client.post(server.url("/")).body(body.clone()).send(recorder.clone()).expect("to send");
        });
        let mut calls = recorder.take();
        calls.retain(|call| call != "finish");
        assert_eq!(calls, ["response 401", "data no", "end", "close"], "{:?}", recorder.errors);
    }
    server.join();
}

/// Writes as much as is welcome, again and again.
struct Pouring {
    recorder: Recorder,
    left: usize,
}

impl Pouring {
    fn pour(&mut self, request: &ClientRequest) {
        while self.left > 0 {
            self.left -= 1;
            match request.write(&[b'x'; 100_000]) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    assert_eq!(error, http::Error::Closed);
                    self.recorder.calls.push("refused");
                    return self.left = 0;
                }
            }
        }
        request.end(b"").expect("to end");
    }
}

impl ClientHandler for Pouring {
    fn on_response(&mut self, request: &ClientRequest, response: &IncomingResponse<'_>) {
        self.recorder.on_response(request, response);
    }

    fn on_data(&mut self, request: &ClientRequest, data: &[u8]) {
        self.recorder.on_data(request, data);
    }

    fn on_end(&mut self, request: &ClientRequest, trailers: &Fields<'_>) {
        self.recorder.on_end(request, trailers);
    }

    fn on_drain(&mut self, request: &ClientRequest) {
        self.pour(request);
    }

    fn on_finish(&mut self, request: &ClientRequest) {
        self.recorder.on_finish(request);
    }

    fn on_error(&mut self, request: &ClientRequest, error: Error) {
        self.recorder.on_error(request, error);
    }

    fn on_close(&mut self, request: &ClientRequest) {
        self.recorder.on_close(request);
    }
}

// HC30, HC31; Node: test-http-client-upload
#[test]
fn an_answer_to_a_streamed_request_that_is_not_read_is_never_lost() {
    let rounds = 100;
    let server = Scripted::new(move |listener| {
        for _ in 0..rounds {
            let mut peer = Peer::accept(listener);
            peer.read_head();
            refusal(&mut peer);
        }
    });
    for _ in 0..rounds {
        let recorder = Recorder::default();
        let pouring = Pouring { recorder: recorder.clone(), left: 100 };
        run(|client| {
            let request = client.post(server.url("/")).begin(pouring).expect("to begin");
            assert_eq!(request.write(&[b'x'; 100_000]), Ok(false), "no connection is there yet");
        });
        let mut calls = recorder.take();
        calls.retain(|call| call != "refused");
        assert_eq!(calls, ["response 401", "data no", "end", "close"], "{:?}", recorder.errors);
    }
    server.join();
}

// HC13, HC29; Node: test-http-byteswritten, test-http-client-upload-buf
#[test]
fn a_body_is_streamed_both_ways_at_once_at_the_servers_pace() {
    let server = Scripted::once(|mut peer| {
        peer.read_head();
        peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
        let all = peer.read_until("\r\n0\r\n\r\n");
        assert!(all.len() > 5_000_000);
        peer.write("0\r\nX-A: 1\r\n\r\n");
    });
    let recorder = Recorder::default();
    let pouring = Pouring { recorder: recorder.clone(), left: 50 };
    run(|client| {
        let request = client.post(server.url("/")).begin(pouring).expect("to begin");
        assert_eq!(request.write(&[b'x'; 100_000]), Ok(false));
    });
    let calls = recorder.take();
    assert_eq!(calls.len(), 5, "{calls:?}");
    assert!(calls.contains(&"finish".to_owned()));
    assert_eq!(calls[calls.len() - 3..], ["data hi", "end X-A=1", "close"]);
    server.join();
}

// HC9; Node: test-http-content-length-mismatch
#[test]
fn a_body_that_is_not_as_long_as_was_promised_ends_the_request_and_its_connection() {
    for (piece, fault) in [(&b"hello!"[..], EncodeError::BodyTooLong), (b"he", EncodeError::BodyTooShort)] {
        let server = Scripted::once(|mut peer| {
            peer.read_head();
            peer.read_to_end();
        });
        let recorder = Recorder::default();
        run(|client| {
            let post = client.post(server.url("/")).field("Content-Length", "5");
            let request = post.begin(recorder.clone()).expect("to begin");
            request.flush_headers().expect("to flush");
            let work = move || {
                assert_eq!(request.end(piece), Err(fault.into()));
                assert_eq!(request.end(piece), Err(http::Error::Closed));
            };
            client.environment().set_timeout(std::time::Duration::from_millis(20), work);
        });
        assert_eq!(recorder.kind(), ErrorKind::InvalidRequest(fault));
        assert_eq!(recorder.take().len(), 2);
        server.join();
    }
    run(|client| {
        let post = client.post("http://127.0.0.1:1/").field("Content-Length", "5").body("hello!");
        let error = post.send(Recorder::default()).expect_err("it is too long");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest(EncodeError::BodyTooLong));
    });
}

// HC25, HC43; Node: test-http-response-close
#[test]
fn the_end_of_the_connection_ends_a_body_without_another_end_and_a_reset_cuts_it() {
    for resets in [false, true] {
        let server = Scripted::once(move |mut peer| {
            peer.read_head();
            peer.write("HTTP/1.1 200 OK\r\n\r\nall of it");
            if resets {
                // What is not read when the socket is closed makes the close a reset.
                peer.0.peek(&mut [0]).expect("more comes");
            }
        });
        let recorder = Recorder::default();
        let more: fn(&ClientRequest) = |request| _ = request.write(b"more");
        let acting = Acting { recorder: recorder.clone(), at: "data", act: more };
        run(|client| {
            if resets {
                let post = client.post(server.url("/")).begin(acting).expect("to begin");
                post.flush_headers().expect("to flush");
            } else {
                client.get(server.url("/")).send(acting).expect("to send");
            }
        });
        let calls = recorder.take();
        if resets {
            assert_eq!(recorder.kind(), ErrorKind::Truncated { expected: None, received: 9 });
        } else {
            assert_eq!(calls, ["finish", "response 200", "data all of it", "end", "close"]);
        }
        server.join();
    }
}

// HC24; Node: test-http-client-aborted-event
#[test]
fn every_early_end_is_an_error() {
    for (answer, kind) in [
        ("", ErrorKind::ConnectionLost),
        ("HTTP/1.1 200", ErrorKind::ConnectionLost),
        ("HTTP/1.1 100 Continue\r\n\r\n", ErrorKind::ConnectionLost),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
            ErrorKind::Truncated { expected: Some(10), received: 0 },
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            ErrorKind::Truncated { expected: None, received: 3 },
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            ErrorKind::Truncated { expected: None, received: 5 },
        ),
        ("HTTP/1.1 200 OK\r\nA\r\n\r\n", ErrorKind::InvalidResponse(ParseError::InvalidFieldName, 18)),
        ("SSH-2.0\r\n", ErrorKind::InvalidResponse(ParseError::InvalidVersion, 0)),
    ] {
        let server = Scripted::once(move |mut peer| {
            peer.read_head();
            peer.write(answer);
        });
        let recorder = Recorder::default();
        run(|client| _ = client.get(server.url("/")).send(recorder.clone()).expect("to send"));
        assert_eq!(recorder.kind(), kind, "{answer}");
        assert_eq!(recorder.take().last().map(String::as_str), Some("close"));
        server.join();
    }
}

// HC26, HC28; Node: test-http-extra-response
#[test]
fn bytes_behind_a_response_change_nothing_of_it() {
    let server = Scripted::once(|mut peer| {
        peer.read_head();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 500 No\r\n\r\n");
    });
    let recorder = Recorder::default();
    run(|client| _ = client.get(server.url("/")).send(recorder.clone()).expect("to send"));
    assert_eq!(recorder.take(), ["finish", "response 200", "data hi", "end", "close"]);
    server.join();
}

/// Pauses at the head and, each time, at a piece of the body.
struct Pausing {
    recorder: Recorder,
    pauses: Rc<Cell<usize>>,
}

impl ClientHandler for Pausing {
    fn on_response(&mut self, request: &ClientRequest, response: &IncomingResponse<'_>) {
        self.recorder.on_response(request, response);
        self.pause(request);
    }

    fn on_data(&mut self, request: &ClientRequest, data: &[u8]) {
        assert!(!request.is_paused(), "nothing comes while it is paused");
        self.recorder.on_data(request, data);
        self.pause(request);
    }

    fn on_end(&mut self, request: &ClientRequest, trailers: &Fields<'_>) {
        assert!(!request.is_paused());
        self.recorder.on_end(request, trailers);
    }

    fn on_error(&mut self, request: &ClientRequest, error: Error) {
        self.recorder.on_error(request, error);
    }
}

impl Pausing {
    fn pause(&self, request: &ClientRequest) {
        self.pauses.set(self.pauses.get() + 1);
        request.pause();
        let (request, env) = (request.clone(), request.environment().clone());
        env.set_timeout(std::time::Duration::from_millis(1), move || request.resume());
    }
}

// HC33; Node: test-http-pause, test-http-pause-resume-one-end
#[test]
fn a_paused_response_waits_and_loses_nothing() {
    for close in [false, true] {
        let server = Scripted::once(move |mut peer| {
            peer.read_head();
            if close {
                return peer.write("HTTP/1.1 200 OK\r\n\r\nhello");
            }
            peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n2\r\nll\r\n1\r\no\r\n0\r\n\r\n");
            peer.read_to_end();
        });
        let (recorder, pauses) = (Recorder::default(), Rc::new(Cell::new(0)));
        let pausing = Pausing { recorder: recorder.clone(), pauses: Rc::clone(&pauses) };
        run(|client| _ = client.get(server.url("/")).send(pausing).expect("to send"));
        assert_eq!(recorder.take(), ["response 200", "data hello", "end"]);
        assert!(pauses.get() >= 2);
        server.join();
    }
}

// HC34; Node: test-http-client-abort-keep-alive-destroy-res
#[test]
fn a_discarded_response_is_read_to_a_bound() {
    for (len, is_read) in [(1000, true), (64 * 1024, true), (64 * 1024 + 1, false), (A_LOT, false)] {
        let server = Scripted::once(move |mut peer| {
            peer.read_head();
            peer.write(&format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n"));
            let _ = std::io::Write::write_all(&mut peer.0, &vec![b'x'; len]);
            peer.read_to_end();
        });
        let recorder = Recorder::default();
        let acting = Acting { recorder: recorder.clone(), at: "response", act: ClientRequest::discard };
        run(|client| _ = client.get(server.url("/")).send(acting).expect("to send"));
        let end = if is_read { "end" } else { "error the response was discarded" };
        assert_eq!(recorder.take(), ["finish", "response 200", end, "close"], "{len}");
        server.join();
    }
}
