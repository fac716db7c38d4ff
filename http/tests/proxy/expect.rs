//! `Expect: 100-continue` from end to end, and responses that come before the request has ended.

use crate::harness::{Client, MUCH};
use crate::stand::{Script, Stand};
use std::io::Read;
use std::time::Duration;

const EXPECTING: &str = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn the_body_waits_for_the_upstream_to_ask() {
    let script = Script::play(1, |peer, _| {
        let head = peer.head();
        assert!(
            head.contains("\r\nExpect: 100-continue\r\n") && head.contains("\r\nContent-Length: 4\r\n"),
            "{head}"
        );
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(peer.take(4), b"body");
        peer.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
        peer.expect_end();
    });
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        client.send(EXPECTING);
        assert_eq!(client.head().status, 100);
        client.send("body");
        assert_eq!(client.answer().status, 201);
    });
    script.finish();
}

#[test]
fn a_refusal_in_place_of_100_reaches_a_client_that_has_sent_nothing() {
    let script = Script::play(1, |peer, _| {
        peer.head();
        peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno\n");
        assert_eq!(peer.expect_end(), b"", "no byte of the body comes");
    });
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        client.send(EXPECTING);
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (413, "no\n"));
        client.expect_end();
    });
    script.finish();
}

#[test]
fn an_upstream_that_does_not_know_the_expectation_gets_the_body_after_a_while() {
    let script = Script::play(1, |peer, _| {
        peer.head();
        assert_eq!(peer.take(4), b"body");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        peer.expect_end();
    });
    let stand = Stand::new().at(script.address).options(|options| {
        let limits = options.time_limits.await_continue(Duration::from_millis(50));
        options.time_limits(limits)
    });
    stand.run(|address| {
        let mut client = Client::connect(address);
        client.send(EXPECTING);
        assert_eq!(client.head().status, 100);
        client.send("body");
        assert_eq!(client.answer().status, 200);
    });
    script.finish();
}

// nodejs/node#38467: the response must not be lost to the error of the write
#[test]
fn an_early_answer_is_not_lost() {
    for _ in 0..20 {
        let script = Script::play(1, |peer, _| {
            peer.head();
            peer.send("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno\n");
            // Closed with unread input: a reset.
        });
        Stand::new().at(script.address).run(|address| {
            let mut client = Client::connect(address);
            client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {MUCH}\r\n\r\n"));
            let mut sender = client.another_handle();
            let sending = std::thread::spawn(move || {
                let mut left = MUCH;
                while left > 0 && sender.has_sent(&[b'x'; 16 * 1024][..left.min(16 * 1024)]) {
                    left = left.saturating_sub(16 * 1024);
                }
            });
            let answer = client.answer();
            assert_eq!((answer.status, answer.text()), (401, "no\n"));
            drop(client);
            sending.join().expect("the sender ends");
        });
        script.finish();
    }
}

#[test]
fn a_response_may_come_while_the_request_goes_on() {
    let script = Script::play(1, |peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..3 {
            assert_eq!(peer.through(b"\r\n"), b"1\r\n");
            assert_eq!(peer.take(3), b"x\r\n");
            peer.send("1\r\ny\r\n");
        }
        assert_eq!(peer.through(b"\r\n\r\n"), b"0\r\n\r\n");
        peer.send("0\r\n\r\n");
        peer.expect_end();
    });
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        // Nothing of the body is there yet, and nothing waits for it.
        client.send("1\r\nx\r\n");
        assert_eq!(client.head().status, 200);
        assert_eq!(client.chunk(), b"y");
        for _ in 0..2 {
            client.send("1\r\nx\r\n");
            assert_eq!(client.chunk(), b"y");
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.chunk(), b"");
    });
    script.finish();
}

#[test]
fn a_body_that_goes_on_behind_its_response_ends_the_connection() {
    let script = Script::play(1, |peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        let mut buffer = [0; 1024];
        while matches!(peer.stream.read(&mut buffer), Ok(1..)) {}
    });
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", 1_000_000));
        assert_eq!(client.answer().text(), "hi");
        client.expect_end();
    });
    script.finish();
}
