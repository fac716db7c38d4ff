//! A connection to await: it is pulled, so that a read is one system call into the buffer of the caller.

use super::share::{Share, wait_for_a_turn};
use super::{ReadHalf, WriteHalf};
use crate::linger::Lingering;
use crate::upcall::SocketHandler;
use crate::{ConnectOptions, Error, ErrorCode, Pulled, Result, Socket};
use async_wrap::Environment;
use async_wrap::layer::ColdCell;
use async_wrap::layer::OnDrop;
use async_wrap::task::Waiter;
use futures_io::{AsyncRead, AsyncWrite};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A connection whose reads and writes are awaited. It has futures-io's `AsyncRead` and `AsyncWrite`, whose extensions the
/// crate `futures-util` has, and so runs what is written for them.
///
/// A read pulls: the kernel copies into the caller's buffer, and an idle connection holds no buffer. A write hands over what the
/// kernel takes and queues a copy of the rest, up to the socket's high-water mark; then it waits. A flush has nothing to do: what
/// was taken is sent.
///
/// It keeps the loop alive while a read or a write waits. Dropping a future of it loses no byte. Dropping the socket sends what was
/// written, with the FIN behind it, and closes: see [`Socket::destroy_soon`].
///
/// ```
/// use net::async_wrap::Environment;
/// use net::futures::{AsyncSocket, Incoming};
/// use net::{ConnectOptions, ListenOptions};
///
/// let env = Environment::with_new_loop()?;
/// let mut incoming = Incoming::listen(&env, ListenOptions::addr(([127, 0, 0, 1], 0).into()))?;
/// let address = incoming.address().and_then(|address| address.as_tcp()).expect("it listens");
/// env.spawn_local(async move {
///     let mut socket = incoming.accept().await.expect("a connection");
///     let mut buffer = [0; 1024];
///     while let Ok(count @ 1..) = socket.read(&mut buffer).await {
///         socket.write_all(&buffer[..count]).await.expect("the client reads");
///     }
/// });
/// let client = env.clone();
/// let answer = env.block_on(async move {
///     let mut socket = AsyncSocket::connect(&client, ConnectOptions::addr(address)).await?;
///     socket.write_all(b"hello").await?;
///     socket.finish().await?;
///     let mut answer = Vec::new();
///     socket.read_to_end(&mut answer).await.map(|_| answer)
/// })?;
/// assert_eq!(answer?, b"hello");
/// env.run_to_end()?;
/// # Ok::<(), net::Error>(())
/// ```
pub struct AsyncSocket(pub(super) Rc<Shared>);

/// What a socket's halves share. It is closed with the last of them.
pub(super) struct Shared {
    pub(super) socket: Socket,
    wakes: Rc<Wakes>,
    /// What is read before the socket is.
    unread: ColdCell<Vec<u8>>,
}

/// What waits for the socket's events, and what those have told.
#[derive(Default)]
struct Wakes {
    reader: Waiter,
    writer: Waiter,
    is_connected: Cell<bool>,
    /// A write has met the high-water mark, and `on_drain` is due.
    is_full: Cell<bool>,
    has_finished: Cell<bool>,
    read: Share,
    written: Share,
    /// All input was read, which is the state that a later close leaves.
    has_ended: Cell<bool>,
    is_closed: Cell<bool>,
    error: RefCell<Option<Error>>,
}

impl AsyncSocket {
    /// Connects; a host's name is looked up. The directions end apart: half-open connections are allowed, whatever `options` say.
    /// Dropping the future gives the connect up.
    ///
    /// # Errors
    /// As of [`Socket::connect`], and what its `on_error` would report.
    pub async fn connect(env: &Environment, options: ConnectOptions) -> Result<Self> {
        let wakes = Rc::new(Wakes::default());
        let socket = Socket::connect(env, options.allow_half_open(true), Handler(Rc::clone(&wakes)))?;
        let this = Self::pulling(socket, wakes);
        let Shared { wakes, .. } = &*this.0;
        poll_fn(|context| {
            if wakes.is_connected.get() {
                return Poll::Ready(Ok(()));
            }
            if wakes.is_closed.get() {
                return Poll::Ready(Err(this.0.why_closed()));
            }
            wakes.writer.wait(context);
            Poll::Pending
        })
        .await?;
        Ok(this)
    }

    /// Takes a socket over, from its handler.
    #[must_use]
    pub fn new(socket: Socket) -> Self {
        let wakes = Rc::new(Wakes::default());
        wakes.is_connected.set(true);
        // Before the handler, so that nothing is read for it.
        let this = Self::pulling(socket, Rc::clone(&wakes));
        this.0.socket.set_handler(Handler(wakes));
        this
    }

