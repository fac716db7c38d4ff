//! What TCP and pipe wraps share: reading, writing, shutdown, close, counters. Mirrors `LibuvStreamWrap` and
//! `StreamBase`, Node's `src/stream_wrap.cc` and `src/stream_base.cc`.

use crate::tower::{ListenTower, StreamTower};
use crate::upcall::{OnConnection, OnStream};
use crate::{LAYER, PipeWrap, TcpWrap};
use bytes::Bytes;
use std::fmt;
use std::io::IoSlice;
use std::os::fd::{OwnedFd, RawFd};
use uv_core::handle::HandleKind;
use uv_core::layer::trace::Facts;
use uv_core::{Errno, Error, LoopHandle, Pipe, Result, Stream, Tcp};

/// A wrapped stream: a connection or a listener over TCP or a Unix socket. A cheap clone.
#[derive(Clone)]
pub struct StreamWrap(Stream);

/// What became of a write (Node's `streamBaseState`: `kBytesWritten` and `kLastWriteWasAsync`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Written {
    /// Bytes that the kernel took at once.
    pub now: usize,
    /// Bytes that wait; `on_write` reports their end. Zero means that there is nothing to wait for: no request was
    /// made and `on_write` does not come.
    pub later: usize,
}

impl StreamWrap {
    pub(crate) fn new(stream: &Stream) -> Self {
        Self(stream.clone())
    }

    /// A wrap for a connected socket, TCP or Unix by its address: one that was inherited, say.
    ///
    /// # Errors
    /// `ENOTSOCK` for what is no stream socket, `ENOTCONN` for one without a peer; what the system says. The descriptor is
    /// closed then.
    pub fn from_fd(lp: &LoopHandle, fd: OwnedFd) -> Result<Self> {
        Stream::from_fd(lp, fd).map(Self)
    }

