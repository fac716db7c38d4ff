//! Clients that are silent for too long. Nothing here measures time: only what comes, and in which order.

use crate::harness::{Client, Count, Kept, MUCH, Site, impatient, streaming};
use http::proto::{Limits, ParseError};
use http::upcall::RequestHandler;
use http::{Error, Request, Response, Server, ServerOptions};
use net::Socket;
use std::net::SocketAddr;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(100);

fn hello(_: &Request<'_>, response: Response) {
    response.end(b"hello").expect("to end");
}

fn options(headers: Duration, request: Duration, keep_alive: Duration) -> ServerOptions {
    impatient().headers_timeout(headers).request_timeout(request).keep_alive_timeout(keep_alive)
}

/// A client that has begun a request.
fn begun(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    client.send("G");
    client
}

fn expect_408(client: &mut Client) {
    let answer = client.answer();
    assert_eq!(answer.status, 408);
    assert!(answer.closes());
    client.expect_end();
}

// Node: test-http-server-headers-timeout-delayed-headers, test-http-server-request-timeout-delayed-headers
#[test]
fn a_slow_head_is_answered_408() {
    Site::new(options(SHORT, LONG, LONG)).run(hello, |address| {
        let mut slow = Client::connect(address);
        slow.send("GET / HT");
        expect_408(&mut slow);
        // Line ends before a request are skipped.
        let mut later = Client::connect(address);
        later.send("\r\n\r\nG");
        expect_408(&mut later);
    });
}

// Node answers 408 to it, which a client with a spare connection takes for the answer to its next request
#[test]
fn a_connection_on_which_no_request_began_is_closed_without_an_answer() {
    for timeouts in [options(SHORT, LONG, LONG), options(Duration::ZERO, SHORT, LONG)] {
        Site::new(timeouts).run(hello, |address| {
            for sent in ["", "\r\n", "\r", "\r\n\r\n\r"] {
                let mut client = Client::connect(address);
                client.send(sent);
                client.expect_end();
            }
        });
    }
}

#[test]
fn a_kept_connection_on_which_no_further_request_began_is_closed_without_an_answer() {
    // Over before the connection is idle for too long.
    let request = 10 * SHORT;
    Site::new(options(request, request, SHORT)).run(hello, |address| {
        for sent in ["", "\r\n", "\r", "\r\n\r\n\r"] {
            let mut client = Client::connect(address);
            assert_eq!(client.ask("/").text(), "hello");
            client.send(sent);
            client.expect_end();
        }
    });
}

// Node: test-http-server-request-timeout-delayed-body
#[test]
fn a_slow_body_is_answered_408() {
    Site::new(options(SHORT, SHORT, LONG)).run(
        |_: &Request<'_>, response: Response| {
            // Waits for longer than the client may take.
            let env = response.socket().environment().clone();
            env.set_timeout(LONG, move || drop(response)).unref();
        },
        |address| {
            let mut client = Client::connect(address);
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx");
            expect_408(&mut client);
        },
    );
}

// Node: test-http-server-headers-timeout-keepalive, test-http-server-request-timeout-keepalive
#[test]
fn the_time_of_a_later_request_begins_with_its_first_byte() {
    Site::new(options(SHORT, SHORT, Duration::ZERO)).run(hello, |address| {
        let mut client = Client::connect(address);
        // Idle for many times as long as a request may take.
        for _ in 0..3 {
            assert_eq!(client.ask("/").text(), "hello");
            std::thread::sleep(3 * SHORT);
        }
        client.send("G");
        expect_408(&mut client);
    });
}

#[test]
fn an_answer_may_take_longer_than_a_request() {
    let limit = 20 * SHORT;
    Site::new(options(limit, limit, LONG)).run(streaming, |address| {
        let mut client = Client::connect(address);
        client.get("/");
        assert_eq!(client.head().status, 200);
        let mut received = 0;
        // Slower than the server, and for longer than a request may take.
        for _ in 0..50 {
            received += client.chunk().len();
            std::thread::sleep(SHORT / 2);
        }
        received += client.chunks().len();
        assert_eq!(received, MUCH);
    });
}

#[test]
fn a_client_that_fetches_nothing_of_its_answer_is_cut_in_the_end() {
    let limit = 5 * SHORT;
    Site::new(options(limit, limit, LONG)).run(streaming, move |address| {
        let mut stuck = Client::connect(address);
        stuck.get("/");
        // As long as the server needs to see that nothing moves, and longer.
        std::thread::sleep(4 * limit);
        assert!(stuck.rest().len() < MUCH, "cut");
        let mut other = Client::connect(address);
        other.get("/");
        assert_eq!(other.head().status, 200);
        other.chunk();
    });
}

