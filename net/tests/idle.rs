//! What no task waits for keeps nothing alive (AI20): a read or an accept that was given up ends its wait, and input stays in the
//! kernel.

use net::async_wrap::Environment;
use net::futures::{AsyncSocket, Incoming};
use net::uv_core::{Loop, RunMode};
use net::{ListenOptions, Socket};
use std::cell::RefCell;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

fn new_loop() -> (Loop, Environment) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    (event_loop, env)
}

/// Asserts that nothing is left.
fn close(event_loop: &Loop, env: &Environment) {
    assert_eq!(env.run(RunMode::Default), Ok(false), "{:?}", event_loop.handles());
    env.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close().expect("nothing is open");
}

fn turns(env: &Environment) {
    for _ in 0..5 {
        env.run(RunMode::NoWait).expect("the loop runs");
    }
}

#[test]
fn a_read_that_is_given_up_ends_its_wait_and_leaves_the_input_to_the_kernel() {
    let (event_loop, env) = new_loop();
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let socket = AsyncSocket::new(Socket::from_fd(&env, ours.into()).expect("connected"));
    let (mut reader, writer) = socket.split();
    let reading = env.spawn_local(async move { reader.read(&mut [0; 10]).await });
    turns(&env);
    assert!(event_loop.is_alive(), "it is awaited");
    // The half is dropped with its task.
    reading.abort();
    theirs.write_all(b"hello").expect("open");
    turns(&env);
    assert!(!event_loop.is_alive(), "{:?}", event_loop.why_alive());
    assert_eq!(writer.socket().bytes_read(), 0);
    drop(writer);
    close(&event_loop, &env);
}

#[test]
fn a_read_that_is_given_up_in_a_race_ends_its_wait() {
    let (event_loop, env) = new_loop();
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let socket = AsyncSocket::new(Socket::from_fd(&env, ours.into()).expect("connected"));
    let shared = Rc::new(RefCell::new(Some(socket)));
    let (inner, taken) = (env.clone(), Rc::clone(&shared));
    env.block_on(async move {
        let mut socket = taken.take().expect("it is there");
        assert!(inner.timeout(Duration::from_millis(1), socket.read(&mut [0; 10])).await.is_err());
        taken.replace(Some(socket));
    })
    .expect("the loop runs");
    assert_eq!(env.run(RunMode::Default), Ok(false), "nothing waits");
    theirs.write_all(b"hello").expect("open");
    let mut socket = shared.take().expect("it is there");
    let read = env.block_on(async move { socket.read(&mut [0; 10]).await }).expect("the loop runs");
    assert_eq!(read, Ok(5));
    close(&event_loop, &env);
}

// AI6
#[test]
fn an_accept_that_is_given_up_leaves_connections_to_the_backlog() {
    let (event_loop, env) = new_loop();
    let mut incoming =
        Incoming::listen(&env, ListenOptions::addr(([127, 0, 0, 1], 0).into())).expect("to listen");
    let address = incoming.address().and_then(|address| address.as_tcp()).expect("it listens");
    let inner = env.clone();
    let (incoming, _client) = env
        .block_on(async move {
            let given_up = inner.timeout(Duration::from_millis(1), incoming.accept()).await;
            assert!(given_up.is_err());
            (incoming, TcpStream::connect(address).expect("the backlog has room"))
        })
        .expect("the loop runs");
    turns(&env);
    assert_eq!(incoming.server().connections(), 0);
    let mut incoming = incoming;
    env.block_on(async move { incoming.accept().await.map(drop) }).expect("the loop runs").expect("it came");
    close(&event_loop, &env);
}
