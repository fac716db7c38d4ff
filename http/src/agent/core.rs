//! The agent's end of the seam: it asks the pool, and carries out what that decides. Mirrors `addRequest`, `createSocket`,
//! `removeSocket` and the listener of 'free' of Node's `Agent`.
//!
//! # The seam
//!
//! An [`Exchange`] is a request with its response, a [`Connection`] carries one at a time. Both are the client's; what they
//! tell the agent, and what the agent has them do, is here and nowhere else:
//!
//! | the client calls | when |
//! |---|---|
//! | [`Core::begin`] | a request wants a connection. Within a downcall: no system call, no upcall |
//! | [`Core::cancel`] | a request that has no connection is over |
//! | [`Core::connected`] | the connection that was made for a request serves it |
//! | [`Core::free`] | the response of a connection is over, and another request may follow |
//! | [`Core::closed`] | a connection is closed, once for each; its request, if it had one, is over |
//! | [`Core::lost`] | the same, and its request is not over: it is sent once more, or fails |
//!
//! | the agent calls | for |
//! |---|---|
//! | [`Connection::open`] | makes a connection for a request |
//! | [`Connection::assign`] | gives a connection that is free a request. It looks at the socket before it writes, from the loop |
//! | [`Connection::close`] | closes a connection, which calls `closed`, if it is not closed |
//! | [`Connection::break_off`] | the same, and fails its request |
//! | [`Exchange::fail`] | ends a request; its handler is told from the loop |
//! | [`Exchange::rewind`] | has a request sent from its beginning on another connection |

use super::expiry::Expiry;
use super::pool::{Cause, ConnectionId, Decision, Pool, Release, RequestId, Start};
use super::{AgentOptions, Counters, Keep, Loss, retry};
use crate::client::{Connection, Error, ErrorKind, Exchange, Shared};
use async_wrap::Environment;
use net::ConnectOptions;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What requests and connections share.
pub(crate) struct Core {
    pub(crate) shared: Shared,
    pub(crate) options: AgentOptions,
    pool: RefCell<Pool>,
    /// The connections by their numbers in the pool. A connection that is about to be opened has a number only.
    connections: Slots<Connection>,
    /// The requests that wait, by their numbers.
    waiting: Slots<Exchange>,
    expiry: Expiry,
    state: Cell<State>,
}

/// How far the end of an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Open,
    /// It takes no further request.
    Closed,
    /// Neither do those go on that it has taken.
    Destroyed,
}

impl Core {
    pub(super) fn new(env: &Environment, options: AgentOptions) -> Self {
        Self {
            shared: Shared::new(env),
            pool: RefCell::new(Pool::new(options.bounds())),
            options,
            connections: Slots::default(),
            waiting: Slots::default(),
            expiry: Expiry::default(),
            state: Cell::new(State::Open),
        }
    }

