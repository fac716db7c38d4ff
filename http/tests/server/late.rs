//! A loop that is late: what came in time is heard before a client is judged by its silence. A slow handler stands for
//! everything that makes a loop late; it begins when its request comes, and goes on until its client has done what is to
//! be done meanwhile and the time is up.
//!
//! Node judges first: its timers' phase comes before the input that waits.

use crate::harness::{Client, MUCH, Side, Site, impatient, streaming};
use http::{Request, Response, ServerOptions};
use std::net::SocketAddr;
use std::time::Duration;

/// What a client may take. Far longer than what the tests do within it.
const LIMIT: Duration = Duration::from_secs(1);

/// Longer than an idle connection is kept.
const LATE: Duration = Duration::from_millis(2200);

const LONG: Duration = Duration::from_secs(100);

/// Runs a server whose `/slow` is slow, and a client with its side of the talk.
fn run(options: ServerOptions, client: impl FnOnce(SocketAddr, Side) + Send + 'static) {
    let (here, there) = Side::pair();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/blocked" => {
            here.tell();
            here.wait();
            let _ = response.end(b"");
        }
        "/slow" => {
            here.tell();
            here.wait();
            std::thread::sleep(LATE);
            let _ = response.end(b"");
        }
        "/much" => streaming(request, response),
        _ => response.end(b"hello").expect("to end"),
    };
    Site::new(options).run(handler, move |address| client(address, there));
}

/// Makes the loop late, after `meanwhile`.
fn make_late(address: SocketAddr, side: &Side, meanwhile: impl FnOnce()) -> Client {
    let mut slow = Client::connect(address);
    slow.get("/slow");
    side.wait();
    meanwhile();
    side.tell();
    slow
}

#[test]
fn a_first_request_that_came_in_time_is_answered() {
    let options = impatient().headers_timeout(LIMIT).request_timeout(LIMIT);
    run(options, |address, side| {
        let (mut silent, mut begun) = (Client::connect(address), Client::connect(address));
        begun.send("GET / HT");
        make_late(address, &side, || {
            silent.get("/");
            begun.send("TP/1.1\r\nHost: h\r\n\r\n");
        });
        assert_eq!(silent.answer().text(), "hello");
        assert_eq!(begun.answer().text(), "hello");
    });
}

#[test]
fn a_body_that_came_in_time_is_taken() {
    let options = impatient().headers_timeout(LIMIT).request_timeout(LIMIT);
    run(options, |address, side| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx");
        assert_eq!(client.answer().text(), "hello");
        make_late(address, &side, || client.send("y"));
        assert_eq!(client.ask("/").text(), "hello");
    });
}

#[test]
fn a_next_request_that_came_in_time_is_answered() {
    let options = impatient().keep_alive_timeout(LIMIT);
    run(options, |address, side| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/").text(), "hello");
        make_late(address, &side, || client.get("/"));
        assert_eq!(client.answer().text(), "hello");
    });
}

// The loop's time stands still while handlers run: an answer behind a slow one is later than it says.
#[test]
fn a_connection_that_was_answered_behind_a_slow_handler_is_kept_for_its_time() {
    let options = impatient().keep_alive_timeout(LIMIT);
    run(options, |address, side| {
        let (mut first, mut slow, mut next) =
            (Client::connect(address), Client::connect(address), Client::connect(address));
        // Both are accepted and wait to be read in the same turn, one behind the other.
        assert_eq!(slow.ask("/").text(), "hello");
        assert_eq!(next.ask("/").text(), "hello");
        first.get("/blocked");
        side.wait();
        slow.get("/slow");
        next.get("/");
        side.tell();
        side.wait();
        side.tell();
        assert_eq!(next.answer().text(), "hello");
        assert_eq!(next.ask("/").text(), "hello");
    });
}

#[test]
fn a_request_that_came_before_a_drain_closes_idle_connections_is_answered() {
    let (here, side) = Side::pair();
    let site = Site::new(impatient());
    let server = site.server.clone();
    let handler = move |request: &Request<'_>, response: Response| {
        if request.path() == "/shutdown" {
            server.shutdown(LONG).expect("to shut down");
            here.tell();
            here.wait();
            std::thread::sleep(LIMIT);
        }
        response.end(b"hello").expect("to end");
    };
    site.run_until(
        handler,
        move |address| {
            let (mut client, mut closer) = (Client::connect(address), Client::connect(address));
            assert_eq!(client.ask("/").text(), "hello");
            closer.get("/shutdown");
            side.wait();
            client.get("/");
            side.tell();
            assert_eq!(client.answer().text(), "hello");
            client.expect_end();
            assert_eq!(closer.answer().text(), "hello");
        },
        || {},
    );
}

#[test]
fn a_client_that_fetched_in_time_is_not_taken_for_a_stuck_one() {
    let options = impatient().headers_timeout(LIMIT).request_timeout(LIMIT);
    run(options, |address, side| {
        let mut client = Client::connect(address);
        client.get("/much");
        assert_eq!(client.head().status, 200);
        let mut received = 0;
        // Long enough for the server to see that nothing moves.
        std::thread::sleep(LIMIT / 4);
        make_late(address, &side, || {
            for _ in 0..8 {
                received += client.chunk().len();
            }
        });
        assert_eq!(received + client.chunks().len(), MUCH);
    });
}

// Node: test-http-server-request-timeout-interrupted-body
#[test]
fn a_client_that_sends_a_byte_now_and_then_is_judged_all_the_same() {
    let limit = LIMIT / 10;
    let options = impatient().headers_timeout(limit).request_timeout(limit);
    run(options, |address, _| {
        let mut client = Client::connect(address);
        client
            .send("POST /unread HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n");
        let mut trickling = client.another_handle();
        let trickle = std::thread::spawn(move || {
            // Until the server has closed.
            while trickling.has_sent("X: y\r\n") {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(client.answer().status, 408);
        client.try_end_sending();
        trickle.join().expect("no panic");
    });
}
