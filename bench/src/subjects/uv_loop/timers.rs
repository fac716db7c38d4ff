//! Timers that are moved and never fire, and timers that all fire at once.

use crate::Result;
use crate::subjects::solo::{PER_MS, SPREAD, TIMERS, check, deadline, measure};
use crate::subjects::turns::Turns;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;
use std::time::Duration;
use uv_core::{Loop, LoopHandle, RunMode, Timer};

fn after(index: u64) -> Duration {
    Duration::from_millis(deadline(index))
}

/// One operation is a stop and a start of one of a thousand active timers, as for a connection that was heard of.
pub(crate) fn churn(ops: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    let far = Duration::from_secs(60);
    let timers: Vec<Timer> = (0..TIMERS).map(|_| Timer::new(&event_loop)).collect();
    let start = |index: u64, timer: &Timer| timer.start(far + after(index), Duration::ZERO, |_: &Timer| {});
    for (index, timer) in (0..).zip(&timers) {
        start(index, timer)?;
    }
    measure(ops, |count| {
        for (index, timer) in (0..count).zip(timers.iter().cycle()) {
            timer.stop();
            start(index, timer)?;
        }
        check(timers.iter().filter(|timer| timer.is_active()).count() as u64, TIMERS)
    })
}

/// One operation is the end of one timer: all are due when the loop runs, once.
pub(crate) fn fire(turns: Turns) -> Result<()> {
    let event_loop = Loop::new()?;
    let ops = turns.ops();
    let turns = Rc::new(RefCell::new(turns));
    // They are the loop's, which keeps them.
    for index in 0..ops {
        let turns = Rc::clone(&turns);
        Timer::new(&event_loop)
            .start(after(index), Duration::ZERO, move |_: &Timer| turns.borrow_mut().did_one())?;
    }
    wait_until_all_are_due(&event_loop);
    turns.borrow_mut().begin();
    event_loop.run(RunMode::NoWait)?;
    turns.borrow_mut().end()
}

fn wait_until_all_are_due(event_loop: &LoopHandle) {
    let last = event_loop.now() + Duration::from_millis(SPREAD);
    event_loop.update_time();
    thread::sleep(last.saturating_sub(event_loop.now()));
}

/// libuv's `million_timers`: one operation is a timer from its start over its end to its close, a thousand of which end in
/// each millisecond.
pub(crate) fn million(ops: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    measure(ops, |count| {
        let fired = Rc::new(Cell::new(0));
        event_loop.update_time();
        let start = |index: u64| {
            let (timer, counter) = (Timer::new(&event_loop), Rc::clone(&fired));
            let after = Duration::from_millis(1 + index / PER_MS);
            timer
                .start(after, Duration::ZERO, move |_: &Timer| counter.set(counter.get() + 1))
                .map(|()| timer)
        };
        let timers = (0..count).map(start).collect::<uv_core::Result<Vec<Timer>>>()?;
        event_loop.run(RunMode::Default)?;
        timers.iter().for_each(|timer| timer.close());
        event_loop.run(RunMode::Default)?;
        check(fired.get(), count)
    })
}
