//! JSON in requests and responses.

use crate::harness::{Client, Site};
use http::serve::{Failure, OwnedRequest, Serving};
use http::{Error, Response, ServerOptions};
use std::collections::BTreeMap;

const LIMIT: usize = 1000;

/// Adds up the numbers of a map.
async fn add(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
    if request.path() == "/impossible" {
        let map = BTreeMap::from([([1, 2], 3)]);
        assert!(matches!(response.send_json(&map), Err(Error::Json(_))));
    }
    let numbers: BTreeMap<String, u32> = request.json(LIMIT).await?;
    Ok(response.send_json(&[numbers.values().sum::<u32>()])?)
}

// tokio-rs/axum: `Json`
#[test]
fn a_body_of_json_is_read_as_a_value_or_refused_with_the_reason() {
    Site::new(ServerOptions::default()).run(Serving::new(add), |address| {
        let mut client = Client::connect(address);
        let long = format!("{{\"{}\": 1}}", "x".repeat(LIMIT));
        for (path, media_type, body, status, text) in [
            ("/", "application/json", "{\"a\": 1, \"b\": 2}", 200, "[3]"),
            ("/impossible", "Application/Problem+JSON; a=b", "{\"ä\": 1}", 200, "[1]"),
            ("/", "text/plain", "{\"a\": 1}", 415, "Content-Type"),
            ("/", "", "{\"a\": 1}", 415, "Content-Type"),
            ("/", "application/json", "{\"a\": 1", 400, "line 1"),
            ("/", "application/json", "{\"a\": 1} more", 400, "line 1"),
            ("/", "application/json", "", 400, "line 1"),
            ("/", "application/json", "{\"a\": -1}", 422, "invalid value"),
            ("/", "application/json", "[1]", 422, "expected a map"),
            ("/", "application/json", &long, 413, "longer than"),
        ] {
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {media_type}\r\n"));
            client.send(format!("Content-Length: {}\r\n\r\n{body}", body.len()));
            let answer = client.answer();
            assert_eq!(answer.status, status, "{body}");
            assert!(answer.text().contains(text), "{}", answer.text());
            assert_eq!(answer.field("Content-Type") == Some("application/json"), status == 200);
        }
    });
}

// JSON is deep before it is long: serde_json#162
#[test]
fn a_body_of_brackets_is_refused_without_a_stack_of_them() {
    async fn any(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
        let value: serde_json::Value = request.json(1 << 20).await?;
        Ok(response.send_json(&value)?)
    }
    Site::new(ServerOptions::default()).run(Serving::new(any), |address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n");
        client.send(format!("Content-Length: 1000000\r\n\r\n{}", "[".repeat(1_000_000)));
        let answer = client.answer();
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("recursion limit"), "{}", answer.text());
    });
}

// serde_json#307, and lists that are long for their bytes
#[test]
fn numbers_and_lists_of_any_size_are_values_or_refused_and_the_server_goes_on() {
    async fn count(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
        let value: serde_json::Value = request.json(1 << 20).await?;
        Ok(response.send_json(&value.as_array().map(Vec::len))?)
    }
    Site::new(ServerOptions::default()).run(Serving::new(count), |address| {
        let mut client = Client::connect(address);
        let most = 1 << 20;
        for (body, status, text) in [
            ("1e400".to_owned(), 400, "out of range"),
            (format!("-1e{}", "9".repeat(1000)), 400, "out of range"),
            (format!("1e-{}", "9".repeat(100_000)), 200, "null"),
            ("7".repeat(1_000_000), 400, "out of range"),
            (format!("0.{}", "3".repeat(1_000_000)), 200, "null"),
            (format!("[{}1]", "1,".repeat(500_000)), 200, "500001"),
            (format!("[{}1]", "[],".repeat(300_000)), 200, "300001"),
            (format!("{}{}", "[".repeat(127), "]".repeat(127)), 200, "1"),
            (format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200)), 400, "recursion limit"),
            (format!("\"{}\"", "\\u0000".repeat(170_000)), 200, "null"),
            (format!("{}1", " ".repeat(most - 1)), 200, "null"),
            (format!("{}1", " ".repeat(most)), 413, "longer than"),
        ] {
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n");
            client.send(format!("Content-Length: {}\r\n\r\n{body}", body.len()));
            let answer = client.answer();
            let start = &body[..body.len().min(20)];
            assert_eq!(answer.status, status, "{start} {}", answer.text());
            assert!(answer.text().contains(text), "{start} {}", answer.text());
        }
    });
}