#[test]
fn a_client_that_does_not_fetch_the_end_of_its_answer_is_cut_too() {
    let kept = Kept::default();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/wait" => kept.keep(response),
        _ => {
            let waiting = kept.take_oldest().expect("one waits");
            // The kernel has taken all but a little, for which the server would go on to decode.
            while waiting.socket().buffered() == 0 {
                waiting.write(&[b'x'; 1024]).expect("to write");
            }
            assert!(waiting.socket().buffered() < waiting.socket().high_water_mark());
            waiting.end(b"").expect("to end");
            response.end(b"").expect("to end");
        }
    };
    let limit = 5 * SHORT;
    Site::new(options(limit, limit, LONG)).run(handler, move |address| {
        let mut stuck = Client::connect(address);
        stuck.get("/wait");
        Client::connect(address).ask("/go");
        std::thread::sleep(4 * limit);
        assert!(!stuck.rest().ends_with(b"\r\n0\r\n\r\n"), "cut");
    });
}

// Node: test-http-server-keep-alive-timeout
#[test]
fn an_idle_connection_is_closed_without_an_answer() {
    Site::new(options(LONG, LONG, SHORT)).run(hello, |address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/").text(), "hello");
        client.expect_end();
    });
}

// Node: sequential/test-http-server-keep-alive-timeout-slow-client-headers
#[test]
fn the_first_byte_of_a_request_ends_idleness() {
    Site::new(options(LONG, LONG, SHORT)).run(hello, |address| {
        let mut slow = Client::connect(address);
        assert_eq!(slow.ask("/").text(), "hello");
        slow.send("G");
        // An idle connection, begun later, is closed, and the slow one is not.
        let mut idle = Client::connect(address);
        assert_eq!(idle.ask("/").text(), "hello");
        idle.expect_end();
        slow.send("ET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(slow.answer().text(), "hello");
    });
}

// Node: sequential/test-http-server-keep-alive-timeout-slow-server
#[test]
fn a_slow_handler_is_not_cut() {
    let kept = Kept::default();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/wait" => kept.keep(response),
        _ => {
            kept.take_oldest().expect("one waits").end(b"waited").expect("to end");
            response.end(b"").expect("to end");
        }
    };
    Site::new(options(SHORT, SHORT, SHORT)).run(handler, |address| {
        let mut waiting = Client::connect(address);
        waiting.get("/wait");
        // A connection that came later is timed out, and another after it; the waiting one is not.
        for _ in 0..2 {
            expect_408(&mut begun(address));
        }
        Client::connect(address).ask("/go");
        assert_eq!(waiting.answer().text(), "waited");
    });
}

// Node: test-http-server-request-timeout-upgrade
#[test]
fn an_upgraded_connection_is_not_timed_out() {
    struct Upgrading(Option<Socket>);
    impl RequestHandler for Upgrading {
        fn on_request(&mut self, _: &Request<'_>, response: Response) {
            let socket = self.0.take().expect("one is upgraded");
            socket.end_with(b"still here").expect("to end");
            response.end(b"").expect("to end");
        }
        fn accepts_upgrade(&mut self, _: &Request<'_>) -> bool {
            true
        }
        fn on_upgrade(&mut self, _: &Request<'_>, socket: Socket, _: &[u8]) {
            struct Quiet;
            impl net::upcall::SocketHandler for Quiet {
                fn on_data(&mut self, _: &Socket, _: &[u8]) {}
            }
            socket.set_handler(Quiet);
            self.0 = Some(socket);
        }
    }
    Site::new(options(SHORT, SHORT, SHORT)).run(Upgrading(None), |address| {
        let mut upgraded = Client::connect(address);
        upgraded.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        expect_408(&mut begun(address));
        expect_408(&mut begun(address));
        Client::connect(address).ask("/");
        assert_eq!(upgraded.rest(), b"still here");
    });
}

// Node: test-http-server-timeouts-validation
#[test]
fn options_that_contradict_each_other_are_refused() {
    let site = Site::new(ServerOptions::default());
    let refused = |options| match Server::new(&site.env, options) {
        Err(Error::InvalidOptions(message)) => message.to_owned(),
        other => panic!("{other:?}"),
    };
    assert!(refused(options(LONG, SHORT, LONG)).contains("headers_timeout"));
    let never = ServerOptions::default().checking_interval(Duration::ZERO);
    assert!(refused(never).contains("checking_interval"));
    let no_head = ServerOptions::default().limits(Limits::default().max_header_size(0));
    assert!(refused(no_head).contains("max_header_size"));
    let no_fields = ServerOptions::default().limits(Limits::default().max_headers(0));
    assert!(refused(no_fields).contains("max_headers"));
    assert!(Server::new(&site.env, options(SHORT, Duration::ZERO, LONG)).is_ok(), "zero is no limit");
}

