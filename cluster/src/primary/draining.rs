//! Sockets whose last server is about to close while the system lacks the memory or the descriptors to accept what waits
//! there: the worker learns that it has got everything once that is so. Node closes the socket, which resets the connections.
//!
//! A shortage of descriptors may be of this process's own making: the connections that a worker has not acknowledged are open
//! here, too.

use super::PrimaryInner;
use super::worker::WorkerHandleInner;
use crate::channel::ids::SocketId;
use crate::channel::message::Message;
use async_wrap::Timeout;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// How often accepting is tried again: most shortages are over by the first time, and the cost is negligible.
const AGAIN: Duration = Duration::from_millis(10);

/// For how long: as a server of its own does, when it is shut down. Clients wait for an answer, and the worker for its end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The drains that are not complete.
#[derive(Default)]
pub(super) struct Draining {
    open: RefCell<Vec<Drain>>,
    timer: Cell<Option<Timeout>>,
}

struct Drain {
    worker: Rc<WorkerHandleInner>,
    what: What,
    until: Duration,
}

/// What a worker is given all connections of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A socket whose server in this worker is about to close: the worker has asked for them.
    Socket(SocketId),
    /// All of its sockets: the worker is to leave.
    All,
}

impl PrimaryInner {
    /// Gives a worker the connections that wait for it, unless other workers listen, and tells it that it has them: now, or
    /// when a shortage is over.
    pub(super) fn drain(self: &Rc<Self>, worker: &Rc<WorkerHandleInner>, what: What) {
        // A worker that asks again and again is told once.
        let is_same = |drain: &Drain| Rc::ptr_eq(&drain.worker, worker) && drain.what == what;
        if self.draining.open.borrow().iter().any(is_same) {
            return;
        }
        if self.try_drain(worker, what, false) {
            return self.tell_drained(worker, what);
        }
        #[cfg(upcall_faults)]
        uv_core::faults::reached(uv_core::faults::Branch::DealWaits);
        let until = self.env.loop_handle().now() + PATIENCE;
        self.draining.open.borrow_mut().push(Drain { worker: Rc::clone(worker), what, until });
        self.drain_later();
    }

    /// Returns whether the worker has got everything, or gets nothing more since this is the last try.
    fn try_drain(&self, worker: &WorkerHandleInner, what: What, is_last: bool) -> bool {
        match what {
            What::Socket(socket) => self.sockets.drain(worker.id, socket, is_last),
            What::All => self.sockets.drain_all(worker.id, is_last),
        }
    }

    fn tell_drained(&self, worker: &Rc<WorkerHandleInner>, what: What) {
        let now = self.env.loop_handle().now();
        match what {
            What::Socket(socket) => {
                self.close_or_keep(worker);
                worker.send_connections(now);
                worker.answer(&Message::Drained { socket }, Vec::new());
            }
            What::All => {
                // Connections that it was handed go first, since `Leave` closes its servers.
                worker.send_connections(now);
                worker.channel.tell(&Message::Leave);
                self.sockets.close_deserted();
                // Connections that it gives back from now on go to the others. Distributed from the loop, since a policy
                // is never called from within a method of the program.
                worker.request_distribution();
            }
        }
    }

    fn drain_later(self: &Rc<Self>) {
        let primary = Rc::clone(self);
        let _place = self.draining.open.borrow().first().map(|drain| drain.worker.place().mark());
        let timer = self.env.set_timeout(AGAIN, move || primary.drain_again());
        if let Some(earlier) = self.draining.timer.replace(Some(timer)) {
            earlier.clear();
        }
    }

    fn drain_again(self: &Rc<Self>) {
        let now = self.env.loop_handle().now();
        for drain in self.draining.open.take() {
            let Drain { worker, what, until } = &drain;
            // A worker that was lost meanwhile has left its sockets.
            if !worker.is_connected() {
                continue;
            }
            if self.try_drain(worker, *what, now >= *until) {
                self.tell_drained(worker, *what);
            } else {
                self.draining.open.borrow_mut().push(drain);
            }
        }
        if !self.draining.open.borrow().is_empty() {
            self.drain_later();
        }
    }
}
