//! A request as its handler sees it: a head, lent for the call. Mirrors `http.IncomingMessage`.

use crate::Body;
use crate::connection::Connection;
use crate::proto::RequestHead;
use net::Socket;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// A request's head, lent for the call: copy what is needed longer. [`body`](Self::body) is a handle that may be kept.
///
/// It dereferences to [`RequestHead`], which has method, target, version and fields.
///
/// ```
/// use http::{Request, Response, Result};
///
/// fn respond(request: &Request<'_>, response: Response) -> Result<()> {
///     match (request.method, request.path()) {
///         ("GET", "/agent") => response.end(request.fields.get("User-Agent").unwrap_or_default()),
///         _ => response.set_status(404)?.end(b""),
///     }
/// }
/// ```
pub struct Request<'a> {
    head: &'a RequestHead<'a>,
    connection: &'a Rc<Connection>,
    number: u32,
}

impl<'a> Request<'a> {
    pub(crate) fn new(head: &'a RequestHead<'a>, connection: &'a Rc<Connection>, number: u32) -> Self {
        Self { head, connection, number }
    }

    /// The request's body. Give it a handler, now or later: it waits while there is a handle and no handler. Without
    /// either it is discarded.
    #[must_use]
    pub fn body(&self) -> Body {
        Body::new(self.connection, self.number)
    }

    pub(crate) fn connection(&self) -> &Rc<Connection> {
        self.connection
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The connection's socket: for addresses and counters. Only this crate reads from it and writes to it.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.connection.socket
    }
}

impl<'a> Deref for Request<'a> {
    type Target = RequestHead<'a>;

    fn deref(&self) -> &RequestHead<'a> {
        self.head
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head.fmt(f)
    }
}
