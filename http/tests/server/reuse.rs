//! Records, fields and heads are used again from one request to the next: no client can tell.

use crate::harness::{Client, serve};
use http::upcall::{BodyHandler, ResponseHandler};
use http::{Body, Request, Response};

struct Taker(Response);

impl BodyHandler for Taker {
    fn on_data(&mut self, _: &Body, _: &[u8]) {}

    fn on_end(&mut self, _: &Body, _: &http::proto::Fields<'_>) {
        self.0.end(b"taken").expect("to end");
    }
}

struct Told;

impl ResponseHandler for Told {}

/// `/plain` leaves nothing in the record of its exchange; everything else does.
fn app(request: &Request<'_>, response: Response) {
    let result = match request.path() {
        "/early" => response.end(b"early"),
        "/fields" => {
            let fields = [("X-Secret", "1"), ("X-Other", "2"), ("Date", "never"), ("Content-Length", "5")];
            response.write_head(404, &fields).and_then(|response| response.end(b"other"))
        }
        "/reason" => response.set_reason("Fine").and_then(|response| response.end(b"other")),
        "/removed" => response.remove_header("Connection").and_then(|response| response.end(b"other")),
        "/trailers" => response.add_trailer("X-Sum", "5").and_then(|()| response.end(b"other")),
        "/handlers" => {
            response.set_handler(Told);
            response.yield_now();
            response.end(b"other")
        }
        "/body" => {
            request.body().set_handler(Taker(response));
            Ok(())
        }
        "/streamed" => response.write(b"oth").and_then(|_| response.end(b"er")),
        "/dropped" => Ok(()),
        _ => response.set_header("X-Plain", "yes").and_then(|response| response.end(b"plain")),
    };
    result.expect("to answer");
}

