//! What a worker listens on, and what it asked for. Mirrors the `handles` and `indexes` maps of Node's
//! `lib/internal/cluster/child.js`.

use crate::channel::message::{Key, Target};
use crate::worker::faux_handle::Faux;
use async_wrap::{AsyncContext, Environment};
use net::Server;
use net::source::ListenReply;
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tcp_wrap::{Errno, Error};

#[derive(Default)]
pub(crate) struct Handles {
    open: RefCell<Vec<Open>>,
    asked: RefCell<Vec<Question>>,
    last_question: Cell<u32>,
}

/// A listening handle.
struct Open {
    /// The primary's number of the socket.
    id: u32,
    key: Key,
    /// Whom the primary's connections go to; none for a shared socket.
    faux: Option<Rc<Faux>>,
    /// Known once it listens.
    server: Option<Server>,
}

/// A query without an answer.
pub(crate) struct Question {
    id: u32,
    pub(crate) key: Key,
    pub(crate) reply: ListenReply,
}

impl Handles {
    /// The key of a target: ports that the kernel is to choose are told apart by an index, the lowest that is free.
    pub(crate) fn key(&self, target: Target) -> Key {
        let any_port = match &target {
            Target::Port(port) => *port == 0,
            Target::Addr(addr) => addr.port() == 0,
            Target::Path(_) => false,
        };
        let mut key = Key { target, index: 0 };
        while any_port && self.has(&key) {
            key.index += 1;
        }
        key
    }

    fn has(&self, key: &Key) -> bool {
        self.open.borrow().iter().any(|open| open.key == *key)
            || self.asked.borrow().iter().any(|question| question.key == *key)
    }

    /// Remembers a query; returns its number.
    pub(crate) fn ask(&self, key: Key, reply: ListenReply) -> u32 {
        let id = self.last_question.get().wrapping_add(1);
        self.last_question.set(id);
        self.asked.borrow_mut().push(Question { id, key, reply });
        id
    }

    pub(crate) fn take_question(&self, id: u32) -> Option<Question> {
        let mut asked = self.asked.borrow_mut();
        let at = asked.iter().position(|question| question.id == id)?;
        Some(asked.remove(at))
    }

    pub(crate) fn insert(&self, id: u32, key: Key, faux: Option<Rc<Faux>>) {
        self.open.borrow_mut().push(Open { id, key, faux, server: None });
    }

    pub(crate) fn set_server(&self, id: u32, server: Server) {
        if let Some(open) = self.open.borrow_mut().iter_mut().find(|open| open.id == id) {
            open.server = Some(server);
        }
    }

    /// Forgets a handle; says whether it was there.
    pub(crate) fn remove(&self, id: u32) -> bool {
        let mut open = self.open.borrow_mut();
        let removed = open.iter().position(|open| open.id == id).map(|at| open.remove(at));
        drop(open);
        // Its server may go with it, and that may touch this table.
        removed.is_some()
    }

    pub(crate) fn find(&self, id: u32) -> Option<Rc<Faux>> {
        let open = self.open.borrow();
        open.iter().find(|open| open.id == id).and_then(|open| open.faux.clone())
    }

    /// The servers that listen.
    pub(crate) fn servers(&self) -> Vec<Server> {
        self.open.borrow().iter().filter_map(|open| open.server.clone()).collect()
    }

    /// Answers every open question, and closes the servers that wait for what the primary has: there is nobody who could.
    pub(crate) fn primary_is_gone(&self, env: &Environment, context: AsyncContext) {
        let fauxes: Vec<_> = self.open.borrow().iter().filter_map(|open| open.faux.clone()).collect();
        fauxes.iter().for_each(|faux| faux.queue_taken());
        for question in self.asked.take() {
            let gone = Error::new("listen", Errno::EPIPE);
            env.make_callback(context, || (question.reply)(Err(gone.into())));
        }
    }

    /// Lets go of everything: the loop is gone, or the channel.
    pub(crate) fn forget(&self) {
        drop(self.asked.take());
        let faux = self.open.take().into_iter().filter_map(|open| open.faux);
        faux.for_each(|faux| faux.forget());
    }
}

/// A place in a server for a connection that is on its way there.
pub(crate) struct Reserved(Rc<Faux>);

impl Reserved {
    /// One of the places that [`Faux::reserve_up_to`] made.
    pub(crate) fn new(faux: &Rc<Faux>) -> Self {
        Self(Rc::clone(faux))
    }

    pub(crate) fn serve(self, env: &Environment, fd: OwnedFd) {
        self.0.serve(env, fd);
    }
}
