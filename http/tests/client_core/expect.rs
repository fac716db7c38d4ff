//! `Expect: 100-continue`, informational responses, and responses without a body.

use crate::harness::{Acting, Peer, Recorder, Scripted, run};
use http::client::{ClientRequest, ErrorKind, Phase, TimeLimits};
use http::proto::ParseError;
use std::time::Duration;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

// HC37; Node: test-http-expect-continue
#[test]
fn a_body_waits_for_100_continue() {
    let server = Scripted::new(|listener| {
        for length in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
            let mut peer = Peer::accept(listener);
            let head = peer.read_head();
            assert!(head.contains("\r\nExpect: 100-continue\r\n") && head.contains(length), "{head}");
            peer.assert_silent();
            peer.write("HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(peer.read_until("hello").rsplit("\r\n").next(), Some("hello"));
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let limits = TimeLimits::default().await_continue(LONG);
    let recorder = Recorder::default();
    run(|client| {
        let post = client.post(server.url("/")).expect_continue().time_limits(limits);
        post.body("hello").send(recorder.clone()).expect("to send");
    });
    let expected = ["continue", "finish", "response 200", "end", "close"];
    assert_eq!(recorder.take(), expected);
    run(|client| {
        let post = client.post(server.url("/")).expect_continue().time_limits(limits);
        let request = post.begin(recorder.clone()).expect("to begin");
        request.write(b"hello").expect("it waits");
        request.end(b"").expect("it waits");
    });
    assert_eq!(recorder.take(), expected);
    server.join();
}

// HC37; Node has no such timer.
#[test]
fn a_server_that_does_not_know_100_gets_the_body_after_a_while() {
    let server = Scripted::once(|mut peer| {
        peer.read_head();
        assert_eq!(peer.read_until("hello"), "hello");
        peer.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let recorder = Recorder::default();
    run(|client| {
        let limits = TimeLimits::default().await_continue(Duration::from_millis(20));
        let post = client.post(server.url("/")).expect_continue().time_limits(limits);
        post.body("hello").send(recorder.clone()).expect("to send");
    });
    assert_eq!(recorder.take(), ["finish", "response 204", "end", "close"]);
    server.join();
}

// HC38, HC41; Node: test-http-expect-handling
#[test]
fn a_final_status_in_place_of_100_spares_the_body() {
    for status in [401, 417, 200] {
        let server = Scripted::once(move |mut peer| {
            peer.read_head();
            peer.write(&format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nno"));
            assert_eq!(peer.read_to_end(), b"", "the connection is closed without the body");
        });
        let recorder = Recorder::default();
        let late: fn(&ClientRequest) = |request| {
            assert_eq!(request.write(b"more"), Err(http::Error::Closed));
            assert_eq!(request.end(b""), Err(http::Error::Closed));
        };
        let acting = Acting { recorder: recorder.clone(), at: "response", act: late };
        run(|client| {
            let limits = TimeLimits::default().await_continue(LONG);
            let post = client.post(server.url("/")).expect_continue().time_limits(limits);
            let request = post.begin(acting).expect("to begin");
            request.write(b"hello").expect("it waits");
        });
        assert_eq!(recorder.take(), [&format!("response {status}"), "data no", "end", "close"]);
        server.join();
    }
}

// HC16, HC39, HC40; Node: test-http-information-processing, test-http-early-hints
#[test]
fn informational_responses_are_told_each_and_an_unasked_100_is_one() {
    let server = Scripted::once(|mut peer| {
        assert!(!peer.read_head().contains("Expect"));
        peer.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n");
        peer.write("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let recorder = Recorder::default();
    run(|client| _ = client.post(server.url("/")).body("hello").send(recorder.clone()).expect("to send"));
    let information = ["information 100", "information 103", "information 102"];
    let calls = recorder.take();
    assert_eq!(
        (&*calls[0], &calls[4..]),
        ("finish", &["response 200", "end", "close"].map(str::to_owned)[..])
    );
    assert_eq!(calls[1..4], information);
    server.join();
}

// HC16
#[test]
fn a_server_cannot_go_on_with_informational_responses_without_end() {
    let server = Scripted::once(|mut peer| {
        peer.read_head();
        peer.write(&"HTTP/1.1 102 Processing\r\n\r\n".repeat(33));
        peer.read_to_end();
    });
    let recorder = Recorder::default();
    run(|client| _ = client.get(server.url("/")).send(recorder.clone()).expect("to send"));
    let fault = ErrorKind::InvalidResponse(ParseError::TooManyInformational, 27 * 33 - 1);
    assert_eq!(recorder.kind(), fault);
    assert_eq!(recorder.take().len(), 1 + 32 + 2);
    server.join();
}

// HC17; Node: test-http-head-request, test-http-response-no-headers
#[test]
fn a_response_without_a_body_has_none_whatever_its_fields_say() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ] {
        let server = Scripted::once(move |mut peer| {
            peer.read_head();
            peer.write(answer);
            peer.read_to_end();
        });
        let recorder = Recorder::default();
        run(|client| _ = client.request(method, server.url("/")).send(recorder.clone()).expect("to send"));
        let calls = recorder.take();
        assert_eq!((calls.len(), &calls[2..]), (4, &["end", "close"].map(str::to_owned)[..]), "{answer}");
        server.join();
    }
}

// HC65
#[test]
fn the_wait_for_100_is_a_phase() {
    let server = Scripted::once(|mut peer| {
        peer.read_head();
        peer.read_to_end();
    });
    let recorder = Recorder::default();
    run(|client| {
        let limits = TimeLimits::default().await_continue(LONG).whole(Duration::from_millis(500));
        let post = client.post(server.url("/")).expect_continue().time_limits(limits);
        post.body("hello").send(recorder.clone()).expect("to send");
    });
    let error = recorder.error();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::WholeTimeout, Some(Phase::AwaitContinue)));
    server.join();
}
