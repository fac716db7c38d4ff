//! A socket on which the primary accepts for its workers. Mirrors `RoundRobinHandle`, Node's
//! `lib/internal/cluster/round_robin_handle.js`.
//!
//! A connection is accepted when a worker can take it; until then it stays in the kernel's backlog, except for the
//! connection that the listener has accepted and holds. Only connections that a worker gave back wait here, and one
//! connection while the policy chooses.

use super::members::{Member, Members};
use super::worker::{Connection, WorkerHandleInner};
use crate::LAYER;
use crate::channel::ids::{SocketId, WorkerId};
use crate::scheduling::{Candidate, SchedulingPolicy};
use async_wrap::layer::trace::Facts;
use async_wrap::layer::{HandlerCell, OnUnwind};
use net::source::Bound;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::failure::Failure;
use uv_core::upcall::AcceptUpcall;
use uv_core::{Error, Result, Stream};

/// Connections accepted per turn of the loop. They travel together, and more would delay timers and the answers of other
/// workers.
const ACCEPT_BATCH: u32 = 64;

pub(super) struct Distributor {
    id: SocketId,
    bound: Bound,
    /// Connections that the kernel may hold ready.
    queue: u32,
    policy: HandlerCell<Box<dyn SchedulingPolicy>>,
    members: Rc<Members>,
    /// Connections accepted so far.
    accepted: Cell<u64>,
    /// Connections that workers gave back, the oldest first.
    returned: RefCell<VecDeque<Connection>>,
    /// Its memory is kept from turn to turn.
    candidates: Cell<Vec<Candidate>>,
    /// The system has lacked memory or descriptors when connections were dealt out, and the listener stands still.
    is_short: Cell<bool>,
}

impl Distributor {
    /// Listens on a bound socket.
    pub(super) fn new(
        id: SocketId,
        bound: Bound,
        backlog: u32,
        policy: Box<dyn SchedulingPolicy>,
        members: &Rc<Members>,
    ) -> Result<Rc<Self>> {
        let distributor = Rc::new(Self {
            id,
            bound,
            // A worker may ask for any number; no system has a longer backlog.
            queue: backlog.min(u16::MAX.into()) + 1,
            policy: HandlerCell::empty(),
            members: Rc::clone(members),
            accepted: Cell::new(0),
            returned: RefCell::default(),
            candidates: Cell::default(),
            is_short: Cell::new(false),
        });
        distributor.policy.set(policy);
        distributor.stream().set_accept_batch(ACCEPT_BATCH);
        distributor.stream().listen(backlog, Accepting(Rc::clone(&distributor)))?;
        Ok(distributor)
    }

    pub(super) fn bound(&self) -> &Bound {
        &self.bound
    }

    fn stream(&self) -> &Stream {
        self.bound.stream().handle()
    }

    /// Lets the socket keep the primary's loop alive, which it does while it has members.
    pub(super) fn set_referenced(&self, on: bool) {
        if on { self.stream().ref_() } else { self.stream().unref() }
    }

    /// Takes connections back, in their original order.
    pub(super) fn give_back(&self, connections: Vec<Connection>) {
        let mut returned = self.returned.borrow_mut();
        for connection in connections {
            let at = returned.partition_point(|other| other.number < connection.number);
            returned.insert(at, connection);
        }
    }

    /// Hands out connections while a worker has room. Until then they stay in the kernel's backlog.
    pub(super) fn distribute(&self) {
        if self.ask_late_workers() {
            return;
        }
        while self.refresh_candidates() && self.fetch_connection() {
            // `None` if the policy has removed the worker that it chose.
            if let Some(worker) = self.choose()
                && let Some(connection) = self.returned.borrow_mut().pop_front()
            {
                let facts = || Facts::saying(format_args!("to worker {}", worker.id.0));
                LAYER.note("Distributor::distribute", facts);
                worker.hand(self.id, connection);
            }
        }
    }

    /// An acknowledgement that seems late may be in the channel, unread. So workers that seem late are judged at the end of
    /// this turn of the loop, when connections are distributed again. Returns whether there are any.
    fn ask_late_workers(&self) -> bool {
        let late = self.members.late_at(self.stream().loop_handle().now());
        late.iter().for_each(|member| member.worker.request_distribution());
        !late.is_empty()
    }

