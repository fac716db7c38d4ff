//! Errors that are thrown, and what differs between promises and futures.

use crate::stage::{
    Case, call, count, fail, next_tick, queue_microtask, say, set_immediate, set_timeout, spin, step,
};
use std::future::ready;

pub(crate) const CASES: &[Case] = &[
    ("a tick that throws", tick),
    ("a microtask that throws", microtask),
    ("a timeout that throws", timeout),
    ("an immediate that throws", immediate),
    ("an async function that throws, without a handler", unheard),
    ("a value that is there is awaited", value),
    ("an async function awaits another", another),
    ("an async function returns what another promises", returns),
    ("a thousand awaits", thousand),
];

fn tick() {
    next_tick(|| say("tick 1"));
    next_tick(|| fail("tick 2"));
    next_tick(|| say("tick 3"));
    queue_microtask(|| say("microtask"));
    set_immediate(|| say("immediate"));
}

fn microtask() {
    queue_microtask(|| say("microtask 1"));
    queue_microtask(|| fail("microtask 2"));
    queue_microtask(|| {
        say("microtask 3");
        next_tick(|| say("tick of microtask 3"));
    });
    set_immediate(|| say("immediate"));
}

fn timeout() {
    set_timeout(1, || {
        next_tick(|| say("tick of timeout 1"));
        queue_microtask(|| say("microtask of timeout 1"));
        fail("timeout 1");
    });
    set_timeout(1, || say("timeout 2"));
    set_immediate(|| say("immediate"));
    spin(5);
}

fn immediate() {
    set_immediate(|| {
        next_tick(|| say("tick of immediate 1"));
        fail("immediate 1");
    });
    set_immediate(|| say("immediate 2"));
}

fn unheard() {
    async fn run() {
        step().await;
        next_tick(|| say("tick 1"));
        fail("no disk");
    }
    call(run());
    queue_microtask(|| say("microtask 1"));
    set_immediate(|| say("immediate"));
}

fn value() {
    async fn run() {
        say(format!("async 1: {}", ready(1).await));
        say(format!("async 2: {}", ready(2).await));
    }
    call(run());
    say("callback");
    queue_microtask(|| say("microtask"));
}

fn another() {
    async fn inner() -> u32 {
        step().await;
        say("inner");
        7
    }
    async fn outer() {
        say(format!("outer: {}", inner().await));
    }
    call(outer());
    count(3);
}

fn returns() {
    async fn inner() {
        step().await;
        say("inner");
    }
    fn outer() -> impl Future<Output = ()> {
        inner()
    }
    async fn run() {
        outer().await;
        say("outer");
    }
    call(run());
    count(5);
}

fn thousand() {
    async fn run() {
        for _ in 0..1000 {
            step().await;
        }
        say("a thousand");
    }
    call(run());
    set_immediate(|| say("immediate"));
}
