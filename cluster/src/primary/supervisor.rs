//! Replaces workers that died: a handler around a handler. Node leaves this to the program (`cluster.on('exit', () =>
//! cluster.fork())`), which then forks a worker that dies at its start again and again.

use super::{Output, Primary, WorkerHandle};
use crate::Error;
use crate::upcall::PrimaryHandler;
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

/// How long to wait before a worker is replaced.
///
/// The successor of a worker that lived long is forked at once. The successor of any other is forked after a delay: `base`,
/// doubled with each further worker in a row that did not live long, up to `cap`.
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
    /// The age from which a worker counts as one that lived long. Default: 5 s.
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

    /// Sets the age from which a worker counts as one that lived long.
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

/// A handler that forks a successor, with the same variables, for every worker that died. It passes every call on to the
/// handler that it owns.
///
/// It works best with [`Settings::keep_listening`](crate::Settings::keep_listening). After [`Primary::disconnect`] it
/// forks no more workers. An example is that of the [crate].
pub struct Supervised<H> {
    handler: H,
    backoff: Backoff,
    successions: Rc<RefCell<Successions>>,
}

#[derive(Default)]
struct Successions {
    /// How many predecessors of a worker, by its id, died early in a row.
    failures: BTreeMap<u32, u32>,
    /// The delays of successors to come.
    waiting: Vec<Timeout>,
}

impl<H: PrimaryHandler> Supervised<H> {
    /// A handler that replaces the workers of its primary and passes calls on to `handler`.
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

/// One successor to come.
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
        let backoff = Backoff::default().base(ms(10)).cap(ms(100)).long_lived(ms(1));
        let delays: Vec<_> = (0..7).map(|failures| backoff.delay(failures)).collect();
        assert_eq!(delays, [ms(0), ms(10), ms(20), ms(40), ms(80), ms(100), ms(100)]);
        assert_eq!(backoff.delay(33), ms(100), "beyond the range of the factor");
    }
}
