//! Requests that are not passed on, and responses that are not.

use crate::harness::Client;
use crate::stand::{Script, Stand, ask};
use http::{Request, Response};
use std::cell::Cell;
use std::rc::Rc;

/// Counts the requests that reach it.
fn counting() -> (impl FnMut(&Request<'_>, Response), Rc<Cell<usize>>) {
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    let handler = move |_: &Request<'_>, response: Response| {
        counted.set(counted.get() + 1);
        response.end(b"passed").expect("to end");
    };
    (handler, count)
}

// RFC 9112, 11.2
#[test]
fn nothing_that_two_servers_could_read_differently_reaches_an_upstream() {
    let (handler, count) = counting();
    Stand::new().server(handler).run(|address| {
        for fields in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: 3, 3",
            "Content-Length: +3",
            "Content-Length : 3",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding:\x0bchunked",
            "Transfer-Encoding: gzip, chunked",
            "X-A: 1\r\n folded",
            "X-A: 1\nX-B: 2",
            "X-A: 1\rX-B: 2",
            "X A: 1",
            ": 1",
            "Host: other",
            "X-A: \0",
        ] {
            let mut client = Client::connect(address);
            client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"));
            let answer = client.answer();
            assert!(matches!(answer.status, 400 | 501), "{fields}: {}", answer.head);
            client.expect_end();
        }
        for line in ["GET /a b HTTP/1.1", "GET  / HTTP/1.1", "GET / HTTP/2.0", "GET /\x7f HTTP/1.1", "GET /#x HTTP/1.1"] {
            let mut client = Client::connect(address);
            client.send(format!("{line}\r\nHost: h\r\n\r\n"));
            assert!(matches!(client.answer().status, 400 | 505), "{line}");
        }
        assert_eq!(ask(address, "TRACE / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").0, 400);
        assert_eq!(ask(address, "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n").0, 421);
    });
    assert_eq!(count.get(), 0);
}

#[test]
fn a_tunnel_is_refused() {
    let (handler, count) = counting();
    Stand::new().server(handler).run(|address| {
        assert_eq!(ask(address, "CONNECT there:443 HTTP/1.1\r\nHost: there:443\r\n\r\n").0, 501);
    });
    assert_eq!(count.get(), 0);
}

// RFC 9110, 7.6.2
#[test]
fn a_request_that_may_go_no_further_is_answered_here() {
    let (handler, count) = counting();
    Stand::new().server(handler).run(|address| {
        let (status, text) = ask(address, "OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n");
        assert_eq!((status, text.as_str()), (200, ""));
        assert_eq!(ask(address, "TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n").0, 405);
        assert_eq!(ask(address, "OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: x\r\n\r\n").0, 400);
    });
    assert_eq!(count.get(), 0);
}

// RFC 9110, 7.6.3
#[test]
fn a_proxy_that_is_its_own_upstream_finds_that_out() {
    // The address is known when the proxy listens, so another one, which the proxy leads to, leads back.
    let (handler, count) = counting();
    Stand::new().server(handler).run(|address| {
        let (status, text) = ask(address, "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 a, 1.1 here\r\n\r\n");
        assert_eq!((status, text.as_str()), (508, "the request has come through this proxy before\n"));
        assert_eq!(ask(address, "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 hereabouts\r\n\r\n").0, 200);
    });
    assert_eq!(count.get(), 1);
}

#[test]
fn what_is_no_response_is_not_passed_on() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: b\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
    ] {
        let script = Script::play(1, move |peer, _| {
            peer.head();
            peer.send(answer);
            peer.expect_end();
        });
        Stand::new().at(script.address).run(move |address| {
            let mut client = Client::connect(address);
            let refused = client.ask("/");
            let text = String::from_utf8_lossy(answer);
            assert_eq!(refused.status, 502, "{text}");
            assert_eq!(refused.field("Proxy-Status"), Some("here; error=http_protocol_error"), "{text}");
            assert_eq!(refused.text(), "the server behind this proxy sends an invalid response\n");
        });
        script.finish();
    }
}

#[test]
fn bytes_behind_a_response_are_nobody_s() {
    let script = Script::play(2, |peer, number| {
        peer.head();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}"));
        if number == 0 {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned");
        }
        peer.expect_end();
    });
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/").text(), "0");
        assert_eq!(client.ask("/").text(), "1");
    });
    script.finish();
}
