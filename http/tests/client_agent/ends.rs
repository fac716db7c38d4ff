//! The end of an agent, and what it counts until then.

use crate::evil::{Evil, Step, say};
use crate::harness::{Honest, Site};
use http::agent::AgentOptions;
use http::client::{Client, ErrorKind};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// HC62. Node: test-http-agent-close
#[test]
fn close_lets_begun_requests_end_and_keeps_no_connection() {
    let site = Site::new(AgentOptions::default().max_per_origin(2));
    let (server, other) = (Honest::new(&site), Honest::new(&site));
    site.get("idle", &other.url("/"));
    site.run();
    for name in ["active", "active too", "waits", "waits too"] {
        site.get(name, &server.url("/held"));
    }
    site.until(|| server.held() == 2);
    assert_eq!(site.now(), [0, 2, 1, 2]);
    site.agent.close();
    site.agent.close();
    assert_eq!(site.now(), [0, 2, 0, 2], "idle connections are closed at once");
    site.get("late", &server.url("/"));
    for count in [2, 2, 2, 1] {
        site.until(|| server.held() == count);
        server.release();
    }
    let ends = site.run();
    assert_eq!(ends[0], format!("late: {}", ErrorKind::AgentClosed));
    assert_eq!(ends.iter().filter(|end| end.contains("200 held")).count(), 4, "{ends:?}");
    assert_eq!(site.now(), [0; 4]);
    server.finish(&site);
    other.finish(&site);
    site.finish();
}

// HC62. Node: test-http-agent-destroyed-socket, test-http-client-agent-abort-close-event
#[test]
fn destroy_fails_every_request_once() {
    let site = Site::new(AgentOptions::default().max_per_origin(2));
    let (server, other) = (Honest::new(&site), Honest::new(&site));
    site.get("idle", &other.url("/"));
    site.run();
    for name in ["active", "active too", "waits", "waits too"] {
        site.get(name, &server.url("/held"));
    }
    site.until(|| server.held() == 2);
    // Its connection is not opened yet.
    site.get("new", &Honest::url(&other, "/held"));
    site.get("newer", &other.url("/held"));
    assert_eq!(site.now(), [1, 3, 0, 2]);
    site.agent.destroy();
    site.agent.destroy();
    assert_eq!(site.log.len(), 0, "no handler is called within the call");
    site.get("late", &server.url("/"));
    let mut ends = site.run();
    ends.sort();
    let failed = ["active", "active too", "late", "new", "newer", "waits", "waits too"];
    let mut expected = failed.map(|name| format!("{name}: {}", ErrorKind::AgentClosed));
    expected.sort();
    let ends: Vec<_> = ends.iter().map(|end| end.trim_end_matches(" reused")).collect();
    assert_eq!(ends, expected);
    assert_eq!(site.now(), [0; 4]);
    server.finish(&site);
    other.finish(&site);
    site.finish();
}

// HC62
#[test]
fn an_agent_may_be_destroyed_in_a_callback_of_its_own() {
    let site = Site::new(AgentOptions::default().max_per_origin(1));
    let server = Honest::new(&site);
    let agent = site.agent.clone();
    site.send_then("first", site.client.get(server.url("/")), move |_| agent.destroy());
    site.get("second", &server.url("/"));
    assert_eq!(
        site.run(),
        ["first: 200 / on 0".to_owned(), format!("second: {} reused", ErrorKind::AgentClosed)]
    );
    server.finish(&site);
    site.finish();
}

#[test]
fn requests_outlive_the_last_handle_and_their_connections_do_not() {
    let site = Site::new(AgentOptions::default());
    let server = Honest::new(&site);
    let client = Client::new(&site.env).expect("an agent of its own");
    client.get(server.url("/idle")).send(site.noting("idle")).expect("a request that can be sent");
    site.run();
    client.get(server.url("/held")).send(site.noting("held")).expect("a request that can be sent");
    let begun = client.get(server.url("/begun"));
    drop(client);
    begun.send(site.noting("begun")).expect("a request that can be sent");
    site.until(|| server.held() == 1);
    server.release();
    let mut ends = site.run();
    ends.sort();
    assert_eq!(ends, ["begun: 200 /begun on 1", "held: 200 held reused"]);
    // Else the server would still have connections.
    server.finish(&site);
    site.finish();
}

// HC63
#[test]
fn each_origin_has_its_counters() {
    let site = Site::new(AgentOptions::default().max_per_origin(2));
    let (server, quiet) = (Honest::new(&site), Honest::new(&site));
    let lying = Evil::new(
        &site.env,
        [vec![Step::Head, say(OK), Step::Head, Step::Fin], vec![Step::Head, say(OK), Step::Fin]],
    );
    site.get("", &quiet.url("/"));
    site.get("", &lying.url("/"));
    site.run();
    site.get("", &lying.url("/"));
    for _ in 0..3 {
        site.get("", &server.url("/held"));
    }
    site.until(|| server.held() == 2 && site.log.len() == 1);
    let counters = |address: std::net::SocketAddr| {
        let all = site.agent.origins();
        let name = format!("http://{address}");
        let (_, counters) = all.into_iter().find(|(other, _)| *other == name).expect("it is known");
        let now = [counters.connecting, counters.active, counters.idle, counters.waiting];
        (now, [counters.made, counters.reused, counters.stale, counters.retried])
    };
    assert_eq!(counters(server.address), ([0, 2, 0, 1], [2, 0, 0, 0]));
    assert_eq!(counters(quiet.address), ([0, 0, 1, 0], [1, 0, 0, 0]));
    site.until(|| counters(lying.address()).1[2] == 2);
    // One was lost by the request that was retried, the other when it was idle.
    assert_eq!(counters(lying.address()), ([0; 4], [2, 1, 2, 1]));
    let total = site.counters();
    assert_eq!((total.made, total.reused, total.stale, total.retried), (5, 1, 2, 1));
    for _ in 0..2 {
        server.release();
    }
    site.until(|| server.held() == 1);
    server.release();
    site.run();
    assert_eq!(counters(server.address), ([0, 0, 2, 0], [2, 1, 0, 0]));
    site.agent.close();
    server.finish(&site);
    quiet.finish(&site);
    lying.finish();
    site.finish();
}
