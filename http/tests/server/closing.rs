//! How the server stops, and starts again.

use crate::harness::{Client, Count, Kept, Log, Site, impatient, new_server, serve};
use async_wrap::Environment;
use http::upcall::{BodyHandler, RequestHandler, ResponseHandler};
use http::{Body, Request, Response, Server, ServerOptions};
use net::upcall::SocketHandler;
use net::{ListenOptions, Socket};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Loop, RunMode};

fn any() -> ListenOptions {
    ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// `/close` closes, `/shutdown` shuts down, `/wait` waits until a request of `/go` comes.
fn app(server: Server, kept: Kept) -> impl FnMut(&Request<'_>, Response) {
    move |request: &Request<'_>, response: Response| {
        match request.path() {
            "/close" => server.close().expect("to close"),
            "/shutdown" => server.shutdown(Duration::from_secs(60)).expect("to shut down"),
            "/close-all" => server.close_all_connections(),
            "/wait" => return kept.keep(response),
            "/go" => {
                while let Some(waiting) = kept.take_oldest() {
                    let _ = waiting.end(b"waited");
                }
            }
            _ => {}
        }
        let _ = response.end(b"");
    }
}

fn run(client: impl FnOnce(SocketAddr) + Send + 'static) {
    let site = Site::new(ServerOptions::default());
    let handler = app(site.server.clone(), Kept::default());
    site.run(handler, client);
}

// Node: test-http-server-close-idle: as in Node a connection in use goes on
#[test]
fn a_close_ends_idle_connections_and_lets_others_go_on() {
    run(|address| {
        let mut fresh = Client::connect(address);
        let mut idle = Client::connect(address);
        idle.ask("/");
        let mut begun = Client::connect(address);
        begun.send("GET / HT");
        let mut waiting = Client::connect(address);
        waiting.get("/wait");
        let mut closer = Client::connect(address);
        closer.ask("/");
        assert!(!closer.ask("/close").closes());
        idle.expect_end();
        fresh.expect_end();
        begun.send("TP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(begun.answer().status, 200);
        assert_eq!(closer.ask("/go").status, 200);
        assert_eq!(waiting.answer().text(), "waited");
        assert!(TcpStream::connect(address).is_err(), "no server listens");
    });
}

// Node: test-http-server-close-all
#[test]
fn close_all_ends_those_in_use_too() {
    run(|address| {
        let mut waiting = Client::connect(address);
        waiting.get("/wait");
        let mut closer = Client::connect(address);
        closer.ask("/");
        closer.get("/close-all");
        closer.expect_end();
        waiting.expect_end();
        assert_eq!(Client::connect(address).ask("/").status, 200, "the server still listens");
    });
}

#[test]
fn a_shutdown_answers_what_was_asked_with_close_and_ends_by_itself() {
    let site = Site::new(ServerOptions::default());
    let handler = app(site.server.clone(), Kept::default());
    site.run_until(
        handler,
        |address| {
            let (mut waiting, mut kept_alive) = (Client::connect(address), Client::connect(address));
            waiting.get("/wait");
            kept_alive.ask("/");
            let mut idle = Client::connect(address);
            idle.ask("/");
            let mut fresh = Client::connect(address);
            let mut closer = Client::connect(address);
            closer.ask("/");
            assert!(closer.ask("/shutdown").closes());
            closer.expect_end();
            // A request that was on its way is answered.
            assert!(kept_alive.ask("/go").closes());
            kept_alive.expect_end();
            let answer = waiting.answer();
            assert!(answer.closes());
            assert_eq!(answer.text(), "waited");
            waiting.expect_end();
            idle.expect_end();
            fresh.expect_end();
            // The grace of a minute is not waited for.
        },
        || {},
    );
}

#[test]
fn a_shutdown_answers_all_of_a_pipeline_that_has_come() {
    run(|address| {
        let (mut client, mut closer) = (Client::connect(address), Client::connect(address));
        client.ask("/");
        assert!(closer.ask("/shutdown").closes());
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3) + "GET / HTTP");
        for _ in 0..3 {
            assert!(!client.answer().closes(), "another one follows");
        }
        client.send("/1.1\r\nHost: h\r\n\r\n");
        assert!(client.answer().closes());
        client.expect_end();
    });
}

// A connection that is not read keeps no loop alive by itself
#[test]
fn a_shutdown_waits_for_a_connection_that_stands_still() {
    struct Held(Rc<Cell<bool>>);
    impl ResponseHandler for Held {
        fn on_close(&mut self, _: &Response) {
            self.0.set(true);
        }
    }
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let server = new_server(&env, ServerOptions::default());
    let was_told = Rc::new(Cell::new(false));
    let (closing, told, held) = (server.clone(), Rc::clone(&was_told), RefCell::new(Vec::new()));
    let handler = move |request: &Request<'_>, response: Response| {
        response.set_handler(Held(Rc::clone(&told)));
        held.borrow_mut().push((request.body(), response));
        closing.shutdown(Duration::from_millis(100)).expect("to shut down");
    };
    server.listen(any(), handler).expect("to listen");
    let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
    let client = std::thread::spawn(move || {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
        client.expect_end();
    });
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(server.connections(), 0);
    assert!(was_told.get());
    client.join().expect("no panic");
}

