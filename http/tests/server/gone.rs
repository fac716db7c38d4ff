//! Clients that end or close while their responses are due: which handlers are told, and when.

use crate::harness::{Client, Count, Kept, Site, impatient};
use http::proto::Fields;
use http::upcall::{BodyHandler, ResponseHandler};
use http::{Body, Request, Response, ServerOptions};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

/// What handlers heard.
#[derive(Clone, Default)]
struct Heard {
    requests: Count,
    ends: Count,
    closes: Count,
    aborts: Count,
}

struct Telling(Heard);

impl ResponseHandler for Telling {
    fn on_client_end(&mut self, _: &Response) {
        self.0.ends.add(1);
    }

    fn on_close(&mut self, _: &Response) {
        self.0.closes.add(1);
    }
}

impl BodyHandler for Telling {
    fn on_data(&mut self, _: &Body, _: &[u8]) {}

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {}

    fn on_abort(&mut self, _: &Body) {
        self.0.aborts.add(1);
    }
}

/// `/heard` tells how many other requests came, and what their handlers heard: of the client's end, of a close, of an
/// abort. Their responses are kept, and their bodies if they are to be paused.
fn app(heard: Heard) -> impl FnMut(&Request<'_>, Response) {
    let (kept, bodies) = (Kept::default(), RefCell::new(Vec::new()));
    move |request: &Request<'_>, response: Response| {
        if request.path() == "/heard" {
            let Heard { requests, ends, closes, aborts } = &heard;
            let text = format!("{} {} {} {}", requests.get(), ends.get(), closes.get(), aborts.get());
            return response.end(text.as_bytes()).expect("to end");
        }
        heard.requests.add(1);
        response.set_handler(Telling(heard.clone()));
        if request.path() == "/paused" {
            let body = request.body();
            body.set_handler(Telling(heard.clone()));
            body.pause();
            bodies.borrow_mut().push(body);
        }
        kept.keep(response);
    }
}

/// Gives its response another handler when it is told that the client has ended.
struct Succeeded(Option<Response>, Heard);

impl Succeeded {
    fn succeed(&mut self) {
        if let Some(response) = self.0.take() {
            response.set_handler(Telling(self.1.clone()));
        }
    }
}

impl ResponseHandler for Succeeded {
    fn on_client_end(&mut self, _: &Response) {
        self.succeed();
    }

    fn on_close(&mut self, _: &Response) {
        self.succeed();
    }
}

/// Asks until the handlers have heard this.
fn until_heard(address: SocketAddr, expected: &str) {
    while Client::connect(address).ask("/heard").text() != expected {}
}

/// Serves one connection that sends `input`, waits until the handlers have heard of `before`, and goes, once with an end
/// and once with a reset.
fn go_in_both_ways(input: String, before: &str, after: &str) {
    for resets in [false, true] {
        let (input, before, after) = (input.clone(), before.to_owned(), after.to_owned());
        Site::new(ServerOptions::default()).run(app(Heard::default()), move |address| {
            let mut client = Client::connect(address);
            if resets {
                client.get("/heard");
            }
            client.send(input);
            until_heard(address, &before);
            if resets {
                client.reset()
            } else {
                drop(client)
            }
            until_heard(address, &after);
        });
    }
}

// Node: `socketOnEnd` and `abortIncoming`
#[test]
fn every_waiting_handler_is_told_that_its_client_is_gone() {
    Site::new(ServerOptions::default()).run(app(Heard::default()), |address| {
        for round in 1..=20 {
            let mut client = Client::connect(address);
            if round % 2 == 0 {
                client.get("/heard");
                client.get("/wait");
                client.reset();
            } else {
                client.get("/wait");
            }
        }
        until_heard(address, "20 0 20 0");
    });
}

#[test]
fn a_handler_that_comes_after_the_client_s_end_is_told_of_it_too() {
    for (allow_half_open, heard) in [(false, "1 0 1 0"), (true, "1 1 0 0")] {
        let (told, kept) = (Heard::default(), Kept::default());
        let options = ServerOptions::default().allow_half_open(allow_half_open);
        let handler = move |request: &Request<'_>, response: Response| {
            if request.path() == "/heard" {
                let text = format!("{} {} {} 0", told.requests.get(), told.ends.get(), told.closes.get());
                return response.end(text.as_bytes()).expect("to end");
            }
            if request.path() == "/end" {
                let waiting = kept.take_oldest().expect("a response");
                waiting.end(b"").expect("to end");
                return response.end(b"").expect("to end");
            }
            told.requests.add(1);
            response.set_handler(Succeeded(Some(response.clone()), told.clone()));
            kept.keep(response);
        };
        Site::new(options).run(handler, move |address| {
            let mut client = Client::connect(address);
            client.get("/wait");
            client.end_sending();
            until_heard(address, heard);
            Client::connect(address).ask("/end");
        });
    }
}

