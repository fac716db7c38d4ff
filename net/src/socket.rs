//! A connection: reading with pauses, writing with a high-water mark, and an orderly end. Mirrors `net.Socket`.

use crate::held::Held;
use crate::linger::Lingering;
use crate::listening::Listening;
use crate::names::Connecting;
use crate::query::probe_after;
use crate::state::{
    AWAITS_HANDLER, CLOSE_UNREPORTED, CONNECTING, DESTROY_SOON, DESTROYED, ENDED, FINISHED, HALF_OPEN,
    HAS_HANDLER, NAMED, NEED_DRAIN, NOTIFIED, PAUSED, PEER_ENDED, READS_ON, ReadyState, SocketInner,
};
use crate::timeout::IdleTimeout;
use crate::tower::{Discard, SocketTower};
use crate::upcall::SocketHandler;
use crate::uv_core;
use crate::{Address, Error, ErrorCode, LAYER, Result, ServerOptions};
use async_wrap::layer::trace::Facts;
use async_wrap::tcp_wrap::Written;
use async_wrap::{AsyncId, AsyncStream, Environment};
use bytes::Bytes;
use std::fmt;
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

/// A connection, or a connect in progress (`net.Socket`). Clones share it. A socket is one connection: to connect
/// again, create another socket.
///
/// ```
/// use net::async_wrap::Environment;
/// use net::upcall::SocketHandler;
/// use net::{ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
///
/// struct Client;
///
/// impl SocketHandler for Client {
///     fn on_connect(&mut self, socket: &Socket) {
///         // An error means that the peer has closed the connection.
///         let _ = socket.end_with(b"hello");
///     }
///
///     fn on_data(&mut self, _: &Socket, data: &[u8]) {
///         println!("{}", String::from_utf8_lossy(data));
///     }
/// }
///
/// let env = Environment::with_new_loop()?;
/// # let server = Server::new(&env, ServerOptions::default());
/// # server.listen_with(ListenOptions::addr(([127, 0, 0, 1], 0).into()), |server, socket| {
/// #     socket.destroy();
/// #     let _ = server.close();
/// # })?;
/// # let address = server.address().and_then(|address| address.as_tcp()).expect("it listens");
/// Socket::connect(&env, ConnectOptions::addr(address), Client)?;
/// env.run_to_end()?;
/// # Ok::<(), net::Error>(())
/// ```
#[derive(Clone)]
pub struct Socket(pub(crate) Rc<SocketInner>);

impl Socket {
    pub(crate) fn accepted(stream: AsyncStream, options: &ServerOptions, server: &Rc<Listening>) -> Self {
        let half_open = HALF_OPEN.when(options.allow_half_open);
        let paused = PAUSED.when(options.pause_on_connect);
        let server = Rc::downgrade(server);
        Self(Rc::new(SocketInner::new(stream, half_open | paused, options.high_water_mark, server)))
    }

    /// Sets the handler and drops the old one; the socket reads from now on, unless it is paused. During an upcall the
    /// change takes effect when the upcall returns. An accepted socket may get its first handler later, as long as the
    /// program keeps a handle: it is not read until then, and if it has closed meanwhile, the handler is told.
    pub fn set_handler(&self, handler: impl SocketHandler + 'static) {
        let _down = LAYER.down("Socket::set_handler", || self.facts());
        self.0.set(HAS_HANDLER);
        let is_held = self.0.has(AWAITS_HANDLER | CLOSE_UNREPORTED);
        let handler = if is_held { Held::end(self, handler) } else { Some(handler) };
        let Some(handler) = handler else { return };
        self.0.stream.set_handler(SocketTower::new(self.clone(), handler));
        self.read_unless_paused();
    }

    /// Destroys the socket unless [`set_handler`](Self::set_handler) was called since [`release`](Self::release). If
    /// data was written, it is destroyed by [`destroy_soon`](Self::destroy_soon). For a layer that passes the socket to
    /// a program which may not use it.
    pub fn destroy_unless_handled(&self) {
        if !self.0.has(HAS_HANDLER) {
            // The server has to be told that the connection is closed.
            self.set_handler(Discard);
            if self.bytes_written() > 0 { self.destroy_soon() } else { self.destroy() }
        }
    }

