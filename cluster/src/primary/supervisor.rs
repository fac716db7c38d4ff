//! Replaces workers that died. Node leaves this to the program (`cluster.on('exit', () => cluster.fork())`), which then
//! forks a worker that dies at its start again and again.

use super::PrimaryInner;
use super::worker::WorkerHandleInner;
use async_wrap::Timeout;
use async_wrap::layer::Place;
use std::cell::RefCell;
use std::ffi::OsString;
use std::rc::Rc;
use std::time::Duration;

/// How long to wait before a worker is replaced.
///
/// The successor of a worker that lived long is forked at once. The successor of any other is forked after a delay: `base`,
/// doubled with each further worker in a row that did not live long, up to `cap`.
///
/// If one of the three is zero there is no delay: a worker that fails at its start is then forked again and again.
///
/// ```
/// use cluster::Backoff;
/// use std::time::Duration;
///
/// let backoff = Backoff::default().base(Duration::from_millis(200)).cap(Duration::from_secs(10));
/// assert_eq!(backoff.delay(0), Duration::ZERO);
/// assert_eq!(backoff.delay(1), Duration::from_millis(200));
/// assert_eq!(backoff.delay(3), Duration::from_millis(800));
/// assert_eq!(backoff.delay(u32::MAX), Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The first delay. Default: 100 ms.
    pub base: Duration,
    /// The longest delay. Default: 30 s.
    pub cap: Duration,
    /// A worker of this age or older lived long. Default: 5 s.
    pub long_lived: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(30),
            long_lived: Duration::from_secs(5),
        }
    }
}

impl Backoff {
    /// Sets the first delay.
    #[must_use]
    pub fn base(mut self, delay: Duration) -> Self {
        self.base = delay;
        self
    }

    /// Sets the longest delay.
    #[must_use]
    pub fn cap(mut self, delay: Duration) -> Self {
        self.cap = delay;
        self
    }

    /// Sets the age from which on a worker lived long.
    #[must_use]
    pub fn long_lived(mut self, age: Duration) -> Self {
        self.long_lived = age;
        self
    }

    /// The delay after so many workers in a row that did not live long.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

/// The successors to come.
#[derive(Default)]
pub(super) struct Supervisor {
    delays: RefCell<Vec<Timeout>>,
}

impl Supervisor {
    /// Has a worker that died replaced, if the settings say so. The successor gets the same variables.
    pub(super) fn worker_died(&self, primary: &Rc<PrimaryInner>, worker: &WorkerHandleInner) {
        let Some(backoff) = primary.settings().respawn else { return };
        if !worker.is_leaving() && !primary.disconnecting.get() {
            let is_long_lived = primary.env.loop_handle().now() >= worker.forked_at + backoff.long_lived;
            let early_deaths = if is_long_lived { 0 } else { worker.early_deaths.saturating_add(1) };
            let _place = worker.place().mark();
            self.fork_later(primary, backoff, worker.env.clone(), early_deaths);
        }
    }

    fn fork_later(
        &self,
        primary: &Rc<PrimaryInner>,
        backoff: Backoff,
        variables: Vec<(OsString, OsString)>,
        early_deaths: u32,
    ) {
        let (owner, place) = (Rc::clone(primary), Place::marked());
        let timeout = primary.env.set_timeout(backoff.delay(early_deaths), move || {
            if owner.disconnecting.get() {
                return;
            }
            let forked = {
                let _place = place.mark();
                owner.fork(variables.clone(), early_deaths)
            };
            if let Err(error) = forked {
                owner.report_error(error);
                let _place = place.mark();
                owner.supervisor.fork_later(&owner, backoff, variables, early_deaths.saturating_add(1));
            }
        });
        let mut delays = self.delays.borrow_mut();
        delays.retain(Timeout::is_active);
        delays.push(timeout);
    }

    /// Forks no more successors.
    pub(super) fn clear(&self) {
        self.delays.take().iter().for_each(Timeout::clear);
    }
}
