//! The primary's listening sockets, by what workers asked for. Mirrors `queryServer` and the `handles` map of Node's
//! `lib/internal/cluster/primary.js`, and `SharedHandle`.

use super::distributor::Distributor;
use super::members::{Member, Members};
use super::worker::{Connection, WorkerHandleInner};
use crate::Settings;
use crate::channel::Fds;
use crate::channel::ids::{SocketId, WorkerId};
use crate::channel::message::{Key, Reply};
use crate::scheduling::Kind;
use net::Address;
use net::source::{Bound, ListenQuery, ListenTarget};
use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Errno, Error, LoopHandle, Result};

pub(super) struct SocketTable {
    event_loop: LoopHandle,
    open: RefCell<Vec<Rc<ListenSocket>>>,
    last_id: Cell<SocketId>,
}

pub(super) struct ListenSocket {
    id: SocketId,
    key: Key,
    address: Address,
    /// What connections inherit: `no_delay` and `keep_alive` of the first query.
    inherited: (bool, Option<Duration>),
    members: Rc<Members>,
    /// A server listened on it at some time.
    was_used: Cell<bool>,
    /// It stays open without members, for workers to come.
    is_kept: Cell<bool>,
    kind: SocketKind,
}

enum SocketKind {
    /// The primary accepts.
    Distributed(Rc<Distributor>),
    /// Workers accept, each on its copy of the descriptor. The socket listens as soon as the first of them does, and for as
    /// long as the primary has it. The bound socket removes the file of a Unix socket when it is closed.
    Shared { fd: Rc<OwnedFd>, bound: Bound },
}

impl SocketTable {
    pub(super) fn new(event_loop: &LoopHandle) -> Self {
        Self { event_loop: event_loop.clone(), open: RefCell::default(), last_id: Cell::default() }
    }

    /// The socket for a server of `worker`: that which others have for an equal key, or a new one.
    ///
    /// # Errors
    /// `EADDRINUSE` if the worker has it already; `EMFILE` beyond the limit of sockets; the system's refusal. Nothing is
    /// kept then.
    pub(super) fn get(
        &self,
        settings: &Settings,
        worker: &WorkerHandleInner,
        index: u32,
        query: &ListenQuery,
    ) -> Result<Rc<ListenSocket>> {
        let key = Key { target: query.target.clone(), index };
        let known = self.open.borrow().iter().find(|socket| socket.key == key).map(Rc::clone);
        // What a worker does with its sockets is unknown, but it gets a limited number of this process's descriptors.
        let is_at_limit = || self.count(worker.id).max(worker.waiting_sockets()) >= settings.max_listeners;
        match known {
            Some(socket) if socket.members.has(worker.id) => {
                Err(Error::new("bind", Errno::EADDRINUSE).on(&socket.address))
            }
            _ if is_at_limit() => Err(Error::new("bind", Errno::EMFILE).on(query.target.address())),
            Some(socket) => Ok(socket),
            None => self.open(settings, key, query),
        }
    }

    /// The number of sockets that a worker has.
    fn count(&self, worker: WorkerId) -> usize {
        self.open.borrow().iter().filter(|socket| socket.members.has(worker)).count()
    }

    fn open(&self, settings: &Settings, key: Key, query: &ListenQuery) -> Result<Rc<ListenSocket>> {
        let id = SocketId(self.last_id.get().0.wrapping_add(1));
        let members = Rc::default();
        let (bound, address) = bind(&self.event_loop, query)?;
        let kind = match &settings.policy.0 {
            Kind::Distributed(make) => {
                let distributor = Distributor::new(id, bound, query.backlog, make(), &members);
                SocketKind::Distributed(distributor.map_err(|error| error.on(&address))?)
            }
            Kind::Shared => {
                SocketKind::Shared { fd: Rc::new(bound.stream().handle().try_clone_fd()?), bound }
            }
        };
        self.last_id.set(id);
        let socket = Rc::new(ListenSocket {
            id,
            key,
            address,
            inherited: (query.no_delay, query.keep_alive),
            members,
            was_used: Cell::new(false),
            is_kept: Cell::new(false),
            kind,
        });
        self.open.borrow_mut().push(Rc::clone(&socket));
        Ok(socket)
    }

