//! What TCP and pipe wraps share: reading, writing, shutdown, close, counters. Mirrors `LibuvStreamWrap` and
//! `StreamBase`, Node's `src/stream_wrap.cc` and `src/stream_base.cc`.

use crate::tower::{ListenTower, StreamTower};
use crate::upcall::{OnConnection, OnStream};
use crate::{LAYER, PipeWrap, TcpWrap};
use bytes::Bytes;
use std::fmt;
use std::io::IoSlice;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use uv_core::file::FileRange;
use uv_core::handle::HandleKind;
use uv_core::layer::Place;
use uv_core::layer::trace::Facts;
use uv_core::{Errno, Error, LoopHandle, Pipe, Result, Stream, Tcp};

/// A wrapped stream: a connection or a listener over TCP or a Unix socket. Clones share one stream and cost one
/// reference count.
#[derive(Clone)]
pub struct StreamWrap(Stream);

/// The result of a write (Node's `streamBaseState`: `kBytesWritten` and `kLastWriteWasAsync`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Written {
    /// Bytes that the kernel has accepted.
    pub now: usize,
    /// Bytes that are queued; `on_write` reports when they are written. If zero, the write is complete and `on_write`
    /// is not called.
    pub later: usize,
}

impl StreamWrap {
    pub(crate) fn new(stream: &Stream) -> Self {
        Self(stream.clone())
    }

    /// Creates a wrap for a connected socket, an inherited socket for example. The family of the socket's address
    /// decides between TCP and Unix.
    ///
    /// # Errors
    /// `ENOTSOCK` if `fd` is not a stream socket, `ENOTCONN` if it has no peer; any error of the system calls. An error
    /// closes the descriptor.
    #[track_caller]
    pub fn from_fd(event_loop: &LoopHandle, fd: OwnedFd) -> Result<Self> {
        Stream::from_fd(event_loop, fd).map(Self)
    }

