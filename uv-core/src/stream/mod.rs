//! Streams: what TCP connections, Unix sockets, pipes and their listeners share. Mirrors `uv_stream_t`, libuv's
//! `src/unix/stream.c`.
//!
//! The state of a stream is its flags, its tower and, while there is something to write, a queue; what only some
//! streams need is in a box of its own, so that an idle connection is small.
//!
//! A descriptor is registered with the poller as late as possible: when a read found nothing more, or a write had to
//! wait. A connection that is answered and closed in the turn in which it was accepted never is. The registration is
//! edge-triggered and reports at once what is there already, so nothing gets lost in between.

mod accept;
mod connect;
mod read;
mod write;

use crate::handle::{Handle, HandleKind, Node};
use crate::poller::Readiness;
use crate::slot::Slot;
use crate::sys;
use crate::sys::fd::FdCell;
use crate::upcall::{AcceptUpcall, StreamUpcall};
use crate::{Errno, Error, LoopHandle, Result};
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::ops::Deref;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;
use std::rc::Rc;
use write::Outgoing;

pub use read::Received;

/// A stream of bytes in both directions, or a listener for such streams (`uv_stream_t`).
///
/// [`Tcp`](crate::Tcp) and [`Pipe`](crate::Pipe) dereference to it.
#[derive(Clone)]
pub struct Stream(pub(crate) Rc<StreamNode>);

pub(crate) struct StreamNode {
    handle: Handle,
    fd: FdCell,
    flags: Cell<u32>,
    tower: Slot<Tower>,
    out: Cell<Option<Box<Outgoing>>>,
    extra: Cell<Option<Box<Extra>>>,
}

enum Tower {
    Stream(Box<dyn StreamUpcall>),
    Accept(Box<dyn AcceptUpcall>),
}

/// What only some streams need: listeners, connecting streams, pipes that pass handles.
#[derive(Default)]
struct Extra {
    /// A connection that waits to be taken by `accept`.
    accepted: Option<OwnedFd>,
    /// Connections per turn; 0 stands for one.
    accept_batch: u32,
    /// `bind` failed with EADDRINUSE; `listen` or `connect` says so.
    delayed_error: Option<Errno>,
    /// Descriptors that came with messages and wait to be taken.
    received: VecDeque<OwnedFd>,
    /// The socket file to remove at close.
    path: Option<PathBuf>,
    /// What errors of `connect` are about.
    target: Option<Box<str>>,
}

/// The stream may be read from.
pub(crate) const READABLE: u32 = 1;
/// The stream may be written to.
pub(crate) const WRITABLE: u32 = 1 << 1;
const READING: u32 = 1 << 2;
const CONNECTING: u32 = 1 << 3;
const LISTENING: u32 = 1 << 4;
/// The socket has an address: a second `bind` is an error.
pub(crate) const BOUND: u32 = 1 << 5;
/// `shutdown` was called.
const SHUTTING: u32 = 1 << 6;
/// The poller watches for input.
const REGISTERED: u32 = 1 << 7;
/// The poller watches for writability too.
const REGISTERED_WRITABLE: u32 = 1 << 8;
/// There may be input, or connections, that no event will announce.
const MAYBE_READABLE: u32 = 1 << 9;
/// There may be room for output that no event will announce.
const MAYBE_WRITABLE: u32 = 1 << 10;
/// The peer has finished sending: a short read is not the last.
const PEER_CLOSED: u32 = 1 << 11;
/// The handle is in the still-ready set.
const QUEUED: u32 = 1 << 12;
/// The handle is in the pending queue.
const FED: u32 = 1 << 13;
/// The open file may outlive this descriptor, in another process or under another number.
pub(crate) const SHARED: u32 = 1 << 14;
/// A socket, as opposed to a pipe, a terminal or a file.
pub(crate) const SOCKET: u32 = 1 << 15;
/// A Unix socket that may carry handles.
pub(crate) const IPC: u32 = 1 << 16;
/// A queued write failed: nothing more is written.
const BROKEN: u32 = 1 << 17;
/// The listener stands still until the announced connection is taken.
const HELD: u32 = 1 << 18;
/// An `on_notify` was asked for.
const NOTIFIED: u32 = 1 << 19;

impl Stream {
    pub(crate) fn create(lp: &LoopHandle, kind: HandleKind, flags: u32) -> Self {
        Self(lp.add(kind, |handle| StreamNode {
            handle,
            fd: FdCell::empty(),
            flags: Cell::new(flags),
            tower: Slot::empty(),
            out: Cell::new(None),
            extra: Cell::new(None),
        }))
    }

