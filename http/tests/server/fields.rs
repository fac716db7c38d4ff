//! The fields of answers: those that a handler sets, and those that are sent by themselves.

use crate::harness::{Answer, Client, Site, serve};
use http::proto::EncodeError;
use http::{Error, Request, Response, ServerOptions};
use std::time::Duration;

fn answer_of(handler: impl FnMut(&Request<'_>, Response) + 'static) -> Answer {
    serve(handler, |address| Client::connect(address).ask("/"))
}

// Node: test-http-server-keep-alive-defaults; RFC 9110, 7.6.1
#[test]
fn a_connection_that_stays_says_for_how_long() {
    let answer = answer_of(|_, response| response.end(b"").expect("to end"));
    assert_eq!(answer.field("Connection"), Some("keep-alive"));
    assert_eq!(answer.field("Keep-Alive"), Some("timeout=65"));
}

// Node: test-http-keep-alive-timeout-custom
#[test]
fn what_is_said_of_keep_alive_follows_the_options_and_the_handler() {
    let options =
        ServerOptions::default().keep_alive_timeout(Duration::from_millis(7900)).max_requests_per_socket(10);
    let handler = |request: &Request<'_>, response: Response| {
        match request.path() {
            "/own" => drop(response.set_header("Keep-Alive", "timeout=3")),
            "/none" => drop(response.remove_header("Keep-Alive")),
            _ => {}
        }
        response.end(b"").expect("to end");
    };
    Site::new(options).run(handler, |address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/").field("Keep-Alive"), Some("timeout=7, max=10"));
        assert_eq!(client.ask("/own").head.matches("Keep-Alive").count(), 1);
        assert_eq!(client.ask("/none").field("Keep-Alive"), None);
    });
    let options = ServerOptions::default().keep_alive_timeout(Duration::ZERO);
    Site::new(options).run(handler, |address| {
        assert_eq!(Client::connect(address).ask("/").field("Keep-Alive"), None);
    });
}

// Node: test-http-remove-header-stays-removed
#[test]
fn removed_fields_stay_removed() {
    let handler = |request: &Request<'_>, response: Response| {
        let removed = if request.path() == "/all" {
            &["Date", "connection", "CONTENT-LENGTH", "Transfer-Encoding", "X-A"][..]
        } else {
            &[]
        };
        response.set_header("X-A", "1").expect("to set");
        for name in removed {
            response.remove_header(name).expect("to remove");
        }
        response.end(b"until the end").expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/").field("X-A"), Some("1"));
        let answer = client.ask("/all");
        assert_eq!(answer.head, "HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(answer.text(), "until the end");
    });
}

// Node: test-http-date-header
#[test]
fn the_date_goes_on_with_the_seconds() {
    let handler = |_: &Request<'_>, response: Response| response.end(b"").expect("to end");
    serve(handler, |address| {
        let mut client = Client::connect(address);
        let mut date = || {
            let answer = client.ask("/");
            httpdate::parse_http_date(answer.field("Date").expect("a date")).expect("of the right form")
        };
        let first = date();
        let next = std::iter::repeat_with(date).find(|date| *date != first).expect("it does");
        assert!(next > first);
    });
}

// Node: test-http-date-header
#[test]
fn the_date_can_be_set() {
    let answer = answer_of(|_, response| {
        response.set_header("Date", "Thu, 01 Jan 1970 00:00:00 GMT").expect("to set");
        response.end(b"").expect("to end");
    });
    assert_eq!(answer.head.matches("Date:").count(), 1);
    assert_eq!(answer.field("Date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    assert_eq!(answer.field("Keep-Alive"), Some("timeout=65"));
}

// Node: test-http-write-head, test-http-response-multiheaders
#[test]
fn setting_replaces_and_appending_adds() {
    let answer = answer_of(|_, response| {
        response.set_header("X-A", "1").expect("to set");
        response.append_header("Set-Cookie", "a").expect("to append");
        response.append_header("set-cookie", "b").expect("to append");
        response.append_header("X-A", "2").expect("to append");
        response.write_head(201, &[("x-a", "3"), ("X-B", "4")]).expect("to write");
        assert!(!response.is_head_sent());
        response.end(b"").expect("to end");
    });
    assert_eq!(answer.status, 201);
    assert_eq!((answer.field("X-A"), answer.field("X-B")), (Some("3"), Some("4")));
    assert_eq!(answer.head.to_ascii_lowercase().matches("x-a:").count(), 1);
    assert_eq!(answer.head.to_ascii_lowercase().matches("set-cookie:").count(), 2);
}

#[test]
fn the_reason_can_be_set() {
    let answer = answer_of(|_, response| {
        response.set_reason("Fine").and_then(|response| response.end(b"")).expect("to end");
    });
    assert!(answer.head.starts_with("HTTP/1.1 200 Fine\r\n"));
}

// Node: test-http-flush-headers
#[test]
fn the_head_can_go_ahead_of_the_body() {
    let handler = |request: &Request<'_>, response: Response| {
        if request.path() == "/set" {
            // The record of this exchange is used again.
            response.set_header("a", "b").and_then(|response| response.end(b"")).expect("to end");
            return;
        }
        response.flush_headers().expect("to flush");
        assert_eq!(response.flush_headers(), Ok(()), "idempotent");
        assert_eq!(response.set_header("a", "b").map(drop), Err(Error::HeadersSent));
        response.end(b"body").expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/set").field("a"), Some("b"));
        let answer = client.ask("/");
        assert_eq!((answer.field("Transfer-Encoding"), answer.text()), (Some("chunked"), "body"));
    });
}

