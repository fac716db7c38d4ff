//! A request that is being prepared. Mirrors the options of `http.request`, and the header half of `ClientRequest`.

use super::error::Error;
use super::exchange::Exchange;
use super::futures::Awaited;
use super::options::TimeLimits;
use super::{Client, ClientRequest, Shared, Url};
use crate::proto::EncodeError;
use crate::upcall::ClientHandler;
use crate::uv_core::names::Family;
use bytes::Bytes;
use net::abort::AbortHandle;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// A request that is being prepared: see [`Client::request`]. It is awaited, which gives its
/// [`ClientResponse`](super::ClientResponse), or sent with a handler. It remembers the first error, which the future and
/// [`send`](Self::send) return; nothing is sent then.
///
/// ```
/// use http::client::{Client, ErrorKind, UrlError};
/// # use http::client::{ClientRequest, Error};
/// # use http::proto::IncomingResponse;
/// # struct Ignore;
/// # impl http::upcall::ClientHandler for Ignore {
/// #     fn on_response(&mut self, _: &ClientRequest, _: &IncomingResponse<'_>) {}
/// #     fn on_error(&mut self, _: &ClientRequest, _: Error) {}
/// # }
/// # let env = http::async_wrap::Environment::with_new_loop()?;
/// # let client = Client::new(&env)?;
///
/// let request = client.post("https://example.org/").field("Content-Type", "text/plain").body("hello");
/// let error = request.send(Ignore).expect_err("there is no TLS yet");
/// assert_eq!(error.kind(), ErrorKind::InvalidUrl(UrlError::Tls));
/// # Ok::<(), http::Error>(())
/// ```
#[must_use = "a request is sent by `.await`, `send` or `begin`"]
pub struct RequestBuilder {
    exchange: Rc<Exchange>,
    error: Option<Error>,
    /// What only a request that is awaited can have.
    pub(super) awaited: Awaited,
}

impl RequestBuilder {
    pub(super) fn new(client: &Client, method: &str, url: &str) -> Self {
        let exchange = Shared::take(client.agent.core(), client.limits);
        let error = prepare(&exchange, method, url).err();
        Self { exchange, error, awaited: Awaited::default() }
    }

    pub(super) fn try_with(mut self, work: impl FnOnce(&Exchange) -> Result<(), Error>) -> Self {
        if self.error.is_none() {
            self.error = work(&self.exchange).err();
        }
        self
    }

    fn try_head(
        self,
        work: impl FnOnce(&mut crate::proto::OutgoingRequest) -> Result<(), EncodeError>,
    ) -> Self {
        self.try_with(|exchange| Ok(work(&mut exchange.upload.borrow_mut().head)?))
    }

    /// Sets a field, in place of those of its name.
    pub fn field(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.try_head(|head| head.set(name, value.as_ref()))
    }

    /// Adds a field beside those of its name; `Host`, `Connection`, `Content-Length` and `Transfer-Encoding` are replaced.
    pub fn append_field(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.try_head(|head| head.append(name, value.as_ref()))
    }

    /// Removes a field. The client then does not add it either, but for what delimits a body.
    pub fn remove_field(self, name: &str) -> Self {
        self.try_head(|head| {
            head.remove(name);
            Ok(())
        })
    }

    /// Adds a field behind the body, which is then chunked.
    pub fn trailer(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.try_head(|head| head.add_trailer(name, value.as_ref()))
    }

    /// Sets the target, in place of path and query of the URL: that of a `CONNECT` or of a request to a proxy, whose `Host` is
    /// the target's, or `*`.
    pub fn target(self, target: &str) -> Self {
        self.try_head(|head| head.set_target(target))
    }

    /// Sets the body, which is sent whole, and once more if the request is retried. Default: none.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.exchange.upload.borrow_mut().body = body.into();
        self
    }

    /// Has the body wait for `100 Continue`, at most as long as [`TimeLimits::await_continue`] says.
    pub fn expect_continue(self) -> Self {
        self.field("Expect", "100-continue")
    }

    /// Sets the limits of time. Default: those of the client.
    pub fn time_limits(self, limits: TimeLimits) -> Self {
        self.exchange.limits.set(limits);
        self
    }

    /// Sets the limit of the whole request: see [`TimeLimits::whole`].
    pub fn timeout(self, whole: Duration) -> Self {
        let limits = self.exchange.limits.get().whole(whole);
        self.time_limits(limits)
    }

    /// Lets an abort end the request, wherever it is: see [`ClientRequest::abort`].
    pub fn abort(self, handle: &AbortHandle) -> Self {
        self.exchange.rare(|rare| rare.abort = Some(handle.clone()));
        self
    }

    /// Connects to a Unix socket, whatever the host of the URL is.
    pub fn unix_path(self, path: impl AsRef<Path>) -> Self {
        self.exchange.origin.borrow_mut().unix_path = Some(path.as_ref().to_owned());
        self
    }

    /// Connects from this address.
    pub fn local_address(self, local: SocketAddr) -> Self {
        self.exchange.origin.borrow_mut().local = Some(local);
        self
    }

    /// Connects to addresses of this family only.
    pub fn family(self, family: Family) -> Self {
        self.exchange.origin.borrow_mut().family = Some(family);
        self
    }

    /// Sends the request, with the body that it was given or with none. `handler` is called from the loop, and dropped when the
    /// request is over. Nothing is written within this call.
    ///
    /// # Errors
    /// The first error of the calls before; `InvalidRequest` for a body that is not as long as its `Content-Length`, and for
    /// trailers beside one.
    pub fn send(mut self, handler: impl ClientHandler + 'static) -> Result<ClientRequest, Error> {
        self.conclude()?;
        self.exchange.upload.borrow_mut().conclude(self.exchange.core.keeps_alive())?;
        Ok(self.start(handler))
    }

    /// Begins a request whose body the program writes: with [`ClientRequest::write`], to the last of it with
    /// [`ClientRequest::end`]. A connection is made at once, and the head is sent with the first piece of the body.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn begin(mut self, handler: impl ClientHandler + 'static) -> Result<ClientRequest, Error> {
        self.conclude()?;
        Ok(self.start(handler))
    }

    fn conclude(&mut self) -> Result<(), Error> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.awaited.check()?;
        self.exchange.origin.borrow_mut().conclude();
        Ok(())
    }

    fn start(self, handler: impl ClientHandler + 'static) -> ClientRequest {
        self.exchange.begin(handler);
        ClientRequest::new(&self.exchange)
    }
}

/// Fills a record with what method and URL say.
fn prepare(exchange: &Exchange, method: &str, url: &str) -> Result<(), Error> {
    let url = Url::parse(url)?;
    exchange.origin.borrow_mut().set(&url);
    let mut upload = exchange.upload.borrow_mut();
    let put_target = |target: &mut String| {
        if method == "CONNECT" { url.put_authority(target) } else { url.put_target(target) }
    };
    upload.head.renew(method, put_target, |host| url.put_host(host))?;
    if let Some(value) = url.authorization()? {
        upload.head.set("Authorization", value.as_bytes())?;
    }
    Ok(())
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBuilder").field("error", &self.error).finish_non_exhaustive()
    }
}
