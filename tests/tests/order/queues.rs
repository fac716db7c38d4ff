//! Ticks, microtasks, and async functions among them.

use crate::stage::{
    Case, Gate, call, count, env, fail, next_tick, queue_microtask, say, set_immediate, step, words_of,
};

pub(crate) const CASES: &[Case] = &[
    ("a callback, its ticks, its microtasks", a_callback),
    ("ticks and microtasks that queue each other", each_other),
    ("microtasks that queue microtasks, before any tick", microtasks),
    ("two async functions take turns", turns),
    ("async functions among ticks and microtasks", among),
    ("a chain of reactions beside an async function", chain),
    ("a task is awaited", task),
    ("two that await one after the other", gate),
    ("an error of a task is awaited", error),
    ("microtasks of a tick, and ticks of those", of_a_tick),
];

fn a_callback() {
    queue_microtask(|| say("microtask 1"));
    next_tick(|| say("tick 1"));
    queue_microtask(|| say("microtask 2"));
    next_tick(|| say("tick 2"));
    say("callback");
}

fn each_other() {
    next_tick(|| {
        say("tick 1");
        queue_microtask(|| {
            say("microtask of tick 1");
            next_tick(|| {
                say("tick of the microtask of tick 1");
                queue_microtask(|| say("microtask of that"));
            });
        });
        next_tick(|| {
            say("tick of tick 1");
            next_tick(|| say("tick of tick of tick 1"));
        });
    });
    queue_microtask(|| {
        say("microtask 1");
        next_tick(|| say("tick 1 of microtask 1"));
        next_tick(|| say("tick 2 of microtask 1"));
        queue_microtask(|| say("microtask of microtask 1"));
    });
    next_tick(|| {
        say("tick 2");
        queue_microtask(|| say("microtask of tick 2"));
    });
}

fn microtasks() {
    count(5);
    queue_microtask(|| next_tick(|| say("tick of a microtask")));
}

fn turns() {
    async fn run(name: &str) {
        say(format!("{name} 1"));
        step().await;
        say(format!("{name} 2"));
        step().await;
        say(format!("{name} 3"));
    }
    call(run("a"));
    call(run("b"));
    say("callback");
}

fn among() {
    async fn run() {
        say("async 1");
        next_tick(|| say("tick of async 1"));
        step().await;
        say("async 2");
        next_tick(|| say("tick of async 2"));
        queue_microtask(|| say("microtask of async 2"));
        step().await;
        say("async 3");
        next_tick(|| say("tick of async 3"));
        step().await;
        say("async 4");
    }
    queue_microtask(|| say("microtask 1"));
    call(run());
    queue_microtask(|| say("microtask 2"));
    next_tick(|| say("tick 1"));
}

fn chain() {
    async fn run() {
        step().await;
        say("async 1");
        step().await;
        say("async 2");
        step().await;
        say("async 3");
    }
    queue_microtask(|| {
        say("chain 1");
        queue_microtask(|| {
            say("chain 2");
            queue_microtask(|| say("chain 3"));
        });
    });
    call(run());
}

fn task() {
    async fn run() {
        let task = env().spawn_local(async {
            say("task 1");
            step().await;
            say("task 2");
            7
        });
        say("async 1");
        say(format!("async 2: {}", task.await.expect("it does not panic")));
    }
    call(run());
    count(4);
}

fn gate() {
    async fn run(name: &'static str, gate: Gate) {
        gate.passed().await;
        say(format!("{name} goes on"));
        next_tick(move || say(format!("tick of {name}")));
    }
    let gate = Gate::default();
    call(run("a", gate.clone()));
    call(run("b", gate.clone()));
    next_tick(move || {
        gate.open();
        say("opened");
        next_tick(|| say("tick after it"));
        queue_microtask(|| say("microtask after it"));
    });
}

fn error() {
    async fn run() {
        let task = env().spawn_local(async {
            step().await;
            fail("no disk");
        });
        if let Some(error) = task.await.expect_err("it panics").into_panic() {
            say(format!("caught: {}", words_of(&*error)));
        }
        next_tick(|| say("tick after it"));
    }
    call(run());
    count(4);
    next_tick(|| say("tick 1"));
}

fn of_a_tick() {
    next_tick(|| {
        queue_microtask(|| {
            say("microtask 1");
            next_tick(|| say("tick of microtask 1"));
        });
        queue_microtask(|| say("microtask 2"));
        say("tick 1");
    });
    next_tick(|| say("tick 2"));
    set_immediate(|| say("immediate"));
}
