//! Futures of a process without free descriptors: each ends with an error, and leaves nothing. The test runs in a process of its
//! own, in which no other code opens descriptors.

use net::async_wrap::{Environment, file};
use net::futures::{AsyncSocket, AsyncUdpSocket, Incoming};
use net::process::Command;
use net::uv_core::{Errno, Loop, RunMode, Signal};
use net::{ConnectOptions, Error, ListenOptions};
use std::fs::File;
use std::net::SocketAddr;

const CHILD: &str = "NET_EMFILE_CHILD";
const NAME: &str = "without_descriptors_each_future_is_an_error_and_leaves_nothing";

/// Descriptors that are left free, one more in each round: more than any of the futures needs.
const MOST_FREE: usize = 12;

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Opens files until no descriptor is free, and closes some of them.
fn fill(free: usize) -> Vec<File> {
    let mut fillers = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        fillers.push(file);
    }
    fillers.truncate(fillers.len().saturating_sub(free));
    fillers
}

/// Asserts that a call has succeeded, or failed for the lack of descriptors.
fn check<T>(result: Result<T, Error>) -> Option<T> {
    result.inspect_err(|error| assert_eq!(error.errno(), Some(Errno::EMFILE), "{error}")).ok()
}

async fn all(env: &Environment) -> u32 {
    let mut done = 0;
    done += u32::from(check(Command::new("true").output(env).await).is_some());
    done += u32::from(check(file::read(env, "/dev/null").await.map_err(Error::from)).is_some());
    done += u32::from(check(env.signal(Signal::SIGUSR1).map_err(Error::from)).is_some());
    done += u32::from(check(AsyncUdpSocket::bind(env, anywhere())).is_some());
    let Some(incoming) = check(Incoming::listen(env, ListenOptions::addr(anywhere()))) else { return done };
    let address = incoming.address().and_then(|address| address.as_tcp()).expect("it listens");
    let connected = AsyncSocket::connect(env, ConnectOptions::addr(address)).await;
    done + u32::from(check(connected).is_some())
}

#[test]
fn without_descriptors_each_future_is_an_error_and_leaves_nothing() {
    if std::env::var_os(CHILD).is_none() {
        let tests = std::env::current_exe().expect("this test");
        let status = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\" --test-threads=1"])
            .arg(tests)
            .arg(NAME)
            .env(CHILD, "1")
            .status();
        return assert!(status.expect("sh").success());
    }
    for free in 0..MOST_FREE {
        let event_loop = Loop::new().expect("a loop");
        let env = Environment::new(&event_loop);
        let fillers = fill(free);
        let inner = env.clone();
        let done = env.block_on(async move { all(&inner).await }).expect("the loop runs");
        assert!(done == 5 || free + 1 < MOST_FREE, "{done} of 5 with {free} free");
        drop(fillers);
        assert_eq!(env.run(RunMode::Default), Ok(false), "{:?}", event_loop.handles());
        env.close();
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        event_loop.close().expect("nothing is open");
    }
}
