//! Requests that do not wait for the answers before them.

use crate::harness::{Client, Count, Kept, Log, Site, serve};
use http::upcall::ResponseHandler;
use http::{Error, Request, Response, ServerOptions};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

fn gets(paths: &[&str]) -> String {
    paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).collect()
}

// Node: test-http-many-ended-pipelines, test-http-get-pipeline-problem
#[test]
fn answers_leave_in_the_order_of_the_requests() {
    let kept = Kept::default();
    let handler = move |request: &Request<'_>, response: Response| {
        response.set_header("X-Path", request.path()).expect("to set");
        kept.keep(response);
        if request.path() == "/last" {
            // The newest first, in every form that an answer has.
            for form in 0.. {
                let Some(response) = kept.take_newest() else { break };
                match form % 3 {
                    0 => response.end(b"at once").expect("to end"),
                    1 => {
                        response.write(b"by ").expect("to write");
                        response.write(b"and by").expect("to write");
                        response.end(b"").expect("to end");
                    }
                    _ => drop(response.set_status(204).and_then(|response| response.end(b""))),
                }
            }
        }
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        let paths = ["/1", "/2", "/3", "/4", "/5", "/6", "/last"];
        client.send(gets(&paths));
        for path in paths {
            assert_eq!(client.answer().field("X-Path"), Some(path));
        }
    });
}

// Node: test-http-many-ended-pipelines
#[test]
fn an_answer_that_began_out_of_turn_goes_on_in_its_turn() {
    let kept = Kept::default();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/first" => kept.keep(response),
        "/second" => {
            response.write(b"before ").expect("to write");
            kept.keep(response);
        }
        _ => {
            let (first, second) = (kept.take_oldest().expect("one"), kept.take_oldest().expect("two"));
            first.end(b"first").expect("to end");
            second.write(b"after").expect("to write");
            second.end(b"").expect("to end");
            response.end(b"third").expect("to end");
        }
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send(gets(&["/first", "/second", "/third"]));
        assert_eq!(client.answer().text(), "first");
        assert_eq!(client.answer().text(), "before after");
        assert_eq!(client.answer().text(), "third");
    });
}

// RFC 9112, 9.6. The model found it.
#[test]
fn nothing_follows_a_response_that_closes_even_if_a_later_one_has_begun_and_is_given_up() {
    let kept = Kept::default();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/first" => kept.keep(response),
        "/second" => {
            response.write(b"second").expect("to write");
            kept.keep(response);
        }
        _ => {
            let first = kept.take_oldest().expect("the first");
            first.set_header("Connection", "close").expect("to set");
            first.end(b"first").expect("to end");
            let second = kept.take_oldest().expect("the second");
            assert!(matches!(second.write(b"more"), Err(Error::Closed)));
            drop(second);
            let early = response.write_information(103, &[("Link", "</a>")]);
            assert!(matches!(early, Err(Error::Closed)));
        }
    };
    serve(handler, move |address| {
        let mut client = Client::connect(address);
        client.send(gets(&["/first", "/second", "/third"]));
        assert_eq!(client.answer().text(), "first");
        client.expect_end();
    });
}

// Node: test-http-pipeline-flood
#[test]
fn requests_of_a_client_that_does_not_read_wait_undecoded() {
    const REQUESTS: usize = 3000;
    const BODY: usize = 8 * 1024;
    let count = Count::default();
    let counted = count.clone();
    let handler = move |request: &Request<'_>, response: Response| {
        if request.path() == "/count" {
            return response.end(counted.get().to_string().as_bytes()).expect("to end");
        }
        counted.add(1);
        response.end(&[b'x'; BODY]).expect("to end");
    };
    serve(handler, |address| {
        let mut flooder = Client::connect(address);
        flooder.send(gets(&["/"; 1]).repeat(REQUESTS));
        let mut asker = Client::connect(address);
        let mut handled = usize::MAX;
        let mut unchanged = 0;
        // Once the count stands still over many turns of the loop, so does the connection.
        while unchanged < 200 {
            let now = asker.ask("/count").text().parse().expect("a number");
            unchanged = if now == handled { unchanged + 1 } else { 0 };
            handled = now;
        }
        assert!(handled < REQUESTS, "{handled}");
        for _ in 0..REQUESTS {
            assert_eq!(flooder.answer().body.len(), BODY);
        }
    });
    assert_eq!(count.get(), REQUESTS);
}