// Node: `server.close` then `listen`
#[test]
fn a_server_can_listen_again_from_within_its_close() {
    struct Again {
        server: Server,
        left: usize,
        log: Log,
        addresses: std::sync::mpsc::Sender<SocketAddr>,
    }
    impl RequestHandler for Again {
        fn on_request(&mut self, _: &Request<'_>, response: Response) {
            self.log.note(format!("served{}", self.left));
            self.server.close().expect("to close");
            response
                .set_header("Connection", "close")
                .and_then(|response| response.end(b""))
                .expect("to end");
        }
        fn on_close(&mut self, _: &Server) {
            self.log.note(format!("closed{}", self.left));
            if self.left > 0 {
                let next = Self {
                    server: self.server.clone(),
                    left: self.left - 1,
                    log: self.log.clone(),
                    addresses: self.addresses.clone(),
                };
                self.server.listen(any(), next).expect("to listen again");
                let address = self.server.address().and_then(|address| address.as_tcp());
                self.addresses.send(address.expect("an address")).expect("to tell");
            }
        }
    }
    let site = Site::new(ServerOptions::default());
    let log = Log::default();
    let (addresses, next) = std::sync::mpsc::channel();
    let handler = Again { server: site.server.clone(), left: 2, log: log.clone(), addresses };
    site.run(handler, move |first| {
        let mut address = first;
        for round in 0..3 {
            let mut client = Client::connect(address);
            assert_eq!(client.ask("/").status, 200);
            client.expect_end();
            drop(client);
            if round < 2 {
                address = next.recv().expect("it listens again");
            }
        }
    });
    assert_eq!(log.joined(), "served2 closed2 served1 closed1 served0 closed0");
}

/// Answers with its name; `/again` has the server listen again and answers where, `/log` tells who was closed.
struct Named {
    name: &'static str,
    server: Server,
    log: Log,
}

impl RequestHandler for Named {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        let answer = match request.path() {
            "/again" => {
                let next = Self { name: "second", server: self.server.clone(), log: self.log.clone() };
                self.server.close().expect("to close");
                self.server.listen(any(), next).expect("to listen again");
                let address = self.server.address().and_then(|address| address.as_tcp());
                address.expect("an address").to_string()
            }
            "/log" => self.log.joined(),
            _ => self.name.to_owned(),
        };
        response.end(answer.as_bytes()).expect("to end");
    }

    fn on_close(&mut self, _: &Server) {
        self.log.note(self.name);
    }
}

// Node: `server.close` then `listen`
#[test]
fn a_server_that_listens_again_at_once_closes_each_handler_once() {
    let (site, log) = (Site::new(ServerOptions::default()), Log::default());
    let named = |name| Named { name, server: site.server.clone(), log: log.clone() };
    let (first, second) = (named("first"), named("second"));
    site.listen(first);
    site.server.close().expect("to close");
    site.run(second, |address| {
        let mut client = Client::connect(address);
        while client.ask("/log").text() != "first" {}
        assert_eq!(client.ask("/").text(), "second");
        assert_eq!(Client::connect(address).ask("/").text(), "second");
    });
    assert_eq!(log.joined(), "first second");
}

// net: open connections stay with the handler that got them
#[test]
fn a_connection_stays_with_its_handler_when_the_server_listens_again() {
    let (site, log) = (Site::new(ServerOptions::default()), Log::default());
    let first = Named { name: "first", server: site.server.clone(), log: log.clone() };
    site.run(first, |address| {
        let mut old = Client::connect(address);
        let address = old.ask("/again").text().parse().expect("an address");
        let mut new = Client::connect(address);
        assert_eq!(new.ask("/").text(), "second");
        assert_eq!(old.ask("/").text(), "first");
        assert_eq!(new.ask("/log").text(), "", "the first has a connection");
        drop(old);
        while new.ask("/log").text() != "first" {}
        assert_eq!(new.ask("/").text(), "second");
    });
    assert_eq!(log.joined(), "first second");
}

/// Takes every upgrade, and echoes.
struct Upgrading(Server);

struct Echo;

impl SocketHandler for Echo {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        socket.write(data).expect("to write");
    }
}

impl RequestHandler for Upgrading {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        match request.path() {
            "/close-all" => return self.0.close_all_connections(),
            "/shutdown" => self.0.shutdown(Duration::from_millis(1)).expect("to shut down"),
            _ => {}
        }
        response.end(b"").expect("to end");
    }

    fn accepts_upgrade(&mut self, _: &Request<'_>) -> bool {
        true
    }

    fn on_upgrade(&mut self, _: &Request<'_>, socket: Socket, _: &[u8]) {
        socket.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").expect("to write");
        socket.set_handler(Echo);
    }
}

