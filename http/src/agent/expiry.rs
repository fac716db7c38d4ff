//! The one timer of an agent, for all of its idle connections: it is due when the first of them is over.
//!
//! A request in the steady state costs no timer operation. The timer is set when a connection becomes idle and none is set, or
//! only a later one; what is used meanwhile is not looked at, and when the timer is due it is set for the next that is over.

use super::Core;
use async_wrap::{AsyncContext, Timeout};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Expiry {
    timer: RefCell<Option<Timeout>>,
    /// When it is due, on the loop's clock.
    due: Cell<Option<Duration>>,
}

impl Expiry {
    /// A connection is idle until then.
    #[inline]
    pub(super) fn expect(&self, core: &Rc<Core>, until: Duration) {
        if self.due.get().is_none_or(|due| until < due) {
            self.set(core, until);
        }
    }

    #[cold]
    fn set(&self, core: &Rc<Core>, until: Duration) {
        self.stop();
        let after = until.saturating_sub(core.shared.now());
        let (env, weak) = (&core.shared.env, Rc::downgrade(core));
        // Idle connections are of no request: the timer has none of the values of the request that sets it.
        let timer = env.run_in_context(AsyncContext::NONE, || {
            env.set_timeout(after, move || weak.upgrade().iter().for_each(Core::expire))
        });
        timer.unref();
        self.due.set(Some(until));
        self.timer.replace(Some(timer));
    }

    pub(super) fn stop(&self) {
        self.due.set(None);
        let timer = self.timer.take();
        timer.iter().for_each(Timeout::clear);
    }
}

impl Drop for Expiry {
    fn drop(&mut self) {
        self.stop();
    }
}