/// Keeps the first response of each connection and ends all others at once; `/end` on another connection ends it.
fn keeping_the_first(count: Count, body: usize) -> impl FnMut(&Request<'_>, Response) {
    let kept = Kept::default();
    move |request: &Request<'_>, response: Response| match request.path() {
        "/wait" => kept.keep(response),
        "/count" => response.end(count.get().to_string().as_bytes()).expect("to end"),
        "/end" => {
            if let Some(waiting) = kept.take_oldest() {
                waiting.end(b"waited").expect("to end");
            }
            response.end(b"").expect("to end");
        }
        _ => {
            count.add(1);
            response.end(&vec![b'x'; body]).expect("to end");
        }
    }
}

fn wait_behind_one(address: SocketAddr, requests: usize, body: usize) -> usize {
    let (mut client, mut asker) = (Client::connect(address), Client::connect(address));
    client.send(gets(&["/wait"]) + &gets(&["/"]).repeat(requests));
    let mut handled = 0;
    while handled == 0 {
        handled = asker.ask("/count").text().parse().expect("a number");
    }
    asker.ask("/end");
    assert_eq!(client.answer().text(), "waited");
    for _ in 0..requests {
        assert_eq!(client.answer().body.len(), body);
    }
    assert_eq!(asker.ask("/count").text(), requests.to_string());
    handled
}

// Node: test-http-pipeline-flood
#[test]
fn so_many_answers_wait_for_one_and_no_more() {
    let handled =
        serve(keeping_the_first(Count::default(), 10), |address| wait_behind_one(address, 1000, 10));
    assert_eq!(handled, 63);
}

// `outgoingData >= highWaterMark`
#[test]
fn so_many_bytes_wait_for_one_answer_and_not_many_more() {
    let body = 48 * 1024;
    let handled =
        serve(keeping_the_first(Count::default(), body), move |address| wait_behind_one(address, 40, body));
    assert_eq!(handled, 2, "the second passes the mark of 64 KiB");
}

// Node: test-http-keep-alive-max-requests, test-http-keep-alive-pipeline-max-requests; RFC 9112, 9.6: what
// follows is ignored, where Node answers 503
#[test]
fn the_last_request_that_a_connection_may_carry_is_answered_with_close() {
    let log = Log::default();
    let seen = log.clone();
    let handler = move |request: &Request<'_>, response: Response| {
        seen.note(request.path());
        response.end(b"").expect("to end");
    };
    let options = ServerOptions::default().max_requests_per_socket(2);
    Site::new(options).run(handler, |address| {
        let mut client = Client::connect(address);
        client.send(gets(&["/1", "/2", "/3"]));
        assert!(!client.answer().closes());
        assert!(client.answer().closes());
        client.expect_end();
    });
    assert_eq!(log.joined(), "/1 /2");
}

// RFC 9112, 9.6
#[test]
fn nothing_is_handled_after_an_answer_that_says_close_has_begun() {
    let (log, kept) = (Log::default(), Kept::default());
    let seen = log.clone();
    let handler = move |request: &Request<'_>, response: Response| {
        seen.note(request.path());
        match request.path() {
            "/close" => {
                response.set_header("Connection", "close").expect("to set");
                response.write(b"closing").expect("to write");
                kept.keep(response);
            }
            _ => {
                kept.take_oldest().expect("one waits").end(b"").expect("to end");
                response.end(b"").expect("to end");
            }
        }
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send(gets(&["/close", "/ignored"]));
        let head = client.head();
        assert!(head.closes());
        assert_eq!(client.chunk(), b"closing");
        client.get("/ignored-too");
        assert_eq!(Client::connect(address).ask("/end").status, 200);
        assert_eq!(client.chunks(), b"");
        client.expect_end();
    });
    assert_eq!(log.joined(), "/close /end");
}

