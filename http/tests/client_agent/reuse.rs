//! When a connection is used again, and which.

use crate::evil::{Evil, Step, say};
use crate::harness::{Honest, Site};
use http::ServerOptions;
use http::agent::{AgentOptions, Scheduling};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// HC42, HC58. Node: test-http-agent-keepalive, test-http-client-agent-reuse
#[test]
fn a_connection_serves_the_next_request_as_soon_as_its_response_is_read() {
    let site = Site::new(AgentOptions::default());
    let server = Honest::new(&site);
    let (agent, client, url) = (site.agent.clone(), site.client.clone(), server.url("/second"));
    let (log, second) = (site.log.clone(), site.noting("second"));
    site.send_then("first", site.client.get(server.url("/first")), move |_| {
        // In the turn in which the response has ended.
        log.push(format!("idle {}", agent.counters().idle));
        client.get(url).send(second).expect("a request that can be sent");
    });
    assert_eq!(site.run(), ["first: 200 /first on 0", "idle 1", "second: 200 /second on 0 reused"]);
    site.agent.close();
    server.finish(&site);
    site.finish();
}

// HC42, HC32
#[test]
fn a_connection_is_not_used_again_before_its_request_is_written() {
    let site = Site::new(AgentOptions::default());
    // The server answers early, and then reads what is left.
    let script = vec![Step::Head, say(OK), Step::Until("the end"), Step::Head, say(OK)];
    let evil = Evil::new(&site.env, [script, vec![Step::Head, say(OK)]]);
    let upload = site.client.post(evil.url("/")).field("Content-Length", "10");
    let upload = upload.begin(site.noting("upload")).expect("a request that can be sent");
    upload.write(b"abc").expect("it is under way");
    site.until(|| site.log.len() == 1 || evil.connections() == 1);
    site.turn();
    site.get("other", &evil.url("/"));
    site.until(|| site.counters().made == 2);
    // Refused if the early response has closed the connection.
    let _ = upload.end(b"the end");
    let ends = site.run();
    assert!(ends.contains(&"other: 200 ok".to_owned()), "on a connection of its own: {ends:?}");
    site.agent.destroy();
    // It waits for the rest of the request.
    drop(evil);
    site.finish();
}

