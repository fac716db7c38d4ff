//! Timeouts, intervals and immediates.

mod common;

use async_wrap::{Immediate, Timeout};
use common::{Log, Recorder, new_loop, run_to_a_panic, run_to_the_end};
use std::cell::{Cell, RefCell};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::{Duration, Instant};
use uv_core::RunMode;

const MS: Duration = Duration::from_millis(1);

// Node: test-timers-next-tick
#[test]
fn ticks_run_between_two_timers_that_expire_together() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    for name in ["1", "2"] {
        let (inner, log) = (env.clone(), log.clone());
        env.set_timeout(MS, move || {
            log.push(format!("timeout {name}"));
            inner.queue_microtask(log.note(&format!("microtask {name}")));
            inner.next_tick(log.note(&format!("tick {name}")));
        });
    }
    std::thread::sleep(2 * MS);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["timeout 1", "tick 1", "microtask 1", "timeout 2", "tick 2", "microtask 2"]);
}

// Node: test-timers-immediate-queue
#[test]
fn ticks_run_between_two_immediates() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    for name in ["1", "2"] {
        let (inner, log) = (env.clone(), log.clone());
        env.set_immediate(move || {
            log.push(format!("immediate {name}"));
            inner.next_tick(log.note(&format!("tick {name}")));
        });
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["immediate 1", "tick 1", "immediate 2", "tick 2"]);
}

#[test]
fn a_timeout_is_never_early_and_zero_means_a_millisecond() {
    let (event_loop, env) = new_loop();
    let start = Instant::now();
    env.set_timeout(Duration::ZERO, move || assert!(start.elapsed() >= MS));
    // Simulates a long computation: the delay counts from the call, not from the loop's last reading of the clock.
    std::thread::sleep(20 * MS);
    let start = Instant::now();
    env.set_timeout(10 * MS, move || assert!(start.elapsed() >= 10 * MS));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn timeouts_with_one_delay_run_in_the_order_in_which_they_were_set() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.set_timeout(MS, log.note("1"));
    env.set_timeout(MS, log.note("2"));
    env.set_timeout(Duration::ZERO, log.note("3"));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["1", "2", "3"]);
}

#[test]
fn a_cleared_timeout_is_not_called() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let timeout = env.set_timeout(Duration::from_secs(3600), log.note("never"));
    assert!(timeout.is_active());
    timeout.clear();
    timeout.clear();
    timeout.refresh();
    assert!(!timeout.is_active());
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["init 1 Timeout 0", "destroy 1"]);
}

#[test]
fn a_timeout_can_be_cleared_by_one_that_expires_with_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let second: Rc<RefCell<Option<Timeout>>> = Rc::default();
    let inner = Rc::clone(&second);
    env.set_timeout(MS, move || {
        if let Some(timeout) = inner.take() {
            timeout.clear();
        }
    });
    second.replace(Some(env.set_timeout(MS, log.note("second"))));
    std::thread::sleep(2 * MS);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn an_interval_runs_until_it_is_cleared_from_within() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let interval: Rc<RefCell<Option<Timeout>>> = Rc::default();
    let own = Rc::clone(&interval);
    let mut left = 3;
    let set = env.set_interval(MS, move || {
        left -= 1;
        if left == 0 {
            own.take().expect("set below").clear();
        }
    });
    interval.replace(Some(set));
    run_to_the_end(&event_loop, &env);
    assert_eq!((log.count("before"), log.count("after"), log.count("destroy")), (3, 3, 1));
}

// Node: test-timers-setInterval-excludes-callback-duration
#[test]
fn an_interval_counts_from_when_its_call_began() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let interval: Rc<RefCell<Option<Timeout>>> = Rc::default();
    let (own, l, inner) = (Rc::clone(&interval), log.clone(), env.clone());
    let mut last: Option<Duration> = None;
    let set = env.set_interval(50 * MS, move || {
        let now = inner.loop_handle().now();
        l.push("interval");
        match last.replace(now) {
            None => {
                std::thread::sleep(30 * MS);
                // Due after the interval if the interval counts from the begin of its call, and before it if from the
                // end. Even in a late loop, timers are called in the order in which they are due.
                inner.set_timeout(40 * MS, l.note("timeout"));
            }
            Some(last) => {
                assert!(now - last >= 50 * MS, "it came after {:?}", now - last);
                own.take().expect("set below").clear();
            }
        }
    });
    interval.replace(Some(set));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["interval", "interval", "timeout"]);
}

