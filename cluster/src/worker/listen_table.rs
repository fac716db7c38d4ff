//! What a worker listens on, and what it has asked for. Mirrors the `handles` and `indexes` maps of Node's
//! `lib/internal/cluster/child.js`.

use super::faux_handle::FauxInner;
use crate::channel::ids::{QueryId, SocketId};
use crate::channel::message::Key;
use async_wrap::layer::Place;
use async_wrap::{AsyncContext, Environment};
use net::Server;
use net::source::{ListenReply, ListenTarget};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use uv_core::{Errno, Error};

#[derive(Default)]
pub(super) struct ListenTable {
    open: RefCell<Vec<Open>>,
    asked: RefCell<Vec<Question>>,
    last_question: Cell<QueryId>,
}

/// A listening handle.
struct Open {
    socket: SocketId,
    key: Key,
    /// Takes the primary's connections; `None` for a shared socket.
    faux: Option<Rc<FauxInner>>,
    /// Set once it listens.
    server: Option<Server>,
}

/// A query that was not answered yet.
pub(super) struct Question {
    id: QueryId,
    pub(super) key: Key,
    pub(super) reply: ListenReply,
    /// Where the program listens.
    pub(super) place: Place,
}

impl ListenTable {
    /// The key of a target. Ports that the kernel is to choose get an index, the lowest that is free.
    pub(super) fn key(&self, target: ListenTarget) -> Key {
        let is_any_port = match &target {
            ListenTarget::Port(port) => *port == 0,
            ListenTarget::Addr(addr) => addr.port() == 0,
            ListenTarget::Path(_) => false,
        };
        let mut key = Key { target, index: 0 };
        while is_any_port && self.has(&key) {
            key.index += 1;
        }
        key
    }

    fn has(&self, key: &Key) -> bool {
        self.open.borrow().iter().any(|open| open.key == *key)
            || self.asked.borrow().iter().any(|question| question.key == *key)
    }

    /// Remembers a query and returns its id.
    pub(super) fn ask(&self, key: Key, reply: ListenReply) -> QueryId {
        let id = QueryId(self.last_question.get().0.wrapping_add(1));
        self.last_question.set(id);
        self.asked.borrow_mut().push(Question { id, key, reply, place: Place::marked() });
        id
    }

    pub(super) fn take_question(&self, id: QueryId) -> Option<Question> {
        let mut asked = self.asked.borrow_mut();
        let at = asked.iter().position(|question| question.id == id)?;
        Some(asked.remove(at))
    }

    pub(super) fn insert(&self, socket: SocketId, key: Key, faux: Option<Rc<FauxInner>>) {
        self.open.borrow_mut().push(Open { socket, key, faux, server: None });
    }

    pub(super) fn set_server(&self, socket: SocketId, server: Server) {
        if let Some(open) = self.open.borrow_mut().iter_mut().find(|open| open.socket == socket) {
            open.server = Some(server);
        }
    }

    /// Removes a handle. Returns whether the table had it.
    pub(super) fn remove(&self, socket: SocketId) -> bool {
        let mut open = self.open.borrow_mut();
        let removed = open.iter().position(|open| open.socket == socket).map(|at| open.remove(at));
        drop(open);
        // Its server may be dropped with it, which may call this table.
        removed.is_some()
    }

    pub(super) fn faux(&self, socket: SocketId) -> Option<Rc<FauxInner>> {
        self.open.borrow().iter().find(|open| open.socket == socket)?.faux.clone()
    }

    /// The servers that listen.
    pub(super) fn servers(&self) -> Vec<Server> {
        self.open.borrow().iter().filter_map(|open| open.server.clone()).collect()
    }

    /// The channel is closed: fails every open question, and closes the servers that wait for the primary's connections.
    pub(super) fn fail_questions(&self, env: &Environment, context: AsyncContext) {
        let fauxes: Vec<_> = self.open.borrow().iter().filter_map(|open| open.faux.clone()).collect();
        fauxes.iter().for_each(|faux| faux.queue_taken());
        for question in self.asked.take() {
            let error = Error::new("listen", Errno::EPIPE);
            env.make_callback(context, || (question.reply)(Err(error.into())));
        }
    }

    /// Drops everything: the channel's end is dropped, perhaps with the loop.
    pub(super) fn clear(&self) {
        drop(self.asked.take());
        let fauxes = self.open.take().into_iter().filter_map(|open| open.faux);
        fauxes.for_each(|faux| faux.drop_acceptor());
    }
}
