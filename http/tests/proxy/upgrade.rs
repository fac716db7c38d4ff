//! Connections that leave HTTP through the proxy: WebSockets and the like.

use crate::harness::Client;
use crate::stand::{Script, Stand};
use http::upcall::RequestHandler;
use http::{Request, Response};
use net::Socket;
use net::upcall::SocketHandler;
use std::sync::mpsc::sync_channel;

const OFFER: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A server that accepts every offer, and echoes.
struct Accepting;

impl RequestHandler for Accepting {
    fn on_request(&mut self, _: &Request<'_>, response: Response) {
        response.end(b"a plain request").expect("to end");
    }

    fn accepts_upgrade(&mut self, _: &Request<'_>) -> bool {
        true
    }

    fn on_upgrade(&mut self, request: &Request<'_>, socket: Socket, head: &[u8]) {
        assert_eq!(request.fields.get("upgrade"), Some(&b"websocket"[..]));
        socket.write(ACCEPTED.as_bytes()).expect("to write");
        socket.write(head).expect("to write");
        socket.set_handler(Echo);
    }
}

struct Echo;

impl SocketHandler for Echo {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        if let Ok(false) = socket.write(data) {
            socket.pause();
        }
    }

    fn on_drain(&mut self, socket: &Socket) {
        socket.resume();
    }

    fn on_end(&mut self, socket: &Socket) {
        socket.end();
    }
}

// RFC 6455, 1.3 and 5.7: the handshake, and a masked text frame by hand
#[test]
fn a_websocket_is_passed_through() {
    Stand::new().server(Accepting).run(|address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/").text(), "a plain request");
        client.send(OFFER);
        let head = client.head();
        assert_eq!(head.status, 101);
        assert_eq!(head.field("Upgrade"), Some("websocket"));
        assert!(head.field("Connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
        assert_eq!(head.field("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        for _ in 0..3 {
            client.send(hello);
            assert_eq!(client.take(hello.len()), hello);
        }
        let much = vec![0x5a; 4 * 1024 * 1024];
        let mut sender = client.another_handle();
        let sent = much.clone();
        let sending = std::thread::spawn(move || sender.send(sent));
        assert!(client.take(much.len()) == much);
        sending.join().expect("all is sent");
        client.end_sending();
        client.expect_end();
    });
}

#[test]
fn bytes_around_the_change_are_passed_on() {
    let script = Script::play(1, |peer, _| {
        let head = peer.head();
        assert!(
            head.contains("\r\nUpgrade: websocket\r\n") && head.contains("\r\nConnection: upgrade\r\n"),
            "{head}"
        );
        peer.send(ACCEPTED.to_owned() + "first of the server");
        assert_eq!(peer.take(19), b"first of the client");
        peer.end();
        peer.expect_end();
    });
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        client.send(OFFER.to_owned() + "first of the client");
        assert_eq!(client.head().status, 101);
        assert_eq!(client.take(19), b"first of the server");
        client.end_sending();
        client.expect_end();
    });
    script.finish();
}

#[test]
fn a_refused_offer_is_answered_as_the_upstream_does() {
    for (answer, status, text) in [
        (&b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: other\r\nConnection: upgrade\r\nContent-Length: 3\r\n\r\nno\n"[..], 426, "no\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n0\r\n\r\n", 200, "page"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
    ] {
        let script = Script::play(1, move |peer, _| {
            peer.head();
            peer.send(answer);
            peer.expect_end();
        });
        Stand::new().at(script.address).run(move |address| {
            let mut client = Client::connect(address);
            client.send(OFFER);
            let answer = client.answer();
            assert_eq!((answer.status, answer.text(), answer.closes()), (status, text, true));
            assert_eq!(answer.field("Upgrade"), (status == 426).then_some("other"));
            client.expect_end();
        });
        script.finish();
    }
}

#[test]
fn an_offer_to_an_upstream_that_cannot_be_reached_is_502() {
    Stand::new().at(Script::closed_port()).run(|address| {
        let mut client = Client::connect(address);
        client.send(OFFER);
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (502, true));
        client.expect_end();
    });
}

#[test]
fn an_offer_goes_to_the_next_upstream_if_the_first_cannot_be_reached() {
    Stand::new().at(Script::closed_port()).server(Accepting).run(|address| {
        let mut client = Client::connect(address);
        client.send(OFFER);
        assert_eq!(client.head().status, 101);
        client.send("x");
        assert_eq!(client.take(1), b"x");
    });
}

#[test]
fn a_client_that_leaves_before_the_answer_takes_its_offer_back() {
    let (here, is_here) = sync_channel(1);
    let script = Script::play(1, move |peer, _| {
        peer.head();
        here.send(()).expect("the client waits");
        assert_eq!(peer.expect_end(), b"");
    });
    Stand::new().at(script.address).run(move |address| {
        let mut client = Client::connect(address);
        client.send(OFFER);
        is_here.recv().expect("the upstream has it");
        drop(client);
        script.finish();
    });
}

#[test]
fn the_end_of_either_side_is_passed_on() {
    let script = Script::play(2, |peer, number| {
        peer.head();
        peer.send(ACCEPTED);
        if number == 0 {
            assert_eq!(peer.through(b"bye"), b"bye");
            assert_eq!(peer.expect_end(), b"");
        } else {
            peer.send("bye");
            peer.end();
            assert_eq!(peer.expect_end(), b"");
        }
    });
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        client.send(OFFER);
        client.head();
        client.send("bye");
        client.end_sending();
        client.expect_end();
        let mut client = Client::connect(address);
        client.send(OFFER);
        client.head();
        assert_eq!(client.rest(), b"bye");
    });
    script.finish();
}

// RFC 9110, 7.8: an offer may be ignored.
#[test]
fn an_offer_of_http_2_is_no_way_past_the_proxy() {
    for offer in ["h2c", "websocket, H2C", "h2c/1", "h2"] {
        let script = Script::play(1, |peer, _| {
            let head = peer.head();
            assert!(!head.to_ascii_lowercase().contains("upgrade"), "{head}");
            assert!(!head.contains("HTTP2-Settings"), "{head}");
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            peer.expect_end();
        });
        Stand::new().at(script.address).run(move |address| {
            let mut client = Client::connect(address);
            client.send(format!(
                "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {offer}\r\nHTTP2-Settings: AA\r\n\r\n"
            ));
            let answer = client.answer();
            assert_eq!((answer.status, answer.closes()), (200, false));
        });
        script.finish();
    }
}

// RFC 9110, 7.8: an offer with a body is a request like any other.
#[test]
fn an_offer_with_a_body_is_not_passed_on_as_one() {
    let script = Script::play(1, |peer, _| {
        let head = peer.head();
        assert!(!head.to_ascii_lowercase().contains("upgrade"), "{head}");
        assert_eq!(peer.take(1), b"x");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        peer.expect_end();
    });
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx",
        );
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (200, false));
    });
    script.finish();
}
