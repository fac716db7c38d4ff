//! The primary's listening sockets, by what workers asked for. Mirrors `queryServer` and the `handles` map of Node's
//! `lib/internal/cluster/primary.js`, and `SharedHandle`.

use crate::Settings;
use crate::channel::message::{Key, Message, Query, Reply};
use crate::primary::bind::{Shareable, share};
use crate::primary::distributor::Distributor;
use crate::primary::worker::{Connection, WorkerState};
use crate::scheduling::Kind;
use net::Address;
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::{Errno, Error, LoopHandle};

#[derive(Default)]
pub(crate) struct Listeners {
    open: RefCell<Vec<Rc<Listener>>>,
    last_id: Cell<u32>,
}

struct Listener {
    /// Never used again: a late word about a socket is about no other.
    id: u32,
    key: Key,
    address: Address,
    /// What connections inherit: `no_delay` and `keep_alive` of the first who asked.
    inherited: (bool, u32),
    /// Workers of which a server listens, among those that have the socket.
    heard: RefCell<Vec<u32>>,
    was_heard: Cell<bool>,
    /// Nobody has it; it waits for workers to come.
    is_kept: Cell<bool>,
    socket: Socket,
}

enum Socket {
    Distributed(Rc<Distributor>),
    /// Workers accept themselves.
    Shared {
        socket: Shareable,
        members: RefCell<Vec<u32>>,
    },
}

impl Listeners {
    /// A server of `worker` wants to listen: it shares the socket that others have for the same, or gets a new one.
    pub(crate) fn query(
        &self,
        lp: &LoopHandle,
        settings: &Settings,
        worker: &Rc<WorkerState>,
        id: u32,
        query: &Query,
    ) {
        let most = settings.most_listeners();
        let known = self.open.borrow().iter().find(|listener| listener.key == query.key).map(Rc::clone);
        let listener = match known {
            // A second socket would find the address in use.
            Some(listener) if listener.has(worker.id) => {
                Err(Error::new("bind", Errno::EADDRINUSE).on(&listener.address))
            }
            // Whatever it does with them, it has only so many of this process's descriptors.
            _ if self.count(worker.id).max(worker.waiting_sockets()) >= most => {
                Err(Error::new("bind", Errno::EMFILE).on(query.key.target.address()))
            }
            Some(listener) => Ok(listener),
            None => self.open(lp, settings, query),
        };
        match listener {
            Ok(listener) => {
                let (reply, fds) = listener.reply(query);
                worker.answer(&Message::Answer { id, reply }, fds);
                listener.add(worker);
            }
            // Nothing is remembered of it: the next one may succeed.
            Err(error) => worker.refuse(id, &error),
        }
    }

    /// How many sockets a worker has.
    fn count(&self, worker: u32) -> usize {
        self.open.borrow().iter().filter(|listener| listener.has(worker)).count()
    }

    fn open(&self, lp: &LoopHandle, settings: &Settings, query: &Query) -> Result<Rc<Listener>, Error> {
        let id = self.last_id.get().wrapping_add(1);
        let (socket, address) = match &settings.policy.0 {
            Kind::Distributed(make) => {
                let (distributor, address) = Distributor::new(lp, id, query, make())?;
                (Socket::Distributed(distributor), address)
            }
            Kind::Shared => {
                let socket = share(lp, query)?;
                let address = socket.address.clone();
                (Socket::Shared { socket, members: RefCell::default() }, address)
            }
        };
        self.last_id.set(id);
        let (key, inherited) = (query.key.clone(), (query.no_delay, query.keep_alive));
        let listener = Rc::new(Listener {
            id,
            key,
            address,
            inherited,
            heard: RefCell::default(),
            was_heard: Cell::new(false),
            is_kept: Cell::new(false),
            socket,
        });
        self.open.borrow_mut().push(Rc::clone(&listener));
        Ok(listener)
    }

    fn find(&self, id: u32) -> Option<Rc<Listener>> {
        self.open.borrow().iter().find(|listener| listener.id == id).map(Rc::clone)
    }

    /// A server of `worker` listens. Returns where, unless that is known or not true.
    pub(crate) fn hear(&self, worker: u32, id: u32) -> Option<Address> {
        let listener = self.find(id).filter(|listener| listener.has(worker))?;
        let mut heard = listener.heard.borrow_mut();
        if heard.contains(&worker) {
            return None;
        }
        heard.push(worker);
        listener.was_heard.set(true);
        Some(listener.address.clone())
    }

    /// Deals out what waits for all sockets, which are about to close.
    pub(crate) fn deal_out(&self) {
        for listener in self.open.borrow().iter() {
            listener.deal_out(|worker| listener.heard.borrow().contains(&worker));
        }
    }

    /// `worker` is about to close all of its servers: see [`drain`](Self::drain).
    pub(crate) fn drain_all(&self, worker: u32) {
        self.open.borrow().iter().for_each(|listener| listener.drain(worker));
    }

    /// A server of `worker` is about to close: gives it what waits, unless others are there for that. It gets no more.
    pub(crate) fn drain(&self, worker: u32, id: u32) {
        if let Some(listener) = self.find(id) {
            listener.drain(worker);
        }
    }