    fn pulling(socket: Socket, wakes: Rc<Wakes>) -> Self {
        // Nothing waits for input yet.
        socket.pause();
        socket.set_pulled(true);
        Self(Rc::new(Shared { socket, wakes, unread: ColdCell::default() }))
    }

    /// Puts bytes back that were read too many: the next reads get them first (`readable.unshift`).
    pub fn unshift(&mut self, data: &[u8]) {
        let mut all = data.to_vec();
        all.extend(self.0.unread.take().into_iter().flat_map(|unread| *unread));
        if !all.is_empty() {
            self.0.unread.put(Box::new(all));
        }
    }

    /// The socket beneath: for addresses, options and counters.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.0.socket
    }

    /// Parts the directions, for two tasks. Dropping a half ends its direction only.
    #[must_use]
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        (ReadHalf(Self(Rc::clone(&self.0))), WriteHalf(self))
    }

    /// Reads some bytes, at least one; 0 at the end.
    ///
    /// # Errors
    /// What has broken the connection, such as `ECONNRESET`; `SocketClosed` once destroyed.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let _waiting = OnDrop::new(|| self.0.stop_reading());
        poll_fn(|context| self.0.poll_read(context, buffer)).await
    }

    /// Reads to the end, behind what is in `all`. Returns the number of bytes.
    ///
    /// # Errors
    /// As for [`read`](Self::read); what was read before is in `all`.
    pub async fn read_to_end(&mut self, all: &mut Vec<u8>) -> Result<usize> {
        let before = all.len();
        loop {
            let from = all.len();
            all.resize(from + READ_TO_END, 0);
            let read = self.read(&mut all[from..]).await;
            all.truncate(from + read.as_ref().map_or(0, |count| *count));
            if read? == 0 {
                return Ok(all.len() - before);
            }
        }
    }

    /// Writes some of `data`, at least one byte: as much as the kernel takes and the queue has room for. Waits for room first.
    ///
    /// Dropping the future writes nothing.
    ///
    /// # Errors
    /// As for [`Socket::write`].
    pub async fn write(&mut self, data: &[u8]) -> Result<usize> {
        let _waiting = OnDrop::new(|| self.0.stop_writing());
        poll_fn(|context| self.0.poll_write(context, data)).await
    }

    /// Writes all of `data`. Dropping the future leaves what was written until then, which [`Socket::bytes_written`] counts.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn write_all(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let count = self.write(data).await?;
            data = &data[count..];
        }
        Ok(())
    }

    /// Sends the FIN behind what was written, and waits until the kernel has all of it ('finish'). The other direction stays
    /// open.
    ///
    /// Dropping the future, once it was polled, sends the FIN all the same.
    ///
    /// # Errors
    /// What has broken the connection.
    pub async fn finish(&mut self) -> Result<()> {
        let _waiting = OnDrop::new(|| self.0.stop_writing());
        poll_fn(|context| self.0.poll_finish(context)).await
    }
}

/// What `read_to_end` makes room for at a time.
const READ_TO_END: usize = 16 * 1024;

impl Shared {
    pub(super) fn poll_read(&self, context: &Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        if let Some(count) = self.read_unread(buffer) {
            return Poll::Ready(Ok(count));
        }
        if buffer.is_empty() || self.wakes.has_ended.get() {
            return Poll::Ready(Ok(0));
        }
        if self.wakes.is_closed.get() {
            return Poll::Ready(Err(self.why_closed()));
        }
        // What is to come is told by the loop, and input that is left in the next turn.
        let is_in_vain = self.socket.is_drained() || !self.wakes.read.take();
        let pulled = if is_in_vain { Ok(Pulled::WouldBlock) } else { self.socket.try_read(buffer) };
        match pulled {
            Ok(Pulled::Bytes(count)) => Poll::Ready(Ok(count)),
            Ok(Pulled::End) => {
                self.wakes.has_ended.set(true);
                Poll::Ready(Ok(0))
            }
            Ok(Pulled::WouldBlock) => {
                self.wakes.read.renew();
                self.wakes.written.renew();
                self.wakes.reader.wait(context);
                self.socket.await_readable();
                Poll::Pending
            }
            Err(error) => self.failed(error, &self.wakes.reader, context),
        }
    }

    /// A call has failed. Where the socket is closed already, `on_close` is due, and with it the error that has closed it.
    #[cold]
    fn failed<T>(&self, error: Error, place: &Waiter, context: &Context<'_>) -> Poll<Result<T>> {
        if error.code() != ErrorCode::SocketClosed || self.wakes.is_closed.get() {
            return Poll::Ready(Err(error));
        }
        place.wait(context);
        Poll::Pending
    }