    /// Destroys the socket unless it has a handler or the program keeps a handle to it: then it waits for a handler.
    /// `own` is the number of handles that do not belong to the program; one of them may last as long as the socket.
    pub fn destroy_unless_held(&self, own: usize) {
        if !self.0.has(HAS_HANDLER) && Rc::strong_count(&self.0) > own {
            Held::begin(self, own);
        } else {
            self.destroy_unless_handled();
        }
    }

    /// Releases the socket from its handler, with its pending notification. The handler stays until another is set.
    pub fn release(&self) {
        self.0.clear(HAS_HANDLER | NOTIFIED);
    }

    /// Writes `data`: the kernel takes what fits now, and a copy of the rest is queued. Returns `false` if the
    /// high-water mark is reached; wait for `on_drain` then. Unlike in Node, data that the kernel has taken does not
    /// count.
    ///
    /// # Errors
    /// `SocketClosed`, `WriteAfterEnd`, `EndedByPeer`; any error of the system call, which also destroys the socket and
    /// is reported by `on_error`.
    #[inline]
    pub fn write(&self, data: &[u8]) -> Result<bool> {
        let _down = LAYER.down("Socket::write", || self.facts().bytes(data.len()));
        self.check_writable()?;
        self.wrote(self.0.stream.write(data))
    }

    /// Like [`write`](Self::write), but queues the rest without copying it.
    ///
    /// # Errors
    /// As for `write`.
    pub fn write_bytes(&self, data: Bytes) -> Result<bool> {
        let _down = LAYER.down("Socket::write_bytes", || self.facts().bytes(data.len()));
        self.check_writable()?;
        self.wrote(self.0.stream.write_bytes(data))
    }

    /// Like [`write`](Self::write), with several buffers in one system call.
    ///
    /// # Errors
    /// As for `write`.
    pub fn writev(&self, data: &[IoSlice<'_>]) -> Result<bool> {
        let _down = LAYER.down("Socket::writev", || self.facts().bytes(total(data)));
        self.check_writable()?;
        self.wrote(self.0.stream.writev(data))
    }

    /// Like [`writev`](Self::writev), for a buffer that many sockets share, between two of this one's: the rest of `data` is
    /// queued without copying it.
    ///
    /// # Errors
    /// As for `write`.
    pub fn write_shared(&self, front: &[u8], data: Bytes, back: &[u8]) -> Result<bool> {
        let _down = LAYER.down("Socket::write_shared", || self.facts().bytes(data.len()));
        self.check_writable()?;
        self.wrote(self.0.stream.write_shared(front, data, back))
    }

    /// The socket's facts for a trace record.
    pub(crate) fn facts(&self) -> Facts {
        self.0.stream.context().facts()
    }

    #[inline]
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.0.has(DESTROYED | ENDED) { Err(self.0.write_refused()) } else { Ok(()) }
    }

    #[inline]
    pub(crate) fn wrote(&self, result: Result<Written, uv_core::Error>) -> Result<bool> {
        match result {
            Ok(Written { now: 1.., later: 0 }) => {
                self.0.refresh_timeout();
                Ok(true)
            }
            result => self.wrote_less(result),
        }
    }

    /// The kernel did not take everything, or `data` is empty.
    #[inline(never)]
    fn wrote_less(&self, result: Result<Written, uv_core::Error>) -> Result<bool> {
        if let Err(error) = result {
            let error = Error::from(error);
            self.write_failed(error.clone());
            return Err(error);
        }
        self.0.refresh_timeout();
        let waiting = self.buffered();
        let is_full = waiting > 0 && waiting >= self.high_water_mark();
        if is_full {
            self.0.set(NEED_DRAIN);
        }
        Ok(!is_full)
    }

    /// Finishes writing: a FIN follows the queued data (`socket.end`). Idempotent.
    ///
    /// The socket stays open and keeps the loop alive until the peer has sent its FIN too, which may never happen: see
    /// [`destroy_soon`](Self::destroy_soon).
    pub fn end(&self) {
        let _down = LAYER.down("Socket::end", || self.facts());
        if !self.0.has(ENDED | DESTROYED) {
            self.0.set(ENDED);
            if !self.0.has(CONNECTING) {
                self.0.shut_down();
            }
        }
    }