    /// Whether connections serve more than one request.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.options.keep_alive
    }

    /// The options of a connection.
    pub(crate) fn connect_options(&self, target: ConnectOptions) -> ConnectOptions {
        self.options.of_connection(target)
    }

    /// A request wants a connection.
    pub(crate) fn begin(self: &Rc<Self>, exchange: &Rc<Exchange>) {
        if self.state.get() > State::Open {
            return exchange.fail(Error::new(ErrorKind::AgentClosed));
        }
        loop {
            let now = self.shared.now();
            let decision = self.pool.borrow_mut().request(exchange.origin.borrow().key(), now);
            match decision {
                Decision::Reuse(id) => self.connections.with(id.0, |connection| connection.assign(exchange)),
                Decision::Discard(id) => {
                    self.discard_later(id);
                    continue;
                }
                Decision::Connect { connection, evicted } => {
                    evicted.into_iter().for_each(|id| self.discard_later(id));
                    let exchange = Rc::clone(exchange);
                    self.shared.env.next_tick(move || exchange.core.open(connection, &exchange));
                }
                Decision::Wait(RequestId(id)) => {
                    exchange.ticket.set(id);
                    self.waiting.put(id, exchange);
                }
                Decision::QueueFull => exchange.fail(Error::new(ErrorKind::QueueFull)),
            }
            return;
        }
    }

    /// A request that has no connection is over.
    pub(crate) fn cancel(&self, exchange: &Exchange) {
        let id = exchange.ticket.get();
        // A request whose connection is about to be opened has left the queue, or was never there: `open` sees its end.
        if self.waiting.take_if(id, |waiting| std::ptr::eq(&raw const **waiting, exchange)).is_some() {
            self.pool.borrow_mut().cancel(RequestId(id));
        }
    }

    /// A connection is made, and serves its request.
    pub(crate) fn connected(&self, connection: &Connection) {
        if let Some(id) = connection.number() {
            self.pool.borrow_mut().connected(ConnectionId(id));
        }
    }

    /// A connection may serve another request.
    pub(crate) fn free(self: &Rc<Self>, connection: &Rc<Connection>, keep: Keep) {
        let Some(id) = connection.number().map(ConnectionId) else { return connection.close() };
        let keep = if self.options.keep_alive { keep } else { Keep::No };
        let released = self.pool.borrow_mut().release(id, keep, self.shared.now());
        match released {
            Release::Serve(request) => {
                if let Some(exchange) = self.waiting.take(request.0) {
                    connection.assign(&exchange);
                }
            }
            Release::Idle { until, evicted } => {
                evicted.into_iter().for_each(|id| self.discard(id));
                self.expiry.expect(self, until);
            }
            Release::Close(start) => {
                self.discard(id);
                self.start(start);
            }
        }
    }

    /// A connection is closed.
    pub(crate) fn closed(self: &Rc<Self>, connection: &Connection) {
        let Some(id) = connection.take_number() else { return };
        drop(self.connections.take(id));
        let (id, now) = (ConnectionId(id), self.shared.now());
        let mut pool = self.pool.borrow_mut();
        if pool.is_idle(id) {
            // The agent has taken the numbers of those that it closes itself.
            return pool.lose(id);
        }
        let start = pool.remove(id, now);
        drop(pool);
        self.start(start);
    }

    /// A connection is closed, and its request is not over.
    pub(crate) fn lost(self: &Rc<Self>, connection: &Connection, exchange: &Rc<Exchange>, loss: Loss) {
        let Some(id) = connection.number().map(ConnectionId) else { return exchange.fail(loss.into_error()) };
        let cause = match loss {
            Loss::Stale => Cause::Stale,
            Loss::Unanswered(_) if self.options.retry && retry::is_safe(exchange) => Cause::Retry,
            Loss::Unanswered(error) => {
                if exchange.facts().is_reused {
                    self.pool.borrow_mut().count_stale(id);
                }
                exchange.fail(error);
                return self.closed(connection);
            }
        };
        connection.take_number();
        drop(self.connections.take(id.0));
        let new = self.pool.borrow_mut().replace(id, cause, self.shared.now());
        exchange.change(|facts| {
            facts.is_reused = false;
            facts.was_retried |= cause == Cause::Retry;
        });
        exchange.rewind();
        self.open(new, exchange);
    }

    /// The idle connections that are over are closed, and the next one is waited for.
    pub(super) fn expire(self: &Rc<Self>) {
        self.expiry.stop();
        let expired = self.pool.borrow_mut().expire(self.shared.now());
        expired.into_iter().for_each(|id| self.discard(id));
        let next = self.pool.borrow().next_expiry();
        next.into_iter().for_each(|until| self.expiry.expect(self, until));
    }

    /// Opens a connection for a request, in its context. If that fails, a request that waits may have one.
    fn open(self: &Rc<Self>, id: ConnectionId, exchange: &Rc<Exchange>) {
        match self.try_open(id, exchange) {
            Ok(()) => {}
            Err(error) => {
                exchange.fail(error);
                let start = self.pool.borrow_mut().remove(id, self.shared.now());
                self.start(start);
            }
        }
    }

    fn try_open(self: &Rc<Self>, id: ConnectionId, exchange: &Rc<Exchange>) -> Result<(), Error> {
        if exchange.is_over() {
            return Err(Error::new(ErrorKind::Aborted));
        }
        if self.state.get() == State::Destroyed {
            return Err(Error::new(ErrorKind::AgentClosed));
        }
        let opened = exchange.run_within(|| Connection::open(self, id.0, exchange));
        let connection = opened.map_err(|error| Error::of_net(ErrorKind::Connect, Some(error)))?;
        self.connections.put(id.0, &connection);
        Ok(())
    }

    /// Makes a connection in place of another.
    fn start(self: &Rc<Self>, mut start: Option<Start>) {
        // One after the other, since there may be many that fail at once.
        while let Some(Start { request, connection }) = start.take() {
            let Some(exchange) = self.waiting.take(request.0) else { return };
            if let Err(error) = self.try_open(connection, &exchange) {
                exchange.fail(error);
                start = self.pool.borrow_mut().remove(connection, self.shared.now());
            }
        }
    }

    /// Closes a connection of which the pool knows no more.
    fn discard(&self, id: ConnectionId) {
        if let Some(connection) = self.connections.take(id.0) {
            connection.take_number();
            connection.close();
        }
    }

    /// The same from a downcall of the program.
    fn discard_later(&self, id: ConnectionId) {
        if let Some(connection) = self.connections.take(id.0) {
            connection.take_number();
            self.shared.env.next_tick(move || connection.close());
        }
    }

    /// Keeps no connection idle from now on.
    pub(super) fn shut(&self) {
        self.expiry.stop();
        let idle = self.pool.borrow_mut().shut();
        idle.into_iter().for_each(|id| self.discard(id));
    }

    pub(super) fn close(&self) {
        self.state.set(self.state.get().max(State::Closed));
        self.shut();
    }

    pub(super) fn destroy(&self) {
        self.state.set(State::Destroyed);
        self.shut();
        let waiting = self.pool.borrow().waiting();
        for request in waiting {
            self.pool.borrow_mut().cancel(request);
            if let Some(exchange) = self.waiting.take(request.0) {
                exchange.fail(Error::new(ErrorKind::AgentClosed));
            }
        }
        for connection in self.connections.all() {
            if connection.is_finishing() {
                self.shared.env.next_tick(move || connection.break_off(ErrorKind::AgentClosed));
            } else {
                connection.break_off(ErrorKind::AgentClosed);
            }
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.pool.borrow().total()
    }

    pub(super) fn origins(&self) -> Vec<(String, Counters)> {
        self.pool.borrow().origins().map(|(name, counters)| (name.to_owned(), counters)).collect()
    }
}