#[test]
fn an_interval_whose_calls_take_longer_than_it_lets_others_have_their_turn() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let interval: Rc<RefCell<Option<Timeout>>> = Rc::default();
    let (own, l, inner) = (Rc::clone(&interval), log.clone(), env.clone());
    let mut left = 3;
    let set = env.set_interval(MS, move || {
        std::thread::sleep(5 * MS);
        l.push("interval");
        inner.set_immediate(l.note("immediate"));
        left -= 1;
        if left == 0 {
            own.take().expect("set below").clear();
        }
    });
    interval.replace(Some(set));
    run_to_the_end(&event_loop, &env);
    let turn = ["interval", "immediate"];
    assert_eq!(log.take(), [turn, turn, turn].concat());
}

#[test]
fn an_interval_goes_on_after_a_panic_and_a_timeout_does_not() {
    let (event_loop, env) = new_loop();
    let mut calls = 0;
    let interval = env.set_interval(MS, move || {
        calls += 1;
        if calls == 1 {
            resume_unwind(Box::new("first call"));
        }
    });
    assert_eq!(run_to_a_panic(&env), "first call");
    assert!(interval.is_active());
    interval.clear();
    let timeout = env.set_timeout(MS, || resume_unwind(Box::new("only call")));
    assert_eq!(run_to_a_panic(&env), "only call");
    assert!(!timeout.is_active());
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_refreshed_timeout_begins_anew() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let timeout = env.set_timeout(3 * MS, log.note("refreshed"));
    env.set_timeout(3 * MS, log.note("other"));
    timeout.refresh();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["other", "refreshed"]);
    timeout.refresh();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn an_unreferenced_timeout_does_not_keep_the_loop_alive() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let timeout = env.set_timeout(Duration::from_secs(3600), log.note("never"));
    assert!(timeout.has_ref());
    timeout.unref();
    assert!(!timeout.has_ref() && !event_loop.is_alive());
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    timeout.ref_();
    assert!(event_loop.is_alive());
    timeout.clear();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn an_immediate_keeps_the_loop_alive_and_from_blocking() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.set_timeout(Duration::from_secs(3600), log.note("never")).unref();
    env.set_immediate(log.note("immediate"));
    assert!(event_loop.is_alive());
    let timeout = env.set_timeout(Duration::from_secs(3600), log.note("never"));
    assert!(env.run(RunMode::Once).expect("the loop runs"), "the timeout is left");
    assert_eq!(log.take(), ["immediate"]);
    timeout.clear();
    event_loop.close_all();
    run_to_the_end(&event_loop, &env);
}

// Node: test-timers-immediate-queue
#[test]
fn an_immediate_set_by_an_immediate_waits_for_the_next_check_phase() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (inner, l) = (env.clone(), log.clone());
    env.set_immediate(move || {
        l.push("1");
        inner.set_immediate(l.note("of 1"));
    });
    env.set_immediate(log.note("2"));
    env.set_timeout(Duration::from_secs(3600), || {}).unref();
    assert!(env.run(RunMode::NoWait).expect("the loop runs"), "one immediate is left");
    assert_eq!(log.take(), ["1", "2"]);
    assert!(!env.run(RunMode::NoWait).expect("the loop runs"));
    assert_eq!(log.take(), ["of 1"]);
    event_loop.close_all();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_cleared_immediate_is_not_called_even_by_one_before_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let second: Rc<RefCell<Option<Immediate>>> = Rc::default();
    let inner = Rc::clone(&second);
    env.set_immediate(move || {
        if let Some(immediate) = inner.take() {
            immediate.clear();
            immediate.clear();
            assert!(!immediate.is_pending());
        }
    });
    second.replace(Some(env.set_immediate(log.note("second"))));
    run_to_the_end(&event_loop, &env);
    assert_eq!((log.count("second"), log.count("before"), log.count("destroy")), (0, 1, 2));
}

// Node: test-timers-immediate-queue-throw
#[test]
fn an_immediate_that_panics_does_not_lose_the_others() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.set_immediate(|| resume_unwind(Box::new("immediate 1")));
    env.set_immediate(log.note("immediate 2"));
    assert_eq!(run_to_a_panic(&env), "immediate 1");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["immediate 2"]);
}

