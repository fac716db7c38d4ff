//! Bodies that are claimed later than in `on_request`: from a task or a timer, or never.

use crate::harness::{Client, Count, Log, Site, serve};
use http::proto::Fields;
use http::upcall::BodyHandler;
use http::{Body, Request, Response, ServerOptions};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Answers with how much came.
struct Counting {
    response: Option<Response>,
    len: usize,
    aborts: Count,
}

impl BodyHandler for Counting {
    fn on_data(&mut self, _: &Body, data: &[u8]) {
        self.len += data.len();
    }

    fn on_end(&mut self, _: &Body, trailers: &Fields<'_>) {
        if let Some(response) = self.response.take() {
            response.end(format!("{} {}", self.len, trailers.len()).as_bytes()).expect("to end");
        }
    }

    fn on_abort(&mut self, _: &Body) {
        self.aborts.add(1);
    }
}

fn counting(response: Response) -> Counting {
    Counting { response: Some(response), len: 0, aborts: Count::default() }
}

/// Claims every body in a task, or 5 ms later for `/timer`.
fn claiming_later() -> impl FnMut(&Request<'_>, Response) {
    |request: &Request<'_>, response: Response| {
        let (body, env) = (request.body(), response.socket().environment().clone());
        if request.path() == "/timer" {
            env.set_timeout(Duration::from_millis(5), move || body.set_handler(counting(response)));
        } else {
            env.spawn_local(async move { body.set_handler(counting(response)) });
        }
    }
}

// Node: an 'data' listener that is added later gets all of the body
#[test]
fn a_body_that_is_claimed_in_a_task_or_a_timer_comes_whole() {
    serve(claiming_later(), |address| {
        let mut client = Client::connect(address);
        for path in ["/task", "/timer"] {
            for len in [0, 1, 100, 5_000_000] {
                client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n"));
                client.send(vec![b'x'; len]);
                assert_eq!(client.answer().text(), format!("{len} 0"));
            }
            client.send(format!(
                "POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n"
            ));
            assert_eq!(client.answer().text(), "2 1");
            // A request without a body has an end as well, and what is pipelined behind it waits.
            client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").repeat(3));
            for _ in 0..3 {
                assert_eq!(client.answer().text(), "0 0");
            }
        }
    });
}

// Node: test-http-expect-continue
#[test]
fn a_client_that_waits_is_told_to_go_on_when_its_body_is_claimed() {
    serve(claiming_later(), |address| {
        for path in ["/task", "/timer"] {
            let mut client = Client::connect(address);
            client.send(format!(
                "POST {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
            ));
            assert_eq!(client.head().status, 100);
            client.send("hi");
            assert_eq!(client.answer().text(), "2 0");
        }
    });
}

#[test]
fn a_client_that_waits_is_spared_its_body_if_that_is_refused_before_it_is_claimed() {
    let handler = |request: &Request<'_>, response: Response| {
        let (body, env) = (request.body(), response.socket().environment().clone());
        env.spawn_local(async move {
            response.set_status(401).and_then(|response| response.end(b"")).expect("to end");
            drop(body);
        });
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        assert_eq!(client.answer().status, 401);
        client.expect_end();
    });
}

#[test]
fn a_held_body_stands_still_until_its_last_handle_is_dropped_and_is_thrown_away_then() {
    let held = Rc::new(RefCell::new(Vec::<(Body, Body, Response)>::new()));
    let log = Log::default();
    let seen = log.clone();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/held" => {
            seen.note("held");
            held.borrow_mut().push((request.body(), request.body(), response));
        }
        "/release" => {
            for (first, second, waiting) in held.borrow_mut().drain(..) {
                // A paused body is released as well.
                second.pause();
                drop((first.clone(), first));
                drop(second);
                waiting.end(b"released").expect("to end");
            }
            response.end(b"").expect("to end");
        }
        _ => response.end(seen.all().len().to_string().as_bytes()).expect("to end"),
    };
    serve(handler, |address| {
        let (mut client, mut other) = (Client::connect(address), Client::connect(address));
        client.send("POST /held HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n");
        client.send(vec![b'x'; 200_000]);
        client.get("/behind");
        while other.ask("/").text() != "1" {}
        other.ask("/release");
        assert_eq!(client.answer().text(), "released");
        assert_eq!(client.answer().text(), "1");
    });
    assert_eq!(log.joined(), "held");
}

