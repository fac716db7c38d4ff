//! Too much to do: the requests in flight are counted, and the loop's lag is looked at, where an option limits them. Node has
//! nothing of the kind; the packages `under-pressure` and `toobusy-js` have.
//!
//! What is refused has to be cheap: it is refused at its head, before its handler and its body. What was begun is finished,
//! since only that makes room.

use super::{Core, Server};
use crate::connection::{Connection, Exchange};
use crate::uv_core::metrics::{Detail, Metrics};
use async_wrap::Environment;
use std::cell::Cell;
use std::time::Duration;

/// What a server has to do, as far as its options limit that.
#[derive(Default)]
pub(crate) struct Overload {
    /// If the lag is limited.
    lag: Option<(Metrics, Duration)>,
    /// The largest number of requests in flight; 0 for no limit.
    most: usize,
    /// Counted only if that is limited.
    in_flight: Cell<usize>,
    shed: Cell<u64>,
}

impl Overload {
    pub(super) fn new(env: &Environment, most: usize, lag: Duration) -> Self {
        let measure = || (env.loop_handle().measure(Detail::Times), lag);
        Self { lag: (!lag.is_zero()).then(measure), most, ..Self::default() }
    }

    /// Whether each request has to be looked at.
    pub(super) fn needs_each_request(&self) -> bool {
        self.lag.is_some() || self.is_full()
    }

    fn is_full(&self) -> bool {
        self.most > 0 && self.in_flight.get() >= self.most
    }

    /// Whether a further request is too much.
    #[inline]
    pub(crate) fn is_there(&self) -> bool {
        self.is_full() || self.lag.as_ref().is_some_and(|(metrics, most)| metrics.info().lag > *most)
    }

    pub(crate) fn note_shed(&self) {
        self.shed.set(self.shed.get() + 1);
    }
}

impl Core {
    /// Counts a request whose handler has returned, if its response is still due: most were never in flight.
    #[inline]
    pub(crate) fn count_in(&self, connection: &Connection, number: u32) {
        if self.overload.most > 0 {
            connection.pipeline.with(number, |exchange, _| self.count_exchange_in(exchange));
        }
    }

    #[inline(never)]
    fn count_exchange_in(&self, exchange: &mut Exchange) {
        if !std::mem::replace(&mut exchange.extra_mut().is_counted, true) {
            self.change_in_flight(|in_flight| in_flight + 1);
        }
    }

    /// Counts a request no longer, whose exchange is over.
    pub(crate) fn count_out(&self, exchange: &mut Exchange) {
        if exchange.extra().is_counted {
            exchange.extra_mut().is_counted = false;
            self.change_in_flight(|in_flight| in_flight - 1);
        }
    }

    /// The fast path does not look at the limit.
    fn change_in_flight(&self, change: impl FnOnce(usize) -> usize) {
        let was_full = self.overload.is_full();
        self.overload.in_flight.set(change(self.overload.in_flight.get()));
        if was_full != self.overload.is_full() {
            self.renew_fast_requests();
        }
    }
}

impl Server {
    /// Requests that got 503 because there was too much to do: see
    /// [`max_requests_in_flight`](crate::ServerOptions#structfield.max_requests_in_flight) and
    /// [`max_loop_lag`](crate::ServerOptions#structfield.max_loop_lag).
    #[must_use]
    pub fn shed_requests(&self) -> u64 {
        self.core.overload.shed.get()
    }

    /// Requests whose handlers have returned and whose responses are due; `None` unless
    /// [`max_requests_in_flight`](crate::ServerOptions#structfield.max_requests_in_flight) limits them.
    #[must_use]
    pub fn requests_in_flight(&self) -> Option<usize> {
        let Overload { most, in_flight, .. } = &self.core.overload;
        (*most > 0).then(|| in_flight.get())
    }
}
