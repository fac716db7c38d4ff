//! Requests that have lost a connection which was used before: the safe ones are sent once more.

use crate::evil::{Evil, Script, Seen, Step, say};
use crate::harness::Site;
use http::agent::AgentOptions;
use http::client::{Client, ErrorKind, RequestBuilder};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers a first request, and ends a second one in some way.
fn then(ending: impl IntoIterator<Item = Step>) -> Script {
    [Step::Head, say(OK), Step::Head].into_iter().chain(ending).collect()
}

/// Sends a request on a connection that has served another one, and whose server then plays `scripts`.
fn on_used(
    options: AgentOptions,
    scripts: impl IntoIterator<Item = Script>,
    request: impl FnOnce(&Client, &str) -> RequestBuilder,
) -> (String, Vec<Seen>) {
    let site = Site::new(options);
    let evil = Evil::new(&site.env, scripts);
    site.get("first", &evil.url("/"));
    assert_eq!(site.run(), ["first: 200 ok"]);
    site.send("second", request(&site.client, &evil.url("/")));
    let ends = site.run();
    site.agent.close();
    let seen = evil.finish();
    site.finish();
    (ends.join(", "), seen)
}

// HC55, HC58
#[test]
fn an_idempotent_request_is_sent_once_more_on_a_new_connection() {
    let endings: [(&str, Vec<Step>); 3] =
        [("a FIN", vec![Step::Fin]), ("a close", vec![Step::Close]), ("a reset", vec![Step::Reset])];
    for (what, ending) in endings {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            let body = if method == "HEAD" { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" } else { OK };
            let again = vec![Step::Head, say(body)];
            let (end, seen) =
                on_used(AgentOptions::default(), [then(ending.clone()), again], |client, url| {
                    client.request(method, url)
                });
            let content = if method == "HEAD" { "" } else { "ok" };
            assert_eq!(end, format!("second: 200 {content} retried"), "{method}, {what}");
            let second = seen[0].text().split_once("\r\n\r\n").map(|(_, second)| second.to_owned());
            assert_eq!(second, Some(seen[1].text()), "it is the same request");
        }
    }
}

// HC55
#[test]
fn a_body_that_was_given_whole_is_sent_again_whole() {
    let script = vec![Step::Head, say(OK), Step::Head, Step::Bytes(3), Step::Reset];
    let again = vec![Step::Head, Step::Bytes(1 << 20), say(OK)];
    let (end, seen) = on_used(AgentOptions::default(), [script, again], |client, url| {
        client.put(url).body(vec![b'x'; 1 << 20])
    });
    assert_eq!(end, "second: 200 ok retried");
    let text = seen[1].text();
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(body.len() == 1 << 20 && body.bytes().all(|byte| byte == b'x'));
}

// HC55
#[test]
fn a_key_of_idempotency_makes_any_method_safe() {
    let again = vec![Step::Head, say(OK)];
    let (end, seen) = on_used(AgentOptions::default(), [then([Step::Fin]), again], |client, url| {
        client.post(url).field("Idempotency-Key", "\"8e03978e\"").body("x")
    });
    assert_eq!(end, "second: 200 ok retried");
    assert!(seen[1].text().contains("\"8e03978e\""));
}

// HC57
#[test]
fn a_post_is_not_repeated_and_its_error_says_that_the_connection_was_used_before() {
    for method in ["POST", "PATCH"] {
        let site = Site::new(AgentOptions::default());
        let evil = Evil::new(&site.env, [then([Step::Fin]), vec![Step::Head, say(OK)]]);
        site.get("first", &evil.url("/"));
        site.run();
        site.send("second", site.client.request(method, evil.url("/")).body("x"));
        let lost = ErrorKind::ConnectionLost;
        assert_eq!(site.run(), [format!("second: {lost} reused")], "{method}");
        assert_eq!((site.counters().stale, site.counters().retried), (1, 0));
        site.agent.close();
        assert_eq!(evil.finish().len(), 1);
        site.finish();
    }
}

// HC56
#[test]
fn a_request_is_sent_twice_at_most() {
    let dying = vec![Step::Head, Step::Close];
    let (end, seen) =
        on_used(AgentOptions::default(), [then([Step::Close]), dying.clone(), dying], |client, url| {
            client.get(url)
        });
    assert_eq!(end, format!("second: {} retried", ErrorKind::ConnectionLost));
    assert_eq!(seen.len(), 2);
}

// HC56
#[test]
fn the_failure_of_a_new_connection_is_not_repeated() {
    let site = Site::new(AgentOptions::default());
    let evil = Evil::always(&site.env, [Step::Head, Step::Close]);
    site.get("first", &evil.url("/"));
    assert_eq!(site.run(), [format!("first: {}", ErrorKind::ConnectionLost)]);
    assert_eq!(site.counters().made, 1);
    evil.finish();
    site.finish();
}

// HC55
#[test]
fn a_request_is_not_repeated_once_a_byte_of_the_response_has_come() {
    for part in ["H", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let script = then([say(part), Step::Turns(3), Step::Fin]);
        let (end, seen) =
            on_used(AgentOptions::default(), [script, vec![Step::Head, say(OK)]], |client, url| {
                client.get(url)
            });
        assert!(end.ends_with(" reused") && !end.contains("200 ok"), "{part}: {end}");
        assert_eq!(seen.len(), 1, "{part}");
    }
}

#[test]
fn a_body_that_the_program_writes_is_not_repeated() {
    let site = Site::new(AgentOptions::default());
    let evil = Evil::new(&site.env, [then([Step::Fin]), vec![Step::Head, say(OK)]]);
    site.get("first", &evil.url("/"));
    site.run();
    let put =
        site.client.put(evil.url("/")).begin(site.noting("second")).expect("a request that can be sent");
    put.write(b"x").expect("it is under way");
    assert_eq!(site.run(), [format!("second: {} reused", ErrorKind::ConnectionLost)]);
    site.agent.close();
    evil.finish();
    site.finish();
}

#[test]
fn the_repetition_can_be_switched_off() {
    let options = AgentOptions::default().retry(false);
    let again = vec![Step::Head, say(OK)];
    let (end, seen) = on_used(options, [then([Step::Fin]), again], |client, url| client.get(url));
    assert_eq!((end, seen.len()), (format!("second: {} reused", ErrorKind::ConnectionLost), 1));
}

#[test]
fn a_request_that_is_repeated_at_the_limit_takes_the_place_of_its_first_connection() {
    let site = Site::new(AgentOptions::default().max_per_origin(1).max_total(1));
    let evil = Evil::new(&site.env, [then([Step::Close]), vec![Step::Head, say(OK), Step::Head, say(OK)]]);
    site.get("first", &evil.url("/"));
    site.run();
    site.get("second", &evil.url("/"));
    site.get("third", &evil.url("/"));
    assert_eq!(
        site.run(),
        ["second: 200 ok retried", "third: 200 ok reused"],
        "it does not go behind the third"
    );
    assert_eq!((site.counters().made, site.counters().retried, site.counters().stale), (2, 1, 1));
    site.agent.close();
    evil.finish();
    site.finish();
}
