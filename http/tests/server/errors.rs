//! Clients that break the protocol.

use crate::harness::{Client, Kept, Log, serve};
use http::proto::ParseError;
use http::upcall::RequestHandler;
use http::{Request, Response};
use net::Socket;

/// Answers, or keeps requests of `/wait` until one of `/go` comes; notes errors.
struct App {
    log: Log,
    kept: Kept,
}

impl RequestHandler for App {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        match request.path() {
            "/wait" => return self.kept.keep(response),
            "/begin" => {
                response.write(b"begun").expect("to write");
                return self.kept.keep(response);
            }
            "/go" => {
                while let Some(waiting) = self.kept.take_oldest() {
                    let _ = waiting.end(b"waited");
                }
            }
            _ => {}
        }
        response.end(self.log.joined().as_bytes()).expect("to end");
    }

    fn on_client_error(&mut self, error: ParseError, socket: &Socket) {
        assert!(socket.remote_address().is_some());
        self.log.note(format!("{error:?}"));
    }
}

fn app() -> (App, Log) {
    let log = Log::default();
    (App { log: log.clone(), kept: Kept::default() }, log)
}

// Node: test-http-server-client-error, test-http-malformed-request, test-http-header-overflow,
// test-http-max-header-size, test-http-chunk-extensions-limit, test-http-max-headers-count
#[test]
fn every_fault_has_its_answer_and_ends_the_connection() {
    let long = "a".repeat(17_000);
    let post = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, ParseError::MissingHost),
        ("G(T / HTTP/1.1\r\n\r\n".to_owned(), 400, ParseError::InvalidMethod),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"), 431, ParseError::HeadTooLarge),
        (
            format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a:\r\n".repeat(2000)),
            431,
            ParseError::TooManyFields,
        ),
        (format!("GET /{long} HTTP/1.1\r\n"), 414, ParseError::UriTooLong),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), 505, ParseError::UnsupportedVersion),
    ];
    let (app, log) = app();
    let expected = cases.iter().map(|(_, _, error)| format!("{error:?}")).collect::<Vec<_>>().join(" ");
    serve(app, move |address| {
        for (request, status, _) in cases {
            let mut client = Client::connect(address);
            client.send(request);
            let answer = client.answer();
            assert_eq!(answer.status, status);
            assert!(answer.closes() && answer.field("Date").is_some());
            client.expect_end();
        }
        // In the body the request is known, and its answer is due instead.
        let mut client = Client::connect(address);
        client.send(format!("{post}1;{long}\r\n"));
        assert_eq!(client.answer().status, 200);
        client.expect_end();
    });
    assert_eq!(log.joined(), format!("{expected} ChunkExtensionsTooLarge"));
}

// Node: test-http-chunk-extensions-limit; Node: test-http-header-badrequest
#[test]
fn a_fault_in_a_body_replaces_the_answer_or_cuts_it() {
    let (app, log) = app();
    serve(app, |address| {
        for (path, status, body) in [("/wait", 413, ""), ("/begin", 200, "5\r\nbegun\r\n")] {
            let mut client = Client::connect(address);
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
            client.send(format!("1;{}\r\n", "a".repeat(17_000)));
            assert_eq!(client.head().status, status);
            assert_eq!(client.rest(), body.as_bytes());
        }
        // What is left of those is stale.
        Client::connect(address).ask("/go");
    });
    assert_eq!(log.all().len(), 2);
}

#[test]
fn answers_due_come_before_the_answer_to_a_fault_which_comes_once() {
    let (app, log) = app();
    serve(app, |address| {
        let (mut client, mut other) = (Client::connect(address), Client::connect(address));
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n???");
        while other.ask("/").text().is_empty() {}
        // More of it, and the end, change nothing.
        client.send("???\r\n\r\n");
        client.end_sending();
        other.ask("/");
        other.ask("/go");
        assert_eq!(client.answer().text(), "waited");
        assert_eq!(client.answer().status, 400);
        client.expect_end();
    });
    assert_eq!(log.joined(), "InvalidMethod");
}

// Section 4.2, EOF in the middle: HPE_INVALID_EOF_STATE
#[test]
fn an_end_in_the_middle_is_answered_400() {
    let (app, log) = app();
    serve(app, |address| {
        for request in ["GET / HT", "POST /wait HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx"] {
            let mut client = Client::connect(address);
            client.send(request);
            client.end_sending();
            assert_eq!(client.answer().status, 400);
            client.expect_end();
        }
    });
    assert_eq!(log.joined(), "UnexpectedEof UnexpectedEof");
}

#[test]
fn a_fault_does_not_concern_other_connections() {
    let (app, _) = app();
    serve(app, |address| {
        let mut other = Client::connect(address);
        other.send("GET / HT");
        let mut client = Client::connect(address);
        client.send("\0");
        assert_eq!(client.answer().status, 400);
        other.send("TP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(other.answer().status, 200);
    });
}
