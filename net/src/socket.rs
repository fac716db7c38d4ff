//! A connection: reading with pauses, writing with a high-water mark, and an orderly end. Mirrors `net.Socket`.

use crate::server::ServerState;
use crate::timeout::IdleTimeout;
use crate::tower::{SocketTower, Unclaimed};
use crate::upcall::SocketHandler;
use crate::{Address, Error, ErrorCode, Result, ServerOptions};
use async_wrap::{AsyncId, AsyncStream, Environment};
use bytes::Bytes;
use std::cell::Cell;
use std::fmt;
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;
use tcp_wrap::{KeepAlive, Written};

/// A connection, or one in the making (`net.Socket`). A cheap clone. One object is one connection: to connect again,
/// make another.
#[derive(Clone)]
pub struct Socket(pub(crate) Rc<SocketState>);

pub(crate) struct SocketState {
    pub(crate) stream: AsyncStream,
    server: Option<Rc<ServerState>>,
    flags: Cell<u16>,
    high_water_mark: u32,
    /// Why the socket was destroyed, until `on_error` says it.
    error: Cell<Option<Box<Error>>>,
    /// The peer's address once it was asked for: it outlives the connection.
    remote: Cell<Option<Box<Address>>>,
    pub(crate) idle: Cell<Option<Box<IdleTimeout>>>,
}

/// How far a socket is (`socket.readyState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyState {
    /// Connecting.
    Opening,
    /// Both directions are open.
    Open,
    /// Only reading is left.
    ReadOnly,
    /// Only writing is left.
    WriteOnly,
    /// Neither, or destroyed.
    Closed,
}

pub(crate) const CONNECTING: u16 = 1;
/// `end` was called.
const ENDED: u16 = 1 << 1;
/// Our FIN is sent.
const FINISHED: u16 = 1 << 2;
/// The peer's FIN came.
const PEER_ENDED: u16 = 1 << 3;
const DESTROYED: u16 = 1 << 4;
const PAUSED: u16 = 1 << 5;
const HALF_OPEN: u16 = 1 << 6;
/// A write said `false`: `on_drain` is owed.
const NEED_DRAIN: u16 = 1 << 7;
/// A handler stands on the stream.
const CLAIMED: u16 = 1 << 8;
/// Destroy once the FIN is sent.
const DESTROY_SOON: u16 = 1 << 9;
const HAD_ERROR: u16 = 1 << 10;
/// The end was the peer's doing: writes say so.
const ENDED_BY_PEER: u16 = 1 << 11;
/// The idle timer ran out: `on_timeout` is owed.
const TIMED_OUT: u16 = 1 << 12;
/// An `on_notify` is owed.
const NOTIFIED: u16 = 1 << 13;

impl Socket {
    pub(crate) fn accepted(stream: AsyncStream, options: &ServerOptions, server: Rc<ServerState>) -> Self {
        let mut flags = 0;
        if options.allow_half_open {
            flags |= HALF_OPEN;
        }
        if options.pause_on_connect {
            flags |= PAUSED;
        }
        Self::make(stream, flags, options.high_water_mark, Some(server))
    }

    pub(crate) fn connecting(stream: AsyncStream, half_open: bool, high_water_mark: usize) -> Self {
        let flags = CONNECTING | if half_open { HALF_OPEN } else { 0 };
        Self::make(stream, flags, high_water_mark, None)
    }

    fn make(
        stream: AsyncStream,
        flags: u16,
        high_water_mark: usize,
        server: Option<Rc<ServerState>>,
    ) -> Self {
        Self(Rc::new(SocketState {
            stream,
            server,
            flags: Cell::new(flags),
            high_water_mark: u32::try_from(high_water_mark).unwrap_or(u32::MAX),
            error: Cell::new(None),
            remote: Cell::new(None),
            idle: Cell::new(None),
        }))
    }

