//! Options that contradict themselves, and what stands in a connection's key.

use crate::harness::{Honest, Site};
use async_wrap::Environment;
use http::Error;
use http::agent::{Agent, AgentOptions};
use http::proto::Limits;
use std::time::Duration;
use uv_core::names::Family;

#[test]
fn options_that_serve_no_request_are_refused_at_once() {
    let env = Environment::with_new_loop().expect("a loop");
    let usual = AgentOptions::default;
    for (options, name) in [
        (usual().max_per_origin(0), "max_per_origin"),
        (usual().max_total(0), "max_total"),
        (usual().idle_timeout(Duration::ZERO), "idle_timeout"),
        (usual().max_age(Duration::ZERO), "max_age"),
        (usual().max_requests(0), "max_requests"),
        (usual().keep_alive_probes(Duration::ZERO), "keep_alive_probes"),
        (usual().limits(Limits::default().max_header_size(0)), "limits.max_header_size"),
    ] {
        let Err(Error::InvalidOptions(message)) = Agent::new(&env, options) else {
            panic!("{name}: accepted")
        };
        assert!(message.starts_with(&format!("{name} is zero: ")), "{message}");
    }
    let least = usual().max_idle_per_origin(0).max_waiting(0).max_requests(1).keep_alive_probes(None);
    Agent::new(&env, least).expect("each is possible");
}

// HC59. Node: test-http-agent-getname
#[test]
fn requests_share_connections_if_scheme_host_port_local_address_family_and_path_agree() {
    let site = Site::new(AgentOptions::default());
    let (server, other) = (Honest::new(&site), Honest::new(&site));
    let port = server.address.port();
    let url = server.url("/");
    let local = "127.0.0.1:0".parse().expect("an address");
    for request in [
        site.client.get(&url),
        site.client.get(format!("HTTP://127.0.0.1:{port}/else?where")),
        site.client.get(other.url("/")),
        site.client.get(&url).local_address(local),
        site.client.get(&url).family(Family::V4),
        site.client.get(&url).local_address(local).family(Family::V4),
        site.client.get(&url).unix_path("/no/such/socket"),
        site.client.get(&url),
        site.client.get(&url).local_address(local),
        site.client.get(&url).family(Family::V4),
    ] {
        site.send("", request);
        site.run();
    }
    let counters = site.counters();
    assert_eq!((counters.made, counters.reused), (6, 4));
    let mut names: Vec<String> = site.agent.origins().into_iter().map(|(name, _)| name).collect();
    names.sort();
    let name = format!("http://127.0.0.1:{port}");
    for what in ["", " V4", " from 127.0.0.1:0", " from 127.0.0.1:0 V4", " unix \"/no/such/socket\""] {
        assert!(names.contains(&format!("{name}{what}")), "{names:?}");
    }
    site.agent.close();
    server.finish(&site);
    other.finish(&site);
    site.finish();
}
