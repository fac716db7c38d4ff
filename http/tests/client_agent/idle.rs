//! Idle connections: for how long, at what cost, and that they keep no loop alive.

use crate::evil::{Evil, Step, say};
use crate::harness::{Honest, Site};
use http::agent::AgentOptions;
use std::time::{Duration, Instant};
use uv_core::handle::HandleKind;

/// The timers that are open.
fn timers(site: &Site) -> usize {
    let handles = site.env.event_loop().handles();
    handles.iter().filter(|handle| handle.kind == HandleKind::Timer && !handle.closing).count()
}

// HC44. Node: test-http-agent-timeout
#[test]
fn an_idle_connection_is_closed_when_its_time_is_over() {
    let site = Site::new(AgentOptions::default().idle_timeout(Duration::from_millis(20)));
    let server = Honest::new(&site);
    site.get("", &server.url("/"));
    site.run();
    assert_eq!(site.now(), [0, 0, 1, 0]);
    let began = Instant::now();
    site.until(|| site.now() == [0; 4]);
    assert!(began.elapsed() >= Duration::from_millis(15) && site.counters().stale == 0);
    server.finish(&site);
    site.finish();
}

// HC44. Node: test-http-client-keep-alive-hint
#[test]
fn a_hint_of_the_server_shortens_or_lengthens_the_time() {
    for (hint, is_kept) in
        [("timeout=3600", true), ("timeout=1", false), ("TIMEOUT = 3, max=5", true), ("timeout=-1", true)]
    {
        let site = Site::new(AgentOptions::default());
        let response = format!("HTTP/1.1 200 OK\r\nKeep-Alive: {hint}\r\nContent-Length: 0\r\n\r\n");
        let evil = Evil::new(&site.env, [vec![Step::Head, say(response)]]);
        site.get("", &evil.url("/"));
        site.run();
        assert_eq!(site.now(), [0, 0, u32::from(is_kept), 0], "{hint}");
        site.agent.close();
        evil.finish();
        site.finish();
    }
    // Two seconds less the margin.
    let site = Site::new(AgentOptions::default().hint_margin(Duration::from_millis(1980)));
    let response = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 0\r\n\r\n";
    let evil = Evil::new(&site.env, [vec![Step::Head, say(response)]]);
    site.get("", &evil.url("/"));
    site.run();
    assert_eq!(site.now(), [0, 0, 1, 0]);
    let began = Instant::now();
    site.until(|| site.now() == [0; 4]);
    assert!(began.elapsed() < Duration::from_secs(4), "it is not the time of an agent without hint");
    evil.finish();
    site.finish();
}

// HC60. Node: test-http-agent-keepalive (unref)
#[test]
fn idle_connections_keep_no_loop_alive_and_active_and_waiting_requests_do() {
    let site = Site::new(AgentOptions::default().idle_timeout(Duration::from_secs(3600)).max_per_origin(1));
    let server = Honest::new(&site);
    site.get("", &server.url("/held"));
    site.get("", &server.url("/"));
    assert!(site.env.loop_handle().is_alive(), "a connection is to be made");
    site.until(|| server.held() == 1);
    assert!(site.env.loop_handle().is_alive(), "a request is active and another waits");
    server.release();
    // Ends although the connection stays for an hour.
    assert_eq!(site.run().len(), 2);
    assert_eq!(site.now(), [0, 0, 1, 0]);
    site.get("", &server.url("/held"));
    site.until(|| server.held() == 1);
    assert!(site.env.loop_handle().is_alive(), "the connection that was idle is active");
    server.release();
    assert_eq!(site.run().len(), 1);
    site.agent.close();
    server.finish(&site);
    site.finish();
}

// HC64
#[test]
fn all_idle_connections_have_one_timer_and_requests_set_none() {
    let site =
        Site::new(AgentOptions::default().max_idle_per_origin(1000).idle_timeout(Duration::from_secs(3600)));
    let server = Honest::new(&site);
    let burst = |count: usize| {
        (0..count).for_each(|_| drop(site.get("", &server.url("/"))));
        site.run();
    };
    burst(1);
    // The server has one of its own.
    let of_one = timers(&site);
    burst(200);
    assert_eq!((timers(&site), site.now()[2]), (of_one, 200));
    site.agent.close();
    site.turn();
    assert!(timers(&site) < of_one, "nothing is idle");
    server.finish(&site);
    site.finish();
}

#[test]
fn the_loop_may_be_dropped_with_idle_active_and_waiting_requests() {
    let site = Site::new(AgentOptions::default().max_per_origin(2));
    let server = Honest::new(&site);
    site.get("", &server.url("/"));
    site.run();
    for path in ["/held", "/held", "/"] {
        site.get("", &server.url(path));
    }
    site.until(|| server.held() == 2);
    assert_eq!(site.now(), [0, 2, 0, 1]);
    let Site { env, agent, client, log } = site;
    drop(env);
    assert_eq!(log.len(), 0, "no handler is called behind the end of its loop");
    assert_eq!(agent.counters().connections(), 0);
    drop((agent, client, server));
}
