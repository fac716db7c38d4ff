//! A request that an async function owns. Mirrors `http.IncomingMessage`, which Node's handlers may keep.

use super::BodyReader;
use crate::connection::Connection;
use crate::proto::{Fields, Framing, OwnedHead, RequestHead};
use crate::server::Core;
use crate::{Body, Request};
use net::Socket;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// A request with a copy of its head, to be kept over an `.await`.
///
/// ```
/// use http::serve::{Failure, OwnedRequest};
/// use http::Response;
///
/// async fn echo(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
///     match (request.method(), request.path()) {
///         ("POST", "/echo") => response.end(&request.body().bytes(1 << 20).await?)?,
///         _ => response.set_status(404)?.end(b"")?,
///     }
///     Ok(())
/// }
/// ```
pub struct OwnedRequest {
    connection: Rc<Connection>,
    /// Shared with the spare ones when this is dropped. A pointer, since the request moves into its future and on.
    head: Rc<OwnedHead>,
    body: BodyReader,
}

const _: () = assert!(size_of::<OwnedRequest>() <= 48);

impl OwnedRequest {
    pub(super) fn new(request: &Request<'_>) -> Self {
        let connection = Rc::clone(request.connection());
        let head = connection.core.spare_heads.copy(request);
        // A body that nothing holds is discarded.
        let body = if request.framing == Framing::None { None } else { Some(request.body()) };
        Self { connection, head, body: BodyReader::new(body) }
    }

    pub(super) fn shared_head(&self) -> Rc<OwnedHead> {
        Rc::clone(&self.head)
    }

    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.connection.core
    }

    /// The head, with everything that is known of the request.
    #[must_use]
    pub fn head(&self) -> RequestHead<'_> {
        self.head.head()
    }

    /// The method; case matters.
    #[must_use]
    pub fn method(&self) -> &str {
        self.head().method
    }

    /// The target as sent.
    #[must_use]
    pub fn target(&self) -> &str {
        self.head().target
    }

    /// The path of the target, without query and not decoded: see [`RequestHead::path`].
    #[must_use]
    pub fn path(&self) -> &str {
        self.head().path()
    }

    /// The segments of the path, percent-decoded: see [`RequestHead::segments`].
    pub fn segments(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        self.head().segments()
    }

    /// The query of the target, without its `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head().query()
    }

    /// The fields, in the order sent.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        self.head().fields
    }

    /// The body, to be read once. It is received only as far as it is read, and some 64 KiB beyond.
    pub fn body(&mut self) -> &mut BodyReader {
        &mut self.body
    }

    /// What is not read yet of the body, to be kept without the request.
    pub fn take_reader(&mut self) -> BodyReader {
        std::mem::replace(&mut self.body, BodyReader::new(None))
    }

    /// The body's own handle, for a [`BodyHandler`](crate::upcall::BodyHandler); `None` if there is no body, or it is being read.
    pub fn take_body(&mut self) -> Option<Body> {
        self.body.take()
    }

    /// The connection's socket: for addresses and counters.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.connection.socket
    }
}

impl Drop for OwnedRequest {
    fn drop(&mut self) {
        self.connection.core.spare_heads.give(&self.head);
    }
}

impl fmt::Debug for OwnedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head.fmt(f)
    }
}

/// Copies of heads that are kept for further requests: as many as a busy server has in one turn.
const SPARE_HEADS: usize = 64;

/// The memory of a copy that is kept, in bytes.
const KEPT_HEAD: usize = 4096;

/// Copies of heads that are out of use: a request in the steady state allocates none.
#[derive(Default)]
pub(crate) struct SpareHeads {
    /// The copy that came back last: mostly the next one to be taken.
    last: Cell<Option<Rc<OwnedHead>>>,
    others: RefCell<Vec<Rc<OwnedHead>>>,
}

impl SpareHeads {
    /// Copies a head into a spare one.
    #[inline]
    fn copy(&self, head: &RequestHead<'_>) -> Rc<OwnedHead> {
        let mut copy = self.last.take().unwrap_or_else(|| self.take_other());
        match Rc::get_mut(&mut copy) {
            Some(copy) => copy.copy(head),
            // Its last holder is being dropped.
            None => copy = Rc::new(OwnedHead::from(head)),
        }
        copy
    }

    #[cold]
    fn take_other(&self) -> Rc<OwnedHead> {
        self.others.borrow_mut().pop().unwrap_or_default()
    }

    #[inline]
    fn give(&self, head: &Rc<OwnedHead>) {
        if head.capacity() <= KEPT_HEAD
            && let Some(other) = self.last.replace(Some(Rc::clone(head)))
            && self.others.borrow().len() < SPARE_HEADS
        {
            self.others.borrow_mut().push(other);
        }
    }
}