#[test]
fn options_that_the_sockets_refuse_are_refused_at_once() {
    let site = Site::new(ServerOptions::default());
    let unread = ServerOptions::default().net(net::ServerOptions::default().high_water_mark(0));
    let Err(Error::Net(refused)) = Server::new(&site.env, unread) else { panic!("it was created") };
    assert_eq!(refused.code(), net::ErrorCode::InvalidArgument);
}

#[test]
fn a_request_timeout_may_be_shorter_than_the_default_of_headers_timeout() {
    let site = Site::new(ServerOptions::default());
    let only = ServerOptions::default().request_timeout(Duration::from_secs(30));
    assert!(Server::new(&site.env, only).is_ok());
}

#[test]
fn limits_of_zero_are_none() {
    struct Refusing;
    impl RequestHandler for Refusing {
        fn on_request(&mut self, _: &Request<'_>, response: Response) {
            response.end(b"hello").expect("to end");
        }
        fn on_client_error(&mut self, error: ParseError, _: &Socket) {
            panic!("{error}");
        }
    }
    Site::new(options(Duration::ZERO, Duration::ZERO, Duration::ZERO)).run(Refusing, |address| {
        let (mut silent, mut slow) = (Client::connect(address), Client::connect(address));
        slow.send("GET / HT");
        std::thread::sleep(SHORT);
        slow.send("TP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(slow.answer().text(), "hello");
        assert_eq!(silent.ask("/").text(), "hello");
    });
}

/// Answers `/` at once, keeps the responses to others, and says whether silence is accepted.
struct Patient {
    silences: Count,
    accepted: usize,
    kept: Kept,
}

impl RequestHandler for Patient {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        match request.path() {
            "/" => response.end(b"hello").expect("to end"),
            _ => self.kept.keep(response),
        }
    }

    fn accepts_silence(&mut self, socket: &Socket) -> bool {
        assert!(socket.remote_address().is_some());
        self.silences.add(1);
        self.silences.get() <= self.accepted
    }
}

fn patient(accepted: usize) -> (Patient, Count) {
    let silences = Count::default();
    (Patient { silences: silences.clone(), accepted, kept: Kept::default() }, silences)
}

// Node: test-http-set-timeout-server, test-http-timeout
#[test]
fn a_silent_connection_is_broken_off_whatever_it_waits_for() {
    let (handler, silences) = patient(0);
    Site::new(options(LONG, LONG, LONG).timeout(SHORT)).run(handler, |address| {
        Client::connect(address).expect_end();
        begun(address).expect_end();
        let mut idle = Client::connect(address);
        assert_eq!(idle.ask("/").text(), "hello");
        idle.expect_end();
        let mut waiting = Client::connect(address);
        waiting.get("/kept");
        waiting.expect_end();
    });
    assert_eq!(silences.get(), 4);
}

#[test]
fn a_connection_is_not_silent_while_something_comes_or_is_fetched() {
    let (handler, silences) = patient(0);
    Site::new(options(LONG, LONG, LONG).timeout(20 * SHORT)).run(handler, |address| {
        let mut client = Client::connect(address);
        // For longer than it may be silent.
        for byte in b"GET / HTTP/1.1\r\nHost: hhhhhhhhhhhhhhhhhhhhh\r\n\r\n" {
            std::thread::sleep(SHORT / 2);
            client.send([*byte]);
        }
        assert_eq!(client.answer().text(), "hello");
    });
    assert_eq!(silences.get(), 0);
    Site::new(options(LONG, LONG, LONG).timeout(20 * SHORT)).run(streaming, |address| {
        let mut client = Client::connect(address);
        client.get("/");
        assert_eq!(client.head().status, 200);
        let mut received = 0;
        for _ in 0..50 {
            received += client.chunk().len();
            std::thread::sleep(SHORT / 2);
        }
        assert_eq!(received + client.chunks().len(), MUCH);
    });
}

// Node: test-http-set-timeout-server, where a listener keeps the socket
#[test]
fn a_handler_may_keep_a_silent_connection_and_is_asked_again() {
    let (handler, silences) = patient(3);
    Site::new(options(LONG, LONG, LONG).timeout(SHORT)).run(handler, |address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/").text(), "hello");
        client.expect_end();
    });
    assert_eq!(silences.get(), 4);
}