// HC43. Node: test-http-keep-alive-close-on-header
#[test]
fn what_ends_a_connection_keeps_it_out_of_the_pool() {
    type Case = (&'static str, Option<&'static str>, &'static str);
    let cases: [Case; 7] = [
        ("the server closes", None, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
        ("the client closes", Some("close"), OK),
        ("HTTP/1.0", None, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("no length", None, "HTTP/1.1 200 OK\r\n\r\nok"),
        ("an error", None, "HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok"),
        (
            "the hint is too short",
            None,
            "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok",
        ),
        ("the hint is zero", None, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 2\r\n\r\nok"),
    ];
    for (what, connection, response) in cases {
        let site = Site::new(AgentOptions::default());
        let script = vec![Step::Head, say(response), Step::Fin];
        let evil = Evil::new(&site.env, [script, vec![Step::Head, say(OK)]]);
        let request = site.client.get(evil.url("/"));
        let request =
            connection.into_iter().fold(request, |request, value| request.field("Connection", value));
        let agent = site.agent.clone();
        site.send_then("first", request, move |_| assert_eq!(agent.counters().idle, 0, "{what}"));
        let ends = site.run();
        assert!(ends.len() == 1 && !ends[0].ends_with("reused"), "{ends:?}");
        site.get("second", &evil.url("/"));
        assert_eq!(site.run(), ["second: 200 ok"], "{what}");
        assert_eq!(site.counters().reused, 0, "{what}");
        site.agent.close();
        evil.finish();
        site.finish();
    }
}

// HC43. Node: test-http-agent-keepalive (HTTP/1.0)
#[test]
fn http_1_0_with_keep_alive_is_used_again() {
    let site = Site::new(AgentOptions::default());
    let kept = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok";
    let evil = Evil::new(&site.env, [vec![Step::Head, say(kept), Step::Head, say(kept)]]);
    site.get("first", &evil.url("/"));
    site.run();
    site.get("second", &evil.url("/"));
    assert_eq!(site.run(), ["second: 200 ok reused"]);
    site.agent.close();
    evil.finish();
    site.finish();
}

// HC6
#[test]
fn without_keep_alive_every_request_has_a_connection_and_says_so() {
    let site = Site::new(AgentOptions::default().keep_alive(false));
    let evil = Evil::always(&site.env, [Step::Head, say(OK)]);
    for _ in 0..3 {
        site.get("", &evil.url("/"));
        site.run();
    }
    assert_eq!((site.counters().made, site.counters().reused, site.now()), (3, 0, [0; 4]));
    let received = String::from_utf8(evil.received()).expect("text");
    assert_eq!(received.matches("Connection: close\r\n").count(), 3, "{received}");
    evil.finish();
    site.finish();
}

/// So many requests at once, and then some one after the other. Returns the connections of the latter.
fn one_by_one(scheduling: Scheduling, count: usize) -> Vec<String> {
    let site = Site::new(AgentOptions::default().scheduling(scheduling));
    let server = Honest::new(&site);
    for _ in 0..5 {
        site.get("", &server.url("/"));
    }
    site.run();
    assert_eq!(site.now(), [0, 0, 5, 0]);
    let on = |end: &String| {
        end.rsplit_once(" on ").expect("it has a number").1.trim_end_matches(" reused").to_owned()
    };
    let numbers = (0..count)
        .map(|_| {
            site.get("", &server.url("/"));
            on(&site.run()[0])
        })
        .collect();
    site.agent.close();
    server.finish(&site);
    site.finish();
    numbers
}

// HC45. Node: test-http-agent-scheduling
#[test]
fn the_last_used_the_longest_idle_or_the_least_used_connection_is_used_next() {
    let last = one_by_one(Scheduling::Lifo, 10);
    assert!(last.iter().all(|number| *number == last[0]), "{last:?}");
    let longest = one_by_one(Scheduling::Fifo, 10);
    assert_eq!(longest[..5], longest[5..]);
    let spread = one_by_one(Scheduling::LeastUsed, 1000);
    for number in 0..5 {
        let count = spread.iter().filter(|other| **other == number.to_string()).count();
        assert!((180..=220).contains(&count), "{count} on {number}");
    }
}

// HC61
#[test]
fn a_connection_serves_so_many_requests_and_no_more() {
    let site = Site::new(AgentOptions::default().max_requests(3));
    let server = Honest::new(&site);
    for _ in 0..7 {
        site.get("", &server.url("/"));
        site.run();
    }
    assert_eq!((server.connections(), site.counters().reused), (3, 4));
    site.agent.close();
    server.finish(&site);
    site.finish();
}

// HC61, HC75
#[test]
fn a_connection_is_used_up_to_an_age_and_a_new_one_looks_the_name_up_again() {
    use http::net::names::Resolver;
    let looked_up = Rc::new(RefCell::new(Vec::new()));
    let site = {
        let looked_up = Rc::clone(&looked_up);
        let resolver = Resolver::new(move |_, query, answer| {
            looked_up.borrow_mut().push(query.host.unwrap_or_default());
            answer.found([([127, 0, 0, 1], 0)]);
        });
        Site::new(AgentOptions::default().resolver(resolver).max_age(Duration::from_millis(20)))
    };
    let server = Honest::new(&site);
    let url = format!("http://the.host:{}/", server.address.port());
    for age in [0, 0, 25, 0] {
        let waited = site.env.set_timeout(Duration::from_millis(age), || {});
        site.run();
        waited.clear();
        site.get("", &url);
        site.run();
    }
    let count = looked_up.borrow().len();
    assert!(count == server.connections() && count >= 2, "{count} of {}", server.connections());
    assert_eq!(site.counters().made, count as u64);
    site.agent.close();
    server.finish(&site);
    site.finish();
}

#[test]
fn a_server_that_allows_few_requests_is_followed() {
    let site = Site::new(AgentOptions::default());
    let server = Honest::with(&site, ServerOptions::default().max_requests_per_socket(2));
    for _ in 0..6 {
        site.get("", &server.url("/"));
        site.run();
    }
    assert_eq!((server.connections(), site.counters().stale), (3, 0));
    site.agent.close();
    server.finish(&site);
    site.finish();
}
