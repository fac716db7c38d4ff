//! A socket on which the primary accepts for its workers. Mirrors `RoundRobinHandle`, Node's
//! `lib/internal/cluster/round_robin_handle.js`.
//!
//! A connection is accepted when there is a worker to give it to; until then it waits in the kernel's backlog, one of
//! them half-way. Only those that a worker gave back wait here, and one while the policy chooses.

use crate::LAYER;
use crate::channel::message::Query;
use crate::primary::bind::{Bound, bind};
use crate::primary::worker::{Connection, WorkerState};
use crate::scheduling::{Candidate, SchedulingPolicy};
use async_wrap::layer::HandlerCell;
use async_wrap::layer::trace::Facts;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use uv_core::failure::Failure;
use uv_core::upcall::AcceptUpcall;
use uv_core::{LoopHandle, Result, Stream};

/// Connections accepted in one turn of the loop. They travel together, and more would make timers and other workers'
/// answers wait.
const ACCEPT_BATCH: u32 = 64;

pub(crate) struct Distributor {
    /// The listening socket's number.
    id: u32,
    stream: Stream,
    /// Connections that the kernel may hold ready.
    queue: u32,
    policy: HandlerCell<Box<dyn SchedulingPolicy>>,
    /// In the order of their ids.
    members: RefCell<Vec<Member>>,
    /// Connections accepted so far.
    accepted: Cell<u64>,
    /// Connections that came back, the oldest first.
    returned: RefCell<VecDeque<Connection>>,
    /// Kept from turn to turn.
    candidates: Cell<Vec<Candidate>>,
}

struct Member {
    worker: Rc<WorkerState>,
    /// Its server refused a connection and has not said since that it takes them again.
    full: bool,
}

impl Distributor {
    /// Binds and listens.
    pub(crate) fn new(
        lp: &LoopHandle,
        id: u32,
        query: &Query,
        policy: Box<dyn SchedulingPolicy>,
    ) -> Result<(Rc<Self>, net::Address)> {
        let Bound { stream, address } = bind(lp, query)?;
        stream.set_accept_batch(ACCEPT_BATCH);
        let distributor = Rc::new(Self {
            id,
            stream,
            // A worker says what it likes; a backlog is no longer than that in any system.
            queue: query.backlog.min(u16::MAX.into()) + 1,
            policy: HandlerCell::empty(),
            members: RefCell::default(),
            accepted: Cell::new(0),
            returned: RefCell::default(),
            candidates: Cell::default(),
        });
        distributor.policy.set(policy);
        let accepting = Accepting(Rc::clone(&distributor));
        let listening = distributor.stream.listen(query.backlog, accepting);
        listening.map_err(|error| error.on(&address)).inspect_err(|_| distributor.stream.close())?;
        Ok((distributor, address))
    }

    pub(crate) fn add(&self, worker: &Rc<WorkerState>) {
        let mut members = self.members.borrow_mut();
        let at = members.partition_point(|member| member.worker.id < worker.id);
        members.insert(at, Member { worker: Rc::clone(worker), full: false });
        self.stream.ref_();
    }

    pub(crate) fn remove(&self, worker: u32) {
        self.members.borrow_mut().retain(|member| member.worker.id != worker);
    }

    pub(crate) fn has(&self, worker: u32) -> bool {
        self.members.borrow().iter().any(|member| member.worker.id == worker)
    }

    pub(crate) fn is_deserted(&self) -> bool {
        self.members.borrow().is_empty()
    }

    /// Nobody is left, but somebody will come: that alone does not keep the primary alive.
    pub(crate) fn wait_for_members(&self) {
        self.stream.unref();
    }

    pub(crate) fn set_full(&self, worker: u32, full: bool) {
        let mut members = self.members.borrow_mut();
        if let Some(member) = members.iter_mut().find(|member| member.worker.id == worker) {
            member.full = full;
        }
    }

    /// Takes connections back; they keep their places.
    pub(crate) fn give_back(&self, connections: Vec<Connection>) {
        let mut returned = self.returned.borrow_mut();
        for connection in connections {
            let at = returned.partition_point(|other| other.number < connection.number);
            returned.insert(at, connection);
        }
    }

    /// Hands out what waits, as far as there are workers that can take it.
    pub(crate) fn distribute(&self) {
        if self.is_anybody_to_be_judged() {
            return;
        }
        loop {
            let mut candidates = self.candidates.take();
            candidates.clear();
            let members = self.members.borrow();
            candidates.extend(members.iter().filter_map(|member| member.candidate()));
            drop(members);
            let handed = !candidates.is_empty() && self.hand_out_one(&candidates);
            self.candidates.set(candidates);
            if !handed {
                return;
            }
        }
    }