    /// Whether this is a TCP wrap, as opposed to a pipe one.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.0.kind() == HandleKind::Tcp
    }

    /// The same wrap as a TCP one, if it is one.
    #[must_use]
    pub fn as_tcp(&self) -> Option<TcpWrap> {
        Tcp::from_stream(&self.0).map(TcpWrap::from_tcp)
    }

    /// The same wrap as a pipe one, if it is one.
    #[must_use]
    pub fn as_pipe(&self) -> Option<PipeWrap> {
        Pipe::from_stream(&self.0).map(PipeWrap::from_pipe)
    }

    /// The handle of the layer beneath.
    #[must_use]
    pub fn handle(&self) -> &Stream {
        &self.0
    }

    /// The loop that the stream belongs to.
    #[must_use]
    pub fn loop_handle(&self) -> &LoopHandle {
        self.0.loop_handle()
    }

    /// Starts listening; each connection comes to `handler` as a wrap of its own.
    ///
    /// # Errors
    /// `EADDRINUSE` for a port in use, which `bind` did not report; `EINVAL` for a wrap that is connected or closing,
    /// or a pipe without a name.
    pub fn listen(&self, backlog: u32, handler: impl OnConnection + 'static) -> Result<()> {
        let _down = LAYER.down("StreamWrap::listen", || self.facts());
        let tower = ListenTower::new(self.clone(), handler);
        match Tcp::from_stream(&self.0) {
            Some(tcp) => tcp.listen(backlog, tower),
            None => self.0.listen(backlog, tower),
        }
    }

    /// Like [`listen`](Self::listen), with a closure for [`OnConnection::on_connection`].
    ///
    /// # Errors
    /// As for `listen`.
    pub fn listen_with(
        &self,
        backlog: u32,
        on_connection: impl FnMut(&Self, Result<Self>) + 'static,
    ) -> Result<()> {
        self.listen(backlog, on_connection)
    }

    /// How many connections one turn of the loop may bring; 1 at first.
    pub fn set_accept_batch(&self, connections: u32) {
        self.0.set_accept_batch(connections);
    }

    /// What a trace says of it.
    pub(crate) fn facts(&self) -> Facts {
        Facts::of(&self.0)
    }

    pub(crate) fn accept(&self) -> Result<Self> {
        self.0.accept().map(Self)
    }

    /// Sets the handler of this stream. One set during an upcall takes over after it; the old one is dropped.
    pub fn set_handler(&self, handler: impl OnStream + 'static) {
        self.0.set_upcall(StreamTower::new(self.clone(), handler));
    }

    /// Starts reading (`readStart`).
    ///
    /// # Errors
    /// `EALREADY` while reading, `ENOTCONN` if the stream is not readable, `EINVAL` if it is closing.
    pub fn read_start(&self) -> Result<()> {
        let _down = LAYER.down("StreamWrap::read_start", || self.facts());
        self.0.read_start()
    }

    /// Stops reading (`readStop`), also from within `on_read`. Idempotent.
    pub fn read_stop(&self) {
        let _down = LAYER.down("StreamWrap::read_stop", || self.facts());
        self.0.read_stop();
    }

    /// Writes all of `data` (`writeBuffer`): at once what the kernel takes, a copy of the rest later.
    ///
    /// # Errors
    /// `EPIPE` or `EBADF` if the stream is not writable; what the system says of the attempt.
    #[inline]
    pub fn write(&self, data: &[u8]) -> Result<Written> {
        let _down = LAYER.down("StreamWrap::write", || self.facts().bytes(data.len()));
        match self.0.try_write(data) {
            Ok(now) if now == data.len() => Ok(Written { now, later: 0 }),
            result => self.write_rest_of(data, result),
        }
    }

    #[inline(never)]
    fn write_rest_of(&self, data: &[u8], result: Result<usize>) -> Result<Written> {
        let now = at_once(result)?;
        self.write_rest(data.len(), now, || Bytes::copy_from_slice(&data[now..]))
    }

    /// Writes all of `data`, of which a rest is queued without a copy.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn write_bytes(&self, mut data: Bytes) -> Result<Written> {
        let _down = LAYER.down("StreamWrap::write_bytes", || self.facts().bytes(data.len()));
        let len = data.len();
        let now = at_once(self.0.try_write(&data))?;
        self.write_rest(len, now, || data.split_off(now))
    }

    /// Writes all of `data` in one system call (`writev`): at once what the kernel takes, a copy of the rest later.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn writev(&self, data: &[IoSlice<'_>]) -> Result<Written> {
        let _down = LAYER.down("StreamWrap::writev", || self.facts());
        let len = data.iter().map(|buffer| buffer.len()).sum();
        let now = at_once(self.0.try_writev(data))?;
        self.write_rest(len, now, || {
            let mut rest = Vec::with_capacity(len - now);
            let mut skip = now;
            for buffer in data {
                let skipped = skip.min(buffer.len());
                rest.extend_from_slice(&buffer[skipped..]);
                skip -= skipped;
            }
            rest.into()
        })
    }

    fn write_rest(&self, len: usize, now: usize, rest: impl FnOnce() -> Bytes) -> Result<Written> {
        let later = len - now;
        if later > 0 {
            self.0.write(rest())?;
        }
        Ok(Written { now, later })
    }

    /// Bytes that were written but not yet taken by the kernel (`writeQueueSize`).
    #[must_use]
    pub fn write_queue_size(&self) -> usize {
        self.0.write_queue_size()
    }

    /// Bytes that were written and that the peer has not acknowledged, here and with the kernel: see
    /// [`Stream::unacknowledged`].
    ///
    /// # Errors
    /// `EBADF` without a descriptor; `ENOTTY` or `EINVAL` for what is no socket.
    pub fn unacknowledged(&self) -> Result<usize> {
        self.0.unacknowledged()
    }

    /// Finishes writing: a FIN follows what was written; `on_shutdown` reports it.
    ///
    /// # Errors
    /// `ENOTCONN` unless the stream is connected and writable.
    pub fn shutdown(&self) -> Result<()> {
        let _down = LAYER.down("StreamWrap::shutdown", || self.facts());
        self.0.shutdown()
    }

    /// Surrounds the turn that the next event of this stream causes: see
    /// [`Stream::surround_next_event`](uv_core::Stream::surround_next_event).
    pub fn surround_next_event<G: 'static>(&self, begin: impl FnOnce() -> G + 'static) {
        self.0.surround_next_event(begin);
    }

    /// Asks for an `on_notify`, soon and from the loop: how a layer above turns something that it learned outside of
    /// this stream's upcalls into one of them.
    pub fn notify(&self) {
        let _down = LAYER.down("StreamWrap::notify", || self.facts());
        self.0.notify();
    }

    /// Closes the wrap (`HandleWrap::Close`): `on_close` comes in the loop's close phase. Idempotent.
    pub fn close(&self) {
        let _down = LAYER.down("StreamWrap::close", || self.facts());
        self.0.close();
    }

    /// Closes the wrap, with the FIN first, so that input which was not read makes no reset of it: see
    /// [`Stream::close_with_fin`].
    pub fn close_with_fin(&self) {
        let _down = LAYER.down("StreamWrap::close_with_fin", || self.facts());
        self.0.close_with_fin();
    }

    /// Closes the connection with a reset (`TCPWrap::Reset`). A closing wrap, or one that is no TCP connection, stays
    /// as it is.
    ///
    /// # Errors
    /// `EINVAL` while a FIN that is sent is still to be reported, `ENOTSUP` for a pipe.
    pub fn reset(&self) -> Result<()> {
        let _down = LAYER.down("StreamWrap::reset", || self.facts());
        match Tcp::from_stream(&self.0) {
            Some(tcp) if tcp.is_closing() => Ok(()),
            Some(tcp) => tcp.close_reset(),
            None => Err(Error::new("reset", Errno::ENOTSUP)),
        }
    }

    /// Whether `close` was called.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    /// Whether the stream may be read from.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.0.is_readable()
    }

    /// Whether the stream may be written to.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.0.is_writable()
    }

    /// Lets the wrap keep its loop alive while it is active.
    pub fn ref_(&self) {
        self.0.ref_();
    }

    /// Lets the loop end although the wrap is active.
    pub fn unref(&self) {
        self.0.unref();
    }

    /// Whether the wrap keeps its loop alive: never once it is closing.
    #[must_use]
    pub fn has_ref(&self) -> bool {
        self.0.has_ref() && !self.is_closing()
    }

    /// The descriptor, which stays the wrap's own.
    ///
    /// # Errors
    /// `EBADF` without one.
    pub fn fd(&self) -> Result<RawFd> {
        self.0.fileno()
    }

    /// Bytes received so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.0.bytes_read()
    }

    /// Bytes written so far, those that still wait included.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.0.bytes_written()
    }

    /// A wrap for a connection that another process accepted and passed here; `is_tcp` tells its family.
    #[must_use]
    pub fn from_passed(event_loop: &LoopHandle, fd: OwnedFd, is_tcp: bool) -> Self {
        if is_tcp {
            Self::new(&Tcp::from_accepted(event_loop, fd))
        } else {
            Self::new(&Pipe::from_accepted(event_loop, fd))
        }
    }
}

/// What the kernel took of a write at once: nothing is no failure.
#[inline]
fn at_once(result: Result<usize>) -> Result<usize> {
    match result {
        Err(error) if error.errno() == Errno::EAGAIN => Ok(0),
        result => result,
    }
}

impl fmt::Debug for StreamWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWrap")
            .field("stream", &self.0)
            .field("bytes_read", &self.bytes_read())
            .field("bytes_written", &self.bytes_written())
            .finish()
    }
}
