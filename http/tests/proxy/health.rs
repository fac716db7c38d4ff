//! Several upstreams: who gets a request, and who is left out.

use crate::harness::Client;
use crate::stand::{Script, Stand, ask};
use http::{Request, Response};
use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

fn named(name: &'static str) -> impl FnMut(&Request<'_>, Response) {
    move |_, response| response.end(name.as_bytes()).expect("to end")
}

#[test]
fn upstreams_share_the_requests() {
    Stand::new().server(named("a")).server(named("b")).server(named("c")).run(|address| {
        let mut client = Client::connect(address);
        let mut count = BTreeMap::new();
        for _ in 0..30 {
            *count.entry(client.ask("/").text().to_owned()).or_insert(0) += 1;
        }
        assert_eq!(count.into_values().collect::<Vec<_>>(), [10, 10, 10]);
    });
}

#[test]
fn a_busy_upstream_gets_less() {
    let (here, is_here) = sync_channel(1);
    let script = Script::play(1, move |peer, _| {
        peer.head();
        here.send(()).expect("the client waits");
        peer.expect_end();
    });
    Stand::new().at(script.address).server(named("b")).run(move |address| {
        let (mut waiting, mut client) = (Client::connect(address), Client::connect(address));
        waiting.get("/");
        is_here.recv().expect("the upstream has it");
        for _ in 0..20 {
            assert_eq!(client.ask("/").text(), "b");
        }
    });
    script.finish();
}

#[test]
fn an_upstream_that_fails_is_left_out_and_tried_again() {
    let back = Script::closed_port();
    let stand = Stand::new().at(back).server(named("b"));
    stand.options(|options| options.pause(Duration::from_millis(100))).run(move |address| {
        for _ in 0..4 {
            assert_eq!(ask(address, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"), (200, "b".to_owned()));
        }
        // It is back, and after its pause it gets its part again.
        let listener = std::net::TcpListener::bind(back).expect("the port is still free");
        listener.set_nonblocking(true).expect("to set");
        let mut client = Client::connect(address);
        loop {
            client.get("/");
            if let Some((stream, _)) = await_connection(&listener) {
                use std::io::Write;
                stream.set_nonblocking(false).expect("to set");
                (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").expect("to send");
                assert_eq!(client.answer().text(), "a");
                break;
            }
            assert_eq!(client.answer().text(), "b");
        }
    });
}

/// The connection that came by now, if any: the answer of the other upstream would have come before.
fn await_connection(listener: &std::net::TcpListener) -> Option<(std::net::TcpStream, std::net::SocketAddr)> {
    for _ in 0..100 {
        if let Ok(connection) = listener.accept() {
            return Some(connection);
        }
        std::thread::yield_now();
    }
    None
}

#[test]
fn if_all_have_failed_they_are_tried_all_the_same() {
    let stand = Stand::new().at(Script::closed_port()).at(Script::closed_port());
    stand.options(|options| options.pause(Duration::from_secs(3600))).run(|address| {
        let mut client = Client::connect(address);
        for _ in 0..3 {
            assert_eq!(client.ask("/").status, 502);
        }
    });
}

// "kill an upstream under load: no request lost but those in its hands, and those only if they may not be repeated"
#[test]
fn an_upstream_that_dies_under_load_loses_no_request_that_may_be_repeated() {
    let dying = Script::play(4, |peer, number| {
        // Each connection answers a few requests, and dies with one in its hands.
        for _ in 0..number {
            peer.head();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
        }
        peer.head();
    });
    let stand = Stand::new().at(dying.address).server(named("b")).server(named("c"));
    stand.options(|options| options.pause(Duration::from_millis(1))).run(move |address| {
        let clients = (0..4).map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..200 {
                    assert_eq!(client.ask("/").status, 200);
                }
            })
        });
        clients.collect::<Vec<_>>().into_iter().for_each(|client| client.join().expect("no request is lost"));
        dying.finish();
    });
}
