//! What handlers are told, in which order, and that each is told once.

use crate::harness::{Client, Kept, Log, Site, serve};
use async_wrap::{AsyncHook, AsyncId, Provider};
use http::proto::Fields;
use http::upcall::{BodyHandler, ResponseHandler};
use http::{Body, Request, Response, ServerOptions};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

struct Told {
    log: Log,
    name: &'static str,
}

impl ResponseHandler for Told {
    fn on_drain(&mut self, _: &Response) {
        self.log.note(format!("{}:drain", self.name));
    }

    fn on_finish(&mut self, _: &Response) {
        self.log.note(format!("{}:finish", self.name));
    }

    fn on_close(&mut self, _: &Response) {
        self.log.note(format!("{}:close", self.name));
    }
}

impl BodyHandler for Told {
    fn on_data(&mut self, _: &Body, data: &[u8]) {
        self.log.note(format!("{}:data{}", self.name, data.len()));
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        self.log.note(format!("{}:end", self.name));
    }

    fn on_abort(&mut self, _: &Body) {
        self.log.note(format!("{}:abort", self.name));
    }
}

// Node: test-http-response-close, test-http-outgoing-finish
#[test]
fn a_response_that_ends_finishes_and_does_not_close() {
    let log = Log::default();
    let seen = log.clone();
    let handler = move |_: &Request<'_>, response: Response| {
        response.set_handler(Told { log: seen.clone(), name: "r" });
        response.end(b"").expect("to end");
        // Never from within the call.
        seen.note("returned");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.ask("/");
        client.ask("/");
    });
    assert_eq!(log.joined(), "returned r:finish returned r:finish");
}

// Node: test-http-req-res-close; Node: test-http-aborted, test-http-abort-client; Node:
// test-http-incoming-pipelined-socket-destroy
#[test]
fn a_client_that_leaves_closes_every_response_and_aborts_the_body_once() {
    let (log, kept) = (Log::default(), Kept::default());
    let seen = log.clone();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/1" | "/2" => {
            let name = if request.path() == "/1" { "1" } else { "2" };
            response.set_handler(Told { log: seen.clone(), name });
            request.body().set_handler(Told { log: seen.clone(), name });
            kept.keep(response);
        }
        // Both are dropped when the client has closed.
        _ => response.end(seen.joined().as_bytes()).expect("to end"),
    };
    let last = serve(handler, |address| {
        let (mut leaver, mut other) = (Client::connect(address), Client::connect(address));
        leaver.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
        leaver.send("POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhello");
        while other.ask("/").text() != "1:end 2:data5" {}
        drop(leaver);
        loop {
            let text = other.ask("/").text().to_owned();
            if text.contains("close") {
                break text;
            }
        }
    });
    // The client's end comes in the middle of a message, which ends that one at once; the other with the connection.
    assert!(last.starts_with("1:end 2:data5 "));
    for told in ["1:close", "2:abort", "2:close"] {
        assert_eq!(log.joined().matches(told).count(), 1, "{}", log.joined());
    }
    assert!(!log.joined().contains("finish"));
}

// 'aborted' and 'close' of a request that turned out broken
#[test]
fn a_fault_in_the_body_closes_the_response_and_aborts_the_body() {
    let log = Log::default();
    let (seen, kept) = (log.clone(), Kept::default());
    let handler = move |request: &Request<'_>, response: Response| {
        response.set_handler(Told { log: seen.clone(), name: "response" });
        request.body().set_handler(Told { log: seen.clone(), name: "body" });
        kept.keep(response);
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n?");
        assert_eq!(client.answer().status, 400);
        client.expect_end();
    });
    assert_eq!(log.joined(), "body:data1 response:close body:abort");
}

#[test]
fn an_answer_that_closes_aborts_the_body() {
    let log = Log::default();
    let seen = log.clone();
    let handler = move |request: &Request<'_>, response: Response| {
        response.set_handler(Told { log: seen.clone(), name: "response" });
        request.body().set_handler(Told { log: seen.clone(), name: "body" });
        response.set_header("Connection", "close").and_then(|response| response.end(b"")).expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhello");
        assert!(client.answer().closes());
        client.expect_end();
        client.try_send("more");
    });
    // What came with the head was still taken.
    assert_eq!(log.joined(), "body:data5 response:finish body:abort");
}

#[test]
fn destroying_a_response_breaks_the_connection() {
    let log = Log::default();
    let seen = log.clone();
    let handler = move |_: &Request<'_>, response: Response| {
        response.set_handler(Told { log: seen.clone(), name: "r" });
        response.destroy();
        assert_eq!(response.end(b"late"), Err(http::Error::Closed));
        seen.note("returned");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.get("/");
        client.expect_end();
    });
    assert_eq!(log.joined(), "returned r:close");
}