    /// Whether this is a TCP wrap rather than a pipe wrap.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.0.kind() == HandleKind::Tcp
    }

    /// The same stream as a [`TcpWrap`], or `None` for a pipe.
    #[must_use]
    pub fn as_tcp(&self) -> Option<TcpWrap> {
        Tcp::from_stream(&self.0).map(TcpWrap::from_tcp)
    }

    /// The same stream as a [`PipeWrap`], or `None` for TCP.
    #[must_use]
    pub fn as_pipe(&self) -> Option<PipeWrap> {
        Pipe::from_stream(&self.0).map(PipeWrap::from_pipe)
    }

    /// The `uv-core` handle beneath.
    #[must_use]
    pub fn handle(&self) -> &Stream {
        &self.0
    }

    /// The loop that the stream belongs to.
    #[must_use]
    pub fn loop_handle(&self) -> &LoopHandle {
        self.0.loop_handle()
    }

    /// Starts listening; `handler` gets each accepted connection as a wrap.
    ///
    /// # Errors
    /// `EADDRINUSE` for a port in use, which `bind` does not report; `EINVAL` if the wrap is connected or closing, or is
    /// a pipe without a name.
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

    /// Sets how many connections are accepted in one loop iteration. Default: 1.
    pub fn set_accept_batch(&self, connections: u32) {
        self.0.set_accept_batch(connections);
    }

    /// Lends the descriptor of the announced connection: see [`Stream::with_announced`].
    pub fn with_announced<R>(&self, work: impl FnOnce(BorrowedFd<'_>) -> R) -> Option<R> {
        self.0.with_announced(work)
    }

    /// Stops accepting, or goes on: see [`Stream::set_accepting`].
    pub fn set_accepting(&self, on: bool) {
        self.0.set_accepting(on);
    }

    /// Accepts the connections that wait, and then calls [`OnConnection::on_drained`]: see [`Stream::drain`].
    ///
    /// # Errors
    /// As for `Stream::drain`.
    pub fn drain(&self) -> Result<()> {
        self.0.drain()
    }

    /// Lets no further connection begin: see [`Stream::stop_handshakes`].
    ///
    /// # Errors
    /// As for `Stream::stop_handshakes`.
    pub fn stop_handshakes(&self) -> Result<()> {
        self.0.stop_handshakes()
    }

    /// Undoes [`stop_handshakes`](Self::stop_handshakes), for TCP: see [`Stream::resume_handshakes`].
    ///
    /// # Errors
    /// As for `Stream::resume_handshakes`.
    pub fn resume_handshakes(&self) -> Result<()> {
        self.0.resume_handshakes()
    }

    /// The stream's facts for a trace record.
    pub(crate) fn facts(&self) -> Facts {
        Facts::of(&self.0)
    }

    /// Accepts the announced connection, which belongs to the place where its listener was made.
    pub(crate) fn accept(&self) -> Result<Self> {
        let _place = Place::of(&self.0).mark();
        self.0.accept().map(Self)
    }

    /// Sets the handler of this stream and drops the old one. During an upcall the change takes effect when the upcall
    /// returns.
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

    /// Lets `on_readable` report input, which the program reads with [`try_read`](Self::try_read): see
    /// [`Stream::readable_start`].
    ///
    /// # Errors
    /// As for [`read_start`](Self::read_start).
    pub fn readable_start(&self) -> Result<()> {
        let _down = LAYER.down("StreamWrap::readable_start", || self.facts());
        self.0.readable_start()
    }

    /// Lets `on_readable` report input once: see [`Stream::readable_once`].
    ///
    /// # Errors
    /// As for [`read_start`](Self::read_start).
    pub fn readable_once(&self) -> Result<()> {
        let _down = LAYER.down("StreamWrap::readable_once", || self.facts());
        self.0.readable_once()
    }

    /// Reads what is there into `buffer`. Returns the number of bytes; 0 is the end: see [`Stream::try_read`].
    ///
    /// # Errors
    /// `EAGAIN` if nothing is there, `EALREADY` while the loop reads; otherwise as for `Stream::try_read`.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        let _down = LAYER.down("StreamWrap::try_read", || self.facts());
        self.0.try_read(buffer)
    }

    /// Whether [`try_read`](Self::try_read) would read in vain: see [`Stream::is_drained`].
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.0.is_drained()
    }

    /// Whether the kernel has something to read that the loop may not have heard of yet: see [`Stream::may_have_input`].
    #[must_use]
    pub fn may_have_input(&self) -> bool {
        self.0.may_have_input()
    }

    /// Stops reading (`readStop`), and the reports of `on_readable`; allowed in `on_read`. Idempotent.
    pub fn read_stop(&self) {
        let _down = LAYER.down("StreamWrap::read_stop", || self.facts());
        self.0.read_stop();
    }

    /// Writes all of `data` (`writeBuffer`): the kernel takes what fits now, and a copy of the rest is queued.
    ///
    /// # Errors
    /// `EPIPE` or `EBADF` if the stream is not writable; any error of `write(2)`.
    #[inline]
    pub fn write(&self, data: &[u8]) -> Result<Written> {
        let _down = LAYER.down("StreamWrap::write", || self.facts().bytes(data.len()));
        match self.0.try_write(data) {
            Ok(now) if now == data.len() => Ok(Written { now, later: 0 }),
            result => self.write_rest_of(data, result),
        }
    }

    /// Like [`write`](Self::write), for output that more follows at once: see [`Stream::try_write_more`].
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn write_more(&self, data: &[u8]) -> Result<Written> {
        let _down = LAYER.down("StreamWrap::write_more", || self.facts().bytes(data.len()));
        self.write_rest_of(data, self.0.try_write_more(data))
    }

    #[inline(never)]
    fn write_rest_of(&self, data: &[u8], result: Result<usize>) -> Result<Written> {
        let now = at_once(result)?;
        self.write_rest(data.len(), now, || Bytes::copy_from_slice(&data[now..]))
    }

    /// Like [`write`](Self::write), but queues the rest without copying it.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn write_bytes(&self, mut data: Bytes) -> Result<Written> {
        let _down = LAYER.down("StreamWrap::write_bytes", || self.facts().bytes(data.len()));
        let len = data.len();
        let now = at_once(self.0.try_write(&data))?;
        self.write_rest(len, now, || data.split_off(now))
    }

    /// Writes all of `data` in one system call (`writev`): the kernel takes what fits now, and a copy of the rest is
    /// queued.
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

    /// Like [`writev`](Self::writev), for a buffer that is shared: of the rest only `front` and `back` are copied.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn write_shared(&self, front: &[u8], mut data: Bytes, back: &[u8]) -> Result<Written> {
        let _down = LAYER.down("StreamWrap::write_shared", || self.facts());
        let len = front.len() + data.len() + back.len();
        let now = at_once(self.0.try_writev(&[front, &data, back].map(IoSlice::new)))?;
        if now < len {
            let (in_front, in_data) = (now.min(front.len()), now.saturating_sub(front.len()).min(data.len()));
            let in_back = now - in_front - in_data;
            let copy = Bytes::copy_from_slice;
            self.0.writev([copy(&front[in_front..]), data.split_off(in_data), copy(&back[in_back..])])?;
        }
        Ok(Written { now, later: len - now })
    }

    /// Writes a part of a file: the kernel takes what fits now, up to 1 MiB, and the rest is queued behind everything written
    /// before: see [`Stream::write_file`]. Mirrors Node's `StreamPipe` from a `FileHandle`.
    ///
    /// # Errors
    /// As for [`write`](Self::write); `ENODATA` if the file has become shorter, and any error of `sendfile(2)`.
    pub fn write_file(&self, mut file: FileRange) -> Result<Written> {
        let _down = LAYER.down("StreamWrap::write_file", || self.facts());
        let now = at_once(self.0.try_write_file(&file))?;
        file.advance(now as u64);
        let later = usize::try_from(file.len()).unwrap_or(usize::MAX);
        if later > 0 {
            self.0.write_file(file)?;
        }
        Ok(Written { now, later })
    }

    fn write_rest(&self, len: usize, now: usize, rest: impl FnOnce() -> Bytes) -> Result<Written> {
        let later = len - now;
        if later > 0 {
            self.0.write(rest())?;
        }
        Ok(Written { now, later })
    }

    /// Bytes in the write queue, which the kernel has not taken yet (`writeQueueSize`).
    #[must_use]
    pub fn write_queue_size(&self) -> usize {
        self.0.write_queue_size()
    }

    /// Bytes that the peer has not acknowledged, both in this queue and in the kernel's: see
    /// [`Stream::unacknowledged`].
    ///
    /// # Errors
    /// `EBADF` without a descriptor; `ENOTTY` or `EINVAL` if the descriptor is not a socket.
    pub fn unacknowledged(&self) -> Result<usize> {
        self.0.unacknowledged()
    }

    /// Finishes writing: a FIN follows the queued bytes, and `on_shutdown` reports that it is sent.
    ///
    /// # Errors
    /// `ENOTCONN` unless the stream is connected and writable.
    pub fn shutdown(&self) -> Result<()> {
        let _down = LAYER.down("StreamWrap::shutdown", || self.facts());
        self.0.shutdown()
    }

    /// Holds the guard that `begin` returns while the next event of this stream is handled: see
    /// [`Stream::surround_next_event`](uv_core::Stream::surround_next_event).
    pub fn surround_next_event<G: 'static>(&self, begin: impl FnOnce() -> G + 'static) {
        self.0.surround_next_event(begin);
    }

    /// Requests an `on_notify`, which the loop calls later. With it a layer above continues its work on this stream
    /// from an upcall rather than from a downcall.
    pub fn notify(&self) {
        let _down = LAYER.down("StreamWrap::notify", || self.facts());
        self.0.notify();
    }

    /// Closes the wrap (`HandleWrap::Close`): the loop calls `on_close` in its close phase. Idempotent.
    pub fn close(&self) {
        let _down = LAYER.down("StreamWrap::close", || self.facts());
        self.0.close();
    }

    /// Closes the wrap and sends the FIN before the descriptor is closed, so that unread input does not turn the close
    /// into a reset: see [`Stream::close_with_fin`].
    pub fn close_with_fin(&self) {
        let _down = LAYER.down("StreamWrap::close_with_fin", || self.facts());
        self.0.close_with_fin();
    }

    /// Closes the connection with a reset (`TCPWrap::Reset`). Does nothing if the wrap is closing.
    ///
    /// # Errors
    /// `EINVAL` between `shutdown` and `on_shutdown`, `ENOTSUP` for a pipe.
    pub fn reset(&self) -> Result<()> {
        let _down = LAYER.down("StreamWrap::reset", || self.facts());
        match Tcp::from_stream(&self.0) {
            Some(tcp) if tcp.is_closing() => Ok(()),
            Some(tcp) => tcp.close_reset(),
            None => Err(Error::new("reset", Errno::ENOTSUP)),
        }
    }

    /// Whether the wrap is closing or closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    /// Whether the stream can be read from (`uv_is_readable`).
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.0.is_readable()
    }

    /// Whether the stream can be written to (`uv_is_writable`).
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.0.is_writable()
    }

    /// Makes the wrap keep its loop alive while it is active. This is the default.
    pub fn ref_(&self) {
        self.0.ref_();
    }

    /// Lets the loop end while the wrap is active.
    pub fn unref(&self) {
        self.0.unref();
    }

    /// Whether the wrap is referenced; `false` once it is closing.
    #[must_use]
    pub fn has_ref(&self) -> bool {
        self.0.has_ref() && !self.is_closing()
    }

    /// The descriptor. The wrap still owns it.
    ///
    /// # Errors
    /// `EBADF` if the wrap has no descriptor.
    pub fn fd(&self) -> Result<RawFd> {
        self.0.fileno()
    }

    /// Bytes received so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.0.bytes_read()
    }

    /// Bytes written so far, including those in the write queue.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.0.bytes_written()
    }

    /// Creates a wrap for a connection that another process accepted and passed to this process: TCP if `is_tcp`, else
    /// Unix.
    #[must_use]
    #[track_caller]
    pub fn from_passed(event_loop: &LoopHandle, fd: OwnedFd, is_tcp: bool) -> Self {
        if is_tcp {
            Self::new(&Tcp::from_accepted(event_loop, fd))
        } else {
            Self::new(&Pipe::from_accepted(event_loop, fd))
        }
    }
}

/// The bytes that the kernel took now; `EAGAIN` means zero bytes and is no error.
#[inline]
fn at_once(result: Result<usize>) -> Result<usize> {
    match result {
        Err(error) if error.errno() == Errno::EAGAIN => {
            #[cfg(upcall_faults)]
            uv_core::faults::reached(uv_core::faults::Branch::WriteAtOnceBlocks);
            Ok(0)
        }
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
