//! Streams to clients that are slower than the server, and through it.

use crate::harness::{Client, Count, serve};
use http::proto::Fields;
use http::upcall::{BodyHandler, ResponseHandler};
use http::{Body, Request, Response};

/// Writes that make far more than the kernel holds.
const WRITES: usize = 40_000;
const WRITE: usize = 1024;

/// Writes while more is welcome.
struct Stream {
    written: Count,
}

impl Stream {
    /// Returns whether it is over.
    fn write_on(&self, response: &Response) -> bool {
        while self.written.get() < WRITES {
            self.written.add(1);
            match response.write(&[b'x'; WRITE]) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(_) => return true,
            }
        }
        let _ = response.end(b"");
        true
    }
}

impl ResponseHandler for Stream {
    fn on_drain(&mut self, response: &Response) {
        self.write_on(response);
    }
}

fn streaming(written: Count) -> impl FnMut(&Request<'_>, Response) {
    move |request: &Request<'_>, response: Response| match request.path() {
        "/stream" => {
            let stream = Stream { written: written.clone() };
            if !stream.write_on(&response) {
                response.set_handler(stream);
            }
        }
        _ => response.end(written.get().to_string().as_bytes()).expect("to end"),
    }
}

/// Asks until the count stands still for many answers in a row.
fn standing_still(asker: &mut Client) -> usize {
    let (mut last, mut same) = (usize::MAX, 0);
    while same < 100 {
        let now = asker.ask("/count").text().parse().expect("a number");
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
    }
    last
}

// Section 4.4: `res.write` says false at the high-water mark
#[test]
fn a_slow_reader_holds_the_writer_and_gets_all() {
    let written = Count::default();
    let counted = written.clone();
    serve(streaming(written), |address| {
        let (mut client, mut asker) = (Client::connect(address), Client::connect(address));
        client.get("/stream");
        let held = standing_still(&mut asker);
        assert!(held < WRITES, "the writer is held: {held}");
        assert_eq!(client.answer().body.len(), WRITES * WRITE);
        assert_eq!(client.ask("/count").text(), WRITES.to_string());
    });
    assert_eq!(counted.get(), WRITES);
}

#[test]
fn a_reader_that_leaves_ends_the_stream() {
    let written = Count::default();
    serve(streaming(written), |address| {
        let (mut client, mut asker) = (Client::connect(address), Client::connect(address));
        client.get("/stream");
        standing_still(&mut asker);
        drop(client);
        // The stream's handler is dropped with the connection: the harness proves that.
    });
}

/// Sends a body back at the pace of the slower side.
struct Echo {
    response: Response,
    received: Count,
}

impl BodyHandler for Echo {
    fn on_data(&mut self, body: &Body, data: &[u8]) {
        self.received.add(data.len());
        if self.response.write(data) == Ok(false) {
            body.pause();
        }
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        let _ = self.response.end(b"");
    }
}

struct Pace(Body);

impl ResponseHandler for Pace {
    fn on_drain(&mut self, _: &Response) {
        self.0.resume();
    }
}

// Section 4.4, both directions at once
#[test]
fn a_client_that_sends_and_does_not_read_is_held_at_both_ends() {
    const SIZE: usize = 40_000_000;
    let received = Count::default();
    let counted = received.clone();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/echo" => {
            let body = request.body();
            response.set_handler(Pace(body.clone()));
            body.set_handler(Echo { response, received: received.clone() });
        }
        _ => response.end(received.get().to_string().as_bytes()).expect("to end"),
    };
    serve(handler, |address| {
        let (mut client, mut asker) = (Client::connect(address), Client::connect(address));
        client.send(format!("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {SIZE}\r\n\r\n"));
        let mut sender = client.another_handle();
        let sender = std::thread::spawn(move || sender.send(vec![b'x'; SIZE]));
        let held = standing_still(&mut asker);
        assert!(held < SIZE, "{held}");
        assert_eq!(client.answer().body.len(), SIZE);
        sender.join().expect("all is sent");
    });
    assert_eq!(counted.get(), SIZE);
}

/// Sends informational responses while more are welcome, and then the answer.
struct Hints {
    written: Count,
}

impl Hints {
    fn write_on(&self, response: &Response) {
        while self.written.get() < WRITES {
            self.written.add(1);
            match response.write_information(103, &[("Link", &"x".repeat(WRITE))]) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => panic!("{error}"),
            }
        }
        response.end(b"page").expect("to end");
    }
}

impl ResponseHandler for Hints {
    fn on_drain(&mut self, response: &Response) {
        self.write_on(response);
    }
}

#[test]
fn a_slow_reader_holds_who_sends_informational_responses_and_gets_all() {
    let written = Count::default();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/hints" => {
            let hints = Hints { written: written.clone() };
            hints.write_on(&response);
            response.set_handler(hints);
        }
        _ => response.end(written.get().to_string().as_bytes()).expect("to end"),
    };
    serve(handler, |address| {
        let (mut slow, mut asker) = (Client::connect(address), Client::connect(address));
        slow.get("/hints");
        assert!(standing_still(&mut asker) < WRITES, "the rest waits for the reader");
        for _ in 0..WRITES {
            assert_eq!(slow.head().status, 103);
        }
        assert_eq!(slow.answer().text(), "page");
    });
}
