//! The answer to "what keeps my loop alive?". libuv prints its handles and has no test of it.

mod common;

use common::*;
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;
use uv_core::process::{Process, SpawnOptions};
use uv_core::udp::Udp;
use uv_core::{Async, Idle, Pipe, RunMode, Signal, Tcp, Timer};

/// The line that the text has about one kind of thing.
fn line_of(why: &str, begin: &str) -> String {
    let mut lines = why.lines().filter(|line| line.starts_with(begin));
    let line = lines.next().unwrap_or_else(|| panic!("no line begins with {begin:?}:\n{why}"));
    assert_eq!(lines.next(), None, "one line:\n{why}");
    line.to_owned()
}

/// The end of a line about a handle that was made in the line before this call.
fn made_before(line: u32) -> String {
    if cfg!(debug_assertions) {
        format!(", made at uv-core/tests/why_alive.rs:{}:", line - 1)
    } else {
        String::new()
    }
}

const NOTHING: &str = "nothing keeps the loop alive";

#[test]
fn each_thing_that_keeps_a_loop_alive_is_named_with_its_place() {
    let event_loop = test_loop();
    assert_eq!(event_loop.why_alive(), NOTHING);

    let timer = Timer::new(&event_loop);
    let place = made_before(line!());
    assert_eq!(event_loop.why_alive(), NOTHING, "it is not started");
    timer.start(Duration::from_secs(60), Duration::from_secs(5), |_: &Timer| {}).expect("to start");
    let line = line_of(&event_loop.why_alive(), "timer: due in ");
    assert!(line.contains("repeats every 5s") && line.contains(&place), "{line}");
    timer.unref();
    assert_eq!(event_loop.why_alive(), NOTHING, "unreferenced");

    let server = Tcp::new(&event_loop);
    let place = made_before(line!());
    server.listen_with(8, |_, _| {}).expect("listen");
    let port = server.local_addr().expect("an address").port();
    let line = line_of(&event_loop.why_alive(), "tcp fd ");
    assert!(line.contains(&format!(": listens on 0.0.0.0:{port}")) && line.contains(&place), "{line}");

    let child = Process::spawn(&event_loop, &SpawnOptions::new("sleep").args(["60"]), |_: &Process, _| {});
    let child = child.expect("to start");
    let line = line_of(&event_loop.why_alive(), "process fd ");
    assert!(line.contains(&format!(": child {}", child.pid())), "{line}");
    child.kill(Signal::SIGKILL).expect("to kill");

    let signal = Signal::new(&event_loop);
    signal.start(Signal::SIGUSR2, |_: &Signal, _| {}).expect("to start");
    line_of(&event_loop.why_alive(), "signal: watches SIGUSR2");
    let udp = Udp::new(&event_loop);
    let place = made_before(line!());
    assert!(!event_loop.why_alive().contains("udp"), "it neither receives nor sends");
    udp.receive_start().expect("to start");
    let port = udp.local_addr().expect("an address").port();
    let line = line_of(&event_loop.why_alive(), "udp fd ");
    assert!(line.contains(&format!(": receives on 0.0.0.0:{port}")) && line.contains(&place), "{line}");
    let wake = Async::new(&event_loop, |_: &Async| {});
    line_of(&event_loop.why_alive(), "async");
    let idle = Idle::new(&event_loop);
    idle.start(|_: &Idle| {}).expect("to start");
    line_of(&event_loop.why_alive(), "idle");
    idle.close();
    assert!(line_of(&event_loop.why_alive(), "idle").starts_with("idle: closing"));
    let all = event_loop.why_alive();
    event_loop.close_all();
    assert_eq!(event_loop.why_alive().matches("closing").count(), event_loop.handles().len(), "{all}");
    drop((wake, signal, udp));
    event_loop.finish();
}

#[test]
fn requests_are_named_with_their_stream_also_if_it_is_not_referenced() {
    let event_loop = test_loop();
    let listener = TcpListener::bind(LOCALHOST).expect("bind");
    let address = listener.local_addr().expect("an address");
    let tcp = Tcp::new(&event_loop);
    tcp.connect(address).expect("connect");
    let line = line_of(&event_loop.why_alive(), "tcp fd ");
    assert!(line.contains(&format!(": connects to {address}")), "{line}");
    let log = Log::new();
    tcp.set_upcall(Tower::new(&log, "tcp"));
    event_loop.until(|| log.has("tcp connect ok"));
    assert_eq!(event_loop.why_alive(), NOTHING);
    tcp.unref();
    tcp.write(vec![7; 64 << 20]).expect("write");
    tcp.shutdown().expect("shutdown");
    let line = line_of(&event_loop.why_alive(), "tcp fd ");
    for part in [format!("peer {address}"), "1 write of".into(), "shuts down".into(), "unreferenced".into()] {
        assert!(line.contains(&part), "{part}: {line}");
    }
    assert!(!event_loop.why_alive().contains("other request"), "{}", event_loop.why_alive());
    event_loop.close_and_finish();
}

#[test]
fn sends_are_named_with_their_socket_until_they_are_reported() {
    let event_loop = test_loop();
    let (udp, peer) = (Udp::new(&event_loop), UdpSocket::bind(LOCALHOST).expect("bind"));
    let address = peer.local_addr().expect("an address");
    udp.connect(address).expect("connect");
    udp.send("hello").expect("send");
    let line = line_of(&event_loop.why_alive(), "udp fd ");
    for part in [format!("peer {address}"), "1 datagram of 5 bytes in the queue".into()] {
        assert!(line.contains(&part), "{part}: {line}");
    }
    assert!(!event_loop.why_alive().contains("other request"), "{}", event_loop.why_alive());
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(event_loop.why_alive(), NOTHING);
    event_loop.close_and_finish();
}

#[test]
fn work_in_the_pool_and_results_that_wait_are_named() {
    let event_loop = test_loop();
    let (begin, begun) = mpsc::channel::<()>();
    event_loop.queue_work(move || begun.recv(), |_| {});
    assert_eq!(event_loop.why_alive(), "1 request in the thread pool: work, look-ups, files");
    begin.send(()).expect("it waits");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    let pipe = Pipe::new(&event_loop);
    let peer = pipe.open_pair().expect("a pair");
    pipe.write("whole").expect("write");
    let why = event_loop.why_alive();
    assert!(line_of(&why, "pipe fd ").contains("1 write not reported"), "{why}");
    line_of(&why, "1 handle with results that are not reported yet");
    drop(peer);
    event_loop.close_and_finish();
}

#[test]
fn a_handle_tells_where_it_was_made_while_it_is_open() {
    let event_loop = test_loop();
    let timer = Timer::new(&event_loop);
    let place = timer.made_at().map(|place| (place.file().ends_with("why_alive.rs"), place.line()));
    assert_eq!(place, cfg!(debug_assertions).then_some((true, line!() - 2)));
    let log = Log::new();
    let into = log.clone();
    let (server, address) = serve(&event_loop, move |tcp| {
        into.add("accepted");
        let file = tcp.made_at().map(|place| place.file());
        assert!(file.is_none_or(|file| file.ends_with("common/mod.rs")), "{file:?}: where it was accepted");
        tcp.close();
    });
    let peer = std::net::TcpStream::connect(address).expect("connect");
    event_loop.until(|| log.has("accepted"));
    server.close();
    drop(peer);
    timer.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(timer.made_at(), None);
    event_loop.finish();
}