// Node: test-http-set-trailers, test-http-server-de-chunked-trailer
#[test]
fn trailers_follow_a_chunked_body_and_nothing_else() {
    let handler = |request: &Request<'_>, response: Response| {
        response.set_header("Trailer", "X-Sum").expect("to set");
        if request.path() == "/length" {
            response.set_header("Content-Length", "4").expect("to set");
            assert_eq!(response.end(b"body"), Err(Error::Encode(EncodeError::TrailerWithoutChunked)));
            response.remove_header("Trailer").expect("to remove");
            response.write(b"bo").expect("to write");
            assert_eq!(
                response.add_trailer("X-Sum", "1"),
                Err(Error::Encode(EncodeError::TrailerWithoutChunked))
            );
            return response.end(b"dy").expect("to end");
        }
        response.write(b"body").expect("to write");
        assert!(response.add_trailer("Content-Length", "4").is_err());
        response.add_trailer("X-Sum", "1").expect("to add");
        response.end(b"").expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.get("/");
        assert_eq!(client.head().field("Trailer"), Some("X-Sum"));
        assert_eq!(client.chunk(), b"body");
        let end = b"0\r\nX-Sum: 1\r\n\r\n";
        assert_eq!(client.take(end.len()), end);
    });
    serve(handler, |address| {
        let mut client = Client::connect(address);
        let answer = client.ask("/length");
        assert_eq!((answer.field("Trailer"), answer.text()), (None, "body"));
        // An HTTP/1.0 client gets neither, and that is no mistake of the handler's.
        client.send("GET / HTTP/1.0\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.field("Trailer"), answer.text()), (None, "body"));
    });
}

/// What a handler does with the fields of one answer, and which lines that leaves.
#[derive(Default)]
struct Plan {
    steps: Vec<(char, &'static str, &'static str)>,
    lines: Vec<(&'static str, &'static str)>,
}

impl Plan {
    fn add(&mut self, step: char, name: &'static str, value: &'static str) {
        self.steps.push((step, name, value));
        if step != 'a' {
            self.lines.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        }
        if step != 'r' {
            self.lines.push((name, value));
        }
    }

    fn carry_out(&self, response: &Response) -> Result<(), Error> {
        for (step, name, value) in &self.steps {
            match step {
                's' => response.set_header(name, value)?,
                'a' => response.append_header(name, value)?,
                _ => response.remove_header(name)?,
            };
        }
        Ok(())
    }
}

#[test]
fn every_answer_has_its_own_head_whatever_those_before_it_had() {
    const STATUSES: [(u16, &str); 4] =
        [(200, "OK"), (201, "Created"), (404, "Not Found"), (500, "Internal Server Error")];
    const NAMES: [&str; 5] = ["A", "a", "AB", "Name", "Content-Type"];
    const VALUES: [&str; 4] = ["1", "2", "", "1: 2"];
    const LENGTHS: [usize; 6] = [0, 1, 9, 10, 12_345, 20_000];
    const ANSWERS: usize = 2000;
    /// Numbers without a pattern, the same in every run.
    fn roll(dice: &mut u64, sides: usize) -> usize {
        *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*dice >> 33) as usize % sides
    }
    fn plan(number: usize) -> (usize, usize, Plan) {
        let (mut dice, mut plan) = (number as u64, Plan::default());
        for _ in 0..3 {
            roll(&mut dice, 2);
        }
        for _ in 0..roll(&mut dice, 4) {
            let step = ['s', 's', 'a', 'r'][roll(&mut dice, 4)];
            plan.add(step, NAMES[roll(&mut dice, NAMES.len())], VALUES[roll(&mut dice, VALUES.len())]);
        }
        (roll(&mut dice, STATUSES.len()), LENGTHS[roll(&mut dice, LENGTHS.len())], plan)
    }
    let handler = |request: &Request<'_>, response: Response| {
        let (status, length, plan) = plan(request.path()[1..].parse().expect("a number"));
        response.set_status(STATUSES[status].0).expect("a status");
        plan.carry_out(&response).expect("fields");
        response.end(&vec![b'x'; length]).expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        for number in 0..ANSWERS {
            let (status, length, plan) = plan(number);
            let is_head = number % 7 == 0;
            let method = if is_head { "HEAD" } else { "GET" };
            client.send(format!("{method} /{number} HTTP/1.1\r\nHost: h\r\n\r\n"));
            let answer = if is_head { client.head() } else { client.answer() };
            let (code, reason) = STATUSES[status];
            let lines: String =
                plan.lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let date = answer.field("Date").expect("a date");
            // Nothing given to an answer to HEAD says nothing of what GET would get.
            let is_length_said = !(is_head && length == 0);
            let length_line =
                if is_length_said { format!("Content-Length: {length}\r\n") } else { String::new() };
            let expected = format!(
                "HTTP/1.1 {code} {reason}\r\nDate: {date}\r\nConnection: keep-alive\r\n\
                 Keep-Alive: timeout=65\r\n{lines}{length_line}\r\n"
            );
            assert_eq!(answer.head, expected, "answer {number}: {:?}", plan.steps);
            assert_eq!(answer.body.len(), if is_head { 0 } else { length });
        }
    });
}