// Node: `resume` without a listener throws the body away
#[test]
fn a_held_body_that_is_resumed_and_not_claimed_is_thrown_away() {
    let held = Rc::new(RefCell::new(None::<Body>));
    let handler = move |request: &Request<'_>, response: Response| {
        let body = request.body();
        body.resume();
        *held.borrow_mut() = Some(body);
        response.socket().environment().clone().set_timeout(Duration::from_millis(1), move || {
            response.end(b"done").expect("to end");
        });
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n");
        client.send(vec![b'x'; 200_000]);
        assert_eq!(client.answer().text(), "done");
        assert_eq!(client.ask("/").text(), "done");
    });
}

#[test]
fn a_claim_that_comes_when_the_connection_is_gone_hears_of_it() {
    let aborts = Count::default();
    let told = aborts.clone();
    let held = Rc::new(RefCell::new(Vec::<(Body, Response)>::new()));
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/held" => held.borrow_mut().push((request.body(), response)),
        "/claim" => {
            for (body, waiting) in held.borrow_mut().drain(..) {
                assert!(waiting.is_ended());
                body.set_handler(Counting { response: None, len: 0, aborts: told.clone() });
            }
            response.end(b"").expect("to end");
        }
        _ => {
            let destroyed = held.borrow().iter().all(|(_, waiting)| waiting.socket().is_destroyed());
            let text = format!("{} {destroyed} {}", held.borrow().len(), told.get());
            response.end(text.as_bytes()).expect("to end");
        }
    };
    Site::new(ServerOptions::default()).run(handler, |address| {
        let mut client = Client::connect(address);
        let mut other = Client::connect(address);
        client.get("/");
        client.send("POST /held HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx");
        while !other.ask("/").text().starts_with('1') {}
        client.reset();
        while other.ask("/").text() != "1 true 0" {}
        other.ask("/claim");
        while other.ask("/").text() != "0 true 1" {}
    });
    assert_eq!(aborts.get(), 1);
}

#[test]
fn a_claim_that_comes_behind_the_answer_and_all_of_the_body_hears_of_it() {
    let aborts = Count::default();
    let told = aborts.clone();
    let held = Rc::new(RefCell::new(Vec::<Body>::new()));
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/early" => {
            held.borrow_mut().push(request.body());
            response.end(b"early").expect("to end");
        }
        "/claim" => {
            for body in held.borrow_mut().drain(..) {
                body.set_handler(Counting { response: None, len: 0, aborts: told.clone() });
                body.pause();
                body.resume();
            }
            response.end(b"").expect("to end");
        }
        _ => response.end(told.get().to_string().as_bytes()).expect("to end"),
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        for len in [0, 1, 200_000] {
            client.send(format!("POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n"));
            client.send(vec![b'x'; len]);
            assert_eq!(client.answer().text(), "early");
        }
        // What is answered here is behind the bodies.
        client.ask("/claim");
        assert_eq!(client.ask("/").text(), "3");
    });
    assert_eq!(aborts.get(), 3);
}

// Node: pause() on a message that was dumped behind its answer stops nothing
#[test]
fn to_pause_a_body_that_is_thrown_away_behind_its_answer_does_not_stop_the_connection() {
    let handler = |request: &Request<'_>, response: Response| {
        let body = request.body();
        response.end(request.target.as_bytes()).expect("to end");
        body.pause();
    };
    let site = Site::new(ServerOptions::default().keep_alive_timeout(Duration::ZERO));
    site.run(handler, |address| {
        let mut client = Client::connect(address);
        client.send("POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
        assert_eq!(client.answer().text(), "/1");
        client.send("cd");
        client.get("/2");
        assert_eq!(client.answer().text(), "/2");
    });
}
