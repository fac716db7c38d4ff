//! The workers that have a listening socket. Mirrors the `all` and `free` maps of Node's `RoundRobinHandle` and the
//! `workers` map of its `SharedHandle`.

use super::worker::WorkerHandleInner;
use crate::channel::ids::WorkerId;
use crate::scheduling::Candidate;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// The members of one socket, in the order of their ids.
#[derive(Default)]
pub(super) struct Members(RefCell<Vec<Rc<Member>>>);

pub(super) struct Member {
    pub(super) worker: Rc<WorkerHandleInner>,
    /// Whether a server of the worker listens. Until then the worker has only asked for the socket.
    pub(super) listens: Cell<bool>,
    /// Its server refused a connection and has not reported room since.
    pub(super) is_full: Cell<bool>,
}

impl Member {
    pub(super) fn is_able(&self) -> bool {
        !self.is_full.get() && self.worker.is_punctual()
    }

    /// A worker that has only asked for the socket is none: it may end before it listens, and by then the socket may be
    /// closed, with what the worker gave back.
    fn candidate(&self) -> Option<Candidate> {
        let is_free = self.listens.get() && !self.is_full.get() && self.worker.can_take_a_connection();
        is_free.then(|| self.worker.as_candidate())
    }
}

impl Members {
    pub(super) fn add(&self, worker: &Rc<WorkerHandleInner>) {
        let mut members = self.0.borrow_mut();
        let at = members.partition_point(|member| member.worker.id < worker.id);
        let (listens, is_full) = (Cell::new(false), Cell::new(false));
        members.insert(at, Rc::new(Member { worker: Rc::clone(worker), listens, is_full }));
    }

    pub(super) fn remove(&self, worker: WorkerId) {
        self.0.borrow_mut().retain(|member| member.worker.id != worker);
    }

    pub(super) fn find(&self, worker: WorkerId) -> Option<Rc<Member>> {
        self.0.borrow().iter().find(|member| member.worker.id == worker).map(Rc::clone)
    }

    pub(super) fn has(&self, worker: WorkerId) -> bool {
        self.any(|member| member.worker.id == worker)
    }

    pub(super) fn any(&self, holds: impl Fn(&Member) -> bool) -> bool {
        self.0.borrow().iter().any(|member| holds(member))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub(super) fn first(&self) -> Option<Rc<Member>> {
        self.0.borrow().first().map(Rc::clone)
    }

    pub(super) fn all(&self) -> Vec<Rc<Member>> {
        self.0.borrow().clone()
    }

    /// The members that can take a connection now.
    pub(super) fn candidates(&self, candidates: &mut Vec<Candidate>) {
        candidates.clear();
        candidates.extend(self.0.borrow().iter().filter_map(|member| member.candidate()));
    }

    /// The members that are late with an acknowledgement, unless it was sent and not read yet.
    pub(super) fn late_at(&self, now: Duration) -> Vec<Rc<Member>> {
        self.0.borrow().iter().filter(|member| member.worker.is_late_at(now)).map(Rc::clone).collect()
    }
}