    /// Sets the handler; the socket reads from now on, unless it is paused. One set during an upcall takes over after
    /// it, and the old one is dropped.
    pub fn set_handler(&self, handler: impl SocketHandler + 'static) {
        self.0.set(CLAIMED);
        self.0.stream.set_handler(SocketTower::new(self.clone(), handler));
        self.read_unless_paused();
    }

    /// Destroys the socket unless [`set_handler`](Self::set_handler) was called since
    /// [`release`](Self::release): for a layer that hands the socket over to somebody who may not want it.
    pub fn destroy_unless_handled(&self) {
        self.destroy_if_unclaimed();
    }

    /// Says that the present handler gives the socket up.
    pub fn release(&self) {
        self.0.clear(CLAIMED);
    }

    pub(crate) fn destroy_if_unclaimed(&self) {
        if !self.0.has(CLAIMED) {
            // The server still has to learn that the connection is gone.
            self.0.set(CLAIMED);
            self.0.stream.set_handler(SocketTower::new(self.clone(), Unclaimed));
            self.destroy();
        }
    }

    pub(crate) fn read_unless_paused(&self) {
        if !self.0.has(PAUSED | DESTROYED | CONNECTING | PEER_ENDED) {
            // Refused only if the stream reads already, or can no longer be read.
            let _ = self.0.stream.read_start();
        }
    }

    /// Stops reading: what the peer sends stays in the kernel. Idempotent.
    pub fn pause(&self) {
        self.0.set(PAUSED);
        self.0.stream.read_stop();
    }

    /// Reads again after `pause`. Idempotent.
    pub fn resume(&self) {
        self.0.clear(PAUSED);
        self.read_unless_paused();
    }

