//! A request that an async function owns. Mirrors `http.IncomingMessage`, which Node's handlers may keep.

use super::BodyReader;
use crate::proto::{Fields, Framing, OwnedHead, RequestHead};
use crate::server::Core;
use crate::{Body, Request};
use net::Socket;
use std::cell::RefCell;
use std::fmt;
use std::mem::take;
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
    core: Rc<Core>,
    head: OwnedHead,
    socket: Socket,
    body: BodyReader,
}

impl OwnedRequest {
    pub(super) fn new(request: &Request<'_>) -> Self {
        let core = Rc::clone(&request.connection().core);
        let mut head = core.spare_heads.take();
        head.copy(request);
        // A body that nothing holds is discarded.
        let body = if request.framing == Framing::None { None } else { Some(request.body()) };
        Self { core, head, socket: request.socket().clone(), body: BodyReader::new(body) }
    }

    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.core
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

    /// The path of the target, without query: see [`RequestHead::path`].
    #[must_use]
    pub fn path(&self) -> &str {
        self.head().path()
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

    /// The body's own handle, for a [`BodyHandler`](crate::upcall::BodyHandler); `None` if there is no body, or it is being read.
    pub fn take_body(&mut self) -> Option<Body> {
        self.body.take()
    }

    /// The connection's socket: for addresses and counters.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }
}

impl Drop for OwnedRequest {
    fn drop(&mut self) {
        self.core.spare_heads.give(take(&mut self.head));
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
pub(crate) struct SpareHeads(RefCell<Vec<OwnedHead>>);

impl SpareHeads {
    fn take(&self) -> OwnedHead {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    fn give(&self, head: OwnedHead) {
        let mut spare = self.0.borrow_mut();
        if spare.len() < SPARE_HEADS && head.capacity() <= KEPT_HEAD {
            spare.push(head);
        }
    }
}
