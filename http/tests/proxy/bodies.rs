//! Bodies both ways: how they are delimited, and at whose pace they go.

use crate::harness::{Client, MUCH, streaming};
use crate::stand::{Script, Stand};
use http::proto::Fields;
use http::upcall::BodyHandler;
use http::{Body, Request, Response};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

/// Sends the body back, with its trailers in capitals.
struct Echo(Response);

impl BodyHandler for Echo {
    fn on_data(&mut self, _: &Body, data: &[u8]) {
        let _ = self.0.write(data);
    }

    fn on_end(&mut self, _: &Body, trailers: &Fields<'_>) {
        for (name, value) in trailers.iter() {
            self.0.add_trailer(name, value.to_ascii_uppercase()).expect("a trailer");
        }
        self.0.end(b"").expect("to end");
    }
}

fn echo(request: &Request<'_>, response: Response) {
    let how = ["content-length", "transfer-encoding"].map(|name| {
        let value = request.fields.get(name).unwrap_or(b"-");
        String::from_utf8_lossy(value).into_owned()
    });
    response.set_header("X-Framing", how.join(" ")).expect("a field");
    request.body().set_handler(Echo(response));
}

#[test]
fn a_body_of_a_known_length_keeps_it() {
    Stand::new().server(echo).run(|address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 005\r\n\r\nhello");
        let answer = client.answer();
        assert_eq!((answer.field("X-Framing"), answer.text()), (Some("5 -"), "hello"));
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.answer().field("X-Framing"), Some("0 -"));
        client.send("DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(client.answer().text(), "hi");
    });
}

#[test]
fn a_chunked_body_goes_in_chunks_with_its_trailers() {
    Stand::new().server(echo).run(|address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n3;x=y\r\nabc\r\n");
        let head = client.head();
        assert_eq!(head.field("X-Framing"), Some("- chunked"));
        assert_eq!(client.chunk(), b"abc");
        client.send("2\r\nde\r\n0\r\nX-A: one\r\nX-Forwarded-For: 1.1.1.1\r\nHost: evil\r\n\r\n");
        assert_eq!(client.chunk(), b"de");
        let last = b"0\r\nX-A: ONE\r\n\r\n";
        assert_eq!(client.take(last.len()), last);
    });
}

// RFC 9112, 6.3
#[test]
fn a_response_without_a_body_has_none() {
    let script = Script::answer(&[
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"a\"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]);
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.head().field("Content-Length"), Some("7"));
        client.get("/");
        let none = client.head();
        assert_eq!((none.status, none.field("Content-Length")), (204, None));
        client.get("/");
        let unchanged = client.head();
        assert_eq!((unchanged.status, unchanged.field("Content-Length")), (304, Some("7")));
        client.get("/");
        assert_eq!(client.answer().text(), "");
    });
    script.finish();
}

#[test]
fn a_body_that_ends_with_its_connection_ends_by_itself_for_the_client() {
    let (seen, is_seen) = sync_channel(1);
    let script = Script::play(2, move |peer, number| {
        peer.head();
        peer.send("HTTP/1.0 200 OK\r\n\r\nall of");
        if number == 0 {
            is_seen.recv().expect("the client reads");
        }
        peer.send(" it");
        peer.end();
        peer.expect_end();
    });
    Stand::new().at(script.address).run(move |address| {
        let mut client = Client::connect(address);
        client.get("/");
        assert_eq!(client.head().field("Transfer-Encoding"), Some("chunked"));
        assert_eq!(client.chunk(), b"all of");
        seen.send(()).expect("the upstream is there");
        assert_eq!((client.chunk(), client.chunk()), (b" it".to_vec(), Vec::new()));
        assert_eq!(client.take(2), b"\r\n");
        // What has come whole may have a length instead.
        assert_eq!(client.ask("/").text(), "all of it");
    });
    script.finish();
}

// server-sent events, and every other response that comes bit by bit
#[test]
fn what_comes_is_passed_on_at_once() {
    let (seen, has_seen) = sync_channel(0);
    let script = Script::play(1, move |peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..3 {
            has_seen.recv().expect("the client has seen the last one");
            peer.send("9\r\ndata: x\n\n\r\n");
        }
        has_seen.recv().expect("the client has seen the last one");
        peer.send("0\r\n\r\n");
        peer.expect_end();
    });
    Stand::new().at(script.address).run(move |address| {
        let mut client = Client::connect(address);
        client.get("/");
        assert_eq!(client.head().field("Content-Type"), Some("text/event-stream"));
        for _ in 0..3 {
            seen.send(()).expect("the upstream is there");
            assert_eq!(client.chunk(), b"data: x\n\n");
        }
        seen.send(()).expect("the upstream is there");
        assert_eq!(client.chunk(), b"");
    });
    script.finish();
}

/// Bytes of a body that are sent until the other side takes no more.
fn fill(send: impl Fn(&[u8]) -> bool) -> usize {
    let mut sent = 0;
    while send(&[b'x'; 64 * 1024]) {
        sent += 64 * 1024;
    }
    sent
}

#[test]
fn a_client_that_does_not_read_holds_up_its_upstream() {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let (stalled, is_stalled) = sync_channel(1);
    let script = Script::play(1, move |peer, _| {
        use std::io::Write;
        peer.head();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 * MUCH));
        peer.stream.set_write_timeout(Some(std::time::Duration::from_millis(500))).expect("a timeout");
        let stream = &peer.stream;
        SENT.store(fill(|bytes| (&*stream).write_all(bytes).is_ok()), Ordering::SeqCst);
        stalled.send(()).expect("the client waits");
        peer.expect_end();
    });
    Stand::new().at(script.address).run(move |address| {
        let mut client = Client::connect(address);
        client.get("/");
        is_stalled.recv().expect("the upstream");
        // The kernel's buffers of two connections, and little more.
        assert!(SENT.load(Ordering::SeqCst) < MUCH, "{} bytes", SENT.load(Ordering::SeqCst));
        assert_eq!(client.head().status, 200);
        drop(client);
    });
    script.finish();
}

#[test]
fn an_upstream_that_does_not_read_holds_up_its_client() {
    let (read, may_read) = sync_channel::<()>(1);
    let script = Script::play(1, move |peer, _| {
        peer.head();
        may_read.recv().expect("the client is held up");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        peer.expect_end();
    });
    Stand::new().at(script.address).run(move |address| {
        use std::io::Write;
        use std::net::TcpStream;
        let stream = TcpStream::connect(address).expect("to connect");
        stream.set_write_timeout(Some(std::time::Duration::from_millis(500))).expect("a timeout");
        let head = format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", 64 * MUCH);
        (&stream).write_all(head.as_bytes()).expect("to send");
        let sent = fill(|bytes| (&stream).write_all(bytes).is_ok());
        assert!(sent < MUCH, "{sent} bytes");
        read.send(()).expect("the upstream is there");
    });
    script.finish();
}

#[test]
fn much_goes_both_ways_whole() {
    Stand::new().server(streaming).server(echo).run(|address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/").body.len(), MUCH);
        let mut sender = client.another_handle();
        let length = 4 * 1024 * 1024;
        sender.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"));
        let sending = std::thread::spawn(move || sender.send(vec![b'y'; length]));
        let body = client.answer().body;
        sending.join().expect("all is sent");
        assert!(body.len() == length && body.iter().all(|byte| *byte == b'y'));
    });
}
