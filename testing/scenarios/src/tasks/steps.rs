//! What a task does: it waits for one thing after the other, and looks each time at what it finds.

use super::program::{Handle, Held, Panic, Program, Record};
use crate::core::{dice, one_in};
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// The code of a task. Returns a value of its own.
pub(super) async fn task(program: Rc<Program>, record: Rc<Record>) -> u64 {
    let _at_end = AtEnd(Rc::clone(&program));
    for _ in 0..dice(6) {
        step(&program, &record).await;
        program.check_values(&record, "behind an await");
    }
    if record.may_panic.get() && one_in(12) {
        record.has_panicked.set(true);
        record.passes_panic.set(record.is_alone.get());
        resume_unwind(Box::new(Panic(record.number)));
    }
    let value = program.new_value();
    record.returned.set(Some(value));
    value
}

/// What a task has, whose destructor does something, however the task ends.
struct AtEnd(Rc<Program>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        match dice(8) {
            0 => self.0.open_one(),
            1 if self.0.may_begin() => drop(self.0.spawn()),
            _ => {}
        }
    }
}

fn some_time() -> Duration {
    match dice(6) {
        0 => Duration::ZERO,
        1 => Duration::from_micros(dice(2_000)),
        2 => Duration::from_secs(dice(4)),
        // Few different times, so that many are over together.
        _ => Duration::from_millis(dice(6)),
    }
}

async fn step(program: &Rc<Program>, record: &Rc<Record>) {
    match dice(16) {
        0 | 1 => sleep(program).await,
        2 => wait(program, if one_in(8) { 200 } else { 1 + dice(4) }).await,
        3 | 4 => any_gate(program).await,
        5 | 6 if program.may_begin() => join(program, program.spawn()).await,
        7 => join_any(program, record).await,
        8 => timeout(program).await,
        9 => interval(program).await,
        10 => callbacks(program, record),
        11 => {
            let value = program.new_value();
            program.value.enter_with(value);
            record.value.set(Some(value));
        }
        12 => in_scopes(program).await,
        13 => let_go(program, record).await,
        _ => program.act(),
    }
}

/// Is ready when it has woken itself so often.
async fn wait(program: &Program, mut times: u64) {
    poll_fn(|context| {
        if times == 0 || program.is_over.get() {
            return Poll::Ready(());
        }
        times -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn any_gate(program: &Program) {
    // Its loop would end without what may open the gate.
    let _alive = program.env.keep_alive();
    program.gates[dice(program.gates.len() as u64) as usize].pass().await;
}

async fn sleep(program: &Program) {
    let (after, env) = (some_time(), &program.env);
    let sleep = env.sleep(after);
    let due = env.loop_handle().now() + after;
    sleep.await;
    assert!(env.loop_handle().now() >= due, "a sleep of {after:?} was short");
}

/// Waits for the end of a task, whose handle gives what the task has returned.
async fn join(program: &Program, mut held: Held) {
    if let Handle::Join(handle) = &mut held.handle {
        let outcome = (&mut *handle).await;
        assert!(handle.is_finished(), "a task that has ended is not finished");
        held.record.check(outcome);
    } else {
        program.abort(&held);
    }
}

/// Waits for a task that is younger, so that no two wait for each other.
async fn join_any(program: &Program, record: &Record) {
    match program.any_held() {
        Some(held) if held.record.number > record.number => join(program, held).await,
        Some(held) => program.hold(held),
        None => {}
    }
}

/// What is over in time has its value; what is not is dropped, and no earlier.
async fn timeout(program: &Rc<Program>) {
    let (limit, env) = (some_time(), &program.env);
    let begin = env.loop_handle().now();
    let (which, is_short) = (dice(4), one_in(2));
    let after = if is_short { limit / 2 } else { limit * 2 };
    let inner = async {
        match which {
            0 => any_gate(program).await,
            1 if program.may_begin() => join(program, program.spawn()).await,
            1 => wait(program, 3).await,
            _ => env.sleep(after).await,
        }
    };
    let outcome = env.timeout(limit, inner).await;
    let taken = env.loop_handle().now().saturating_sub(begin);
    match outcome {
        Ok(()) => assert!(which < 2 || taken >= after, "a sleep of {after:?} was short"),
        Err(error) => {
            assert!(taken >= limit, "{error}, but after {taken:?}");
            assert!(which < 2 || !is_short, "{error}, but it was to last {after:?}");
        }
    }
}

async fn interval(program: &Program) {
    let (every, env) = (some_time() / 4, &program.env);
    let mut interval = env.interval(every);
    let mut last = env.loop_handle().now();
    for _ in 0..1 + dice(4) {
        // A tick that is not waited for is not lost.
        let limit = if one_in(2) { some_time() } else { Duration::MAX };
        if env.timeout(limit, interval.tick()).await.is_ok() {
            let now = env.loop_handle().now();
            assert!(now >= last + every, "a tick {:?} after the last one", now - last);
            last = now;
        }
    }
}

/// Callbacks that find the values that the task has now.
fn callbacks(program: &Rc<Program>, record: &Record) {
    let callback = || {
        program.due_calls.set(program.due_calls.get() + 1);
        let (program, value) = (Rc::clone(program), record.value.get());
        move || {
            program.due_calls.set(program.due_calls.get() - 1);
            // A timeout outlives its environment, whose values end.
            assert!(program.is_dropped() || program.current() == value, "the value of a callback");
            assert_eq!(program.scoped.get(), None, "the value of a scope in a callback");
            if one_in(3) {
                program.act();
            }
        }
    };
    let env = &program.env;
    match dice(5) {
        0 => env.next_tick(callback()),
        1 => env.queue_microtask(callback()),
        2 => drop(env.set_immediate(callback())),
        3 => drop(env.set_timeout(some_time(), callback())),
        _ => {
            let outer = callback();
            let mut bound = env.bind(move |()| outer());
            // Bound to the values of here.
            let wild = program.value.clone();
            env.next_tick(move || wild.run(u64::MAX, || bound(())));
        }
    }
}

/// Values for a part of the task only.
async fn in_scopes(program: &Rc<Program>) {
    let (value, outer) = (program.new_value(), program.current());
    let held = program.scoped.run(value, || {
        assert_eq!(program.scoped.get().as_deref(), Some(&value), "the value of a scope");
        program.value.exit(|| assert_eq!(program.current(), None, "a value behind exit"));
        program.may_begin().then(|| program.spawn())
    });
    let within = async {
        assert_eq!(program.current(), Some(value), "the value of a scoped future");
        sleep(program).await;
        assert_eq!(program.current(), Some(value), "the value of a scoped future behind an await");
    };
    program.value.scope(value, within).await;
    assert_eq!(program.current(), outer, "the value behind a scoped future");
    if let Some(held) = held {
        join(program, held).await;
    }
}

/// Polls something some times, and drops it: nothing of it is left.
async fn let_go(program: &Rc<Program>, record: &Record) {
    let mut future: Pin<Box<dyn Future<Output = ()> + '_>> = match dice(5) {
        0 => Box::pin(join_any(program, record)),
        1 if program.may_begin() => Box::pin(join(program, program.spawn())),
        2 => Box::pin(timeout(program)),
        3 => Box::pin(any_gate(program)),
        _ => Box::pin(sleep(program)),
    };
    let mut polls = 1 + dice(3);
    poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        polls -= 1;
        if polled.is_ready() || polls == 0 {
            return Poll::Ready(());
        }
        if one_in(2) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}