    /// Starts listening (`uv_listen`): connections are announced to `upcall` and taken with `accept`.
    ///
    /// On a listening stream this sets the new backlog and upcall.
    ///
    /// # Errors
    /// `EADDRINUSE` here, although it was `bind` that met it; `EINVAL` on a closing or connected stream, or a pipe
    /// that was not bound.
    pub fn listen(&self, backlog: u32, upcall: impl AcceptUpcall + 'static) -> Result<()> {
        self.0.listen(backlog, Box::new(upcall))
    }

    /// How many connections one turn may announce; 1 at first, as in libuv, which spreads connections over several
    /// processes that share a socket. More saves polls.
    pub fn set_accept_batch(&self, connections: u32) {
        self.0.with_extra(|extra| extra.accept_batch = connections);
    }

    /// Takes the connection that was announced, without making a handle for it. See also `Tcp::accept`.
    ///
    /// # Errors
    /// `EAGAIN` if none waits.
    pub fn accept_fd(&self) -> Result<OwnedFd> {
        self.0.accept_fd()
    }

    /// Sets the tower that is called for this stream. One set during an upcall takes over after it.
    ///
    /// A closing stream takes one too, as its `on_close` is still to come; a closed one does not.
    pub fn set_upcall(&self, upcall: impl StreamUpcall + 'static) {
        if !self.0.handle.is_closed() {
            self.0.tower.set(Tower::Stream(Box::new(upcall)));
        }
    }

    /// Asks for an `on_notify` in the next pending phase: how a layer above turns something that it learned outside of
    /// this stream's upcalls (a timer, an answer finished elsewhere) into an upcall of this stream.
    ///
    /// Several requests make one call; a closing stream makes none.
    pub fn notify(&self) {
        if !self.is_closing() && !self.0.has(NOTIFIED) {
            self.0.set(NOTIFIED);
            self.0.feed();
        }
    }

    /// Starts reading (`uv_read_start`).
    ///
    /// # Errors
    /// `EALREADY` while reading, `ENOTCONN` if the stream is not readable, `EINVAL` if it is closing.
    pub fn read_start(&self) -> Result<()> {
        self.0.read_start()
    }

    /// Stops reading (`uv_read_stop`); no `on_read` follows, even from within one. Idempotent.
    pub fn read_stop(&self) {
        self.0.read_stop();
    }

    /// Writes what the kernel takes at once and nothing more (`uv_try_write`). Returns how much that was.
    ///
    /// # Errors
    /// `EAGAIN` if nothing can be taken now: the kernel is full, earlier writes wait, or the stream is still
    /// connecting. `EPIPE` if the stream is not writable, `EBADF` if it has no descriptor, and what the system says.
    pub fn try_write(&self, data: &[u8]) -> Result<usize> {
        self.0.try_writev(&[IoSlice::new(data)])
    }

    /// Like [`try_write`](Self::try_write) with several buffers in one system call.
    ///
    /// # Errors
    /// As for `try_write`.
    pub fn try_writev(&self, data: &[IoSlice<'_>]) -> Result<usize> {
        self.0.try_writev(data)
    }

    /// Writes all of `data` (`uv_write`): at once as far as the kernel takes it, the rest when it has room.
    ///
    /// `on_write` reports the end, never from inside this call.
    ///
    /// # Errors
    /// `EPIPE` if the stream is not writable, `EBADF` if it has no descriptor.
    pub fn write(&self, data: impl Into<bytes::Bytes>) -> Result<()> {
        self.0.write(data.into(), VecDeque::new(), Vec::new())
    }

    /// Like [`write`](Self::write) with several buffers, as one request.
    ///
    /// # Errors
    /// `EINVAL` without any buffer, and as for `write`.
    pub fn writev(&self, data: impl IntoIterator<Item = bytes::Bytes>) -> Result<()> {
        let mut rest: VecDeque<_> = data.into_iter().collect();
        let first = rest.pop_front().ok_or(Error::new("write", Errno::EINVAL))?;
        self.0.write(first, rest, Vec::new())
    }

    /// Bytes that were written but not yet taken by the kernel (`uv_stream_get_write_queue_size`).
    #[must_use]
    pub fn write_queue_size(&self) -> usize {
        self.0.write_queue_size()
    }

    /// Finishes writing (`uv_shutdown`): sends a FIN once everything written before is with the kernel.
    ///
    /// # Errors
    /// `ENOTCONN` unless the stream is connected and writable, so also the second time.
    pub fn shutdown(&self) -> Result<()> {
        self.0.shutdown()
    }

    /// Whether the stream may be read from (`uv_is_readable`).
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.0.has(READABLE)
    }

