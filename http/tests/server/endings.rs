//! How connections end: so that no answer is lost, and in time.

use crate::harness::{Client, Kept, Site, impatient, serve};
use http::{Request, Response, ServerOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// More than the kernel holds for a client that does not read.
const LARGE: usize = 20_000_000;

fn app(kept: Kept) -> impl FnMut(&Request<'_>, Response) {
    move |request: &Request<'_>, response: Response| match request.path() {
        "/wait" => kept.keep(response),
        "/go" => {
            while let Some(waiting) = kept.take_oldest() {
                let _ = waiting.end(b"waited");
            }
            response.end(b"").expect("to end");
        }
        "/large" => response.end(&vec![b'x'; LARGE]).expect("to end"),
        _ => response.end(b"hello").expect("to end"),
    }
}

// Node: test-http-connection-close
#[test]
fn a_client_that_asks_for_the_end_gets_it_after_the_answer() {
    serve(app(Kept::default()), |address| {
        for version in ["1.1\r\nConnection: close", "1.0"] {
            let mut client = Client::connect(address);
            client.send(format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n"));
            let answer = client.answer();
            assert!(answer.closes());
            assert_eq!(answer.text(), "hello");
            client.expect_end();
        }
    });
}

// RFC 9112, 9.6
#[test]
fn a_client_that_is_still_sending_gets_the_answer_before_the_end() {
    serve(app(Kept::default()), |address| {
        for _ in 0..20 {
            let mut client = Client::connect(address);
            // The answer is sent at the first bad byte; a close at once would reset the connection.
            client.send("GET / HTTP/9.9\r\n");
            client.try_send(vec![b'x'; 1_000_000]);
            assert_eq!(client.answer().status, 505);
            client.expect_end();
        }
    });
}

// Node: test-http-eof-on-connect; unlike Node, answers due still come
#[test]
fn a_client_that_has_ended_its_side_gets_the_answers_that_are_due() {
    serve(app(Kept::default()), |address| {
        let (mut client, mut other) = (Client::connect(address), Client::connect(address));
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
        client.end_sending();
        // By the second answer the end was surely seen.
        other.ask("/");
        other.ask("/");
        other.ask("/go");
        assert_eq!(client.answer().text(), "waited");
        assert_eq!(client.answer().text(), "hello");
        client.expect_end();
        let mut client = Client::connect(address);
        client.end_sending();
        client.expect_end();
    });
}

#[test]
fn a_large_answer_comes_whole_however_the_connection_ends() {
    serve(app(Kept::default()), |address| {
        for request in
            ["GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET /large HTTP/1.0\r\n\r\n"]
        {
            for end_sending in [false, true] {
                let mut client = Client::connect(address);
                client.send(request);
                if end_sending {
                    client.end_sending();
                }
                assert_eq!(client.answer().body.len(), LARGE);
                client.expect_end();
            }
        }
    });
}

#[test]
fn a_large_answer_comes_whole_although_the_server_closes_and_counts_idle_connections() {
    let options = impatient().keep_alive_timeout(std::time::Duration::from_millis(1));
    let site = Site::new(options);
    let server = site.server.clone();
    let mut inner = app(Kept::default());
    let handler = move |request: &Request<'_>, response: Response| {
        if request.path() == "/close" {
            server.close().expect("to close");
        }
        inner(request, response);
    };
    site.run(handler, |address| {
        let (mut client, mut other) = (Client::connect(address), Client::connect(address));
        client.get("/large");
        assert_eq!(client.head().status, 200);
        // All of it is written and most of it is not sent: that is not idle.
        other.ask("/close");
        assert_eq!(client.take(LARGE).len(), LARGE);
        client.expect_end();
    });
}

// RFC 9112, 8: an answer that ends with the connection is incomplete if the connection does not end in order
#[test]
fn an_answer_that_ends_with_the_connection_is_broken_by_a_reset() {
    let kept = Kept::default();
    let site = Site::new(ServerOptions::default());
    let server = site.server.clone();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/drop-oldest" => {
            drop(kept.take_oldest());
            response.end(b"").expect("to end");
        }
        "/close-all" => server.close_all_connections(),
        path => {
            response.write(b"some").expect("to write");
            match path {
                "/abandon" => {}
                "/destroy" => response.destroy(),
                _ => kept.keep(response),
            }
        }
    };
    site.run(handler, |address| {
        let ask = |request: &str| {
            let mut stream = TcpStream::connect(address).expect("to connect");
            stream.write_all(request.as_bytes()).expect("to send");
            stream
        };
        let expect_reset = |mut stream: TcpStream| {
            let result = stream.read_to_end(&mut Vec::new());
            assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
        };
        expect_reset(ask("GET /abandon HTTP/1.0\r\n\r\n"));
        for (path, breaks) in [("/later", "/drop-oldest"), ("/later", "/close-all")] {
            let mut stream = ask(&format!("GET {path} HTTP/1.0\r\n\r\n"));
            stream.read_exact(&mut [0; 16]).expect("the answer begins");
            Client::connect(address).get(breaks);
            expect_reset(stream);
        }
        expect_reset(ask("GET /destroy HTTP/1.0\r\n\r\n"));
        let uploading = ask("POST /later HTTP/1.0\r\nContent-Length: 5\r\n\r\nx");
        uploading.shutdown(Shutdown::Write).expect("to shut down");
        expect_reset(uploading);
    });
}

// The bound on lingering: the harness would not return if it had none
#[test]
fn a_client_that_never_ends_its_side_is_left_after_a_while() {
    let site = Site::new(impatient());
    let server = site.server.clone();
    let handler = |_: &Request<'_>, response: Response| {
        response.set_header("Connection", "close").and_then(|response| response.end(b"")).expect("to end");
    };
    let client = site.run_until(
        handler,
        |address| {
            let mut client = Client::connect(address);
            assert!(client.ask("/").closes());
            client.expect_end();
            client
        },
        move || server.close().expect("to close"),
    );
    // The connection outlived the loop at this side only.
    drop(client);
}
