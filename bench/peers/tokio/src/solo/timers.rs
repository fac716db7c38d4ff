//! The runtime by itself: turns of its driver, and timers.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::turns::Turns;
use super::{Meter, warm_up};
use crate::runtime;

/// Timers that are active during the churn.
const CHURN_TIMERS: u64 = 1000;

/// The churn's timers lie this far ahead and never fire.
const CHURN_AHEAD: Duration = Duration::from_secs(60);

/// The deadlines of timers are spread over so many milliseconds.
const SPREAD: u64 = 1000;

/// Spreads consecutive numbers evenly and out of order: the prime is coprime to [`SPREAD`].
fn spread(number: u64) -> Duration {
    Duration::from_millis(1 + number.wrapping_mul(7919) % SPREAD)
}

/// A task that yields is run again after a turn of the driver.
pub(super) fn ticks(ops: u64) -> io::Result<()> {
    runtime()?.block_on(async {
        for _ in 0..warm_up(ops) {
            yield_now().await;
        }
        let meter = Meter::start()?;
        for _ in 0..ops {
            yield_now().await;
        }
        meter.print(ops)
    })
}

/// Each operation moves the deadline of one of the active timers, which is how tokio stops and starts one.
pub(super) fn churn(ops: u64) -> io::Result<()> {
    runtime()?.block_on(async {
        let new_timer = |number| Box::pin(sleep(CHURN_AHEAD + spread(number)));
        let mut timers: Vec<Pin<Box<Sleep>>> = (0..CHURN_TIMERS).map(new_timer).collect();
        restart(&mut timers, CHURN_TIMERS);
        restart(&mut timers, warm_up(ops));
        let meter = Meter::start()?;
        restart(&mut timers, ops);
        meter.print(ops)
    })
}

fn restart(timers: &mut [Pin<Box<Sleep>>], ops: u64) {
    for number in 0..ops {
        let timer = &mut timers[(number % CHURN_TIMERS) as usize];
        timer.as_mut().reset(Instant::now() + CHURN_AHEAD + spread(number));
    }
}

/// The news that all have fired.
static ALL_FIRED: Notify = Notify::const_new();

thread_local! {
    /// Of the only thread that has tasks, and nothing before they run.
    static TURNS: RefCell<Option<Turns>> = const { RefCell::new(None) };
}

/// Starts all timers, each in its task, and lets their deadlines pass; only the turns that fire them are measured.
pub(super) fn fire(turns: Turns) -> io::Result<()> {
    // The driver, which fires timers, has no turn while there are tasks to be run: none is fired before all are due.
    let runtime = Builder::new_current_thread().enable_time().event_interval(u32::MAX).build()?;
    runtime.block_on(async {
        let start = Instant::now();
        for number in 0..turns.ops() {
            tokio::spawn(fire_one(start + spread(number)));
        }
        TURNS.set(Some(turns));
        // Tasks are first run in the order in which they were spawned: this one finds all timers started.
        tokio::spawn(async {
            thread::sleep(Duration::from_millis(SPREAD + 1));
            TURNS.with_borrow_mut(|turns| turns.as_mut().map(Turns::begin));
        });
        ALL_FIRED.notified().await;
    });
    TURNS.take().map_or(Ok(()), Turns::end)
}

async fn fire_one(deadline: Instant) {
    sleep_until(deadline).await;
    if TURNS.with_borrow_mut(|turns| turns.as_mut().is_some_and(Turns::did_last)) {
        ALL_FIRED.notify_one();
    }
}
