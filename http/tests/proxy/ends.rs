//! Clients that leave, and the end of the proxy.

use crate::harness::Client;
use crate::stand::{Script, Stand};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

#[test]
fn a_client_that_leaves_takes_its_request_back() {
    for body in ["", "4\r\nbody\r\n"] {
        let (here, is_here) = sync_channel(1);
        let script = Script::play(1, move |peer, _| {
            peer.head();
            here.send(()).expect("the client waits");
            peer.expect_end();
        });
        Stand::new().at(script.address).run(move |address| {
            let mut client = Client::connect(address);
            let framing = if body.is_empty() { "" } else { "Transfer-Encoding: chunked\r\n" };
            client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n{body}"));
            is_here.recv().expect("the upstream has it");
            drop(client);
            script.finish();
        });
    }
}

#[test]
fn a_client_that_leaves_within_a_response_ends_it() {
    let script = Script::play(1, |peer, _| {
        use std::io::Write;
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while peer.stream.write_all(b"1\r\nx\r\n").is_ok() {}
    });
    Stand::new().at(script.address).run(move |address| {
        let mut client = Client::connect(address);
        client.get("/");
        assert_eq!(client.head().status, 200);
        drop(client);
        script.finish();
    });
}

#[test]
fn a_client_that_breaks_the_protocol_within_its_body_ends_its_request() {
    let (here, is_here) = sync_channel(1);
    let script = Script::play(1, move |peer, _| {
        peer.head();
        assert_eq!(peer.take(9), b"4\r\nbody\r\n");
        here.send(()).expect("the client waits");
        assert_eq!(peer.expect_end(), b"", "no end of the body comes");
    });
    Stand::new().at(script.address).run(move |address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n");
        is_here.recv().expect("the upstream has it");
        client.send("nonsense\r\n");
        assert_eq!(client.answer().status, 400);
        client.expect_end();
        script.finish();
    });
}

#[test]
fn requests_that_are_under_way_end_before_the_proxy_does() {
    let (here, is_here) = sync_channel(1);
    let (go, may_go) = sync_channel::<()>(1);
    let script = Script::play(1, move |peer, _| {
        peer.head();
        here.send(()).expect("the client waits");
        may_go.recv().expect("the proxy is to end");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
        peer.send("last");
        peer.expect_end();
    });
    let stand = Stand::new().at(script.address);
    let front = stand.site.server.clone();
    // The client returns while its request is under way; it is answered on another thread, behind the shutdown.
    let (answered, is_answered) = sync_channel(1);
    stand.run_until(
        move |address| {
            let mut client = Client::connect(address);
            client.get("/");
            is_here.recv().expect("the upstream has it");
            std::thread::spawn(move || {
                let answer = client.answer();
                assert_eq!((answer.status, answer.text(), answer.closes()), (200, "last", true));
                client.expect_end();
                answered.send(()).expect("the test waits");
            });
        },
        move || {
            front.shutdown(Duration::from_secs(20)).expect("it listens");
            go.send(()).expect("the upstream is there");
        },
    );
    is_answered.recv().expect("it was answered");
    script.finish();
}