#[test]
fn an_answer_that_closes_leaves_those_behind_it_unanswered() {
    let (kept, log) = (Kept::default(), Log::default());
    struct Told(Log, &'static str);
    impl ResponseHandler for Told {
        fn on_finish(&mut self, _: &Response) {
            self.0.note(format!("{} finished", self.1));
        }
        fn on_close(&mut self, _: &Response) {
            self.0.note(format!("{} closed", self.1));
        }
    }
    let seen = log.clone();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/first" => {
            response.set_handler(Told(seen.clone(), "first"));
            kept.keep(response);
        }
        _ => {
            response.set_handler(Told(seen.clone(), "second"));
            let first = kept.take_oldest().expect("one waits");
            first.set_header("Connection", "close").and_then(|first| first.end(b"first")).expect("to end");
            assert!(response.end(b"never sent").is_err());
        }
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send(gets(&["/first", "/second"]));
        assert_eq!(client.answer().text(), "first");
        client.expect_end();
    });
    assert_eq!(log.joined(), "first finished second closed");
}

/// Writes until told to stop, each time that more is welcome.
struct Writer {
    left: usize,
    drains: Rc<Cell<usize>>,
}

impl Writer {
    fn write_on(&mut self, response: &Response) {
        while self.left > 0 {
            self.left -= 1;
            if !response.write(&[b'x'; 1024]).unwrap_or(false) {
                return;
            }
        }
        let _ = response.end(b"");
    }
}

impl ResponseHandler for Writer {
    fn on_drain(&mut self, response: &Response) {
        self.drains.set(self.drains.get() + 1);
        self.write_on(response);
    }
}

// Node: test-http-pipeline-socket-parser-typeerror
#[test]
fn a_writer_out_of_turn_is_held_and_told_to_go_on_in_its_turn() {
    let (kept, ready, drains) = (Kept::default(), Cell::new(false), Rc::new(Cell::new(0)));
    let told = Rc::clone(&drains);
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/wait" => kept.keep(response),
        "/write" => {
            let mut writer = Writer { left: 1000, drains: Rc::clone(&told) };
            writer.write_on(&response);
            assert!(writer.left > 900 && !response.is_ended(), "it is held");
            response.set_handler(writer);
            ready.set(true);
        }
        _ if ready.get() => {
            kept.take_oldest().expect("one waits").end(b"").expect("to end");
            response.end(b"").expect("to end");
        }
        _ => response.set_status(503).and_then(|response| response.end(b"")).expect("to end"),
    };
    serve(handler, |address| {
        let (mut client, mut other) = (Client::connect(address), Client::connect(address));
        client.send(gets(&["/wait", "/write"]));
        while other.ask("/go").status != 200 {}
        assert_eq!(client.answer().status, 200);
        assert_eq!(client.answer().body.len(), 1000 * 1024);
    });
    assert!(drains.get() > 0);
}

struct Finishes {
    log: Log,
    name: &'static str,
}

impl ResponseHandler for Finishes {
    fn on_drain(&mut self, response: &Response) {
        response.end(b"").expect("to end");
    }

    fn on_finish(&mut self, _: &Response) {
        self.log.note(self.name);
    }
}

#[test]
fn responses_finish_in_the_order_of_their_requests_also_behind_one_that_its_handler_ends() {
    let log = Log::default();
    let seen = log.clone();
    let handler = move |request: &Request<'_>, response: Response| {
        let is_first = request.path() == "/1";
        let name = if is_first { "first" } else { "second" };
        response.set_handler(Finishes { log: seen.clone(), name });
        if is_first {
            response.yield_now();
        } else {
            response.end(b"").expect("to end");
        }
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send(gets(&["/1", "/2"]));
        client.answer();
        client.answer();
    });
    assert_eq!(log.joined(), "first second");
}

/// Writes the answer when more is welcome.
struct AtDrain;

impl ResponseHandler for AtDrain {
    fn on_drain(&mut self, response: &Response) {
        response.end(b"second").expect("to end");
    }
}

#[test]
fn a_drain_that_was_asked_for_out_of_turn_comes_in_its_turn() {
    let kept = Kept::default();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/first" => kept.keep(response),
        "/second" => {
            response.set_handler(AtDrain);
            response.yield_now();
        }
        _ => {
            let first = kept.take_oldest();
            response.end(if first.is_some() { b"ended" } else { b"early" }).expect("to end");
            first.into_iter().for_each(|first| first.end(b"first").expect("to end"));
        }
    };
    serve(handler, |address| {
        let (mut client, mut asker) = (Client::connect(address), Client::connect(address));
        client.send(gets(&["/first", "/second"]));
        loop {
            asker.get("/end-first");
            if asker.answer().text() == "ended" {
                break;
            }
        }
        assert_eq!(client.answer().text(), "first");
        assert_eq!(client.answer().text(), "second");
    });
}