// Node: test-timers-immediate-unref-simple
#[test]
fn an_unreferenced_immediate_does_not_keep_the_loop_alive() {
    let (event_loop, env) = new_loop();
    let called = Rc::new(Cell::new(false));
    let inner = Rc::clone(&called);
    let immediate = env.set_immediate(move || inner.set(true));
    immediate.unref();
    immediate.unref();
    assert!(!immediate.has_ref() && !event_loop.is_alive());
    immediate.ref_();
    assert!(event_loop.is_alive());
    immediate.unref();
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    assert!(!called.get());
    // It runs if another immediate keeps the loop turning.
    env.set_immediate(|| {});
    run_to_the_end(&event_loop, &env);
    assert!(called.get());
    immediate.ref_();
    assert!(!event_loop.is_alive(), "a called immediate does not keep the loop alive");
}

/// What a late loop finds: input that arrived in time, and a deadline that has passed.
struct Late {
    log: Log,
    /// Sent from another thread, so it arrives in the poll phase.
    input: uv_core::Async,
}

impl Late {
    fn new(event_loop: &uv_core::Loop) -> Self {
        let log = Log::default();
        let mut note = log.note("input");
        let input = uv_core::Async::new(event_loop, move |input: &uv_core::Async| {
            note();
            input.close();
        });
        Self { log, input }
    }
}

// Node has no such timer: in a late loop its timers fire before pending input is read.
#[test]
fn a_deadline_is_called_behind_what_came_before_it() {
    let (event_loop, env) = new_loop();
    let Late { log, input } = Late::new(&event_loop);
    env.set_timeout(MS, log.note("timeout"));
    let mut note = log.note("deadline");
    env.set_deadline(MS, move |_| note());
    input.sender().send();
    std::thread::sleep(2 * MS);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["timeout", "input", "deadline"]);
}

#[test]
fn an_inspection_is_called_behind_what_came_before_it_and_again() {
    let (event_loop, env) = new_loop();
    let Late { log, input } = Late::new(&event_loop);
    let note = log.clone();
    let (own, rounds) = (Rc::new(RefCell::new(None::<Timeout>)), Cell::new(0));
    let clearing = Rc::clone(&own);
    let inspection = env.set_inspection(MS, move |_| {
        rounds.set(rounds.get() + 1);
        note.push("inspection");
        if rounds.get() == 2 {
            clearing.take().expect("set").clear();
        }
    });
    own.replace(Some(inspection));
    input.sender().send();
    std::thread::sleep(2 * MS);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["input", "inspection", "inspection"]);
}

#[test]
fn what_is_heard_may_clear_a_deadline_or_put_it_off() {
    let (event_loop, env) = new_loop();
    for refreshes in [false, true] {
        let log = Log::default();
        let mut note = log.note("deadline");
        let deadline = env.set_deadline(30 * MS, move |_| note());
        let heard = log.clone();
        let input = uv_core::Async::new(&event_loop, move |input: &uv_core::Async| {
            heard.push("input");
            if refreshes {
                deadline.refresh()
            } else {
                deadline.clear()
            }
            input.close();
        });
        input.sender().send();
        std::thread::sleep(31 * MS);
        let start = Instant::now();
        assert!(!env.run(RunMode::Default).expect("the loop runs"));
        if refreshes {
            assert_eq!(log.take(), ["input", "deadline"]);
            assert!(start.elapsed() >= 30 * MS, "the delay began anew");
        } else {
            assert_eq!(log.take(), ["input"]);
        }
    }
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_deadline_says_up_to_when_everything_was_heard_and_what_late_times_may_mean() {
    let (event_loop, env) = new_loop();
    let early = event_loop.now();
    let (begun, heard) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(None)));
    let (noted, told) = (Rc::clone(&begun), Rc::clone(&heard));
    let clock = env.clone();
    // Runs in the poll phase, in which the loop's time stands still.
    let slow = uv_core::Async::new(&event_loop, move |slow: &uv_core::Async| {
        let told = Rc::clone(&told);
        clock.set_deadline(MS, move |heard| told.set(Some(heard)));
        noted.set(Some(clock.loop_handle().now()));
        std::thread::sleep(20 * MS);
        slow.close();
    });
    slow.sender().send();
    std::thread::sleep(2 * MS);
    run_to_the_end(&event_loop, &env);
    let (heard, noted) = (heard.get().expect("called"), begun.get().expect("called"));
    assert!(heard.until() >= noted + 20 * MS, "found due behind the slow callback");
    assert_eq!(heard.latest(noted), heard.until(), "anywhere in that turn");
    assert_eq!(heard.latest(early), early, "an earlier turn's time is what it is");
}
