//! Whether ports are free.

#[path = "../../uv-core/tests/alone/mod.rs"]
mod alone;
mod common;
#[path = "../../uv-core/tests/shim/mod.rs"]
mod shim;

use common::World;
use pomelo::ServerInfo;
use pomelo::starter::{check_ports, is_port_free, is_reachable};
use serde_json::json;
use std::cell::Cell;
use std::net::TcpListener;
use std::rc::Rc;

fn info(host: &str, port: u16, client_port: u16) -> ServerInfo {
    let info =
        json!({"id": "a", "host": host, "port": port, "clientPort": client_port, "serverType": "chat"});
    info.as_object().expect("an object").clone()
}

/// The first port that is taken, as the application finds it.
fn taken(world: &World, info: &ServerInfo) -> Option<u16> {
    let answer = Rc::new(Cell::new(None));
    let told = Rc::clone(&answer);
    check_ports(&world.app(&[]), info, move |taken| told.set(Some(taken)));
    assert!(answer.get().is_none(), "never from within the call");
    world.run();
    answer.get().expect("it was told")
}

// pomelo: sentence 68, where a part of the number is enough for Node
#[test]
fn a_port_is_free_if_it_can_be_bound() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
        assert!(!is_port_free(host, port), "{host}");
    }
    assert!(is_port_free("127.0.0.2", port), "another address of this host");
    drop(listener);
    // Another process may take a port between its close and the question.
    let is_one_free = (0..20).any(|_| {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        is_port_free("127.0.0.1", port)
    });
    assert!(is_one_free);
    let everywhere = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = everywhere.local_addr().expect("an address").port();
    assert!(!is_port_free("127.0.0.1", port), "a listener has every address");
    // The same digits, one less. Another process may listen there.
    if TcpListener::bind(("127.0.0.1", port / 10)).is_ok() {
        let is_free =
            || is_port_free("127.0.0.1", port / 10) || TcpListener::bind(("127.0.0.1", port / 10)).is_err();
        assert!(is_free(), "a part of the number is another number");
    }
}

#[test]
fn the_first_port_that_is_taken_is_told() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    assert_eq!(taken(&world, &info("127.0.0.1", free, port)), Some(port));
    assert_eq!(taken(&world, &info("127.0.0.1", port, free)), Some(port));
    assert_eq!(taken(&world, &info("127.0.0.1", free, 0)), None, "0 is no port yet");
}

#[test]
fn the_ports_of_a_host_that_is_only_a_name_are_not_looked_at() {
    let world = World::new();
    assert_eq!(taken(&world, &info("chat.example", 3150, 3010)), None);
}

#[test]
fn this_host_is_reachable() {
    let world = World::new();
    let story = world.story.clone();
    is_reachable(&world.app(&[]), &info("127.0.0.1", 1, 2), move |is| story.add(is.to_string()));
    world.run();
    assert_eq!(*world.story.lines(), ["true"]);
}

#[test]
fn a_master_without_descriptors_takes_no_port_for_taken() {
    const EMFILE: i32 = 24;
    let name = "a_master_without_descriptors_takes_no_port_for_taken";
    let preload = |command: &mut std::process::Command| {
        shim::Failing::preload(command);
    };
    let ended = alone::status(name, preload, || {
        shim::Failing::here().fail("socket", EMFILE, 1);
        assert!(is_port_free("127.0.0.1", 0));
        assert!(shim::Failing::here().is_over());
    });
    assert!(ended.is_none_or(|status| status.success()));
}
