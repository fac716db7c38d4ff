//! Clients of a scenario: they wait while the server's backlog is full, and learn that they are refused.
#![cfg(upcall_faults)]

mod common;

use common::WholeLines;
use std::io::ErrorKind;
use std::net::SocketAddr;
use testing::{Explorer, explore};

#[test]
fn clients_wait_for_a_full_backlog() {
    explore(0..100, |world| common::every_line_comes_back(world, 1, 12));
}

#[test]
fn without_faults_clients_that_waited_get_all_answers() {
    let explorer = Explorer::new(|world| {
        let (server, path) =
            common::serve(world, 1, WholeLines::default).ok_or("no fault keeps it from listening")?;
        let clients: Vec<_> = (0..12).filter_map(|_| world.peer(&path).ok()).collect();
        clients.iter().for_each(|client| client.send("hello\n"));
        clients.iter().for_each(testing::Peer::finish);
        world.run_until(|| clients.iter().all(testing::Peer::is_ended))?;
        let answered = clients.iter().filter(|client| client.received() == b"> hello\n").count();
        server.close().map_err(|error| error.to_string())?;
        world.run()?;
        if answered == 12 { Ok(()) } else { Err(format!("{answered} clients have an answer")) }
    });
    explorer.rate(0).seeds(0..20).explore();
}

#[test]
fn clients_that_wait_learn_that_the_server_has_closed() {
    let explorer = Explorer::new(|world| {
        let (server, path) =
            common::serve(world, 0, WholeLines::default).ok_or("no fault keeps it from listening")?;
        let clients: Vec<_> = (0..8).filter_map(|_| world.peer(&path).ok()).collect();
        if clients.len() < 8 {
            return Err("a client was refused".to_owned());
        }
        server.close().map_err(|error| error.to_string())?;
        world.run_until(|| clients.iter().all(testing::Peer::is_ended))?;
        let is_refused = |client: &&testing::Peer| client.end() == Some(Err(ErrorKind::ConnectionRefused));
        if clients.iter().any(|client| is_refused(&client)) { world.run() } else { Err("none waited".into()) }
    });
    explorer.rate(0).seeds(0..20).explore();
}

#[test]
fn a_refusal_is_an_error_at_once() {
    explore(0..10, |world| match world.peer(&world.path()) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        other => Err(format!("the client of a path without a server has {other:?}")),
    });
}

#[test]
fn a_refusal_over_tcp_is_an_error_or_an_end() {
    explore(0..10, |world| {
        let free = std::net::TcpListener::bind((world.loopback(), 0)).and_then(|one| one.local_addr());
        let free: SocketAddr = free.map_err(|error| error.to_string())?;
        let Ok(client) = world.tcp_peer(free) else { return Ok(()) };
        world.run_until(|| client.is_ended())
    });
}
