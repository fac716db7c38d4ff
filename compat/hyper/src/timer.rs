//! hyper's `Timer` and `Sleep`: one timer of the loop for all that waits.
//!
//! hyper's futures are `Send + Sync`, and what is of a loop is neither. So a sleep has a number in a table under a lock, and a task
//! of the loop, which no sleep holds, waits for the earliest of them.

use hyper::rt::{Sleep, Timer};
use net::async_wrap::{Environment, task};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The timers of a loop as hyper's [`Timer`]. Clones share one timer of the loop; make one for each [`Environment`], not one for
/// each connection.
///
/// It is `Send + Sync`, as its sleeps are: a sleep that is made, polled or dropped on another thread works, as long as the loop runs.
///
/// ```
/// use hyper::rt::Timer;
/// use net::async_wrap::Environment;
/// use std::time::Duration;
/// use upcall_hyper::LoopTimer;
///
/// let env = Environment::with_new_loop()?;
/// let timer = LoopTimer::new(&env);
/// env.block_on(timer.sleep(Duration::from_millis(1)))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LoopTimer(Arc<Clock>);

/// A future that is ready at an instant, never earlier: what a [`LoopTimer`] makes, in hyper's box.
///
/// From its first poll on it keeps the loop alive, until it is ready or dropped. What is polled on another thread reaches a loop
/// that runs; a loop with nothing to do has ended, and then the sleep stays pending. So it does when the environment is closed.
///
/// Dropping it leaves no timer.
pub struct LoopSleep {
    clock: Arc<Clock>,
    deadline: Instant,
    /// In the clock's table, from the first poll on.
    number: Option<u64>,
}

/// The sleeps that have been polled.
#[derive(Default)]
struct Clock(Mutex<Table>);

#[derive(Default)]
struct Table {
    last_number: u64,
    /// By number. What is not here any more is over.
    waiting: BTreeMap<u64, Waiting>,
    /// What the driver has not seen.
    arrived: BTreeSet<u64>,
    /// What the driver has seen, by when it is due in the loop's time.
    queue: BTreeSet<(Duration, u64)>,
    driver: Option<Waker>,
    /// The driver was dropped with its environment: nothing is entered any more.
    has_ended: bool,
}

struct Waiting {
    /// How long, from its arrival.
    rest: Duration,
    /// In the loop's time, once the driver has seen it.
    due: Option<Duration>,
    waker: Waker,
}

impl LoopTimer {
    /// A timer of `env`'s loop, with a task there that ends when the last clone and the last sleep are dropped.
    #[must_use]
    pub fn new(env: &Environment) -> Self {
        let clock = Arc::new(Clock::default());
        env.spawn_detached(Driver { env: env.clone(), clock: Arc::downgrade(&clock), alarm: None });
        Self(clock)
    }

    fn at(&self, deadline: Instant) -> LoopSleep {
        LoopSleep { clock: Arc::clone(&self.0), deadline, number: None }
    }
}

impl Timer for LoopTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let now = Instant::now();
        self.sleep_until(now.checked_add(duration).unwrap_or(now + FAR))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.at(deadline))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<LoopSleep>() {
            Some(mut sleep) => sleep.set(self.at(new_deadline)),
            // Of another timer.
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

/// What stands for a time that an `Instant` cannot express: a century.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Sleep for LoopSleep {}

impl Future for LoopSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        match this.number {
            Some(number) => this.clock.keep(number, context.waker()),
            None => {
                let rest = this.deadline.saturating_duration_since(Instant::now());
                if rest.is_zero() {
                    return Poll::Ready(());
                }
                this.number = Some(this.clock.enter(rest, context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for LoopSleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.clock.remove(number);
        }
    }
}

impl Clock {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, rest: Duration, waker: Waker) -> u64 {
        let mut table = self.table();
        table.last_number += 1;
        let number = table.last_number;
        if table.has_ended {
            return number;
        }
        table.waiting.insert(number, Waiting { rest, due: None, waker });
        table.arrived.insert(number);
        let driver = table.driver.take();
        drop(table);
        wake(driver);
        number
    }

    /// Has `waker` woken when the sleep is over, unless it is.
    fn keep(&self, number: u64, waker: &Waker) -> Poll<()> {
        let mut table = self.table();
        if table.has_ended {
            return Poll::Pending;
        }
        let Some(waiting) = table.waiting.get_mut(&number) else { return Poll::Ready(()) };
        if waiting.waker.will_wake(waker) {
            return Poll::Pending;
        }
        let last = std::mem::replace(&mut waiting.waker, waker.clone());
        drop(table);
        // Outside of the lock: it may be the last of a task.
        drop(last);
        Poll::Pending
    }

    fn remove(&self, number: u64) {
        let mut table = self.table();
        let Some(waiting) = table.waiting.remove(&number) else { return };
        match waiting.due {
            Some(due) => table.queue.remove(&(due, number)),
            None => table.arrived.remove(&number),
        };
        // The driver drops its alarm, which would keep the loop alive.
        let driver = if table.waiting.is_empty() { table.driver.take() } else { None };
        drop(table);
        drop(waiting);
        wake(driver);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // The driver ends.
        wake(self.table().driver.take());
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Table {
    /// Enters what has arrived into the queue, and takes what is over from it.
    fn turn(&mut self, now: Duration) -> Vec<Waker> {
        for number in std::mem::take(&mut self.arrived) {
            if let Some(waiting) = self.waiting.get_mut(&number) {
                let due = now.saturating_add(waiting.rest);
                waiting.due = Some(due);
                self.queue.insert((due, number));
            }
        }
        let mut over = Vec::new();
        while let Some((due, number)) = self.queue.first().copied()
            && due <= now
        {
            self.queue.pop_first();
            over.extend(self.waiting.remove(&number).map(|waiting| waiting.waker));
        }
        over
    }
}

/// The task that waits for the earliest sleep. It holds no clock, so that it ends with that.
struct Driver {
    env: Environment,
    clock: Weak<Clock>,
    /// The earliest, or an earlier instant.
    alarm: Option<(Duration, task::Sleep)>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let Some(clock) = self.clock.upgrade() else { return };
        let ended = Table { has_ended: true, ..Table::default() };
        let left = std::mem::replace(&mut *clock.table(), ended);
        // Outside of the lock: the wakers may have the last of their tasks.
        drop(left);
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { env, clock, alarm } = &mut *self;
        let Some(clock) = clock.upgrade() else { return Poll::Ready(()) };
        // Each round behind the first begins when an alarm has rung, and takes what that was for.
        loop {
            env.loop_handle().update_time();
            let now = env.loop_handle().now();
            let mut table = clock.table();
            let over = table.turn(now);
            let earliest = table.queue.first().map(|(due, _)| *due);
            table.driver = Some(context.waker().clone());
            drop(table);
            over.into_iter().for_each(Waker::wake);
            let Some(earliest) = earliest else {
                *alarm = None;
                return Poll::Pending;
            };
            // An alarm that is early, left by a sleep that was dropped, rings for nothing. That is cheaper than another one.
            alarm.take_if(|(at, _)| *at > earliest);
            let rest = earliest.saturating_sub(now);
            let (_, sleep) = alarm.get_or_insert_with(|| (earliest, env.sleep(rest)));
            if Pin::new(sleep).poll(context).is_pending() {
                return Poll::Pending;
            }
            *alarm = None;
        }
    }
}

impl fmt::Debug for LoopTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopTimer").field("waiting", &self.0.table().waiting.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for LoopSleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopSleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
