//! The handle of a request. Mirrors `http.ClientRequest`.

use super::error::ErrorKind;
use super::exchange::Exchange;
use super::options::Phase;
use crate::Result;
use crate::trace::{down, down_with};
use async_wrap::{AsyncId, Environment};
use bytes::Bytes;
use net::Socket;
use std::fmt;
use std::rc::Rc;

/// A request that was begun. A cheap clone; once the request is over no call has an effect.
///
/// Dropping it changes nothing: a request whose body is not ended goes on, since its handler is given a handle with each call.
#[derive(Clone)]
pub struct ClientRequest(Rc<Exchange>);

impl ClientRequest {
    pub(crate) fn new(exchange: &Rc<Exchange>) -> Self {
        Self(Rc::clone(exchange))
    }

    /// Writes some of the body, after the head if that is still to be sent. Returns whether more is welcome; after `false` wait
    /// for `on_drain`.
    ///
    /// The body is chunked unless a `Content-Length` was set. What is written before there is a connection waits.
    ///
    /// # Errors
    /// `Closed` if the body has ended, the request is over, or the server takes no more of it; `Encode` with `BodyTooLong` for
    /// more than the `Content-Length`, which ends the request.
    pub fn write(&self, data: &[u8]) -> Result<bool> {
        let _down = down_with("ClientRequest::write", data);
        self.0.write(data, false)
    }

    /// Like [`write`](Self::write), with a buffer that is not copied, but for what the kernel takes.
    ///
    /// # Errors
    /// As for `write`.
    pub fn write_bytes(&self, data: Bytes) -> Result<bool> {
        let _down = down_with("ClientRequest::write_bytes", &data);
        self.0.write_shared(data)
    }

    /// Writes the last of the body. If nothing was written before, its length is sent.
    ///
    /// # Errors
    /// As for [`write`](Self::write); `Encode` with `BodyTooShort` if the `Content-Length` that was set promised more, which
    /// ends the request.
    pub fn end(&self, data: &[u8]) -> Result<()> {
        let _down = down_with("ClientRequest::end", data);
        self.0.write(data, true).map(drop)
    }

    /// Sends the head now, without a body yet (`flushHeaders`).
    ///
    /// # Errors
    /// `Closed`, and `Encode` for a head that cannot be sent.
    pub fn flush_headers(&self) -> Result<()> {
        let _down = down("ClientRequest::flush_headers");
        self.0.flush_head()
    }

    /// Adds a field behind the body, which has to be chunked.
    ///
    /// # Errors
    /// `Closed`, and `Encode` for a field that may not stand there, and with `TrailerWithoutChunked`.
    pub fn add_trailer(&self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        let mut upload = self.0.upload.borrow_mut();
        if self.0.is_over() || upload.is_ended() {
            return Err(crate::Error::Closed);
        }
        Ok(upload.add_trailer(name, value.as_ref())?)
    }

    /// Ends the request: it leaves the queue, or its connection is closed. `on_error` with [`ErrorKind::Aborted`] follows, unless
    /// the request is over.
    pub fn abort(&self) {
        let _down = down("ClientRequest::abort");
        self.0.end_with(ErrorKind::Aborted);
    }

    /// The rest of the response is not wanted. Up to 64 KiB of it are read, so that the connection can be used again; then
    /// `on_end` follows. A longer response ends with [`ErrorKind::Discarded`], and its connection is closed.
    pub fn discard(&self) {
        let _down = down("ClientRequest::discard");
        self.0.change(|facts| facts.is_discarded = true);
        self.resume();
    }

    /// Stops the response: what the server sends waits in the kernel, and then with the server. No callback of the response comes
    /// until [`resume`](Self::resume).
    pub fn pause(&self) {
        let _down = down("ClientRequest::pause");
        self.0.pause();
    }

    /// Lets the response go on.
    pub fn resume(&self) {
        let _down = down("ClientRequest::resume");
        self.0.resume();
    }

    /// Whether the response is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.facts().is_paused
    }

    /// Whether the request is over: its response has ended, or it has failed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }

    /// Whether the connection has served another request before (`reusedSocket`).
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.0.facts().is_reused
    }

    /// Whether the request was sent a second time, since its first connection, which was used before, had failed.
    #[must_use]
    pub fn was_retried(&self) -> bool {
        self.0.facts().was_retried
    }

    /// What the request is doing, or was doing at its end.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.0.clock.phase()
    }

    /// The connection's socket, while there is one: for addresses and counters. Only this crate reads from it and writes to it.
    #[must_use]
    pub fn socket(&self) -> Option<Socket> {
        self.0.connection().map(|connection| connection.socket.clone())
    }

    /// The environment in which the request runs.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.core.shared.env
    }

    /// The id of the request's async context, in which its callbacks run.
    #[must_use]
    pub fn async_id(&self) -> AsyncId {
        self.0.async_id()
    }
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest")
            .field("phase", &self.phase())
            .field("is_over", &self.is_over())
            .finish_non_exhaustive()
    }
}
