//! Both services give the same answers: status, content, and the fields that tell something.

use service_tests::{Answer, Client, Running, SERVICES};
use std::collections::BTreeSet;

const JSON: &str = "Content-Type: application/json\r\n";

/// What is compared. The text of an error is each service's own; a client decides by the status.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    body: Option<String>,
    media_type: Option<String>,
    allow: Option<BTreeSet<String>>,
    others: Vec<(String, String)>,
}

impl From<Answer> for Seen {
    fn from(answer: Answer) -> Self {
        let is_error = answer.status >= 400;
        let media_type = answer.field("content-type").map(|value| value.split(';').next().unwrap_or(value));
        let allow = answer.field("allow").map(|value| value.split(',').map(|name| name.trim().to_owned()));
        let names = [
            "accept-ranges",
            "cache-control",
            "content-length",
            "content-range",
            "last-modified",
            "location",
        ];
        // What a client has already is not said again by both.
        let is_compared =
            |name: &str| names.contains(&name) && !(answer.status == 304 && name == "last-modified");
        let others = answer.fields.iter().filter(|(name, _)| is_compared(name) && !is_error);
        let mut others: Vec<_> = others.cloned().collect();
        others.sort();
        Self {
            status: answer.status,
            body: (!is_error).then(|| answer.text()),
            media_type: media_type.filter(|_| !is_error).map(str::to_owned),
            allow: allow.map(Iterator::collect),
            others,
        }
    }
}

/// Has both asked the same, and compares.
fn compare(talk: impl Fn(&mut Client) -> Vec<Answer>) -> Vec<Seen> {
    let [ours, twins] = SERVICES.map(|package| {
        let running = Running::start(package);
        talk(&mut running.connect()).into_iter().map(Seen::from).collect::<Vec<_>>()
    });
    for (ours, twin) in ours.iter().zip(&twins) {
        assert_eq!(ours, twin);
    }
    assert_eq!(ours.len(), twins.len());
    ours
}

fn statuses(seen: &[Seen]) -> Vec<u16> {
    seen.iter().map(|seen| seen.status).collect()
}

