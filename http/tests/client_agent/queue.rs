//! Requests that wait for a connection: their order, their bound, and how they leave.

use crate::evil::{Evil, Silent, Step, say};
use crate::harness::{Honest, Site};
use http::agent::AgentOptions;
use http::client::ErrorKind;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// HC49. Node: test-http-client-agent, whose order over origins is another
#[test]
fn the_oldest_waiting_request_is_served_first_whatever_its_origin() {
    let site = Site::new(AgentOptions::default().max_total(1));
    let servers = [(); 3].map(|()| Honest::new(&site));
    for (number, server) in [0, 1, 2, 1, 0, 2, 0].into_iter().enumerate() {
        site.get(&number.to_string(), &servers[server].url("/"));
    }
    let ends = site.run();
    let order: Vec<_> = ends.iter().map(|end| &end[..1]).collect();
    assert_eq!(order, ["0", "1", "2", "3", "4", "5", "6"]);
    site.agent.close();
    servers.into_iter().for_each(|server| server.finish(&site));
    site.finish();
}

// HC49
#[test]
fn an_origin_at_its_limit_holds_up_no_other() {
    let site = Site::new(AgentOptions::default().max_per_origin(1).max_total(2));
    let (slow, fast) = (Honest::new(&site), Honest::new(&site));
    for _ in 0..3 {
        site.get("slow", &slow.url("/held"));
    }
    for _ in 0..3 {
        site.get("fast", &fast.url("/"));
    }
    site.until(|| site.log.len() == 3);
    assert_eq!(site.log.take(), ["fast: 200 / on 0", "fast: 200 / on 0 reused", "fast: 200 / on 0 reused"]);
    for _ in 0..3 {
        site.until(|| slow.held() == 1);
        slow.release();
    }
    assert_eq!(site.run().len(), 3);
    site.agent.close();
    slow.finish(&site);
    fast.finish(&site);
    site.finish();
}

// HC50
#[test]
fn a_request_beyond_the_bound_of_the_queue_fails_from_the_loop() {
    let site = Site::new(AgentOptions::default().max_per_origin(1).max_waiting(2));
    let server = Honest::new(&site);
    for name in ["served", "waits", "waits too", "refused"] {
        site.get(name, &server.url("/"));
    }
    assert_eq!((site.log.len(), site.now()), (0, [1, 0, 0, 2]), "no handler is called within the call");
    let ends = site.run();
    assert_eq!(ends[0], format!("refused: {}", ErrorKind::QueueFull), "before any other ends");
    assert_eq!(ends.len(), 4);
    site.agent.close();
    server.finish(&site);
    site.finish();
}

// HC51. Node: test-http-abort-queued
#[test]
fn a_request_that_is_aborted_in_the_queue_frees_its_place_and_starts_no_connection() {
    let site = Site::new(AgentOptions::default().max_per_origin(1).max_waiting(1));
    let server = Honest::new(&site);
    site.get("served", &server.url("/"));
    let aborted = site.get("aborted", &server.url("/"));
    aborted.abort();
    assert_eq!(site.now(), [1, 0, 0, 0]);
    site.get("next", &server.url("/"));
    let ends = site.run();
    assert_eq!(ends[0], format!("aborted: {}", ErrorKind::Aborted));
    assert_eq!(ends[1..], ["served: 200 / on 0", "next: 200 / on 0 reused"]);
    assert_eq!((server.requests(), site.counters().made), (2, 1));
    site.agent.close();
    server.finish(&site);
    site.finish();
}

// HC51, HC81. Node: test-http-client-abort-keep-alive-queued-tcp-socket
#[test]
fn a_request_that_is_aborted_before_its_connection_is_opened_opens_none() {
    let site = Site::new(AgentOptions::default().max_per_origin(1));
    let server = Honest::new(&site);
    site.get("aborted", &server.url("/")).abort();
    site.get("next", &server.url("/"));
    assert_eq!(site.run(), [format!("aborted: {}", ErrorKind::Aborted), "next: 200 / on 0".to_owned()]);
    assert_eq!(server.connections(), 1);
    site.agent.close();
    server.finish(&site);
    site.finish();
}

// HC51
#[test]
fn a_request_that_is_aborted_while_it_connects_lets_the_next_one_connect() {
    let site = Site::new(AgentOptions::default().max_total(1));
    let silent = Silent::new(&site.env);
    let server = Honest::new(&site);
    let hangs = site.get("hangs", &silent.url("/"));
    site.get("next", &server.url("/"));
    site.turn();
    assert_eq!(site.now(), [1, 0, 0, 1]);
    hangs.abort();
    assert_eq!(site.run(), [format!("hangs: {}", ErrorKind::Aborted), "next: 200 / on 0".to_owned()]);
    site.agent.close();
    server.finish(&site);
    drop(silent);
    site.finish();
}

// HC52. Node: test-http-agent-remove, test-http-client-agent-end-close-event
#[test]
fn a_connection_that_closes_while_requests_wait_is_replaced_at_once() {
    let endings: [(&str, Vec<Step>); 3] = [
        ("a FIN", vec![Step::Fin]),
        ("a reset", vec![Step::Reset]),
        ("a broken answer", vec![say("nonsense\r\n")]),
    ];
    for (what, ending) in endings {
        let site = Site::new(AgentOptions::default().max_per_origin(1));
        let breaking: Vec<_> = [Step::Head].into_iter().chain(ending).collect();
        let evil = Evil::new(&site.env, [breaking, vec![Step::Head, say(OK), Step::Head, say(OK)]]);
        for name in ["lost", "next", "last"] {
            site.get(name, &evil.url("/"));
        }
        let ends = site.run();
        assert!(ends[0].starts_with("lost: ") && !ends[0].contains("200"), "{what}: {ends:?}");
        assert_eq!(ends[1..], ["next: 200 ok", "last: 200 ok reused"], "{what}");
        site.agent.close();
        evil.finish();
        site.finish();
    }
}

// HC52
#[test]
fn connects_that_fail_one_after_the_other_fail_one_request_each() {
    let site = Site::new(AgentOptions::default().max_per_origin(1));
    for number in 0..100 {
        let missing = site.client.get("http://a/").unix_path("/no/such/socket");
        site.send(&number.to_string(), missing);
    }
    let ends = site.run();
    let expected: Vec<_> = (0..100).map(|number| format!("{number}: {}", ErrorKind::Connect)).collect();
    assert_eq!(ends, expected);
    assert_eq!(site.now(), [0; 4]);
    site.finish();
}
