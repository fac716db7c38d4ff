//! New workers for those that died: a handler around a handler. Node leaves this to the program
//! (`cluster.on('exit', () => cluster.fork())`), which then forks without end a worker that dies at its start.

use crate::upcall::PrimaryHandler;
use crate::{Error, Output, Primary, WorkerHandle};
use async_wrap::Timeout;
use net::Address;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use uv_core::process::ExitStatus;

/// How long to wait before a new worker.
///
/// The successor of a worker that lived long is forked at once. One that did not is waited for: `base`, then twice as
/// long for each one in a row that did not live long either, up to `cap`.
///
/// ```
/// use cluster::Backoff;
/// use std::time::Duration;
///
/// let backoff = Backoff::default();
/// assert_eq!(backoff.delay(0), Duration::ZERO);
/// assert_eq!(backoff.delay(1), backoff.base);
/// assert_eq!(backoff.delay(3), backoff.base * 4);
/// assert_eq!(backoff.delay(u32::MAX), backoff.cap);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first delay. 100 ms at first.
    pub base: Duration,
    /// The longest delay. 30 s at first.
    pub cap: Duration,
    /// A worker that lived so long did not fail at its start. 5 s at first.
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
    /// The delay after so many workers in a row that did not live long.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

/// A handler that forks a successor for every worker that ended without having been asked to, with the same variables,
/// and passes everything on to the handler that it owns.
///
/// It works best with [`Settings::keep_listening`](crate::Settings::keep_listening). After
/// [`Primary::disconnect`] it forks no more.
pub struct Supervised<H> {
    handler: H,
    backoff: Backoff,
    successions: Rc<RefCell<Successions>>,
}

#[derive(Default)]
struct Successions {
    /// Failures in a row before this worker, by its id.
    failures: BTreeMap<u32, u32>,
    /// Successors to be forked.
    waiting: Vec<Timeout>,
}

impl<H: PrimaryHandler> Supervised<H> {
    /// Watches over the workers of the primary that this becomes the handler of.
    pub fn new(backoff: Backoff, handler: H) -> Self {
        Self { handler, backoff, successions: Rc::default() }
    }

    fn worker_died(&self, primary: &Primary, worker: &WorkerHandle) {
        let before = self.successions.borrow_mut().failures.remove(&worker.id()).unwrap_or(0);
        let asked = worker.exited_after_disconnect() == Some(true);
        if asked || primary.is_disconnecting() {
            return;
        }
        let lived = worker.age() >= self.backoff.long_lived;
        let failures = if lived { 0 } else { before.saturating_add(1) };
        let variables = worker.0.env.clone();
        Succession { backoff: self.backoff, successions: Rc::clone(&self.successions), failures, variables }
            .wait(primary.clone());
    }
}

/// One worker to be forked.
struct Succession {
    backoff: Backoff,
    successions: Rc<RefCell<Successions>>,
    failures: u32,
    variables: Vec<(OsString, OsString)>,
}

impl Succession {
    fn wait(self, primary: Primary) {
        let successions = Rc::clone(&self.successions);
        let delay = self.backoff.delay(self.failures);
        let timeout = primary.environment().clone().set_timeout(delay, move || self.fork(&primary));
        let mut successions = successions.borrow_mut();
        successions.waiting.retain(Timeout::is_active);
        successions.waiting.push(timeout);
    }

    fn fork(mut self, primary: &Primary) {
        if primary.is_disconnecting() {
            return;
        }
        match primary.fork_with(self.variables.clone()) {
            Ok(worker) => drop(self.successions.borrow_mut().failures.insert(worker.id(), self.failures)),
            Err(error) => {
                primary.0.report_error(error);
                self.failures = self.failures.saturating_add(1);
                self.wait(primary.clone());
            }
        }
    }
}

impl<H: PrimaryHandler> PrimaryHandler for Supervised<H> {
    fn on_setup(&mut self, primary: &Primary) {
        self.handler.on_setup(primary);
    }

    fn on_fork(&mut self, worker: &WorkerHandle) {
        self.handler.on_fork(worker);
    }

    fn on_online(&mut self, worker: &WorkerHandle) {
        self.handler.on_online(worker);
    }

    fn accepts_listen(&mut self, worker: &WorkerHandle, address: &Address) -> bool {
        self.handler.accepts_listen(worker, address)
    }

    fn on_listening(&mut self, worker: &WorkerHandle, address: &Address) {
        self.handler.on_listening(worker, address);
    }

    fn on_message(&mut self, worker: &WorkerHandle, data: &[u8], fds: Vec<OwnedFd>) {
        self.handler.on_message(worker, data, fds);
    }

    fn on_output(&mut self, worker: &WorkerHandle, output: Output, data: &[u8]) {
        self.handler.on_output(worker, output, data);
    }

    fn on_disconnect(&mut self, worker: &WorkerHandle) {
        self.handler.on_disconnect(worker);
    }

    fn on_exit(&mut self, worker: &WorkerHandle, status: ExitStatus) {
        self.handler.on_exit(worker, status);
        if let Some(primary) = worker.primary() {
            self.worker_died(&primary, worker);
        }
    }

    fn on_error(&mut self, worker: Option<&WorkerHandle>, error: Error) {
        self.handler.on_error(worker, error);
    }

    fn on_disconnected(&mut self, primary: &Primary) {
        self.successions.borrow_mut().waiting.drain(..).for_each(|timeout| timeout.clear());
        self.handler.on_disconnected(primary);
    }
}

impl<H> fmt::Debug for Supervised<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervised")
            .field("backoff", &self.backoff)
            .field("waiting", &self.successions.borrow().waiting.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_from_the_base_to_the_cap() {
        let ms = Duration::from_millis;
        let backoff = Backoff { base: ms(10), cap: ms(100), long_lived: ms(1) };
        let delays: Vec<_> = (0..7).map(|failures| backoff.delay(failures)).collect();
        assert_eq!(delays, [ms(0), ms(10), ms(20), ms(40), ms(80), ms(100), ms(100)]);
        assert_eq!(backoff.delay(33), ms(100), "beyond what the factor can hold");
    }
}
