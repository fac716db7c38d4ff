//! Drops a future at each of its await points, and looks for what is left: a handle that is alive, a descriptor, memory.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use async_wrap::Environment;
use async_wrap::uv_core::{Loop, RunMode};
use std::cell::Cell;
use std::fs;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// More polls than any of the futures has.
const POLLS: usize = 500;

/// How long a thread of the pool, or the thread that collects children, may take to close what was dropped.
const PATIENCE: Duration = Duration::from_secs(10);

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Where a future is dropped: in the task that has polled it, or in another callback of a later phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    InItsTask,
    InAnImmediate,
}

/// Checks a future that ends by itself: `make` makes it with all that it needs. `is_local` says that no other thread takes part,
/// so that each byte that this thread allocates is freed by it.
pub fn check<F: Future<Output = ()> + 'static>(name: &str, is_local: bool, make: impl Fn(Environment) -> F) {
    // Once before, for what threads and the C library keep.
    let _ = dropped_after(&make, 0, Place::InItsTask);
    let before = descriptors();
    for place in [Place::InItsTask, Place::InAnImmediate] {
        let mut has_ended = false;
        for polls in 0..POLLS {
            let mut outcome = None;
            let used = allocation_counter::measure(|| outcome = Some(dropped_after(&make, polls, place)));
            if let Some(Err(left)) = &outcome {
                panic!("{name}, {polls} polls, {place:?}: still alive: {left}");
            }
            assert!(!is_local || used.count_current == 0, "{name}, {polls} polls, {place:?}: {used:?}");
            let begun = Instant::now();
            while descriptors().len() > before.len() {
                let left = descriptors();
                assert!(begun.elapsed() < PATIENCE, "{name}, {polls} polls, {place:?}: {before:?} {left:?}");
                std::thread::yield_now();
            }
            has_ended = outcome == Some(Ok(true));
            if has_ended {
                break;
            }
        }
        assert!(has_ended, "{name} has not ended after {POLLS} polls");
    }
}

/// Runs a loop with a future that is dropped after its n-th poll. Returns whether it has ended before, or what is still alive.
fn dropped_after<F: Future<Output = ()> + 'static>(
    make: impl Fn(Environment) -> F,
    polls: usize,
    place: Place,
) -> Result<bool, String> {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let has_ended = Rc::new(Cell::new(false));
    let (ended, inner) = (Rc::clone(&has_ended), env.clone());
    let mut work: Option<Work> = Some(Box::pin(make(env.clone())));
    let mut left = polls;
    env.spawn_local(poll_fn(move |context| {
        let polled = match work.as_mut() {
            Some(work) if left > 0 => work.as_mut().poll(context),
            _ => Poll::Pending,
        };
        left = left.saturating_sub(1);
        ended.set(polled.is_ready());
        if polled.is_pending() && left > 0 {
            return Poll::Pending;
        }
        let dropped = work.take();
        if place == Place::InAnImmediate {
            inner.set_immediate(move || drop(dropped));
        }
        Poll::Ready(())
    }));
    let begun = Instant::now();
    let mut is_alive = true;
    while is_alive && begun.elapsed() < PATIENCE {
        is_alive = env.run(RunMode::NoWait).expect("the loop runs");
    }
    if is_alive {
        return Err(format!("{:?}", event_loop.why_alive()));
    }
    env.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close().map_err(|error| error.to_string())?;
    Ok(has_ended.get())
}

/// What the open descriptors are, in order.
fn descriptors() -> Vec<String> {
    let mut all: Vec<_> = fs::read_dir("/proc/self/fd")
        .expect("Linux has it")
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .map(|target| target.to_string_lossy().split(':').next().unwrap_or_default().to_owned())
        .collect();
    all.sort_unstable();
    all
}