    /// Whether `pause` was called last.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.has(PAUSED)
    }

    /// Writes `data`: at once what the kernel takes, a copy of the rest later. Returns whether more is welcome; after
    /// `false` wait for `on_drain`. Unlike Node, data that is already with the kernel counts for nothing.
    ///
    /// # Errors
    /// `SocketClosed`, `WriteAfterEnd`, `EndedByPeer`; if the system refuses, that destroys the socket and is
    /// reported by `on_error` too.
    pub fn write(&self, data: &[u8]) -> Result<bool> {
        self.check_writable()?;
        self.wrote(self.0.stream.write(data))
    }

    /// Like [`write`](Self::write); the rest is not copied.
    ///
    /// # Errors
    /// As for `write`.
    pub fn write_bytes(&self, data: Bytes) -> Result<bool> {
        self.check_writable()?;
        self.wrote(self.0.stream.write_bytes(data))
    }

    /// Like [`write`](Self::write), with several buffers in one system call.
    ///
    /// # Errors
    /// As for `write`.
    pub fn writev(&self, data: &[IoSlice<'_>]) -> Result<bool> {
        self.check_writable()?;
        self.wrote(self.0.stream.writev(data))
    }

    fn check_writable(&self) -> Result<()> {
        if !self.0.has(DESTROYED | ENDED) {
            return Ok(());
        }
        Err(if self.0.has(DESTROYED) {
            Error::closed()
        } else if self.0.has(ENDED_BY_PEER) {
            Error::new(ErrorCode::EndedByPeer, "write: this socket has been ended by the other party")
        } else {
            Error::new(ErrorCode::WriteAfterEnd, "write: the socket has ended")
        })
    }

    fn wrote(&self, result: Result<Written, tcp_wrap::Error>) -> Result<bool> {
        match result {
            Ok(Written { later: 0, .. }) => {
                self.0.refresh_timeout();
                Ok(true)
            }
            Ok(_) => {
                self.0.refresh_timeout();
                let more = self.buffered() < self.0.high_water_mark as usize;
                if !more {
                    self.0.set(NEED_DRAIN);
                }
                Ok(more)
            }
            Err(error) => {
                let error = Error::from(error);
                self.destroy_with(error.clone());
                Err(error)
            }
        }
    }

    /// Finishes writing: a FIN follows what was written (`socket.end`). Idempotent.
    pub fn end(&self) {
        if self.0.has(ENDED | DESTROYED) {
            return;
        }
        self.0.set(ENDED);
        if !self.0.has(CONNECTING) {
            self.0.shut_down();
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

    /// Closes the connection at once; what waits to be written is lost. `on_close` follows. Idempotent.
    pub fn destroy(&self) {
        if !self.0.has(DESTROYED) {
            self.0.set(DESTROYED);
            self.0.drop_timeout();
            self.0.stream.close();
        }
    }

    /// Like [`destroy`](Self::destroy), with the reason for `on_error`.
    pub fn destroy_with(&self, error: Error) {
        if !self.0.has(DESTROYED) {
            self.0.set(HAD_ERROR);
            self.0.error.set(Some(Box::new(error)));
            self.destroy();
        }
    }

    /// Finishes writing, then destroys the socket without waiting for the peer (`destroySoon`).
    pub fn destroy_soon(&self) {
        self.0.set(DESTROY_SOON);
        if self.0.has(FINISHED) {
            self.destroy();
        } else {
            self.end();
        }
    }

    /// Closes the connection with a reset (`resetAndDestroy`).
    ///
    /// # Errors
    /// `InvalidHandleType` for a Unix socket, `SocketClosed` once destroyed. While a FIN is on its way the connection
    /// is closed without a reset.
    pub fn reset_and_destroy(&self) -> Result<()> {
        if self.0.has(DESTROYED) {
            return Err(Error::closed());
        }
        if self.0.stream.as_tcp().is_none() {
            return Err(Error::new(ErrorCode::InvalidHandleType, "reset: this is no TCP connection"));
        }
        if self.0.stream.reset().is_ok() {
            self.0.set(DESTROYED);
            self.0.drop_timeout();
        } else {
            self.destroy();
        }
        Ok(())
    }

    /// Asks for an `on_notify`, soon and from the loop: how a layer above turns what it learned outside of this
    /// socket's upcalls into one of them.
    pub fn notify(&self) {
        self.0.set(NOTIFIED);
        self.0.stream.notify();
    }

    /// Calls `on_timeout` whenever nothing was read or written for this long; zero turns it off. The timer never keeps
    /// the loop alive, and costs nothing per read or write but a look at the loop's clock.
    pub fn set_timeout(&self, after: Duration) {
        if !self.0.has(DESTROYED) {
            IdleTimeout::set(&self.0, after);
        }
    }

    /// Sends small segments at once.
    ///
    /// # Errors
    /// `InvalidHandleType` for a Unix socket; the system's refusal.
    pub fn set_no_delay(&self, on: bool) -> Result<()> {
        Ok(self.tcp()?.set_nodelay(on)?)
    }

    /// Lets the kernel probe the connection after this much silence, in whole seconds.
    ///
    /// # Errors
    /// `InvalidHandleType` for a Unix socket; the system's refusal.
    pub fn set_keep_alive(&self, idle: Option<Duration>) -> Result<()> {
        let probe = idle.map(|idle| KeepAlive::after(idle.max(Duration::from_secs(1))));
        Ok(self.tcp()?.set_keepalive(probe)?)
    }

    fn tcp(&self) -> Result<tcp_wrap::TcpWrap> {
        let none = Error::new(ErrorCode::InvalidHandleType, "this is no TCP connection");
        self.0.stream.as_tcp().ok_or(none)
    }

    /// This side's address, while there is one.
    #[must_use]
    pub fn local_address(&self) -> Option<Address> {
        Address::local(&self.0.stream)
    }

    /// The peer's address. Once asked for it is remembered: it stays when the connection is gone.
    #[must_use]
    pub fn remote_address(&self) -> Option<Address> {
        let known = self.0.remote.take().or_else(|| Address::peer(&self.0.stream).map(Box::new));
        let address = known.as_deref().cloned();
        self.0.remote.set(known);
        address
    }

    /// Bytes received so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.0.stream.bytes_read()
    }

    /// Bytes written so far, those that still wait included.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.0.stream.bytes_written()
    }

    /// Bytes that wait to be taken by the kernel (`writableLength`).
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.0.stream.write_queue_size()
    }

    /// The mark at which `write` begins to say `false`.
    #[must_use]
    pub fn high_water_mark(&self) -> usize {
        self.0.high_water_mark as usize
    }

    /// How far the socket is.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        match (self.0.has(DESTROYED), self.0.has(CONNECTING), self.0.has(PEER_ENDED), self.0.has(ENDED)) {
            (true, ..) | (_, _, true, true) => ReadyState::Closed,
            (_, true, ..) => ReadyState::Opening,
            (_, _, true, false) => ReadyState::WriteOnly,
            (_, _, false, true) => ReadyState::ReadOnly,
            (_, _, false, false) => ReadyState::Open,
        }
    }

    /// Whether the socket was destroyed.
    #[must_use]
    pub fn is_destroyed(&self) -> bool {
        self.0.has(DESTROYED)
    }

    /// Whether the peer has finished sending.
    #[must_use]
    pub fn is_ended_by_peer(&self) -> bool {
        self.0.has(PEER_ENDED)
    }

    /// Lets the socket keep its loop alive.
    pub fn ref_(&self) {
        self.0.stream.ref_();
    }

    /// Lets the loop end although the socket is open.
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