    /// A server of `worker` does not listen any more.
    pub(crate) fn leave(&self, worker: u32, id: u32) {
        if let Some(listener) = self.find(id) {
            listener.remove(worker);
        }
    }

    /// `worker` gets no more connections.
    pub(crate) fn leave_all(&self, worker: u32) {
        self.open.borrow().iter().for_each(|listener| listener.remove(worker));
    }

    /// Closes the sockets that nobody has, but for those that are kept.
    pub(crate) fn close_deserted(&self) {
        let open = self.open.take();
        let is_over = |one: &Rc<Listener>| one.is_deserted() && !one.is_kept.get();
        let (over, open): (Vec<_>, Vec<_>) = open.into_iter().partition(is_over);
        *self.open.borrow_mut() = open;
        over.iter().for_each(|listener| listener.close());
    }

    /// Closes the sockets that nobody has: no worker will come.
    pub(crate) fn close_kept(&self) {
        self.open.borrow().iter().for_each(|listener| listener.is_kept.set(false));
        self.close_deserted();
    }

    /// Keeps the sockets that nobody has for workers to come: those on which a server listened, and `most` of them, the
    /// youngest. So what workers do that die one after the other has its bound as well.
    pub(crate) fn keep_deserted(&self, most: usize) {
        let open = self.open.borrow().clone();
        let deserted = open.iter().rev().filter(|one| one.is_deserted());
        for (index, listener) in deserted.filter(|one| one.was_heard.get()).enumerate() {
            listener.is_kept.set(index < most);
            if let Socket::Distributed(distributor) = &listener.socket {
                distributor.wait_for_members();
            }
        }
        self.close_deserted();
    }

    pub(crate) fn set_full(&self, worker: u32, id: u32, full: bool) {
        if let Some(listener) = self.find(id)
            && let Socket::Distributed(distributor) = &listener.socket
        {
            distributor.set_full(worker, full);
        }
    }

    /// Takes connections back that a worker did not take. Those of a closed socket are closed.
    pub(crate) fn give_back(&self, id: u32, connections: Vec<Connection>) {
        if let Some(listener) = self.find(id)
            && let Socket::Distributed(distributor) = &listener.socket
        {
            distributor.give_back(connections);
        }
    }

    /// Hands out what waits: a worker can take more than before, or something came back.
    pub(crate) fn distribute(&self) {
        let mut index = 0;
        // A policy may do anything, so nothing is borrowed while it chooses.
        while let Some(listener) = self.at(index) {
            if let Socket::Distributed(distributor) = &listener.socket {
                distributor.distribute();
            }
            index += 1;
        }
    }

    fn at(&self, index: usize) -> Option<Rc<Listener>> {
        self.open.borrow().get(index).map(Rc::clone)
    }
}

impl Listener {
    fn reply(&self, query: &Query) -> (Reply, Vec<Rc<OwnedFd>>) {
        let (key, address) = (self.id, self.address.clone());
        match &self.socket {
            Socket::Distributed(_) => {
                let prepared = self.inherited == (query.no_delay, query.keep_alive);
                (Reply::Distributed { key, address, prepared }, Vec::new())
            }
            Socket::Shared { socket, .. } => (Reply::Shared { key, address }, vec![Rc::clone(&socket.fd)]),
        }
    }

    fn add(&self, worker: &Rc<WorkerState>) {
        self.is_kept.set(false);
        match &self.socket {
            Socket::Distributed(distributor) => {
                distributor.add(worker);
                distributor.distribute();
            }
            Socket::Shared { members, .. } => members.borrow_mut().push(worker.id),
        }
    }

    fn deal_out(&self, suit: impl Fn(u32) -> bool) {
        if let Socket::Distributed(distributor) = &self.socket {
            distributor.deal_out(suit);
        }
    }

    /// A worker that has only asked for the socket may end before it listens, so it is none of the others.
    fn drain(&self, worker: u32) {
        let has_others = self.heard.borrow().iter().any(|other| *other != worker);
        if self.has(worker) && !has_others {
            self.deal_out(|other| other == worker);
        }
        self.remove(worker);
    }

    fn remove(&self, worker: u32) {
        self.heard.borrow_mut().retain(|other| *other != worker);
        match &self.socket {
            Socket::Distributed(distributor) => distributor.remove(worker),
            Socket::Shared { members, .. } => members.borrow_mut().retain(|member| *member != worker),
        }
    }

    fn has(&self, worker: u32) -> bool {
        match &self.socket {
            Socket::Distributed(distributor) => distributor.has(worker),
            Socket::Shared { members, .. } => members.borrow().contains(&worker),
        }
    }

    fn is_deserted(&self) -> bool {
        match &self.socket {
            Socket::Distributed(distributor) => distributor.is_deserted(),
            Socket::Shared { members, .. } => members.borrow().is_empty(),
        }
    }

    fn close(&self) {
        if let Socket::Distributed(distributor) = &self.socket {
            distributor.close();
        }
    }
}