// Unlike `close_all_connections`, which as in Node leaves them alone
#[test]
fn the_end_of_the_grace_ends_connections_that_left_http_too() {
    let site = Site::new(impatient());
    let handler = Upgrading(site.server.clone());
    site.run_until(
        handler,
        |address| {
            let upgraded = || {
                let mut client = Client::connect(address);
                client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
                assert_eq!(client.head().status, 101);
                client
            };
            let (mut staying, leaving) = (upgraded(), upgraded());
            drop(leaving);
            let mut closer = Client::connect(address);
            closer.get("/close-all");
            closer.expect_end();
            staying.send("still here");
            assert_eq!(staying.take(10), b"still here");
            Client::connect(address).get("/shutdown");
            staying.expect_end();
        },
        || {},
    );
}

#[test]
fn a_second_listen_is_refused_and_changes_nothing() {
    let site = Site::new(ServerOptions::default());
    let server = site.server.clone();
    let handler = move |_: &Request<'_>, response: Response| {
        // From within the handler's own call, when it is out of its place.
        let refused = server.listen(any(), |_: &Request<'_>, _: Response| panic!("never called"));
        let Err(http::Error::Net(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.code(), net::ErrorCode::ServerAlreadyListen);
        response.end(b"first").expect("to end");
    };
    let again = site.server.clone();
    site.run(handler, |address| {
        assert_eq!(Client::connect(address).ask("/").text(), "first");
        assert_eq!(Client::connect(address).ask("/").text(), "first");
    });
    assert!(again.close().is_err(), "it is closed already");
    assert!(again.shutdown(Duration::ZERO).is_err());
}

// Node: test-http-server-connections-checking-leak
#[test]
fn a_closed_server_leaves_no_timer() {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let server = new_server(&env, ServerOptions::default());
    let closing = server.clone();
    server
        .listen(any(), move |_: &Request<'_>, response: Response| {
            closing.close().expect("to close");
            response.end(b"").expect("to end");
        })
        .expect("to listen");
    let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
    let client = std::thread::spawn(move || {
        let mut client = TcpStream::connect(address).expect("to connect");
        client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").expect("to send");
        client.read_to_end(&mut Vec::new()).expect("to read");
    });
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    client.join().expect("no panic");
    env.close();
    env.run(RunMode::Default).expect("the loop runs");
    event_loop.close().expect("no handle is left");
}

/// Counts drops.
struct Token(Count);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.add(1);
    }
}

/// Holds what holds it.
struct Holding {
    _token: Token,
    _response: Response,
}

fn holding(drops: &Count, response: &Response) -> Holding {
    Holding { _token: Token(drops.clone()), _response: response.clone() }
}

impl BodyHandler for Holding {
    fn on_data(&mut self, _: &Body, _: &[u8]) {}
    fn on_end(&mut self, _: &Body, _: &http::proto::Fields<'_>) {}
    fn on_abort(&mut self, _: &Body) {
        panic!("a dropped loop calls no handler");
    }
}

impl ResponseHandler for Holding {
    fn on_close(&mut self, _: &Response) {
        panic!("a dropped loop calls no handler");
    }
}

// Law of towers: what a handle owns is dropped with the loop, without a call
#[test]
fn a_loop_dropped_with_open_connections_drops_everything() {
    let drops = Count::default();
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let server = new_server(&env, ServerOptions::default());
    let (token, counted, asked) = (Token(drops.clone()), drops.clone(), Count::default());
    let seen = asked.clone();
    server
        .listen(any(), move |request: &Request<'_>, response: Response| {
            let _ = &token;
            // Handlers hold responses, which hold the connection, which holds the handlers.
            request.body().set_handler(holding(&counted, &response));
            response.set_handler(holding(&counted, &response));
            seen.add(1);
        })
        .expect("to listen");
    let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
    let mut client = TcpStream::connect(address).expect("to connect");
    client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("to send");
    client.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx").expect("to send");
    while asked.get() < 2 {
        env.run(RunMode::Once).expect("the loop runs");
    }
    drop((server, env));
    drop(event_loop);
    // The first request has no body: its handler was told the end, and dropped.
    assert_eq!(drops.get(), 5, "four handlers of responses and bodies, and the server's");
}

#[test]
fn handlers_answer_from_the_loop_after_the_server_has_closed() {
    serve(
        |_: &Request<'_>, response: Response| {
            response.socket().environment().clone().set_timeout(Duration::from_millis(1), move || {
                response.end(b"later").expect("to end");
            });
        },
        |address| assert_eq!(Client::connect(address).ask("/").text(), "later"),
    );
}

// RFC 9112, 8: what ends with the connection is complete only if that was not reset.
#[test]
fn an_answer_that_ends_with_the_connection_is_never_cut_by_a_clean_end() {
    let site = Site::new(ServerOptions::default());
    let server = site.server.clone();
    let handler = move |request: &Request<'_>, response: Response| {
        if request.path() == "/break" {
            server.close_all_connections();
            return;
        }
        response.write(&vec![b'x'; 16 << 20]).expect("to write");
        response.end(b"").expect("to end");
    };
    site.run(handler, |address| {
        let mut slow = Client::connect(address);
        slow.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(slow.head().status, 200);
        let mut other = Client::connect(address);
        other.get("/break");
        assert!(slow.ends_with_a_reset());
    });
}