    /// Deals out, in turn, all that waits here and in the kernel: the socket is about to close, and would reset it. The
    /// policy is not asked, as this happens in a call of the program. It goes to workers that `suit`, or to all if none
    /// does; of those to the ones that are able to take it, or to all if none is.
    pub(crate) fn deal_out(&self, suit: impl Fn(u32) -> bool) {
        let able = |worker: u32| {
            let members = self.members.borrow();
            members.iter().any(|one| one.worker.id == worker && !one.full && one.worker.is_punctual())
        };
        let takers = self.members.borrow().iter().map(|member| Rc::clone(&member.worker)).collect();
        let takers = preferred(preferred(takers, suit), able);
        let most = self.returned.borrow().len() + self.queue as usize;
        for worker in takers.iter().cycle().take(most) {
            let returned = self.returned.borrow_mut().pop_front();
            let Some(connection) = returned.or_else(|| self.take_from_kernel()) else { return };
            worker.hand(self.id, connection);
        }
    }

    fn take_from_kernel(&self) -> Option<Connection> {
        let fd = self.stream.try_accept_fd();
        let failed = |error: &uv_core::Error| error.failure() != Failure::Waiting;
        if let Some(error) = fd.as_ref().err().filter(|error| failed(error)) {
            log::warn!(target: "cluster", "{error}");
        }
        self.accepted.set(self.accepted.get() + 1);
        Some(Connection { fd: Rc::new(fd.ok()?), number: self.accepted.get() })
    }

    fn is_anybody_to_be_judged(&self) -> bool {
        let now = self.stream.loop_handle().now();
        let members = self.members.borrow();
        members.iter().filter(|member| member.worker.seems_late(now)).count() > 0
    }

    fn hand_out_one(&self, candidates: &[Candidate]) -> bool {
        if !self.is_anybody_waiting() {
            return false;
        }
        let again = Again(self);
        let mut choice = 0;
        self.policy.call(|policy| choice = policy.choose(candidates));
        drop(again);
        let chosen = candidates.get(choice).or_else(|| candidates.first()).map(|candidate| candidate.worker);
        // None if the policy did away with the worker that it chose.
        if let Some(worker) = chosen.and_then(|worker| self.member(worker))
            && let Some(connection) = self.returned.borrow_mut().pop_front()
        {
            LAYER
                .note("Distributor::hand_out_one", || Facts::saying(format_args!("to worker {}", worker.id)));
            worker.hand(self.id, connection);
        }
        true
    }

    /// Whether there is a connection to hand out: the oldest that came back, or the one that the listener stands still
    /// for, which joins those. There it is safe until a worker has it.
    fn is_anybody_waiting(&self) -> bool {
        let mut returned = self.returned.borrow_mut();
        if returned.is_empty()
            && let Ok(fd) = self.stream.accept_fd()
        {
            self.accepted.set(self.accepted.get() + 1);
            returned.push_back(Connection { fd: Rc::new(fd), number: self.accepted.get() });
        }
        !returned.is_empty()
    }

    fn member(&self, worker: u32) -> Option<Rc<WorkerState>> {
        let members = self.members.borrow();
        members.iter().find(|member| member.worker.id == worker).map(|member| Rc::clone(&member.worker))
    }

    /// Stops listening; what waits here is closed.
    pub(crate) fn close(&self) {
        self.stream.close();
        drop(self.returned.take());
    }
}

/// Those for which it holds, or all if there are none.
fn preferred(workers: Vec<Rc<WorkerState>>, holds: impl Fn(u32) -> bool) -> Vec<Rc<WorkerState>> {
    let is_any = workers.iter().any(|worker| holds(worker.id));
    workers.into_iter().filter(|worker| !is_any || holds(worker.id)).collect()
}

impl Member {
    fn candidate(&self) -> Option<Candidate> {
        let is_free = !self.full && self.worker.can_take_a_connection();
        is_free.then(|| self.worker.as_candidate())
    }
}

/// Has connections handed out when a policy panicked: the one that it was asked about waits.
struct Again<'a>(&'a Distributor);

impl Drop for Again<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for member in self.0.members.borrow().iter().take(1) {
                member.worker.distribution_due.set(true);
                member.worker.channel.notify();
            }
        }
    }
}

struct Accepting(Rc<Distributor>);

impl AcceptUpcall for Accepting {
    /// `distribute`: a connection that finds no worker is not taken, and so the listener waits.
    fn on_connection(&mut self, _: &Stream, status: Result<()>) {
        match status {
            Ok(()) => self.0.distribute(),
            // Tried again, and said once.
            Err(error) => log::error!(target: "cluster", "{error}"),
        }
    }
}