#[test]
fn handlers_of_pipelined_requests_are_told_also_when_no_more_are_decoded() {
    let requests = |count| "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n".repeat(count);
    for count in [2, 63, 64] {
        go_in_both_ways(requests(count), &format!("{count} 0 0 0"), &format!("{count} 0 {count} 0"));
    }
    go_in_both_ways(requests(200), "64 0 0 0", "64 0 64 0");
}

#[test]
fn a_client_that_is_gone_keeps_no_connection_although_its_response_is_kept() {
    let site = Site::new(impatient());
    let (server, kept) = (site.server.clone(), Kept::default());
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/connections" => response.end(server.connections().to_string().as_bytes()).expect("to end"),
        // Begun, in a way that its end is the connection's.
        "/begun" => {
            response.write(b"some").expect("to write");
            kept.keep(response);
        }
        _ => kept.keep(response),
    };
    site.run(handler, |address| {
        let mut begun = Client::connect(address);
        begun.send("GET /begun HTTP/1.0\r\n\r\n");
        begun.end_sending();
        assert_eq!(begun.head().status, 200);
        for input in
            ["GET /wait HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100), "GET /wait HTTP/1.0\r\n\r\n".into()]
        {
            Client::connect(address).send(input);
        }
        let mut other = Client::connect(address);
        while other.ask("/connections").text() != "1" {}
        // What has begun is not taken for whole.
        assert!(begun.ends_with_a_reset());
    });
}

const HALF_A_BODY: &str = "POST /paused HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nhalf";

#[test]
fn a_reset_is_told_while_the_body_is_paused() {
    Site::new(ServerOptions::default()).run(app(Heard::default()), |address| {
        let mut client = Client::connect(address);
        client.get("/heard");
        client.send(HALF_A_BODY);
        until_heard(address, "1 0 0 0");
        client.reset();
        until_heard(address, "1 0 1 1");
    });
}

#[test]
fn an_end_behind_a_paused_body_is_told_and_ends_the_connection_in_time() {
    let chunked = "POST /paused HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    for request in [HALF_A_BODY, chunked] {
        Site::new(impatient()).run(app(Heard::default()), move |address| {
            let mut client = Client::connect(address);
            client.send(request);
            until_heard(address, "1 0 0 0");
            drop(client);
            until_heard(address, "1 1 1 1");
        });
    }
}

// Node takes a client that ended to have left, whatever is in the way
#[test]
fn a_paused_body_of_which_nothing_is_missing_does_not_keep_its_client() {
    for request in [
        "GET /paused HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /paused HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    ] {
        go_in_both_ways(request.into(), "1 0 0 0", "1 0 1 1");
    }
}

#[test]
fn what_was_due_before_a_broken_request_is_not_waited_for_without_a_limit() {
    Site::new(impatient()).run(app(Heard::default()), |address| {
        let mut client = Client::connect(address);
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n???");
        until_heard(address, "1 0 0 0");
        drop(client);
        until_heard(address, "1 0 1 0");
    });
}

#[test]
fn the_last_request_that_a_connection_may_carry_is_told_too() {
    let options = impatient().max_requests_per_socket(1);
    let request = "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n".to_owned();
    Site::new(options).run(app(Heard::default()), move |address| {
        let mut client = Client::connect(address);
        client.send(request);
        drop(client);
        until_heard(address, "1 0 1 0");
    });
}

// Node: `httpAllowHalfOpen`
#[test]
fn with_half_open_connections_an_end_is_told_and_the_answer_comes() {
    let heard = Heard::default();
    let kept = Kept::default();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/wait" => {
            response.set_handler(Telling(heard.clone()));
            kept.keep(response);
        }
        "/go" => {
            while let Some(waiting) = kept.take_oldest() {
                waiting.end(b"waited").expect("to end");
            }
            response.end(b"").expect("to end");
        }
        _ => {
            let text = format!("{} {}", heard.ends.get(), heard.closes.get());
            response.end(text.as_bytes()).expect("to end");
        }
    };
    let options = ServerOptions::default().allow_half_open(true);
    Site::new(options).run(handler, |address| {
        let (mut client, mut other) = (Client::connect(address), Client::connect(address));
        // More than are decoded at once: the end lies behind what is not read.
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100));
        client.end_sending();
        while other.ask("/").text() != "64 0" {}
        while other.ask("/").text() != "100 0" {
            other.ask("/go");
        }
        other.ask("/go");
        for _ in 0..100 {
            assert_eq!(client.answer().text(), "waited");
        }
        client.expect_end();
        // A reset is told as ever.
        let mut closed = Client::connect(address);
        closed.get("/");
        closed.get("/wait");
        closed.end_sending();
        while other.ask("/").text() != "101 0" {}
        closed.reset();
        while other.ask("/").text() != "101 1" {}
    });
}

