//! What the tests share: an environment that has to end with nothing alive, and connections in it.

#![allow(dead_code, reason = "not every test uses all of it")]

use net::async_wrap::Environment;
use net::futures::{AsyncSocket, Incoming};
use net::uv_core::{Loop, RunMode};
use net::{ConnectOptions, ListenOptions};
use std::net::SocketAddr;

/// A loop with its environment.
pub(crate) fn new_loop() -> (Loop, Environment) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    (event_loop, env)
}

/// Runs to the end, and asserts that nothing is left.
pub(crate) fn finish(event_loop: &Loop, env: &Environment) {
    assert!(!env.run(RunMode::Default).expect("the loop runs"), "still alive: {:?}", event_loop.handles());
    env.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close().expect("nothing is open");
}

/// Runs `work` in an environment of its own, which has to end with nothing alive.
pub(crate) fn run<F: Future<Output = ()> + 'static>(work: impl FnOnce(Environment) -> F) {
    let (event_loop, env) = new_loop();
    env.block_on(work(env.clone())).expect("it ends");
    finish(&event_loop, &env);
}

pub(crate) fn listen(env: &Environment) -> (Incoming, SocketAddr) {
    let incoming = Incoming::listen(env, ListenOptions::addr(([127, 0, 0, 1], 0).into())).expect("to listen");
    let address = incoming.address().and_then(|address| address.as_tcp()).expect("it listens");
    (incoming, address)
}

/// Two ends of a connection.
pub(crate) async fn pair(env: &Environment) -> (AsyncSocket, AsyncSocket) {
    let (mut incoming, address) = listen(env);
    let client = AsyncSocket::connect(env, ConnectOptions::addr(address)).await.expect("it listens");
    (client, incoming.accept().await.expect("a connection"))
}

/// Reads until `end` has come, and returns all of it as text.
pub(crate) async fn read_until(socket: &mut AsyncSocket, end: &str) -> String {
    let (mut all, mut buffer) = (Vec::new(), [0; 1024]);
    while !all.ends_with(end.as_bytes()) {
        let count = socket.read(&mut buffer).await.expect("open");
        assert!(count > 0, "the end came behind {:?}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(all).expect("text")
}

/// Reads to the end, and returns it as text.
pub(crate) async fn read_to_end(socket: &mut AsyncSocket) -> String {
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.expect("open");
    String::from_utf8(all).expect("text")
}