    fn find(&self, id: SocketId) -> Option<Rc<ListenSocket>> {
        self.open.borrow().iter().find(|socket| socket.id == id).map(Rc::clone)
    }

    fn member(&self, worker: WorkerId, socket: SocketId) -> Option<Rc<Member>> {
        self.find(socket)?.members.find(worker)
    }

    /// A server of `worker` listens. Returns the address, unless that is known or the worker does not have the socket.
    pub(super) fn set_listening(&self, worker: WorkerId, socket: SocketId) -> Option<Address> {
        let member = self.member(worker, socket)?;
        let socket = self.find(socket)?;
        socket.was_used.set(true);
        (!member.listens.replace(true)).then(|| socket.address.clone())
    }

    /// A server of `worker` refused connections, or has room again.
    pub(super) fn set_full(&self, worker: WorkerId, socket: SocketId, full: bool) {
        if let Some(member) = self.member(worker, socket) {
            member.is_full.set(full);
        }
    }

    /// Prepares all sockets for their close: no further connection begins, and those that wait are dealt out. Workers that
    /// share a socket take them before they close. What cannot be accepted now is left to the last worker.
    pub(super) fn deal_out(&self) {
        for socket in self.open.borrow().iter() {
            socket.stop_handshakes();
            let _ = socket.deal_out(|member| member.listens.get());
        }
    }

    /// A server of `worker` is about to close: gives it the connections that wait, unless others listen. Returns whether it
    /// gets no more; otherwise the system lacks what it takes to accept them, and this is not the last try.
    pub(super) fn drain(&self, worker: WorkerId, socket: SocketId, is_last: bool) -> bool {
        self.find(socket).is_none_or(|socket| socket.drain(worker, is_last))
    }

    /// All servers of `worker` are about to close: see [`drain`](Self::drain).
    pub(super) fn drain_all(&self, worker: WorkerId, is_last: bool) -> bool {
        // Each of them, also behind a socket that waits.
        self.open.borrow().iter().filter(|socket| !socket.drain(worker, is_last)).count() == 0
    }

    /// A server of `worker` no longer listens.
    pub(super) fn leave(&self, worker: WorkerId, socket: SocketId) {
        if let Some(socket) = self.find(socket) {
            socket.remove(worker);
        }
    }

    /// No server of `worker` listens any longer.
    pub(super) fn leave_all(&self, worker: WorkerId) {
        self.open.borrow().iter().for_each(|socket| socket.remove(worker));
    }

    /// Closes the sockets that have no members and are not kept.
    pub(super) fn close_deserted(&self) {
        let is_over = |socket: &Rc<ListenSocket>| socket.members.is_empty() && !socket.is_kept.get();
        let (over, open): (Vec<_>, Vec<_>) = self.open.take().into_iter().partition(is_over);
        *self.open.borrow_mut() = open;
        over.iter().filter_map(|socket| socket.distributor()).for_each(|distributor| distributor.close());
    }

    /// Closes the kept sockets too: no worker will come.
    pub(super) fn close_kept(&self) {
        self.open.borrow().iter().for_each(|socket| socket.is_kept.set(false));
        self.close_deserted();
    }

    /// Keeps sockets that have no members for workers to come: those on which a server listened, and the youngest `limit`
    /// of them. So workers that die one after the other cannot make the primary hold more.
    pub(super) fn keep_deserted(&self, limit: usize) {
        let open = self.open.borrow().clone();
        let deserted = open.iter().rev().filter(|socket| socket.members.is_empty() && socket.was_used.get());
        for (index, socket) in deserted.enumerate() {
            socket.is_kept.set(index < limit);
            // A kept socket alone does not keep the primary alive.
            if let Some(distributor) = socket.distributor() {
                distributor.set_referenced(false);
            }
        }
        self.close_deserted();
    }

    /// Takes back connections that a worker did not take. Those of a closed socket are closed.
    pub(super) fn give_back(&self, id: SocketId, connections: Vec<Connection>) {
        if let Some(socket) = self.find(id)
            && let Some(distributor) = socket.distributor()
        {
            distributor.give_back(connections);
        }
    }