    /// Reads of what was put back, if anything was.
    fn read_unread(&self, buffer: &mut [u8]) -> Option<usize> {
        let mut unread = self.unread.take()?;
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        unread.drain(..count);
        if !unread.is_empty() {
            self.unread.put(unread);
        }
        Some(count)
    }

    /// Nothing waits for input any more: it stays in the kernel, and the socket does not keep the loop alive for it.
    pub(super) fn stop_reading(&self) {
        if self.wakes.reader.leave() {
            self.socket.pause();
        }
    }

    fn stop_writing(&self) {
        self.wakes.writer.leave();
    }

    pub(super) fn poll_write(&self, context: &Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        ready!(self.poll_room(context))?;
        // What the kernel does not take is queued.
        let data = &data[..data.len().min(self.socket.high_water_mark().max(1))];
        self.wrote(data.len(), self.socket.write(data), context)
    }

    /// Writes all of `buffers`, if they are not longer than what one write may queue, else some of the first.
    fn poll_write_vectored(&self, context: &Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let total = buffers.iter().map(|buffer| buffer.len()).sum();
        if total > self.socket.high_water_mark() {
            let first = buffers.iter().find(|buffer| !buffer.is_empty());
            return self.poll_write(context, first.map_or(&[], |first| first));
        }
        ready!(self.poll_room(context))?;
        self.wrote(total, self.socket.writev(buffers), context)
    }

    /// Waits until a write may queue something, and for the socket's turn.
    fn poll_room(&self, context: &Context<'_>) -> Poll<Result<()>> {
        if self.wakes.is_closed.get() {
            return Poll::Ready(Err(self.why_closed()));
        }
        if self.wakes.is_full.get() {
            self.wakes.written.renew();
            self.wakes.writer.wait(context);
            return Poll::Pending;
        }
        if !self.wakes.written.take() {
            self.wakes.written.renew();
            return wait_for_a_turn(self.socket.environment(), context);
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&self, count: usize, has_room: Result<bool>, context: &Context<'_>) -> Poll<Result<usize>> {
        match has_room {
            Ok(has_room) => {
                self.wakes.is_full.set(!has_room);
                Poll::Ready(Ok(count))
            }
            Err(error) => self.failed(error, &self.wakes.writer, context),
        }
    }

    pub(super) fn poll_finish(&self, context: &Context<'_>) -> Poll<Result<()>> {
        if self.wakes.has_finished.get() {
            return Poll::Ready(Ok(()));
        }
        if self.wakes.is_closed.get() {
            return Poll::Ready(Err(self.why_closed()));
        }
        self.socket.end();
        self.wakes.writer.wait(context);
        Poll::Pending
    }

    /// The error that has closed the socket, which every later call gets.
    fn why_closed(&self) -> Error {
        let error = self.wakes.error.borrow().clone();
        error.unwrap_or_else(|| Error::new(ErrorCode::SocketClosed, "the socket is closed"))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The close has nothing to wake.
        self.wakes.reader.leave();
        self.wakes.writer.leave();
        if self.wakes.is_connected.get() {
            self.socket.destroy_soon();
            Lingering::begin_early(&self.socket);
        } else {
            self.socket.destroy();
        }
    }
}

impl AsyncRead for AsyncSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_read(context, buffer).map_err(Into::into)
    }
}

impl AsyncWrite for AsyncSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(context, data).map_err(Into::into)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_vectored(context, buffers).map_err(Into::into)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_finish(context).map_err(Into::into)
    }
}

impl fmt::Debug for AsyncSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncSocket").field(&self.0.socket).finish()
    }
}

/// Wakes what waits for the socket's events.
struct Handler(Rc<Wakes>);

impl SocketHandler for Handler {
    /// The socket is pulled.
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}

    fn on_readable(&mut self, socket: &Socket) {
        // It waited before it could be read.
        if !socket.is_paused() {
            socket.pause();
        }
        self.0.reader.wake();
    }

    fn on_connect(&mut self, _: &Socket) {
        self.0.is_connected.set(true);
        self.0.writer.wake();
    }

    fn on_drain(&mut self, _: &Socket) {
        self.0.is_full.set(false);
        self.0.writer.wake();
    }

    fn on_finish(&mut self, _: &Socket) {
        self.0.has_finished.set(true);
        self.0.writer.wake();
    }

    fn on_error(&mut self, _: &Socket, error: Error) {
        self.0.error.replace(Some(error));
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.0.is_closed.set(true);
        self.0.reader.wake();
        self.0.writer.wake();
    }
}
