//! Upstreams that fail, and requests that are sent to another one: only where that is safe.

use crate::harness::Client;
use crate::stand::{Script, Stand, ask};
use http::proto::Fields;
use http::upcall::BodyHandler;
use http::{Body, Request, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";

/// Answers with the body.
fn echo(request: &Request<'_>, response: Response) {
    struct Echo(Response, Vec<u8>);
    impl BodyHandler for Echo {
        fn on_data(&mut self, _: &Body, data: &[u8]) {
            self.1.extend_from_slice(data);
        }
        fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
            self.0.end(&[b"echo ", &self.1[..]].concat()).expect("to end");
        }
    }
    request.body().set_handler(Echo(response, Vec::new()));
}

/// Reads a request, and breaks off.
fn breaking() -> Script {
    Script::play(1, |peer, _| _ = peer.head())
}

#[test]
fn an_upstream_that_cannot_be_reached_is_502_with_a_reason() {
    Stand::new().at(Script::closed_port()).run(|address| {
        let mut client = Client::connect(address);
        let answer = client.ask("/");
        assert_eq!((answer.status, answer.text()), (502, "the server behind this proxy cannot be reached\n"));
        assert_eq!(answer.field("Proxy-Status"), Some("here; error=destination_unavailable"));
        assert_eq!(answer.field("Content-Type"), Some("text/plain; charset=utf-8"));
        // The connection is good for another request.
        assert_eq!(client.ask("/").status, 502);
        client.send(POST);
        assert_eq!(client.answer().status, 502);
    });
}

#[test]
fn a_request_that_no_upstream_has_seen_goes_to_the_next_one() {
    let stand = || Stand::new().at(Script::closed_port()).at(Script::closed_port()).server(echo);
    for (request, text) in [(GET, "echo "), (POST, "echo body")] {
        stand().run(move |address| assert_eq!(ask(address, request), (200, text.to_owned())));
    }
    // What was read of its body is kept, if that is little, and what comes later follows.
    stand().run(|address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        client.send("3\r\ndef\r\n");
        client.send("0\r\n\r\n");
        assert_eq!(client.answer().text(), "echo abcdef");
    });
}

#[test]
fn an_idempotent_request_goes_to_the_next_upstream_and_another_does_not() {
    for (request, expected) in [
        (GET, 200),
        ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", 200),
        ("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        (POST, 502),
        ("PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", 502),
        ("POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: \"1\"\r\nContent-Length: 4\r\n\r\nbody", 200),
    ] {
        let script = breaking();
        Stand::new().at(script.address).server(echo).run(move |address| {
            assert_eq!(ask(address, request).0, expected, "{request}");
        });
        script.finish();
    }
}

#[test]
fn a_body_of_which_more_was_read_than_is_kept_is_not_sent_twice() {
    for (kept, expected) in [(4, 200), (3, 502)] {
        let script = Script::play(1, |peer, _| {
            peer.head();
            peer.take(4);
        });
        let stand = Stand::new().at(script.address).server(echo).options(|options| options.max_replay(kept));
        stand.run(move |address| {
            let request = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
            assert_eq!(ask(address, request).0, expected, "{kept}");
        });
        script.finish();
    }
}

#[test]
fn a_response_that_has_begun_is_broken_off() {
    for (answer, rest, is_chunked) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"[..], &b""[..], false),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"", true),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"nonsense", true),
    ] {
        let (seen, is_seen) = sync_channel(1);
        let script = Script::play(1, move |peer, _| {
            peer.head();
            peer.send(answer);
            is_seen.recv().expect("the client reads");
            peer.send(rest);
            peer.end();
            peer.expect_end();
        });
        Stand::new().at(script.address).server(echo).run(move |address| {
            let mut client = Client::connect(address);
            client.get("/");
            assert_eq!(client.head().status, 200);
            let expected: &[u8] = if is_chunked { b"4\r\nhalf\r\n" } else { b"half" };
            assert_eq!(client.take(expected.len()), expected);
            seen.send(()).expect("the upstream is there");
            client.expect_end();
        });
        script.finish();
    }
}

#[test]
fn a_response_that_is_broken_off_before_any_of_it_is_passed_on_is_502() {
    let script = Script::play(1, |peer, _| {
        peer.head();
        // In one piece with its end.
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense");
        peer.expect_end();
    });
    Stand::new().at(script.address).server(echo).run(|address| {
        let answer = Client::connect(address).ask("/");
        assert_eq!(answer.status, 502);
        assert_eq!(answer.field("Proxy-Status"), Some("here; error=http_protocol_error"));
    });
    script.finish();
}

#[test]
fn an_upstream_that_takes_too_long_is_504_with_a_reason() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let script = Script::play(1, |peer, _| {
        peer.head();
        peer.expect_end();
    });
    let stand = Stand::new().at(script.address).server(move |_: &Request<'_>, response: Response| {
        counted.fetch_add(1, Ordering::SeqCst);
        response.end(b"").expect("to end");
    });
    let stand = stand.options(|options| {
        let limits = options.time_limits.head(Duration::from_millis(50));
        options.time_limits(limits)
    });
    stand.run(|address| {
        let mut client = Client::connect(address);
        let answer = client.ask("/");
        assert_eq!(
            (answer.status, answer.text()),
            (504, "the server behind this proxy does not respond in time\n")
        );
        assert_eq!(answer.field("Proxy-Status"), Some("here; error=http_response_timeout"));
    });
    script.finish();
    assert_eq!(count.load(Ordering::SeqCst), 0, "it may be at work still: no other one is asked");
}

#[test]
fn a_connection_that_was_closed_while_idle_costs_no_request() {
    let script = Script::play(2, |peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
        // Its end comes behind the answer, in the same turn or later.
    });
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/").text(), "a");
        assert_eq!(client.ask("/").text(), "a");
    });
    script.finish();
}
