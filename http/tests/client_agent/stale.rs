//! Connections that the peer has ended, or on which it sends what no request has asked for: none is used again.

use crate::evil::{Evil, Script, Step, say, watch};
use crate::harness::{Noting, Site};
use async_wrap::Environment;
use http::agent::AgentOptions;
use http::client::{ClientRequest, Error};
use http::proto::{Fields, IncomingResponse};
use http::upcall::ClientHandler;
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const FORGED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";

/// What a server may do to a connection that is idle.
fn tricks() -> [(&'static str, Script); 6] {
    [
        ("a FIN", vec![Step::Fin]),
        ("a close", vec![Step::Close]),
        ("a reset", vec![Step::Reset]),
        ("a response", vec![say(FORGED)]),
        ("a byte", vec![say("x")]),
        ("a response and a FIN", vec![say(FORGED), Step::Fin]),
    ]
}

/// A server that answers, does something when it is told, and answers on a second connection.
fn treacherous(site: &Site, trick: Script) -> Evil {
    let first: Script = [Step::Head, say(OK), Step::Told].into_iter().chain(trick).collect();
    Evil::new(&site.env, [first, vec![Step::Head, say(OK)]])
}

// HC53, HC27. Node: test-http-agent-error-on-idle; the guard of CVE-2026-48931
#[test]
fn an_idle_connection_leaves_the_pool_in_the_turn_that_sees_its_end_or_input() {
    for (what, trick) in tricks() {
        let site = Site::new(AgentOptions::default());
        let evil = treacherous(&site, trick);
        site.get("first", &evil.url("/"));
        assert_eq!(site.run(), ["first: 200 ok"]);
        assert_eq!(site.now(), [0, 0, 1, 0]);
        evil.tell();
        site.until(|| site.now() == [0; 4]);
        assert_eq!((site.counters().stale, site.log.len()), (1, 0), "{what}: no handler is told");
        site.get("second", &evil.url("/"));
        assert_eq!(site.run(), ["second: 200 ok"], "{what}");
        site.agent.close();
        evil.finish();
        site.finish();
    }
}

// HC27, HC26
#[test]
fn bytes_behind_a_response_in_the_same_read_close_its_connection() {
    for surplus in [FORGED, "x", "\r\n"] {
        let site = Site::new(AgentOptions::default());
        let both = format!("{OK}{surplus}");
        let evil = Evil::new(&site.env, [vec![Step::Head, say(both)], vec![Step::Head, say(OK)]]);
        site.get("first", &evil.url("/"));
        assert_eq!(site.run(), ["first: 200 ok"], "the response stays a good one");
        assert_eq!(site.now(), [0; 4]);
        site.get("second", &evil.url("/"));
        assert_eq!(site.run(), ["second: 200 ok"]);
        site.agent.close();
        evil.finish();
        site.finish();
    }
}

// HC54, HC55
#[test]
fn a_connection_that_ends_about_when_it_is_used_again_costs_no_request() {
    for (what, trick) in tricks().into_iter().take(3) {
        let site = Site::new(AgentOptions::default());
        let evil = treacherous(&site, trick);
        site.get("first", &evil.url("/"));
        site.run();
        // In any order of the server's turn and the client's.
        evil.tell();
        site.get("second", &evil.url("/"));
        // A FIN that comes behind the request is beyond any look.
        let ends = site.run();
        assert!(ends == ["second: 200 ok"] || ends == ["second: 200 ok retried"], "{what}: {ends:?}");
        site.agent.close();
        evil.finish();
        site.finish();
    }
}

/// A plain server, so that its end is in the kernel at a moment that the test knows.
struct Plain {
    listener: TcpListener,
    url: String,
}

impl Plain {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/", listener.local_addr().expect("it has an address"));
        Self { listener, url }
    }

    /// Takes a connection, which the kernel has, reads one request, which comes at once, and answers.
    fn serve(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().expect("a client has connected");
        answer(&mut stream);
        stream
    }
}

fn answer(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    stream.write_all(OK.as_bytes()).expect("the client waits");
}

/// Sends the request to end a connection in the kernel, one way or another.
fn end(mut stream: TcpStream, way: usize) -> Option<TcpStream> {
    match way % 3 {
        0 => None,
        1 => {
            stream.write_all(FORGED.as_bytes()).expect("it is open");
            Some(stream)
        }
        _ => {
            stream.shutdown(std::net::Shutdown::Write).expect("it is open");
            Some(stream)
        }
    }
}

/// Counts the requests that have ended well.
struct Counting(Rc<Cell<usize>>);

impl ClientHandler for Counting {
    fn on_response(&mut self, request: &ClientRequest, response: &IncomingResponse<'_>) {
        assert_eq!((response.status, response.fields.get("Content-Length")), (200, Some(&b"2"[..])));
        assert!(!request.was_retried(), "the look finds it");
    }

    fn on_end(&mut self, _: &ClientRequest, _: &Fields<'_>) {
        self.0.set(self.0.get() + 1);
    }

    fn on_error(&mut self, _: &ClientRequest, error: Error) {
        panic!("{error}");
    }
}