#[test]
fn notes_are_added_read_and_removed() {
    let seen = compare(|client| {
        vec![
            client.ask("GET /api/notes", "", ""),
            client.ask("POST /api/notes", JSON, r#"{"text": "first"}"#),
            client.ask("POST /api/notes", JSON, r#"{"text": "\u00e4\n\"", "more": 1}"#),
            client.ask("GET /api/notes", "", ""),
            client.ask("GET /api/notes?a=b", "", ""),
            client.ask("HEAD /api/notes", "", ""),
            client.ask("GET /api/notes/2", "", ""),
            client.ask("HEAD /api/notes/2", "", ""),
            client.ask("DELETE /api/notes/1", "", ""),
            client.ask("DELETE /api/notes/1", "", ""),
            client.ask("GET /api/notes/1", "", ""),
            client.ask("GET /api/notes", "", ""),
        ]
    });
    assert_eq!(statuses(&seen), [200, 201, 201, 200, 200, 200, 200, 200, 204, 404, 404, 200]);
    assert_eq!(seen[11].body.as_deref(), Some("[{\"id\":2,\"text\":\"ä\\n\\\"\"}]"));
}

#[test]
fn a_body_that_is_no_note_is_refused_and_the_connection_goes_on() {
    let long = format!("{{\"text\": \"{}\"}}", "x".repeat(64 * 1024));
    let seen = compare(|client| {
        let mut answers = vec![
            client.ask("POST /api/notes", JSON, r#"{"text": "#),
            client.ask("POST /api/notes", JSON, r#"{"text": "a"} and more"#),
            client.ask("POST /api/notes", JSON, r#"{"title": "a"}"#),
            client.ask("POST /api/notes", JSON, r#"{"text": 1}"#),
            client.ask("POST /api/notes", JSON, "[]"),
            client.ask("POST /api/notes", "Content-Type: text/plain\r\n", r#"{"text": "a"}"#),
            client.ask("POST /api/notes", "", r#"{"text": "a"}"#),
            client.ask(
                "POST /api/notes",
                "Content-Type: application/merge-patch+json\r\n",
                r#"{"text": "a"}"#,
            ),
        ];
        let chunked = "Transfer-Encoding: chunked\r\n".to_owned() + JSON;
        client.send_request("POST /api/notes", &chunked, "");
        client.send("10\r\n{\"text\": \"chunks\r\n2\r\n\"}\r\n0\r\n\r\n");
        answers.push(client.answer(false));
        answers
    });
    assert_eq!(statuses(&seen), [400, 400, 422, 422, 422, 415, 415, 201, 201]);
    // What is left of a body behind the answer ends a connection in one service, and is discarded in the other.
    for fields in ["", "Transfer-Encoding: chunked\r\n"] {
        let seen = compare(|client| {
            let body = if fields.is_empty() { long.clone() } else { String::new() };
            client.send_request("POST /api/notes", &(fields.to_owned() + JSON), &body);
            if !fields.is_empty() {
                client.try_send(format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len()));
            }
            vec![client.answer(false)]
        });
        assert_eq!(statuses(&seen), [413]);
    }
}

#[test]
fn what_is_not_there_is_404_and_another_method_405() {
    let seen = compare(|client| {
        vec![
            client.ask("GET /api", "", ""),
            client.ask("GET /api/notes/", "", ""),
            client.ask("GET /api/notes/1/more", "", ""),
            client.ask("GET /nowhere.html", "", ""),
            client.ask("GET /api/notes/x", "", ""),
            client.ask("GET /api/notes/-1", "", ""),
            client.ask("GET /api/notes/99999999999999999999", "", ""),
            client.ask("GET /../Cargo.toml", "", ""),
            client.ask("GET /%2e%2e/Cargo.toml", "", ""),
            client.ask("GET /api/echo", "", ""),
            client.ask("PUT /api/notes", "", ""),
            client.ask("OPTIONS /api/notes", "", ""),
            client.ask("PATCH /api/notes/1", "", ""),
            client.ask("POST /api/events", "", ""),
            client.ask("POST /digits.txt", "", ""),
        ]
    });
    assert_eq!(statuses(&seen), [404, 404, 404, 404, 400, 400, 400, 404, 404, 400, 405, 405, 405, 405, 405]);
    assert!(seen[10..].iter().all(|seen| seen.allow.is_some()));
}

#[test]
fn files_are_sent_whole_in_parts_or_not_again() {
    let seen = compare(|client| {
        let whole = client.ask("GET /digits.txt", "", "");
        let modified = whole.field("last-modified").expect("a time").to_owned();
        vec![
            whole,
            client.ask("HEAD /digits.txt", "", ""),
            client.ask("GET /", "", ""),
            client.ask("GET /digits.txt", "Range: bytes=2-4\r\n", ""),
            client.ask("GET /digits.txt", "Range: bytes=-3\r\n", ""),
            client.ask("GET /digits.txt", "Range: bytes=8-100\r\n", ""),
            client.ask("GET /digits.txt", "Range: bytes=10-\r\n", ""),
            client.ask("GET /digits.txt", &format!("If-Modified-Since: {modified}\r\n"), ""),
            client.ask("GET /digits.txt", "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT\r\n", ""),
        ]
    });
    assert_eq!(statuses(&seen), [200, 200, 200, 206, 206, 206, 416, 304, 200]);
}

/// tower-http's files have no entity tags.
#[test]
fn a_file_of_ours_has_a_tag() {
    let running = Running::start("service");
    let mut client = running.connect();
    let tag = client.ask("GET /digits.txt", "", "").field("etag").expect("a tag").to_owned();
    let again = client.ask("GET /digits.txt", &format!("If-None-Match: \"other\", {tag}\r\n"), "");
    assert_eq!((again.status, again.field("etag")), (304, Some(&*tag)));
    assert_eq!(client.ask("GET /digits.txt", "If-None-Match: \"other\"\r\n", "").status, 200);
    assert_eq!(client.ask("GET /digits.txt", "If-Match: \"other\"\r\n", "").status, 412);
}
