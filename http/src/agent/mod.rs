//! The agent: which connection a request gets, and what becomes of connections behind their responses. Mirrors `http.Agent`.
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
//! | [`Exchange::fail`] | ends a request; its handler is told from the loop |
//! | [`Exchange::rewind`] | has a request sent from its beginning on another connection |

mod origin;

pub(crate) use origin::Origin;

use crate::client::{Connection, Error, ErrorKind, Exchange, Shared};
use crate::proto::{Limits, setters};
use async_wrap::Environment;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// The options of an agent.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AgentOptions {
    /// How much of a server's input is held or skipped.
    pub limits: Limits,
}

setters! {
    AgentOptions:
    limits: Limits,
}

/// The connections of one or more clients. A cheap clone.
#[derive(Clone)]
pub struct Agent(Rc<Owner>);

/// What the program's handles share.
struct Owner(Rc<Core>);

/// What requests and connections share.
pub(crate) struct Core {
    pub(crate) shared: Shared,
    pub(crate) options: AgentOptions,
}

/// What a response lets become of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It is closed.
    No,
    /// It may serve another request.
    Yes,
    /// The same, and the server keeps it open for so long.
    For(Duration),
}

/// Why a request has lost its connection.
#[derive(Clone, Debug)]
pub(crate) enum Loss {
    /// The connection was used before, and was found dead before a byte of the request was written.
    Stale,
    /// Not a byte of a response has come.
    Unanswered(Error),
}

impl Agent {
    /// An agent without connections.
    ///
    /// # Errors
    /// `InvalidOptions`.
    pub fn new(env: &Environment, options: AgentOptions) -> crate::Result<Self> {
        Ok(Self(Rc::new(Owner(Rc::new(Core { shared: Shared::new(env), options })))))
    }

    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.0.0
    }
}

impl Core {
    /// Whether connections serve more than one request.
    pub(crate) fn keeps_alive(&self) -> bool {
        false
    }

    /// A request wants a connection.
    pub(crate) fn begin(self: &Rc<Self>, exchange: &Rc<Exchange>) {
        let exchange = Rc::clone(exchange);
        self.shared.env.next_tick(move || {
            if !exchange.is_over()
                && let Err(error) = Connection::open(&exchange.core, 0, &exchange)
            {
                exchange.fail(Error::of_net(ErrorKind::Connect, Some(error)));
            }
        });
    }

    /// A request that has no connection is over.
    pub(crate) fn cancel(&self, _: &Exchange) {}

    /// A connection is made, and serves its request.
    pub(crate) fn connected(&self, _: &Connection) {}

    /// A connection may serve another request.
    pub(crate) fn free(self: &Rc<Self>, connection: &Rc<Connection>, _: Keep) {
        connection.close();
    }

    /// A connection is closed.
    pub(crate) fn closed(self: &Rc<Self>, _: &Connection) {}

    /// A connection is closed, and its request is not over.
    pub(crate) fn lost(self: &Rc<Self>, connection: &Connection, exchange: &Rc<Exchange>, loss: Loss) {
        self.closed(connection);
        exchange.fail(match loss {
            Loss::Stale => Error::new(ErrorKind::ConnectionLost),
            Loss::Unanswered(error) => error,
        });
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.shared.abandon();
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").finish_non_exhaustive()
    }
}