#[test]
fn nothing_of_an_exchange_comes_up_in_the_next_one_that_uses_its_record() {
    serve(app, |address| {
        let mut first = Client::connect(address);
        let expected = without_date(&first.ask("/plain").head);
        for path in ["/fields", "/reason", "/removed", "/trailers", "/handlers", "/streamed", "/dropped"] {
            let mut client = Client::connect(address);
            // The last one's connection ends with it, and its record goes to another.
            client.get(path);
            client.answer();
            for client in [&mut first, &mut Client::connect(address)] {
                let answer = client.ask("/plain");
                assert_eq!(without_date(&answer.head), expected, "after {path}");
                assert_eq!(answer.text(), "plain", "after {path}");
            }
        }
        let mut client = Client::connect(address);
        client.send("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(client.answer().text(), "taken");
        assert_eq!(without_date(&client.ask("/plain").head), expected);
        // A request that waited for its turn, and those behind it.
        client.send("GET /fields HTTP/1.1\r\nHost: h\r\n\r\nGET /plain HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer().status, 404);
        assert_eq!(without_date(&client.answer().head), expected);
    });
}

#[test]
fn a_get_has_the_head_that_head_shows() {
    serve(app, |address| {
        for connection in ["", "Connection: close\r\n", "Connection: keep-alive\r\n"] {
            let head_of = |method: &str| {
                let mut client = Client::connect(address);
                client.send(format!("{method} /plain HTTP/1.1\r\nHost: h\r\n{connection}\r\n"));
                let head = without_date(&client.head().head);
                assert_eq!(head.contains("Connection: close"), connection.contains("close"), "{head}");
                head
            };
            // A response without a body is never on the fast path.
            assert_eq!(head_of("GET"), head_of("HEAD"));
        }
    });
}

/// Says in its fields what the query asks for: each of `&` one field, by its first letter and its value.
fn spelled(request: &Request<'_>, response: Response) {
    for part in request.query().unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_at(1);
        let set = match name {
            "s" => response.set_status(value.parse().expect("a status")),
            // Twice, so that the second takes the place of the first.
            "t" => {
                response.set_header("X-T", "before").and_then(|response| response.set_header("X-T", value))
            }
            name => response.set_header(&format!("X-{name}"), value),
        };
        set.expect("to set");
    }
    response.end(request.path().as_bytes()).expect("to end");
}

#[test]
fn an_answer_that_differs_in_anything_from_the_last_one_has_a_head_of_its_own() {
    let queries =
        ["", "a1", "a2", "b1", "a1&b1", "a1&b2", "a1", "t1", "t2", "a1&t1", "s404", "s404&a1", "a1"];
    serve(spelled, move |address| {
        let mut clients = [Client::connect(address), Client::connect(address)];
        let all = queries.iter().flat_map(|one| queries.iter().map(move |other| (one, other)));
        for (number, (one, other)) in all.enumerate() {
            let (first, second) = (["/", "/longer"][number % 2], ["/", "/longer"][number / 2 % 2]);
            let client = &mut clients[number / 3 % 2];
            let ask = |path: &str, query: &str| format!("GET {path}?{query} HTTP/1.1\r\nHost: h\r\n\r\n");
            client.send(ask(first, one) + &ask(second, other));
            for (path, query) in [(first, one), (second, other)] {
                let answer = client.answer();
                assert_eq!(answer.text(), path);
                let wanted = query.split('&').find_map(|part| part.strip_prefix('s')).unwrap_or("200");
                assert_eq!(answer.status.to_string(), wanted, "{query}");
                let mut fields: Vec<String> = query
                    .split('&')
                    .filter(|part| !part.is_empty() && !part.starts_with('s'))
                    .map(|part| format!("X-{}: {}", part[..1].to_uppercase(), &part[1..]))
                    .collect();
                fields.sort();
                let mut found: Vec<String> = answer
                    .head
                    .lines()
                    .filter(|line| line.starts_with("X-"))
                    .map(|line| format!("X-{}{}", line[2..3].to_uppercase(), &line[3..]))
                    .collect();
                found.sort();
                assert_eq!(found, fields, "after {one}: {query}");
            }
        }
    });
}

// RFC 9112, 9.6
#[test]
fn an_early_answer_that_ends_the_connection_is_not_lost_to_a_body_that_still_comes() {
    serve(app, |address| {
        for _ in 0..20 {
            let mut client = Client::connect(address);
            client.send(
                "POST /early HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n",
            );
            client.try_send(vec![b'x'; 1_000_000]);
            let answer = client.answer();
            assert_eq!((answer.text(), answer.closes()), ("early", true));
            client.expect_end();
        }
    });
}

#[test]
fn requests_whose_fields_differ_are_told_apart_from_those_before() {
    let echo = |request: &Request<'_>, response: Response| {
        let value = request.fields.get("X-Who").unwrap_or(b"unknown").to_vec();
        let authority = request.authority().to_owned();
        response.set_header("X-Host", authority).and_then(|response| response.end(&value)).expect("to end");
    };
    serve(echo, |address| {
        let mut client = Client::connect(address);
        let requests: Vec<_> = (0..40)
            .map(|index| match index % 4 {
                0 => ("h", String::new(), "unknown".to_owned()),
                1 => ("h", format!("X-Who: {index}\r\n"), index.to_string()),
                2 => ("other", String::new(), "unknown".to_owned()),
                _ => ("h", "X-Who: same\r\n".to_owned(), "same".to_owned()),
            })
            .collect();
        for (host, field, _) in &requests {
            // Each twice: the second has the fields of the first.
            client.send(format!("GET /a?b HTTP/1.1\r\nHost: {host}\r\n{field}\r\n").repeat(2));
        }
        for (host, _, who) in &requests {
            for _ in 0..2 {
                let answer = client.answer();
                assert_eq!((answer.text(), answer.field("X-Host")), (who.as_str(), Some(*host)));
            }
        }
    });
}

fn without_date(head: &str) -> String {
    head.lines().filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\n")
}
