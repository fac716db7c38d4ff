//! The limits of connections: of an origin, in total, of idle ones.

use crate::evil::{Evil, Step, say};
use crate::harness::{Honest, Site};
use http::agent::AgentOptions;

// HC46. Node: test-http-agent-keepalive (maxFreeSockets)
#[test]
fn an_origin_has_so_many_idle_connections_and_the_oldest_is_closed() {
    let site = Site::new(AgentOptions::default().max_idle_per_origin(2));
    let server = Honest::new(&site);
    for _ in 0..5 {
        site.get("", &server.url("/"));
    }
    site.run();
    assert_eq!((site.now(), site.counters().made), ([0, 0, 2, 0], 5));
    assert_eq!(site.counters().stale, 0, "the agent has closed them itself");
    site.agent.close();
    server.finish(&site);
    site.finish();
}

// HC46
#[test]
fn with_room_for_no_idle_connection_waiting_requests_still_share_one() {
    let site = Site::new(AgentOptions::default().max_idle_per_origin(0).max_per_origin(1));
    let server = Honest::new(&site);
    for _ in 0..3 {
        site.get("", &server.url("/"));
    }
    site.run();
    assert_eq!((site.now(), site.counters().made, site.counters().reused), ([0; 4], 1, 2));
    server.finish(&site);
    site.finish();
}

// HC47. Node: test-http-client-agent, test-http-agent-maxsockets-respected
#[test]
fn an_origin_never_has_more_connections_than_its_limit() {
    let site = Site::new(AgentOptions::default().max_per_origin(2));
    let server = Honest::new(&site);
    let other = Honest::new(&site);
    for _ in 0..10 {
        site.get("", &server.url("/held"));
    }
    site.get("other", &other.url("/"));
    assert_eq!(site.now(), [3, 0, 0, 8], "also those that connect count");
    for released in 0..10 {
        site.until(|| server.held() == (10 - released).min(2));
        let [connecting, active, idle, waiting] = site.now();
        assert!(connecting + active + idle <= 3 && waiting == (8_u32).saturating_sub(released as u32));
        server.release();
    }
    assert_eq!(site.run().len(), 11);
    assert_eq!((server.connections(), site.now()), (2, [0, 0, 3, 0]));
    site.agent.close();
    server.finish(&site);
    other.finish(&site);
    site.finish();
}

// HC48. Node: test-http-agent-maxtotalsockets
#[test]
fn in_total_the_least_recently_used_idle_connection_makes_room() {
    let site = Site::new(AgentOptions::default().max_total(2));
    let servers = [(); 3].map(|()| Honest::new(&site));
    let ask = |server: &Honest| {
        site.get("", &server.url("/"));
        site.run();
        site.now()
    };
    assert_eq!(ask(&servers[0]), [0, 0, 1, 0]);
    assert_eq!(ask(&servers[1]), [0, 0, 2, 0]);
    // Now the second is the least recently used.
    assert_eq!(ask(&servers[0]), [0, 0, 2, 0]);
    assert_eq!(ask(&servers[2]), [0, 0, 2, 0]);
    assert_eq!(ask(&servers[0]), [0, 0, 2, 0]);
    assert_eq!(servers.each_ref().map(Honest::connections), [1, 1, 1]);
    assert_eq!(site.counters().reused, 2);
    site.agent.close();
    servers.into_iter().for_each(|server| server.finish(&site));
    site.finish();
}

// HC48
#[test]
fn in_total_a_request_waits_if_no_connection_is_idle() {
    let site = Site::new(AgentOptions::default().max_total(1));
    let (server, other) = (Honest::new(&site), Honest::new(&site));
    site.get("held", &server.url("/held"));
    site.get("other", &other.url("/"));
    site.until(|| server.held() == 1);
    assert_eq!((site.now(), other.requests()), ([0, 1, 0, 1], 0));
    server.release();
    assert_eq!(site.run(), ["held: 200 held", "other: 200 / on 0"]);
    assert_eq!(site.now(), [0, 0, 1, 0]);
    site.agent.close();
    server.finish(&site);
    other.finish(&site);
    site.finish();
}

// HC79
#[test]
fn a_connection_that_leaves_http_counts_no_more() {
    let site = Site::new(AgentOptions::default().max_per_origin(1));
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let evil = Evil::new(&site.env, [vec![Step::Head, say(switch)], vec![Step::Head, say(ok)]]);
    let upgrade = site.client.get(evil.url("/")).field("Connection", "Upgrade").field("Upgrade", "echo");
    // Its handler takes no socket, which is destroyed.
    upgrade.send(site.noting("upgrade")).map(drop).expect("a request that can be sent");
    site.get("next", &evil.url("/"));
    let ends = site.run();
    assert!(ends.contains(&"next: 200 ok".to_owned()), "{ends:?}");
    assert_eq!((site.now(), site.counters().made), ([0, 0, 1, 0], 2));
    site.agent.close();
    evil.finish();
    site.finish();
}