    /// Writes `data` and finishes writing.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn end_with(&self, data: &[u8]) -> Result<()> {
        self.write(data)?;
        self.end();
        Ok(())
    }

    /// Closes the connection immediately; queued data is lost. `on_close` follows. Idempotent.
    pub fn destroy(&self) {
        let _down = LAYER.down("Socket::destroy", || self.facts());
        if self.0.begin_destroy() {
            self.0.stream.close();
        }
    }

    /// Like [`destroy`](Self::destroy), but sends the FIN before the close: then unread input does not turn the close
    /// into a reset before the peer has seen the end. For short answers, which the kernel has sent by then; for others
    /// use [`destroy_soon`](Self::destroy_soon).
    pub fn destroy_with_fin(&self) {
        let _down = LAYER.down("Socket::destroy_with_fin", || self.facts());
        if self.0.begin_destroy() {
            self.0.stream.close_with_fin();
        }
    }

    /// Like [`destroy`](Self::destroy), with an error for `on_error`.
    pub fn destroy_with(&self, error: Error) {
        if !self.0.has(DESTROYED) {
            self.0.keep_error(error);
            self.destroy();
        }
    }

    /// Queued data is lost, and a FIN would tell the peer that it has everything: so a TCP connection is closed with a
    /// reset.
    #[cold]
    pub(crate) fn break_with(&self, error: Error) {
        if !self.0.has(DESTROYED) {
            self.0.keep_error(error);
            if self.reset_and_destroy().is_err() {
                self.destroy();
            }
        }
    }

    /// A write has failed. On a socket that is read on, the peer's input and its end are still to come; any other socket is
    /// destroyed. Returns whether it is read on.
    #[cold]
    pub(crate) fn write_failed(&self, error: Error) -> bool {
        if !self.0.has(READS_ON) || self.0.has(DESTROYED | PEER_ENDED) {
            self.break_with(error);
            return false;
        }
        // Nothing more is sent, no FIN either: the peer's end is that of the socket.
        self.0.set(ENDED | FINISHED);
        self.0.cold.with(|cold| _ = cold.write_error.get_or_insert(error));
        true
    }

    /// Has `on_drain` called when the kernel has taken all queued data, although no write has returned `false`. Does nothing if
    /// nothing is queued.
    pub fn request_drain(&self) {
        if self.buffered() > 0 {
            self.0.set(NEED_DRAIN);
        }
    }

    /// Finishes writing, then destroys the socket without waiting for the peer's FIN (`destroySoon`).
    ///
    /// Unlike Node, it waits until the peer has acknowledged everything or has sent its FIN: if this side closes while
    /// the peer still sends, the kernel answers with a reset, which can cut data in flight. Input is discarded
    /// meanwhile. The wait lasts at most 5 s for a peer that neither sends nor acknowledges, 30 s for a peer that sends
    /// and does not acknowledge, and as long as a peer fetches at least 4 KiB per second.
    pub fn destroy_soon(&self) {
        self.0.set(DESTROY_SOON);
        if self.0.has(FINISHED) && !self.0.has(DESTROYED) {
            self.destroy_if_done();
        } else {
            self.end();
        }
    }

    /// Destroys the socket if no event can follow; if only the peer is outstanding, once it has acknowledged
    /// everything.
    pub(crate) fn destroy_if_done(&self) {
        if !self.0.has(FINISHED) {
            return;
        }
        if self.0.has(PEER_ENDED) {
            self.destroy();
        } else if self.0.has(DESTROY_SOON) {
            Lingering::begin(self);
        }
    }

    /// Closes the connection with a reset (`resetAndDestroy`). A connect in progress is cancelled; a connection whose
    /// FIN has just been sent is closed without a reset.
    ///
    /// # Errors
    /// `InvalidHandleType` for a Unix socket, `SocketClosed` once destroyed.
    pub fn reset_and_destroy(&self) -> Result<()> {
        let _down = LAYER.down("Socket::reset_and_destroy", || self.facts());
        if self.0.has(DESTROYED) {
            return Err(Error::closed("reset: the socket is closed"));
        }
        if !self.0.stream.is_tcp() {
            return Err(Error::new(ErrorCode::InvalidHandleType, "reset: this is not a TCP connection"));
        }
        if self.0.stream.reset().is_ok() {
            self.0.begin_destroy();
        } else {
            self.destroy();
        }
        Ok(())
    }

    /// Requests an `on_notify`, which the loop calls later. With it a layer above continues its work on this socket
    /// from an upcall rather than from a downcall.
    pub fn notify(&self) {
        let _down = LAYER.down("Socket::notify", || self.facts());
        self.0.set(NOTIFIED);
        self.0.stream.notify();
    }

    /// Calls `on_timeout` when nothing was read or written for this long, once for each such time; zero turns it off.
    /// The timer never keeps the loop alive, and a read or write only updates a timestamp. If the loop is late, input
    /// that arrived in time is read before the timeout is decided.
    pub fn set_timeout(&self, after: Duration) {
        if !self.0.has(DESTROYED) {
            IdleTimeout::set(&self.0, after);
        }
    }

    /// Sets `TCP_NODELAY`, so that small segments are sent without delay.
    ///
    /// # Errors
    /// `InvalidHandleType` for a Unix socket; any error of the system call.
    pub fn set_no_delay(&self, on: bool) -> Result<()> {
        if self.0.has(NAMED) {
            Connecting::change(&self.0, |options| options.no_delay = on);
            return Ok(());
        }
        Ok(self.tcp()?.set_nodelay(on)?)
    }

    /// Sets the idle time, in whole seconds, before the kernel's first keepalive probe; `None` turns probes off.
    ///
    /// # Errors
    /// `InvalidHandleType` for a Unix socket; any error of the system calls.
    pub fn set_keep_alive(&self, idle: Option<Duration>) -> Result<()> {
        if self.0.has(NAMED) {
            Connecting::change(&self.0, |options| options.keep_alive = idle);
            return Ok(());
        }
        Ok(self.tcp()?.set_keepalive(idle.map(probe_after))?)
    }

    /// The stream, if it is a TCP connection.
    fn tcp(&self) -> Result<&AsyncStream> {
        match self.0.stream.is_tcp() {
            true => Ok(&self.0.stream),
            false => Err(Error::new(ErrorCode::InvalidHandleType, "this is not a TCP connection")),
        }
    }

    /// This side's address, while the socket is open.
    #[must_use]
    pub fn local_address(&self) -> Option<Address> {
        Address::local(&self.0.stream)
    }

    /// The peer's address; `None` until the socket is connected. The first call stores it, so that it stays available
    /// after the close.
    #[must_use]
    pub fn remote_address(&self) -> Option<Address> {
        if self.0.has(CONNECTING) {
            return None;
        }
        self.0.cold.peek(|cold| cold.remote.clone()).flatten().or_else(|| {
            let address = Address::peer(&self.0.stream)?;
            self.0.cold.with(|cold| cold.remote = Some(address.clone()));
            Some(address)
        })
    }

    /// Bytes received so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.0.stream.bytes_read()
    }

    /// Bytes written so far, including those in the write queue.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.0.stream.bytes_written()
    }

    /// Bytes in the write queue, which the kernel has not taken yet (`writableLength`).
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.0.stream.write_queue_size()
    }

    /// Bytes that the peer has not acknowledged, including those in the write queue; a FIN counts as one. Costs a
    /// system call (`SIOCOUTQ`).
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.0.stream.unacknowledged().unwrap_or(0)
    }

    /// The number of queued bytes from which `write` returns `false`.
    #[must_use]
    pub fn high_water_mark(&self) -> usize {
        self.0.high_water_mark as usize
    }

    /// The state of the socket.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.0.ready_state()
    }

    /// Whether the socket is destroyed.
    #[must_use]
    pub fn is_destroyed(&self) -> bool {
        self.0.has(DESTROYED)
    }

    /// Whether the peer has sent its FIN.
    #[must_use]
    pub fn is_ended_by_peer(&self) -> bool {
        self.0.has(PEER_ENDED)
    }

    /// Makes the socket keep its loop alive. This is the default.
    pub fn ref_(&self) {
        self.0.stream.ref_();
    }

    /// Lets the loop end while the socket is open.
    pub fn unref(&self) {
        self.0.stream.unref();
    }

    /// The id of the socket's async context.
    #[must_use]
    pub fn async_id(&self) -> AsyncId {
        self.0.stream.async_id()
    }

    /// The wrapped stream beneath.
    #[must_use]
    pub fn stream(&self) -> &AsyncStream {
        &self.0.stream
    }

    /// The environment that the socket runs in.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        self.0.stream.environment()
    }
}

/// The number of bytes in all buffers.
fn total(data: &[IoSlice<'_>]) -> usize {
    data.iter().map(|part| part.len()).sum()
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("state", &self.ready_state())
            .field("stream", &self.0.stream)
            .finish_non_exhaustive()
    }
}