    /// Hands out what waits: a worker has more room than before, or connections were given back.
    pub(super) fn distribute(&self) {
        let mut index = 0;
        // A policy may call the primary, so nothing is borrowed while it chooses.
        while let Some(socket) = self.at(index) {
            if let Some(distributor) = socket.distributor() {
                distributor.distribute();
            }
            index += 1;
        }
    }

    fn at(&self, index: usize) -> Option<Rc<ListenSocket>> {
        self.open.borrow().get(index).map(Rc::clone)
    }
}

impl ListenSocket {
    fn distributor(&self) -> Option<&Rc<Distributor>> {
        match &self.kind {
            SocketKind::Distributed(distributor) => Some(distributor),
            SocketKind::Shared { .. } => None,
        }
    }

    /// The answer to a query for this socket, and its descriptors.
    pub(super) fn reply(&self, query: &ListenQuery) -> (Reply, Fds) {
        let (socket, address) = (self.id, self.address.clone());
        match &self.kind {
            SocketKind::Distributed(_) => {
                let prepared = self.inherited == (query.no_delay, query.keep_alive);
                (Reply::Distributed { socket, address, prepared }, Vec::new())
            }
            SocketKind::Shared { fd, .. } => (Reply::Shared { socket, address }, vec![Rc::clone(fd)]),
        }
    }

    pub(super) fn add(&self, worker: &Rc<WorkerHandleInner>) {
        self.is_kept.set(false);
        self.members.add(worker);
        // Fails if they are not stopped.
        let _ = self.bound().stream().resume_handshakes();
        if let Some(distributor) = self.distributor() {
            distributor.set_referenced(true);
            distributor.accept_again();
            distributor.distribute();
        }
    }

    fn bound(&self) -> &Bound {
        match &self.kind {
            SocketKind::Distributed(distributor) => distributor.bound(),
            SocketKind::Shared { bound, .. } => bound,
        }
    }

    /// Without this connections may complete after the last worker has accepted or got what waits, and are reset by the
    /// close. Not for a Unix socket, on which it could not be undone for a worker to come.
    fn stop_handshakes(&self) {
        if self.bound().stream().is_tcp() {
            // A failure changes nothing: what waits is served all the same.
            let _ = self.bound().stream().stop_handshakes();
        }
    }

    fn deal_out(&self, suits: impl Fn(&Member) -> bool) -> bool {
        self.distributor().is_none_or(|distributor| distributor.deal_out(suits))
    }

    /// A worker that has only asked for the socket may end before it listens, so it does not count among the others.
    fn drain(&self, worker: WorkerId, is_last: bool) -> bool {
        let has_others = self.members.any(|member| member.listens.get() && member.worker.id != worker);
        let takes_rest = self.members.has(worker) && !has_others;
        let is_over = !takes_rest || self.deal_out(|member| member.worker.id == worker) || is_last;
        if is_over {
            self.remove(worker);
        }
        is_over
    }

    fn remove(&self, worker: WorkerId) {
        self.members.remove(worker);
        if let Some(distributor) = self.distributor() {
            distributor.accept_again();
        }
    }
}

/// Binds what a worker asked for. Also returns the address, with the port that the kernel chose.
fn bind(event_loop: &LoopHandle, query: &ListenQuery) -> Result<(Bound, Address)> {
    if let ListenTarget::Path(path) = &query.target {
        let target = ListenTarget::Path(shortened(path));
        let bound = ListenQuery { target, ..query.clone() }.bind(event_loop)?;
        return Ok((bound, query.target.address()));
    }
    let bound = query.bind(event_loop)?;
    // Also reports a port in use, which `bind` did not.
    let address = bound.local_address();
    let address = address.map_err(|error| Error::new("bind", error.errno()).on(bound.asked()))?;
    Ok((bound, address))
}

/// The path relative to this process's folder if it lies beneath that: the kernel takes 107 bytes.
fn shortened(path: &Path) -> PathBuf {
    let folder = std::env::current_dir().ok();
    let relative = folder.and_then(|folder| path.strip_prefix(folder).ok());
    relative.filter(|relative| *relative != OsStr::new("")).unwrap_or(path).to_owned()
}
