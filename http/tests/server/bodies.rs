//! Bodies of requests: which handlers get them, when they wait, and what becomes of those without a handler.

use crate::harness::{Client, Count, Kept, Log, serve};
use http::proto::Fields;
use http::upcall::BodyHandler;
use http::{Body, Request, Response};
use std::cell::RefCell;
use std::rc::Rc;

/// Notes what comes.
struct Noting {
    log: Log,
    response: Option<Response>,
}

impl BodyHandler for Noting {
    fn on_data(&mut self, _: &Body, data: &[u8]) {
        self.log.note(String::from_utf8_lossy(data));
    }

    fn on_end(&mut self, _: &Body, trailers: &Fields<'_>) {
        self.log.note(format!("end{}", trailers.len()));
        if let Some(response) = self.response.take() {
            response.end(self.log.joined().as_bytes()).expect("to end");
        }
    }

    fn on_abort(&mut self, _: &Body) {
        self.log.note("abort");
    }
}

const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\n";

#[test]
fn a_body_comes_as_it_is_sent_and_then_its_end() {
    let handler = |request: &Request<'_>, response: Response| {
        request.body().set_handler(Noting { log: Log::default(), response: Some(response) });
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send(format!("{POST}Content-Length: 5\r\n\r\nhello"));
        assert_eq!(client.answer().text(), "hello end0");
        client.send(format!(
            "{POST}Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-A: b\r\n\r\n"
        ));
        assert_eq!(client.answer().text(), "he llo end1");
        // A request without a body has an end as well.
        assert_eq!(client.ask("/").text(), "end0");
        client.send(format!("{POST}Content-Length: 0\r\n\r\n"));
        assert_eq!(client.answer().text(), "end0");
    });
}

// Node: test-http-dump-req-when-res-ends, test-http-no-read-no-dump
#[test]
fn a_body_that_nobody_takes_is_thrown_away() {
    let handler = |request: &Request<'_>, response: Response| {
        if request.path() == "/paused" {
            // No handler can be set once the response is written.
            request.body().pause();
        }
        response.end(request.path().as_bytes()).expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        for path in ["/a", "/paused", "/b"] {
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n"));
            assert_eq!(client.answer().text(), path);
            client.send(vec![b'x'; 200_000]);
        }
        assert_eq!(client.ask("/end").text(), "/end");
    });
}

// Node: `resOnFinish` dumps only what was not consumed
#[test]
fn a_body_goes_to_its_handler_also_after_the_answer() {
    let log = Log::default();
    let seen = log.clone();
    let handler = move |request: &Request<'_>, response: Response| {
        request.body().set_handler(Noting { log: seen.clone(), response: None });
        response.end(b"early").expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send(format!("{POST}Content-Length: 4\r\n\r\n"));
        assert_eq!(client.answer().text(), "early");
        client.send("ab");
        // The answer proves that the first part was read before the second is sent.
        assert_eq!(Client::connect(address).ask("/").text(), "early");
        client.send(format!("cd{POST}Content-Length: 1\r\n\r\ne"));
        assert_eq!(client.answer().text(), "early");
    });
    assert_eq!(log.joined().replace("end0 ", "").replace(' ', ""), "abcdeend0");
}

/// Pauses at each piece; the holder of the handle resumes.
struct Pausing {
    body: Body,
    log: Log,
    response: Response,
}

impl BodyHandler for Pausing {
    fn on_data(&mut self, _: &Body, data: &[u8]) {
        self.log.note(format!("{}", data.len()));
        self.body.pause();
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        self.response.end(b"all").expect("to end");
    }
}

// Node: test-http-pause, test-http-pause-resume-one-end
#[test]
fn a_paused_body_stands_still_and_goes_on_with_its_end() {
    let (seen, paused) = (Log::default(), Rc::new(RefCell::new(None::<Body>)));
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/" => {
            let body = request.body();
            *paused.borrow_mut() = Some(body.clone());
            body.set_handler(Pausing { body: body.clone(), log: seen.clone(), response });
        }
        "/resume" => {
            if let Some(body) = &*paused.borrow() {
                body.resume();
            }
            response.end(b"").expect("to end");
        }
        _ => response.end(seen.all().len().to_string().as_bytes()).expect("to end"),
    };
    serve(handler, |address| {
        let (mut client, mut other) = (Client::connect(address), Client::connect(address));
        // The end of the body has come too, and waits all the same, and so does the request behind it.
        client.send(format!("{POST}Content-Length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\nHost: h\r\n\r\n"));
        while other.ask("/pieces").text() != "1" {}
        other.ask("/resume");
        assert_eq!(client.answer().text(), "all");
        assert_eq!(client.answer().text(), "1");
        // The last piece is all of the input.
        client.send(format!("{POST}Content-Length: 5\r\n\r\nhello"));
        while other.ask("/pieces").text() != "2" {}
        other.ask("/resume");
        assert_eq!(client.answer().text(), "all");
    });
}

