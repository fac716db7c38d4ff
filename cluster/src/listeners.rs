//! The primary's listening sockets, by what workers asked for. Mirrors `queryServer` and the `handles` map of Node's
//! `lib/internal/cluster/primary.js`, and `SharedHandle`.

use crate::bind::{Shareable, share};
use crate::distributor::Distributor;
use crate::message::{Key, Message, Query, Reply};
use crate::scheduling::{Kind, Policy};
use crate::worker_handle::{Connection, WorkerState};
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
        policy: &Policy,
        worker: &Rc<WorkerState>,
        id: u32,
        query: &Query,
    ) {
        let known = self.open.borrow().iter().find(|listener| listener.key == query.key).map(Rc::clone);
        let listener = match known {
            // A second socket would find the address in use.
            Some(listener) if listener.has(worker.id) => {
                Err(Error::new("bind", Errno::EADDRINUSE).on(&listener.address))
            }
            Some(listener) => Ok(listener),
            None => self.open(lp, policy, query),
        };
        match listener {
            Ok(listener) => {
                let (reply, fds) = listener.reply(query);
                worker.answer(&Message::Answer { id, reply }, fds);
                listener.add(worker);
            }
            // Nothing is remembered of it: the next one may succeed.
            Err(error) => {
                let target = error.target().unwrap_or_default();
                // That a socket file is left over is worth saying in the worker too.
                let target =
                    error.note().map_or_else(|| target.to_owned(), |note| format!("{target} ({note})"));
                let reply = Reply::Failed { errno: error.errno().raw(), target };
                worker.answer(&Message::Answer { id, reply }, Vec::new());
            }
        }
    }

    fn open(&self, lp: &LoopHandle, policy: &Policy, query: &Query) -> Result<Rc<Listener>, Error> {
        let id = self.last_id.get().wrapping_add(1);
        let (socket, address) = match &policy.0 {
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
        let listener = Rc::new(Listener { id, key, address, inherited, socket });
        self.open.borrow_mut().push(Rc::clone(&listener));
        Ok(listener)
    }

    fn find(&self, id: u32) -> Option<Rc<Listener>> {
        self.open.borrow().iter().find(|listener| listener.id == id).map(Rc::clone)
    }

    /// The address of a socket that `worker` has.
    pub(crate) fn address(&self, worker: u32, id: u32) -> Option<Address> {
        self.find(id).filter(|listener| listener.has(worker)).map(|listener| listener.address.clone())
    }

    /// Deals out what waits for sockets that are about to close: all of them, or those that only this worker has.
    pub(crate) fn deal_out(&self, only_of: Option<u32>) {
        for listener in self.open.borrow().iter() {
            if let Socket::Distributed(distributor) = &listener.socket
                && only_of.is_none_or(|worker| distributor.is_only_of(worker))
            {
                distributor.deal_out();
            }
        }
    }

    /// A server of `worker` does not listen any more.
    pub(crate) fn leave(&self, worker: u32, id: u32) {
        if let Some(listener) = self.find(id) {
            listener.remove(worker);
            self.close_deserted();
        }
    }

    /// `worker` gets no more connections.
    pub(crate) fn leave_all(&self, worker: u32) {
        self.open.borrow().iter().for_each(|listener| listener.remove(worker));
    }

    /// Closes the sockets that nobody has.
    pub(crate) fn close_deserted(&self) {
        let open = self.open.take();
        let (deserted, open): (Vec<_>, Vec<_>) = open.into_iter().partition(|one| one.is_deserted());
        *self.open.borrow_mut() = open;
        deserted.iter().for_each(|listener| listener.close());
    }

    /// Keeps the sockets that nobody has for workers to come.
    pub(crate) fn keep_deserted(&self) {
        for listener in self.open.borrow().iter().filter(|listener| listener.is_deserted()) {
            if let Socket::Distributed(distributor) = &listener.socket {
                distributor.wait_for_members();
            }
        }
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
        match &self.socket {
            Socket::Distributed(distributor) => {
                distributor.add(worker);
                distributor.distribute();
            }
            Socket::Shared { members, .. } => members.borrow_mut().push(worker.id),
        }
    }

    fn remove(&self, worker: u32) {
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
