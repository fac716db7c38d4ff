//! Handlers that panic: the loop stays usable, their connection is answered or closed, and others do not notice.

use crate::harness::{Client, Site};
use async_wrap::{AsyncHook, AsyncId, Provider};
use http::proto::{Fields, ParseError};
use http::upcall::{BodyHandler, RequestHandler, ResponseHandler};
use http::{Body, Request, Response, ServerOptions};
use net::Socket;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::thread;
use std::time::Duration;
use uv_core::{Async, RunMode};

/// What a panic that is meant says.
const OWN: &str = "the handler's own";

/// Panics where the path says.
struct Panicking {
    kept: Rc<RefCell<Vec<Response>>>,
}

struct Bomb {
    at: String,
    response: Option<Response>,
}

impl Bomb {
    fn maybe(&self, at: &str) {
        if self.at == at {
            fail();
        }
    }
}

impl BodyHandler for Bomb {
    fn on_data(&mut self, _: &Body, _: &[u8]) {
        self.maybe("/data");
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        self.maybe("/end");
        self.maybe("/end-kept");
        self.maybe("/end-answered");
    }

    fn on_abort(&mut self, _: &Body) {
        self.maybe("/abort");
    }
}

impl ResponseHandler for Bomb {
    fn on_drain(&mut self, _: &Response) {
        self.maybe("/drain");
        if let Some(response) = self.response.take() {
            response.end(b"drained").expect("to end");
        }
    }

    fn on_finish(&mut self, _: &Response) {
        self.maybe("/finish");
    }

    fn on_close(&mut self, _: &Response) {
        self.maybe("/close");
    }
}

impl RequestHandler for Panicking {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        let path = request.path().to_owned();
        match &*path {
            "/request" => fail(),
            "/request-kept" => {
                self.kept.borrow_mut().push(response);
                fail();
            }
            "/request-begun" => {
                response.write(b"begun").expect("to write");
                fail();
            }
            "/request-ended" => {
                response.end(b"ended").expect("to end");
                fail();
            }
            "/data" | "/end" => {
                request.body().set_handler(Bomb { at: path, response: Some(response) });
            }
            "/end-kept" => {
                self.kept.borrow_mut().push(response);
                request.body().set_handler(Bomb { at: path, response: None });
            }
            "/end-answered" => {
                request.body().set_handler(Bomb { at: path, response: None });
                response.end(b"answered").expect("to end");
            }
            "/finish-paused" => {
                let body = request.body();
                body.pause();
                response.set_handler(Bomb { at: "/finish".to_owned(), response: None });
                let env = response.socket().environment().clone();
                env.set_timeout(Duration::from_millis(5), move || {
                    response.end(b"paused").expect("to end");
                    drop(body);
                });
            }
            "/drain" | "/finish" => {
                response.set_handler(Bomb { at: path, response: Some(response.clone()) });
                response.yield_now();
            }
            "/close" => {
                response.set_handler(Bomb { at: path, response: None });
                self.kept.borrow_mut().push(response);
            }
            "/destroy" => response.destroy(),
            _ => response.end(b"hello").expect("to end"),
        }
    }

    fn accepts_upgrade(&mut self, request: &Request<'_>) -> bool {
        if request.path() == "/accepts" {
            fail();
        }
        true
    }

    fn on_upgrade(&mut self, _: &Request<'_>, _: Socket, _: &[u8]) {
        fail();
    }

    fn on_client_error(&mut self, _: ParseError, _: &Socket) {
        fail();
    }
}

/// Panics with [`OWN`], and without a word in the test's output.
fn fail() -> ! {
    resume_unwind(Box::new(OWN))
}

/// Counts the contexts of requests that were made, and those that were destroyed.
struct Contexts(Rc<Cell<[usize; 2]>>, HashSet<AsyncId>);

impl AsyncHook for Contexts {
    fn on_init(&mut self, id: AsyncId, provider: Provider, _: AsyncId) {
        if provider == Provider::HttpIncomingMessage {
            self.1.insert(id);
            let [made, destroyed] = self.0.get();
            self.0.set([made + 1, destroyed]);
        }
    }

    fn on_destroy(&mut self, id: AsyncId) {
        if self.1.remove(&id) {
            let [made, destroyed] = self.0.get();
            self.0.set([made, destroyed + 1]);
        }
    }
}

/// Runs a loop through panics until the client is done. Returns how many there were.
fn survive(client: impl FnOnce(std::net::SocketAddr) + Send + 'static) -> usize {
    let site = Site::new(ServerOptions::default());
    let contexts = Rc::new(Cell::new([0; 2]));
    site.env.hook(Contexts(Rc::clone(&contexts), HashSet::new())).enable();
    let address = site.listen(Panicking { kept: Rc::default() });
    let server = site.server.clone();
    let stop = Async::new(&site.event_loop, move |stop: &Async| {
        server.close().expect("to close");
        server.close_all_connections();
        stop.close();
    });
    let sender = stop.sender();
    let client = thread::spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(|| client(address)));
        sender.send();
        result
    });
    let mut panics = 0;
    while let Err(panic) = catch_unwind(AssertUnwindSafe(|| site.env.run(RunMode::Default))) {
        assert_eq!(panic.downcast_ref::<&str>(), Some(&OWN));
        panics += 1;
    }
    if let Err(panic) = client.join().expect("caught") {
        resume_unwind(panic);
    }
    assert_eq!(site.server.connections(), 0);
    let [made, destroyed] = contexts.get();
    assert_eq!(made, destroyed, "every request's context ends");
    panics
}

// Laws 2 and 7
#[test]
fn a_panic_ends_at_most_its_connection() {
    let panics = survive(|address| {
        let mut other = Client::connect(address);
        other.send("GET / HT");
        // What a client sends, what it gets, and whether the answer is whole.
        let post = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
        let offer = |path: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        };
        let cases = [
            (post("/request"), "500"),
            (post("/request-kept"), "500"),
            (post("/request-begun"), "begun"),
            (post("/request-ended"), "ended"),
            (post("/data"), "500"),
            (post("/end"), "500"),
            (post("/end-kept"), "500"),
            (post("/end-answered"), "answered"),
            (post("/drain"), "500"),
            (offer("/accepts"), "500"),
            (offer("/upgrade"), ""),
            ("\0".to_owned(), "400"),
        ];
        for (request, expected) in cases {
            let mut client = Client::connect(address);
            // Whatever else was in the same read is lost, and must not be taken for a request.
            client.send(request + "GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
            let all = String::from_utf8(client.rest()).expect("text");
            assert!(all.contains(expected) && !all.contains("hello"), "{expected}: {all}");
            assert!(all.matches("HTTP/1.1").count() <= 1, "{all}");
        }
        // One handler of several is told that the connection is closed.
        let mut client = Client::connect(address);
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send(get("/close") + &get("/close") + &get("/destroy"));
        client.rest();
        // A panic that no input went down with costs nothing else.
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/finish").text(), "drained");
        assert_eq!(client.ask("/").text(), "hello");
        // Nor does one before the input that stood still is decoded.
        client.send(post("/finish-paused") + &get("/"));
        assert_eq!(client.answer().text(), "paused");
        assert_eq!(client.answer().text(), "hello");
        other.send("TP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(other.answer().text(), "hello");
    });
    assert_eq!(panics, 15);
}