/// Goes on with its body when it hears of the client's end, and answers with its length.
struct Resuming {
    response: Response,
    len: usize,
}

struct Waking(Body);

impl ResponseHandler for Waking {
    fn on_client_end(&mut self, _: &Response) {
        self.0.resume();
    }
}

impl BodyHandler for Resuming {
    fn on_data(&mut self, body: &Body, data: &[u8]) {
        if self.len == 0 {
            body.pause();
        }
        self.len += data.len();
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        self.response.end(self.len.to_string().as_bytes()).expect("to end");
    }
}

#[test]
fn a_body_that_is_there_to_its_end_can_still_be_taken_when_its_client_has_ended() {
    let handler = |request: &Request<'_>, response: Response| {
        let body = request.body();
        response.set_handler(Waking(body.clone()));
        body.set_handler(Resuming { response, len: 0 });
    };
    Site::new(ServerOptions::default()).run(handler, |address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
        client.send(vec![b'x'; 100_000]);
        client.end_sending();
        assert_eq!(client.answer().text(), "100000");
        client.expect_end();
    });
}

#[test]
fn a_paused_body_is_thrown_away_once_its_answer_is_complete() {
    let heard = Heard::default();
    let told = heard.clone();
    let bodies = Rc::new(RefCell::new(Vec::new()));
    let handler = move |request: &Request<'_>, response: Response| {
        let body = request.body();
        body.set_handler(Telling(told.clone()));
        body.pause();
        bodies.borrow_mut().push(body);
        response.end(request.path().as_bytes()).expect("to end");
    };
    Site::new(ServerOptions::default()).run(handler, |address| {
        let mut client = Client::connect(address);
        for path in ["/a", "/b", "/c"] {
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\nx"));
            assert_eq!(client.answer().text(), path);
            client.send(vec![b'x'; 199_999]);
        }
        assert_eq!(client.ask("/end").text(), "/end");
    });
    assert_eq!(heard.aborts.get(), 4);
}

// A record of an exchange is used again, by a request of another connection too.
#[test]
fn a_body_that_nobody_took_does_not_make_a_later_one_count_as_begun() {
    let heard = Heard::default();
    let told = heard.clone();
    let bodies = Rc::new(RefCell::new(Vec::new()));
    let handler = move |request: &Request<'_>, response: Response| {
        if request.path() == "/ignored" {
            let env = response.socket().environment().clone();
            env.set_timeout(std::time::Duration::from_millis(1), move || {
                response.end(b"late").expect("to end")
            });
            return;
        }
        let body = request.body();
        body.set_handler(Telling(told.clone()));
        body.pause();
        bodies.borrow_mut().push(body);
        response.end(b"early").expect("to end");
    };
    Site::new(ServerOptions::default()).run(handler, |address| {
        let mut client = Client::connect(address);
        client.send("POST /ignored HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
        assert_eq!(client.answer().text(), "late");
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
        assert_eq!(client.answer().text(), "early");
        assert_eq!(client.ask("/ignored").text(), "late");
    });
    assert_eq!(heard.aborts.get(), 1);
}

/// Takes the first piece of its body, and pauses.
struct Sipping(Heard);

impl BodyHandler for Sipping {
    fn on_data(&mut self, body: &Body, _: &[u8]) {
        body.pause();
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        panic!("its end does not come");
    }

    fn on_abort(&mut self, _: &Body) {
        self.0.aborts.add(1);
    }
}

// Node: the keep-alive timeout runs from the end of the answer
#[test]
fn a_body_that_stays_paused_behind_its_answer_ends_its_connection() {
    let heard = Heard::default();
    let told = heard.clone();
    let handler = move |request: &Request<'_>, response: Response| {
        let body = request.body();
        body.set_handler(Sipping(told.clone()));
        response.end(b"early").expect("to end");
    };
    let options = impatient().keep_alive_timeout(std::time::Duration::from_millis(10));
    Site::new(options).run(handler, |address| {
        let mut client = Client::connect(address);
        client.send(HALF_A_BODY);
        assert_eq!(client.answer().text(), "early");
        client.expect_end();
    });
    assert_eq!(heard.aborts.get(), 1);
}
