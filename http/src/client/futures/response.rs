//! A response that is awaited. Mirrors `http.IncomingMessage` of a client, and the `Response` of fetch.

use super::Exchange;
use super::arrived::Head;
use crate::client::{Error, ErrorKind};
use crate::pieces;
use crate::proto::{Fields, IncomingResponse, OwnedFields, OwnedResponse};
use bytes::Bytes;
use futures_core::Stream;
use futures_io::AsyncRead;
use net::futures::AsyncSocket;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A response whose head has come, and whose body is to be awaited: whole, piece by piece, as a [`Stream`] or as an [`AsyncRead`].
///
/// The body is received only as far as it is read, and some 64 KiB beyond. What is left of it when the response is dropped is read
/// and discarded if that is little, so that the connection can serve another request; else the connection is closed.
///
/// ```
/// use http::client::{Client, Error};
///
/// async fn count(client: Client, url: &str) -> Result<usize, Error> {
///     let mut response = client.get(url).await?;
///     let mut len = 0;
///     while let Some(data) = response.next().await {
///         len += data?.len();
///     }
///     Ok(len)
/// }
/// ```
pub struct ClientResponse {
    exchange: Exchange,
    head: Box<OwnedResponse>,
    /// `None` before the end of the body is read.
    trailers: Option<OwnedFields>,
    /// The connection that has left HTTP.
    socket: Option<AsyncSocket>,
}

impl ClientResponse {
    pub(super) fn new(exchange: Exchange, Head { response, socket }: Head) -> Self {
        Self { exchange, head: response, trailers: None, socket }
    }

    /// The head, with everything that is known of the response.
    #[must_use]
    pub fn head(&self) -> IncomingResponse<'_> {
        self.head.head()
    }

    /// The status: 101, or from 200 on.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head().status
    }

    /// The reason phrase, which means nothing and may be empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.head().reason
    }

    /// The fields, in the order sent.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        self.head().fields
    }

    /// The value of the first field called `name`, in whatever case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields().get(name)
    }

    /// Whether the connection had served another request before.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.exchange.request.is_reused()
    }

    /// Whether the request was sent a second time, since the server had closed the connection of the first.
    #[must_use]
    pub fn was_retried(&self) -> bool {
        self.exchange.request.was_retried()
    }

    /// The next piece of the body, as it came; `None` at the end.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Why the rest does not come: the response is cut off, is no HTTP, or is too slow.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// All that is not read yet. Dropping the future drops what it has read.
    ///
    /// # Errors
    /// `BodyTooLong` if that is more than `limit` bytes; what was read is dropped. As for [`next`](Self::next).
    pub async fn bytes(&mut self, limit: usize) -> Result<Bytes, Error> {
        let too_long = || Error::new(ErrorKind::BodyTooLong(limit));
        pieces::all(limit, too_long, |context| self.poll_piece(context, usize::MAX)).await
    }

    /// All that is not read yet, as text in UTF-8.
    ///
    /// # Errors
    /// `NotText` if it is none; as for [`bytes`](Self::bytes).
    pub async fn text(&mut self, limit: usize) -> Result<String, Error> {
        let body = self.bytes(limit).await?;
        String::from_utf8(body.into()).map_err(|error| Error::because(ErrorKind::NotText, &error))
    }

    /// The fields behind a chunked body; `None` before the end of the body is read.
    #[must_use]
    pub fn trailers(&self) -> Option<Fields<'_>> {
        self.trailers.as_ref().map(OwnedFields::lend)
    }

    /// The connection, if it has left HTTP: the status is 101, or the response opens the tunnel of a `CONNECT`. The first bytes read
    /// are those that the server has sent behind its head.
    ///
    /// # Errors
    /// The response, if it is an ordinary one.
    pub fn upgrade(mut self) -> Result<AsyncSocket, Self> {
        self.socket.take().ok_or(self)
    }

    /// The next piece, or so much of it.
    fn poll_piece(&mut self, context: &Context<'_>, most: usize) -> Poll<Option<Result<Bytes, Error>>> {
        let Exchange { request, arrived } = &self.exchange;
        let piece = arrived.pieces.poll(most, || request.resume(), context);
        if let Poll::Ready(None) = piece
            && self.trailers.is_none()
        {
            self.trailers = Some(arrived.trailers.take());
        }
        piece
    }
}

impl Stream for ClientResponse {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        self.poll_piece(context, usize::MAX)
    }
}

impl AsyncRead for ClientResponse {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_piece(context, buffer.len()).map(|piece| pieces::read_into(piece, buffer))
    }
}

/// A connection that has left HTTP and that the program has not taken.
impl Drop for ClientResponse {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.socket().destroy();
        }
    }
}

impl fmt::Debug for ClientResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head.fmt(f)
    }
}
