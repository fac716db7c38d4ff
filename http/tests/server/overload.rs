//! Too much to do: what is refused, what goes on, and what is counted.

use crate::harness::{Client, Count, Kept, Side, Site};
use http::serve::{Failure, OwnedRequest, Serving};
use http::upcall::RequestHandler;
use http::{Request, Response, Server, ServerOptions};
use net::Socket;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Longer than the loop may be busy.
const LATE: Duration = Duration::from_millis(40);

/// Keeps `/keep` and finishes all that is kept at `/finish`; answers others at once.
struct Keeping {
    server: Server,
    kept: Kept,
}

impl RequestHandler for Keeping {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        match request.path() {
            "/keep" => return self.kept.keep(response),
            "/finish" => {
                while let Some(kept) = self.kept.take_oldest() {
                    // The client of one has left.
                    let _ = kept.end(b"kept");
                }
            }
            _ => {}
        }
        let (in_flight, shed) = (self.server.requests_in_flight(), self.server.shed_requests());
        response.end(format!("{in_flight:?} {shed}").as_bytes()).expect("to end");
    }

    fn accepts_overload(&mut self, request: &Request<'_>) -> bool {
        matches!(request.path(), "/finish" | "/health")
    }

    fn accepts_upgrade(&mut self, _: &Request<'_>) -> bool {
        true
    }

    fn on_upgrade(&mut self, _: &Request<'_>, socket: Socket, _: &[u8]) {
        socket.end_with(b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").expect("to write");
    }
}

fn keeping<T: Send + 'static>(
    options: ServerOptions,
    client: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> T {
    let site = Site::new(options);
    let handler = Keeping { server: site.server.clone(), kept: Kept::default() };
    let server = site.server.clone();
    let result = site.run(handler, client);
    assert!(server.requests_in_flight().is_none_or(|left| left == 0), "none stays counted");
    result
}

fn expect_503(client: &mut Client, path: &str) {
    let answer = client.ask(path);
    assert_eq!((answer.status, answer.field("Retry-After"), answer.text()), (503, Some("7"), ""), "{path}");
    assert!(!answer.closes(), "the connection stays");
}

#[test]
fn requests_beyond_those_in_flight_are_refused_and_their_connections_stay() {
    let options = ServerOptions::default().max_requests_in_flight(2).retry_after(Duration::from_secs(7));
    keeping(options, |address| {
        let (mut first, mut second, mut other) =
            (Client::connect(address), Client::connect(address), Client::connect(address));
        // What is answered at once is never in flight behind its answer.
        for _ in 0..5 {
            assert_eq!(other.ask("/").text(), "Some(0) 0");
        }
        first.get("/keep");
        // Until it has arrived.
        while other.ask("/").text() != "Some(1) 0" {}
        second.get("/keep");
        while other.ask("/health").text() != "Some(2) 0" {}
        expect_503(&mut other, "/");
        expect_503(&mut other, "/keep");
        other.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(other.answer().status, 503);
        // An upgrade is work, too.
        other.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        assert_eq!(other.answer().status, 503);
        assert_eq!(other.ask("/finish").text(), "Some(0) 4");
        assert_eq!((first.answer().text(), second.answer().text()), ("kept", "kept"));
        assert_eq!(first.ask("/").text(), "Some(0) 4");
    });
}

#[test]
fn a_client_that_leaves_makes_room() {
    keeping(ServerOptions::default().max_requests_in_flight(1), |address| {
        let mut other = Client::connect(address);
        for _ in 0..3 {
            let mut leaving = Client::connect(address);
            leaving.get("/health");
            leaving.get("/keep");
            while other.ask("/").status == 200 {}
            leaving.reset();
            while other.ask("/").status == 503 {}
            // What its handler kept is closed.
            assert!(other.ask("/finish").text().starts_with("Some(0)"));
        }
    });
}

#[test]
fn pipelined_requests_are_counted_each() {
    keeping(ServerOptions::default().max_requests_in_flight(3), |address| {
        let mut client = Client::connect(address);
        let keep = "GET /keep HTTP/1.1\r\nHost: h\r\n\r\n";
        client.send(keep.repeat(5) + &keep.replace("keep", "finish") + keep);
        let statuses: Vec<u16> = (0..6).map(|_| client.answer().status).collect();
        assert_eq!(statuses, [200, 200, 200, 503, 503, 200], "in order");
        assert_eq!(Client::connect(address).ask("/finish").status, 200);
        assert_eq!(client.answer().text(), "kept");
    });
}

#[test]
fn without_limits_nothing_is_counted() {
    keeping(ServerOptions::default(), |address| {
        let mut client = Client::connect(address);
        client.send("GET /keep HTTP/1.1\r\nHost: h\r\n\r\nGET /finish HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!((client.answer().text(), client.answer().text()), ("kept", "None 0"));
    });
}

#[test]
fn async_handlers_are_in_flight_until_their_responses_are_written() {
    let most = Count::default();
    let (seen, running) = (most.clone(), Rc::new(()));
    let handler = move |_: OwnedRequest, response: Response| {
        let (most, running) = (most.clone(), Rc::clone(&running));
        async move {
            // Beside that of the handler.
            most.add((Rc::strong_count(&running) - 1).saturating_sub(most.get()));
            response.environment().sleep(Duration::from_millis(2)).await;
            drop(running);
            Ok::<_, Failure>(response.end(b"")?)
        }
    };
    let site = Site::new(ServerOptions::default().max_requests_in_flight(3));
    let server = site.server.clone();
    let refused = site.run(Serving::new(handler), |address| {
        let mut clients: Vec<_> = (0..8).map(|_| Client::connect(address)).collect();
        let mut refused = 0;
        for _ in 0..20 {
            clients.iter_mut().for_each(|client| client.get("/"));
            let answers = clients.iter_mut().map(|client| client.answer().status);
            refused += answers.filter(|status| *status == 503).count();
        }
        refused
    });
    assert!(seen.get() <= 3, "{}", seen.get());
    assert_eq!(server.shed_requests(), refused as u64);
    assert_eq!(server.requests_in_flight(), Some(0));
}

#[test]
fn a_loop_that_is_late_refuses_until_it_is_not() {
    let (here, there) = Side::pair();
    let handler = move |request: &Request<'_>, response: Response| {
        if request.path() == "/hang" {
            there.tell();
            there.wait();
            let start = Instant::now();
            while start.elapsed() < LATE {
                std::hint::spin_loop();
            }
        }
        response.end(b"served").expect("to end");
    };
    let options = ServerOptions::default().max_loop_lag(LATE / 2).retry_after(Duration::from_secs(7));
    let site = Site::new(options);
    let server = site.server.clone();
    site.run(handler, move |address| {
        let (mut hanging, mut waiting) = (Client::connect(address), Client::connect(address));
        hanging.get("/hang");
        here.wait();
        waiting.get("/");
        here.tell();
        let late = waiting.answer();
        assert_eq!((late.status, late.field("Retry-After")), (503, Some("7")));
        assert_eq!(hanging.answer().text(), "served", "what was begun is finished");
        // A turn that took no longer than it may is over by then.
        while waiting.ask("/").status == 503 {}
    });
    assert!(server.shed_requests() >= 1);
}