    /// Whether the stream may be written to (`uv_is_writable`).
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.0.has(WRITABLE)
    }

    /// The descriptor (`uv_fileno`). It stays the stream's own: do not close it.
    ///
    /// # Errors
    /// `EBADF` before there is one and once the stream is closing.
    pub fn fileno(&self) -> Result<RawFd> {
        self.0.fd.get().ok_or(Error::new("fileno", Errno::EBADF))
    }

    /// Sets or clears blocking mode, of the open file that others may share (`uv_stream_set_blocking`).
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn set_blocking(&self, blocking: bool) -> Result<()> {
        let fd = self.fileno()?;
        sys::fd::set_nonblocking(fd, !blocking).map_err(|errno| Error::new("ioctl", errno))
    }

    /// The size of the kernel's send buffer in bytes (`uv_send_buffer_size`). Linux reports twice what was set.
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn send_buffer_size(&self) -> Result<usize> {
        self.get_option("getsockopt", libc::SO_SNDBUF)
    }

    /// Sets the size of the kernel's send buffer in bytes.
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn set_send_buffer_size(&self, bytes: usize) -> Result<()> {
        self.set_option(libc::SO_SNDBUF, bytes)
    }

    /// The size of the kernel's receive buffer in bytes (`uv_recv_buffer_size`). Linux reports twice what was set.
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn recv_buffer_size(&self) -> Result<usize> {
        self.get_option("getsockopt", libc::SO_RCVBUF)
    }

    /// Sets the size of the kernel's receive buffer in bytes.
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> Result<()> {
        self.set_option(libc::SO_RCVBUF, bytes)
    }

    fn get_option(&self, op: &'static str, name: libc::c_int) -> Result<usize> {
        let value = sys::socket::get_option(self.fileno()?, libc::SOL_SOCKET, name);
        value.map(|value| usize::try_from(value).unwrap_or(0)).map_err(|errno| Error::new(op, errno))
    }

    fn set_option(&self, name: libc::c_int, bytes: usize) -> Result<()> {
        let bytes = libc::c_int::try_from(bytes).map_err(|_| Error::new("setsockopt", Errno::EINVAL))?;
        let set = sys::socket::set_option(self.fileno()?, libc::SOL_SOCKET, name, bytes);
        set.map_err(|errno| Error::new("setsockopt", errno))
    }
}