// Node: test-http-pause
#[test]
fn a_paused_body_is_not_read_without_bound() {
    let (total, paused) = (Count::default(), Rc::new(RefCell::new(None::<Body>)));
    struct Counting(Body, Count, Response);
    impl BodyHandler for Counting {
        fn on_data(&mut self, _: &Body, data: &[u8]) {
            self.1.add(data.len());
            self.0.pause();
        }
        fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
            self.2.end(b"all").expect("to end");
        }
    }
    let counted = total.clone();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/" => {
            let body = request.body();
            *paused.borrow_mut() = Some(body.clone());
            body.set_handler(Counting(body.clone(), counted.clone(), response));
        }
        path => {
            if path == "/resume" {
                paused.borrow().iter().for_each(Body::resume);
            }
            response.end(counted.get().to_string().as_bytes()).expect("to end");
        }
    };
    const SIZE: usize = 20_000_000;
    serve(handler, |address| {
        let (mut client, mut other) = (Client::connect(address), Client::connect(address));
        client.send(format!("{POST}Content-Length: {SIZE}\r\n\r\n"));
        let sender = std::thread::spawn(move || {
            client.send(vec![b'x'; SIZE]);
            client.answer().text().to_owned()
        });
        while other.ask("/count").text() == "0" {}
        for _ in 0..50 {
            let read: usize = other.ask("/count").text().parse().expect("a number");
            assert!(read <= 64 * 1024, "one read of the loop, and then a pause: {read}");
        }
        while !sender.is_finished() {
            other.ask("/resume");
        }
        assert_eq!(sender.join().expect("no panic"), "all");
    });
    assert_eq!(total.get(), SIZE);
}

// Node: test-http-expect-continue
#[test]
fn a_waiting_client_is_told_to_go_on() {
    let handler = |request: &Request<'_>, response: Response| {
        request.body().set_handler(Noting { log: Log::default(), response: Some(response) });
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send(format!("{POST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
        assert_eq!(client.head().status, 100);
        client.send("hi");
        assert_eq!(client.answer().text(), "hi end0");
        // A client that did not wait is not told.
        client.send(format!("{POST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"));
        assert_eq!(client.answer().text(), "hi end0");
        // HTTP/1.0 knows no 100.
        client.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(client.answer().text(), "hi end0");
    });
}

// Node: test-http-expect-continue; RFC 9110, 10.1.1
#[test]
fn a_waiting_client_that_is_refused_is_disconnected() {
    let handler = |_: &Request<'_>, response: Response| {
        response.set_status(413).and_then(|response| response.end(b"")).expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send(format!("{POST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(answer.status, 413);
        assert!(answer.closes());
        client.expect_end();
    });
}

#[test]
fn a_handler_may_send_the_100_itself_and_out_of_turn() {
    let kept = Kept::default();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/wait" => kept.keep(response),
        _ => {
            response.write_information(100, &[]).expect("to send");
            request.body().set_handler(Noting { log: Log::default(), response: Some(response) });
            kept.take_oldest().expect("one waits").end(b"waited").expect("to end");
        }
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send(format!("{POST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
        assert_eq!(client.answer().text(), "waited");
        assert_eq!(client.head().status, 100);
        client.send("hi");
        assert_eq!(client.answer().text(), "hi end0");
    });
}

// Node: test-http-expect-handling
#[test]
fn another_expectation_is_refused_without_a_call() {
    let handler = |_: &Request<'_>, response: Response| response.end(b"called").expect("to end");
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send(format!("{POST}Expect: miracles\r\nContent-Length: 2\r\n\r\nhi"));
        assert_eq!(client.answer().status, 417);
        assert_eq!(client.ask("/").text(), "called");
    });
}

// The second head equals the first, so the server knows what it means; that it asks for something remains.
#[test]
fn an_expectation_that_is_repeated_is_refused_again() {
    let handler = |_: &Request<'_>, response: Response| response.end(b"called").expect("to end");
    serve(handler, |address| {
        let mut client = Client::connect(address);
        for _ in 0..3 {
            client.send("GET / HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\n\r\n");
            assert_eq!(client.answer().status, 417);
        }
        assert_eq!(client.ask("/").text(), "called");
    });
}