    /// Returns whether there are candidates.
    fn refresh_candidates(&self) -> bool {
        let mut candidates = self.candidates.take();
        self.members.candidates(&mut candidates);
        let has_any = !candidates.is_empty();
        self.candidates.set(candidates);
        has_any
    }

    /// Makes sure that a connection is among the returned ones, where it is safe until a worker has it: the connection
    /// that the listener holds joins them if there is no other. Returns whether there is one.
    fn fetch_connection(&self) -> bool {
        let mut returned = self.returned.borrow_mut();
        if returned.is_empty()
            && let Ok(fd) = self.stream().accept_fd()
        {
            returned.push_back(self.numbered(fd));
        }
        !returned.is_empty()
    }

    /// Asks the policy.
    fn choose(&self) -> Option<Rc<WorkerHandleInner>> {
        let candidates = self.candidates.take();
        // The connection that the policy was asked about still waits.
        let again = OnUnwind::new(|| {
            if let Some(member) = self.members.first() {
                member.worker.request_distribution();
            }
        });
        let mut choice = 0;
        self.policy.call(|policy| choice = policy.choose(&candidates));
        again.disarm();
        let chosen =
            candidates.get(choice).or_else(|| candidates.first()).map(|candidate| WorkerId(candidate.worker));
        self.candidates.set(candidates);
        Some(Rc::clone(&self.members.find(chosen?)?.worker))
    }

    /// Deals out, in turn, all connections that wait here and in the kernel: the socket is about to close, which would
    /// reset them. The policy is not asked, since the program's call is still running. The connections go to the members that
    /// suit, or to all if none does; of these to the members that are able to take them, or to all if none is.
    ///
    /// Returns `false` if the system lacks what it takes to accept the next one. Then the caller tries again, or gives up by
    /// [`accept_again`](Self::accept_again): until then the listener accepts nothing, since without descriptors it would close
    /// them unserved.
    #[must_use]
    pub(super) fn deal_out(&self, suits: impl Fn(&Member) -> bool) -> bool {
        let takers = preferred(preferred(self.members.all(), suits), Member::is_able);
        let limit = self.returned.borrow().len() + self.queue as usize;
        for member in takers.iter().cycle().take(limit) {
            let returned = self.returned.borrow_mut().pop_front();
            let connection = match returned {
                Some(returned) => returned,
                None => match self.stream().try_accept_fd() {
                    Ok(fd) => self.numbered(fd),
                    Err(error) if error.failure() == Failure::Waiting => return true,
                    Err(error) => return !self.waits_after(&error),
                },
            };
            member.worker.hand(self.id, connection);
        }
        true
    }

    /// Returns whether connections may be accepted later, after such an error.
    fn waits_after(&self, error: &Error) -> bool {
        #[cfg(upcall_faults)]
        uv_core::faults::reached(uv_core::faults::Branch::DealFails);
        if error.failure() == Failure::Ours {
            log::error!(target: "cluster", "{error}");
            return false;
        }
        if !self.is_short.replace(true) {
            log::warn!(target: "cluster", "{error}: tried again");
            self.stream().set_accepting(false);
        }
        true
    }

    /// Accepts as usual after a shortage.
    pub(super) fn accept_again(&self) {
        if self.is_short.take() {
            self.stream().set_accepting(true);
        }
    }

    fn numbered(&self, fd: OwnedFd) -> Connection {
        self.accepted.set(self.accepted.get() + 1);
        Connection { fd: Rc::new(fd), number: self.accepted.get() }
    }

    /// Stops listening, and closes the connections that wait here.
    pub(super) fn close(&self) {
        self.stream().close();
        drop(self.returned.take());
    }
}

/// The members for which `holds`, or all if there are none.
fn preferred(members: Vec<Rc<Member>>, holds: impl Fn(&Member) -> bool) -> Vec<Rc<Member>> {
    let (preferred, others): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| holds(member));
    if preferred.is_empty() { others } else { preferred }
}

/// The handler of the listening socket.
struct Accepting(Rc<Distributor>);

impl AcceptUpcall for Accepting {
    /// A connection for which there is no worker is not taken, so the listener waits (`distribute`).
    fn on_connection(&mut self, _: &Stream, status: Result<()>) {
        match status {
            Ok(()) => self.0.distribute(),
            // Reported once; the listener tries again.
            Err(error) => log::error!(target: "cluster", "{error}"),
        }
    }
}