#[test]
fn a_yield_is_followed_by_a_drain_from_the_loop() {
    struct Steps(usize, Log);
    impl ResponseHandler for Steps {
        fn on_drain(&mut self, response: &Response) {
            self.1.note("drain");
            self.0 += 1;
            if self.0 == 3 {
                return response.end(b".").expect("to end");
            }
            // A write in between takes nothing back.
            response.yield_now();
            response.write(b".").expect("to write");
        }
        fn on_finish(&mut self, _: &Response) {
            self.1.note("finish");
        }
    }
    let log = Log::default();
    let seen = log.clone();
    let handler = move |_: &Request<'_>, response: Response| {
        response.set_handler(Steps(0, seen.clone()));
        response.yield_now();
        seen.note("returned");
    };
    let answer = serve(handler, |address| Client::connect(address).ask("/"));
    assert_eq!(answer.text(), "...");
    assert_eq!(log.joined(), "returned drain drain drain finish");
}

#[test]
fn a_handler_can_be_replaced_also_during_its_own_call() {
    struct First(Log);
    impl ResponseHandler for First {
        fn on_drain(&mut self, response: &Response) {
            self.0.note("first:drain");
            response.set_handler(Told { log: self.0.clone(), name: "second" });
            response.end(b"").expect("to end");
        }
        fn on_finish(&mut self, _: &Response) {
            self.0.note("first:finish");
        }
    }
    let log = Log::default();
    let seen = log.clone();
    let handler = move |_: &Request<'_>, response: Response| {
        response.set_handler(First(seen.clone()));
        response.yield_now();
    };
    serve(handler, |address| Client::connect(address).ask("/"));
    assert_eq!(log.joined(), "first:drain second:finish");
}

#[test]
fn a_response_that_its_own_handler_drops_in_the_middle_closes_and_does_not_finish() {
    struct Forgetful(Option<Response>, Told);
    impl ResponseHandler for Forgetful {
        fn on_drain(&mut self, _: &Response) {
            drop(self.0.take());
        }
        fn on_finish(&mut self, response: &Response) {
            self.1.on_finish(response);
        }
        fn on_close(&mut self, response: &Response) {
            self.1.on_close(response);
        }
    }
    let log = Log::default();
    let seen = log.clone();
    let handler = move |_: &Request<'_>, response: Response| {
        response.write(b"begun").expect("to write");
        response.yield_now();
        let told = Told { log: seen.clone(), name: "r" };
        response.set_handler(Forgetful(Some(response.clone()), told));
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.get("/");
        client.rest();
    });
    assert_eq!(log.joined(), "r:close");
}

#[test]
fn a_response_whose_handler_waits_for_a_drain_is_lost_only_if_that_does_not_go_on() {
    let log = Log::default();
    let seen = log.clone();
    let handler = move |_: &Request<'_>, response: Response| {
        response.set_handler(Told { log: seen.clone(), name: "r" });
        response.yield_now();
    };
    let answer = serve(handler, |address| Client::connect(address).ask("/"));
    assert_eq!(answer.status, 500);
    assert_eq!(log.joined(), "r:drain r:finish");
}

/// Counts how often each request's context was made, entered, left and destroyed.
#[derive(Default)]
struct Contexts(Rc<RefCell<HashMap<AsyncId, [usize; 4]>>>);

impl Contexts {
    fn count(&self, id: AsyncId, what: usize) {
        if let Some(counts) = self.0.borrow_mut().get_mut(&id) {
            counts[what] += 1;
        }
    }
}

impl AsyncHook for Contexts {
    fn on_init(&mut self, id: AsyncId, provider: Provider, _: AsyncId) {
        if provider == Provider::HttpIncomingMessage {
            self.0.borrow_mut().insert(id, [1, 0, 0, 0]);
        }
    }

    fn on_before(&mut self, id: AsyncId) {
        self.count(id, 1);
    }

    fn on_after(&mut self, id: AsyncId) {
        self.count(id, 2);
    }

    fn on_destroy(&mut self, id: AsyncId) {
        self.count(id, 3);
    }
}

// Node: HTTPINCOMINGMESSAGE, test-async-wrap / test-httpparser.request
#[test]
fn every_request_is_an_async_resource_and_is_destroyed() {
    let site = Site::new(ServerOptions::default());
    let contexts = Rc::new(RefCell::new(HashMap::new()));
    let hook = site.env.hook(Contexts(Rc::clone(&contexts)));
    hook.enable();
    let kept = Kept::default();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/left" => kept.keep(response),
        _ => response.end(b"").expect("to end"),
    };
    site.run(handler, |address| {
        let mut client = Client::connect(address);
        client.ask("/1");
        client.send("GET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
        client.answer();
        client.answer();
        client.get("/left");
        client.send("GET /behind HTTP/1.1\r\nHost: h\r\n\r\n???");
        // The error is answered behind two others, of which one never comes.
        Client::connect(address).ask("/4");
    });
    let contexts = contexts.borrow();
    assert_eq!(contexts.len(), 6);
    for (id, [init, before, after, destroy]) in &*contexts {
        assert_eq!((init, destroy), (&1, &1), "{id:?}");
        assert!(before == after && *before >= 1, "{id:?}");
    }
}
