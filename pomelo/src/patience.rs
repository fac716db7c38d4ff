//! How long others may take, counted only while this process runs. Node has timers alone, which count all time.
//!
//! What keeps this process from running (a stopped process group, a frozen container, a suspended machine) mostly keeps
//! those from it for whom it waits. So the time is looked at in steps, and a step that took far too long counts as a
//! short one.

use async_wrap::{Environment, Heard, Timeout};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// How many steps a limit has where nothing else looks at the clock.
const STEPS: u32 = 8;

/// Two looks at processes: what a look may be late without being held for a standstill.
const AT_LEAST: Duration = Duration::from_millis(50);

/// What is left of a limit.
pub(crate) struct Patience {
    left: Duration,
    /// What a step counts at most: a standstill takes a quarter of the limit.
    longest: Duration,
    /// The last look, on the loop's clock.
    seen: Duration,
}

impl Patience {
    /// Begins to count. It is to be looked at several times within `limit`.
    pub(crate) fn new(env: &Environment, limit: Duration) -> Self {
        let lp = env.loop_handle();
        // A slow callback before this one is nobody's time.
        lp.update_time();
        Self { left: limit, longest: (limit / 4).max(AT_LEAST), seen: lp.now() }
    }

    /// A look: whether the limit is used up.
    pub(crate) fn is_over(&mut self, heard: Heard) -> bool {
        let step = heard.until().saturating_sub(self.seen);
        self.seen = self.seen.max(heard.until());
        self.left = self.left.saturating_sub(step.min(self.longest));
        self.left.is_zero()
    }
}

/// Calls `callback` when the limit is used up.
pub(crate) fn set_patience(env: &Environment, limit: Duration, callback: impl FnOnce() + 'static) -> Timeout {
    let (mut patience, mut callback) = (Patience::new(env, limit), Some(callback));
    inspect(env, limit / STEPS, move |heard| {
        let is_over = patience.is_over(heard);
        if let Some(callback) = callback.take_if(|_| is_over) {
            callback();
        }
        is_over
    })
}

/// Calls `look` again and again until it says that it is done, or until the timeout is cleared.
pub(crate) fn inspect(
    env: &Environment,
    every: Duration,
    mut look: impl FnMut(Heard) -> bool + 'static,
) -> Timeout {
    let timer: Rc<Cell<Option<Timeout>>> = Rc::default();
    let own = Rc::clone(&timer);
    let interval = env.set_inspection(every, move |heard| {
        if look(heard) {
            own.take().iter().for_each(Timeout::clear);
        }
    });
    timer.set(Some(interval.clone()));
    interval
}