impl Loss {
    fn into_error(self) -> Error {
        match self {
            Self::Stale => Error::new(ErrorKind::ConnectionLost),
            Self::Unanswered(error) => error,
        }
    }
}

/// What belongs to the numbers of the pool.
struct Slots<T>(RefCell<Vec<Option<Rc<T>>>>);

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> Slots<T> {
    fn put(&self, id: u32, value: &Rc<T>) {
        let mut slots = self.0.borrow_mut();
        let index = id as usize;
        if slots.len() <= index {
            slots.resize_with(index + 1, || None);
        }
        slots[index] = Some(Rc::clone(value));
    }

    fn take(&self, id: u32) -> Option<Rc<T>> {
        self.0.borrow_mut().get_mut(id as usize)?.take()
    }

    fn take_if(&self, id: u32, is_it: impl FnOnce(&Rc<T>) -> bool) -> Option<Rc<T>> {
        self.0.borrow_mut().get_mut(id as usize)?.take_if(|value| is_it(value))
    }

    fn with(&self, id: u32, work: impl FnOnce(&Rc<T>)) {
        let value = self.0.borrow().get(id as usize).cloned().flatten();
        if let Some(value) = value {
            work(&value);
        }
    }

    fn all(&self) -> Vec<Rc<T>> {
        self.0.borrow().iter().flatten().cloned().collect()
    }
}