impl StreamNode {
    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags.get() & flag != 0
    }

    pub(crate) fn set(&self, flag: u32) {
        self.flags.set(self.flags.get() | flag);
    }

    pub(crate) fn clear(&self, flag: u32) {
        self.flags.set(self.flags.get() & !flag);
    }

    pub(crate) fn fd(&self) -> &FdCell {
        &self.fd
    }

    fn lp(&self) -> &LoopHandle {
        self.handle.loop_handle()
    }

    /// Works on the box of rare state. `work` calls nobody.
    fn with_extra<R>(&self, work: impl FnOnce(&mut Extra) -> R) -> R {
        let mut extra = self.extra.take().unwrap_or_default();
        let result = work(&mut extra);
        self.extra.set(Some(extra));
        result
    }

    /// Like `with_extra`, for streams that have no such box in the common case.
    fn if_extra<R>(&self, work: impl FnOnce(&mut Extra) -> Option<R>) -> Option<R> {
        let mut extra = self.extra.take()?;
        let result = work(&mut extra);
        self.extra.set(Some(extra));
        result
    }

    /// Gives the stream its descriptor, with the directions that it has.
    pub(crate) fn open(&self, fd: OwnedFd, flags: u32) {
        self.fd.set(fd);
        self.set(flags | MAYBE_READABLE);
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.has(CONNECTING)
    }

    /// Whether a shutdown was asked for and not yet reported.
    pub(crate) fn is_shutting(&self) -> bool {
        self.has(SHUTTING) && self.is_shutdown_pending()
    }

    pub(crate) fn set_delayed_error(&self, errno: Errno) {
        self.with_extra(|extra| extra.delayed_error = Some(errno));
    }

    pub(crate) fn delayed_error(&self) -> Option<Errno> {
        self.if_extra(|extra| extra.delayed_error)
    }

    pub(crate) fn set_path(&self, path: PathBuf) {
        self.with_extra(|extra| extra.path = Some(path));
    }

    /// Active means reading, connecting, listening or writing.
    fn update_active(&self) {
        if self.has(READING | CONNECTING | LISTENING) || self.is_writing() {
            self.handle.start();
        } else {
            self.handle.stop();
        }
    }

    /// Makes the poller watch for input, once.
    fn watch(&self) -> Result<(), Errno> {
        match self.fd.get() {
            Some(fd) if !self.has(REGISTERED) => {
                self.lp().inner().poller.register(fd, self.handle.key(), self.handle.generation(), false)?;
                self.set(REGISTERED);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Makes the poller watch for room for output too, once.
    fn watch_writable(&self) -> Result<(), Errno> {
        let Some(fd) = self.fd.get() else { return Ok(()) };
        let poller = &self.lp().inner().poller;
        let (key, generation) = (self.handle.key(), self.handle.generation());
        if !self.has(REGISTERED) {
            poller.register(fd, key, generation, true)?;
        } else if !self.has(REGISTERED_WRITABLE) {
            poller.register_writable(fd, key, generation)?;
        }
        self.set(REGISTERED | REGISTERED_WRITABLE);
        Ok(())
    }

    /// Leaves work to the next poll phase: law 6.
    fn push_ready(self: &Rc<Self>) {
        if !self.has(QUEUED) {
            self.set(QUEUED);
            self.lp().push_ready(Rc::clone(self) as Rc<dyn Node>);
        }
    }

    /// Leaves completions to the pending phase: law 1.
    fn feed(self: &Rc<Self>) {
        if !self.has(FED) {
            self.set(FED);
            self.lp().feed(Rc::clone(self) as Rc<dyn Node>);
        }
    }

    fn call(&self, call: impl FnOnce(&mut dyn StreamUpcall)) {
        self.tower.call(|tower| {
            if let Tower::Stream(upcall) = tower {
                call(&mut **upcall);
            }
        });
    }
}

impl Node for StreamNode {
    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn note(&self, readiness: Readiness) {
        if readiness.readable {
            self.set(MAYBE_READABLE);
        }
        if readiness.writable {
            self.set(MAYBE_WRITABLE);
        }
        if readiness.read_closed {
            self.set(PEER_CLOSED);
        }
    }

    fn on_ready(self: Rc<Self>) {
        self.clear(QUEUED);
        if self.handle.is_closing() {
            return;
        }
        if self.has(LISTENING) {
            return self.accept_turn();
        }
        if self.has(CONNECTING) {
            return self.connect_turn();
        }
        if self.has(READING) && self.has(MAYBE_READABLE) {
            self.read_turn();
        }
        if self.has(MAYBE_WRITABLE) && !self.handle.is_closing() {
            self.write_turn();
        }
    }

    fn on_pending(self: Rc<Self>) {
        self.clear(FED);
        self.report();
        if self.has(NOTIFIED) && !self.handle.is_closing() {
            self.clear(NOTIFIED);
            self.call(|upcall| upcall.on_notify());
        }
    }

    fn begin_close(&self) {
        // CONNECTING stays: the connect is still to be reported as cancelled.
        self.clear(READING | LISTENING | READABLE | WRITABLE);
        if let Some(fd) = self.fd.get()
            && self.has(REGISTERED)
            && self.has(SHARED)
        {
            // Elsewhere the descriptor's own close ends the registration: one system call less.
            self.lp().inner().poller.deregister(fd);
        }
        let extra = self.extra.take();
        if let Some(path) = extra.as_ref().and_then(|extra| extra.path.as_ref()) {
            // Before the close, so that nobody connects to a socket that is about to vanish. Gone already is fine.
            let _ = std::fs::remove_file(path);
        }
        // What `connect` was about is still wanted for its report.
        let target = extra.and_then(|mut extra| extra.target.take());
        if target.is_some() {
            self.with_extra(|extra| extra.target = target);
        }
        drop(self.fd.take());
    }

    fn finish_close(self: Rc<Self>) {
        self.cancel();
        self.tower.call(|tower| match tower {
            Tower::Stream(upcall) => upcall.on_close(),
            Tower::Accept(upcall) => upcall.on_close(),
        });
    }

    fn drop_tower(&self) {
        drop(self.tower.take());
        drop(self.extra.take());
        self.forget_output();
    }

    fn descriptor(&self) -> Option<i32> {
        self.fd.get()
    }
}

impl Deref for Stream {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0.handle
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("kind", &self.kind())
            .field("fd", &self.0.fd.get())
            .field("readable", &self.is_readable())
            .field("writable", &self.is_writable())
            .finish_non_exhaustive()
    }
}