/// What the tower asks and tells; see there for when.
impl SocketState {
    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }

    pub(crate) fn set(&self, flag: u16) {
        self.flags.set(self.flags.get() | flag);
    }

    pub(crate) fn clear(&self, flag: u16) {
        self.flags.set(self.flags.get() & !flag);
    }

    fn take(&self, flag: u16) -> bool {
        let had = self.has(flag);
        self.clear(flag);
        had
    }

    pub(crate) fn is_destroyed(&self) -> bool {
        self.has(DESTROYED)
    }

    pub(crate) fn shut_down(&self) {
        if self.stream.shutdown().is_err() {
            // As in Node, ENOTCONN is as good as done: the connection is gone, and reading will say so.
            self.set(FINISHED);
        }
    }

    pub(crate) fn take_ended(&self) -> bool {
        self.has(ENDED)
    }

    pub(crate) fn set_finished(&self) {
        self.set(FINISHED);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.has(FINISHED)
    }

    pub(crate) fn set_peer_ended(&self) {
        self.set(PEER_ENDED);
    }

    pub(crate) fn set_ended_by_peer(&self) {
        if !self.has(ENDED) {
            self.set(ENDED_BY_PEER);
        }
    }

    pub(crate) fn allows_half_open(&self) -> bool {
        self.has(HALF_OPEN)
    }

    /// Whether nothing more can happen: both directions ended, or only ours was waited for.
    pub(crate) fn is_done(&self) -> bool {
        self.has(FINISHED) && (self.has(PEER_ENDED) || self.has(DESTROY_SOON))
    }

    pub(crate) fn take_drain_owed(&self) -> bool {
        self.stream.write_queue_size() == 0 && self.take(NEED_DRAIN)
    }

    pub(crate) fn take_notified(&self) -> bool {
        self.take(NOTIFIED)
    }

    pub(crate) fn take_timed_out(&self) -> bool {
        self.take(TIMED_OUT)
    }

    pub(crate) fn set_timed_out(&self) {
        self.set(TIMED_OUT);
    }

    pub(crate) fn take_error(&self) -> Option<Box<Error>> {
        self.error.take()
    }

    pub(crate) fn had_error(&self) -> bool {
        self.has(HAD_ERROR)
    }

    /// The connection is gone: its server may take another, or close.
    pub(crate) fn leave_server(&self) {
        self.set(DESTROYED);
        if let Some(server) = &self.server {
            server.connection_closed();
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("state", &self.ready_state())
            .field("stream", &self.0.stream)
            .finish_non_exhaustive()
    }
}