// HC28, HC54. Node: nodejs/node#47130
#[test]
fn a_peer_that_closes_in_the_turn_of_the_next_request_fails_none_of_ten_thousand() {
    const TIMES: usize = 10_000;
    let site = Site::new(AgentOptions::default());
    let server = Plain::new();
    let ended = Rc::new(Cell::new(0));
    // POST, which no retry would save.
    let send = || {
        let request = site.client.post(&server.url).body("a");
        request.send(Counting(Rc::clone(&ended))).expect("a request that can be sent")
    };
    let watched = watch(&site.env, "the client");
    let wait = |count: usize| {
        while ended.get() < count {
            site.turn();
        }
    };
    send();
    site.until(|| site.counters().active == 1);
    let mut stream = server.serve();
    read_body(&mut stream);
    wait(1);
    for number in 1..TIMES {
        let is_before = number % 2 == 0;
        let late = if is_before { None } else { Some(send()) };
        let kept = end(stream, number);
        let _request = late.unwrap_or_else(send);
        while site.counters().made == number as u64 || site.counters().active == 0 {
            site.turn();
        }
        stream = server.serve();
        read_body(&mut stream);
        wait(number + 1);
        drop(kept);
    }
    watched.clear();
    assert_eq!((ended.get(), site.counters().retried), (TIMES, 0));
    assert_eq!(site.counters().stale as usize, TIMES - 1);
    drop(stream);
    site.agent.close();
    site.finish();
}

// HC54
#[test]
fn what_is_written_to_a_connection_that_turns_out_dead_arrives_whole_on_the_next() {
    for (length, body) in [(None, "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"), (Some("4"), "\r\n\r\nabcd")] {
        let site = Site::new(AgentOptions::default());
        let server = Plain::new();
        site.get("first", &server.url);
        site.until(|| site.counters().active == 1);
        let stream = server.serve();
        site.until(|| site.log.len() == 1);
        // Its end is with the kernel, and the loop has not heard of it.
        drop(stream);
        let mut request = site.client.post(&server.url);
        if let Some(length) = length {
            request = request.field("Content-Length", length);
        }
        let request = request.begin(site.noting("second")).expect("a request that can be sent");
        for piece in ["ab", "cd"] {
            request.write(piece.as_bytes()).expect("it is under way");
        }
        request.end(b"").expect("all of it is written");
        site.until(|| site.counters().made == 2);
        let (mut stream, _) = server.listener.accept().expect("the client has connected");
        stream.set_nonblocking(true).expect("to set");
        let read = RefCell::new(String::new());
        site.until(|| {
            let mut buffer = [0; 1024];
            let count = (&stream).read(&mut buffer).unwrap_or(0);
            read.borrow_mut().push_str(&String::from_utf8_lossy(&buffer[..count]));
            read.borrow().ends_with(&body[body.len() - 4..])
        });
        assert!(read.borrow().ends_with(body), "{}", read.borrow());
        stream.write_all(OK.as_bytes()).expect("the client waits");
        assert_eq!(site.run(), ["first: 200 ok", "second: 200 ok"]);
        assert_eq!((site.counters().stale, site.counters().retried), (1, 0));
        site.agent.close();
        site.finish();
    }
}

fn read_body(stream: &mut TcpStream) {
    stream.read_exact(&mut [0]).expect("a body");
}

#[test]
fn a_connection_that_dies_at_the_hand_over_to_a_waiting_request_is_replaced() {
    let site = Site::new(AgentOptions::default().max_per_origin(1));
    // The end comes in one piece with the response: the loop has read it when the next request is to be written, or not.
    let dying = vec![Step::Head, say(OK), Step::Close];
    let evil = Evil::new(&site.env, [dying.clone(), dying, vec![Step::Head, say(OK)]]);
    for name in ["first", "second", "third"] {
        site.send(name, site.client.post(evil.url("/")).body("b"));
    }
    assert_eq!(site.run(), ["first: 200 ok", "second: 200 ok", "third: 200 ok"]);
    assert_eq!((site.counters().made, site.counters().retried), (3, 0));
    site.agent.close();
    evil.finish();
    site.finish();
}

#[test]
fn a_panic_at_the_end_of_a_response_leaves_the_next_request_of_its_connection_alone() {
    struct Panics(Noting);
    impl ClientHandler for Panics {
        fn on_response(&mut self, _: &ClientRequest, _: &IncomingResponse<'_>) {}
        fn on_end(&mut self, _: &ClientRequest, _: &Fields<'_>) {
            std::panic::panic_any("the handler's own");
        }
        fn on_error(&mut self, request: &ClientRequest, error: Error) {
            self.0.on_error(request, error);
        }
    }
    let site = Site::new(AgentOptions::default().max_per_origin(1));
    let evil = Evil::always(&site.env, vec![Step::Head, say(OK), Step::Head, say(OK)]);
    site.client.get(evil.url("/")).send(Panics(site.noting("panics"))).expect("a request that can be sent");
    site.get("waits", &evil.url("/"));
    let env: &Environment = &site.env;
    let run = std::panic::AssertUnwindSafe(|| env.run(uv_core::RunMode::Default));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let panic = std::panic::catch_unwind(run).expect_err("it panics");
    std::panic::set_hook(hook);
    assert_eq!(panic.downcast_ref(), Some(&"the handler's own"));
    let ends = site.run();
    assert_eq!(ends, ["waits: 200 ok"]);
    assert_eq!(site.now(), [0, 0, 1, 0], "the place of the request that panicked is free");
    site.agent.close();
    // It waits for a further request.
    drop(evil);
    site.finish();
}
