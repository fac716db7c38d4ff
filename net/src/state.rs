//! The state of a socket: a word of flags, and a box for rare state, so that an idle connection is small. Mirrors the
//! fields of `net.Socket` and of its `_readableState` and `_writableState`.

use crate::abort::Registration;
use crate::linger::Lingering;
use crate::listening::Listening;
use crate::names::Connecting;
use crate::timeout::IdleTimeout;
use crate::{Address, Error, ErrorCode};
use async_wrap::AsyncStream;
use async_wrap::layer::{ColdCell, FlagCell, FlagKind, Flags};
use std::rc::{Rc, Weak};

pub(crate) struct SocketInner {
    pub(crate) stream: AsyncStream,
    /// Weak: the socket's tower owns it, so that it is dropped with the loop although programs keep sockets.
    pub(crate) server: Weak<Listening>,
    pub(crate) cold: ColdCell<Cold>,
    pub(crate) high_water_mark: u32,
    flags: FlagCell<SocketKind>,
}

/// Part of the memory budget of an idle connection.
const _: () = assert!(size_of::<SocketInner>() <= 32);

/// The state of a socket (`socket.readyState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyState {
    /// Connecting.
    Opening,
    /// Both directions are open.
    Open,
    /// Only reading is possible.
    ReadOnly,
    /// Only writing is possible.
    WriteOnly,
    /// Both directions have ended, or the socket is destroyed.
    Closed,
}

/// The rare state of a socket.
#[derive(Default)]
pub(crate) struct Cold {
    /// Why the socket was destroyed, until `on_error` reports it.
    pub(crate) error: Option<Error>,
    /// The peer's address once it was requested: it stays available after the close.
    pub(crate) remote: Option<Address>,
    pub(crate) idle: Option<IdleTimeout>,
    pub(crate) lingering: Option<Box<Lingering>>,
    pub(crate) connecting: Option<Box<Connecting>>,
    /// Where an abort finds the socket.
    pub(crate) abort: Option<Registration>,
    /// The error of a failed write, on a socket that is read on.
    pub(crate) write_error: Option<Error>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketKind;

impl FlagKind for SocketKind {
    type Bits = u32;
}

pub(crate) type SocketFlags = Flags<SocketKind>;

pub(crate) const CONNECTING: SocketFlags = Flags::bit(0);
/// `end` was called.
pub(crate) const ENDED: SocketFlags = Flags::bit(1);
/// This side's FIN is sent, if it can be.
pub(crate) const FINISHED: SocketFlags = Flags::bit(2);
/// The peer's FIN has arrived.
pub(crate) const PEER_ENDED: SocketFlags = Flags::bit(3);
pub(crate) const DESTROYED: SocketFlags = Flags::bit(4);
pub(crate) const PAUSED: SocketFlags = Flags::bit(5);
/// The peer's FIN does not end this side (`allowHalfOpen`).
pub(crate) const HALF_OPEN: SocketFlags = Flags::bit(6);
/// A write returned `false`: an `on_drain` is pending.
pub(crate) const NEED_DRAIN: SocketFlags = Flags::bit(7);
/// The socket has a handler.
pub(crate) const HAS_HANDLER: SocketFlags = Flags::bit(8);
/// Destroy the socket once the FIN is sent and the peer has acknowledged everything.
pub(crate) const DESTROY_SOON: SocketFlags = Flags::bit(9);
pub(crate) const HAD_ERROR: SocketFlags = Flags::bit(10);
/// The peer's FIN has ended this side: the errors of writes tell this.
pub(crate) const ENDED_BY_PEER: SocketFlags = Flags::bit(11);
/// The idle timer has fired: an `on_timeout` is pending.
pub(crate) const TIMED_OUT: SocketFlags = Flags::bit(12);
/// An `on_notify` is pending.
pub(crate) const NOTIFIED: SocketFlags = Flags::bit(13);
/// The socket ended without a FIN: an `on_finish` is pending.
pub(crate) const FINISH_PENDING: SocketFlags = Flags::bit(14);
/// An inactivity timeout is set.
pub(crate) const TIMED: SocketFlags = Flags::bit(15);
/// The socket was accepted and waits for its handler.
pub(crate) const AWAITS_HANDLER: SocketFlags = Flags::bit(16);
/// One handle of a held socket does not belong to the program.
pub(crate) const SHARED: SocketFlags = Flags::bit(17);
/// The socket was closed while it waited for its handler.
pub(crate) const CLOSE_UNREPORTED: SocketFlags = Flags::bit(18);
/// The socket connects by name.
pub(crate) const NAMED: SocketFlags = Flags::bit(19);
/// There is news of a connect by name.
pub(crate) const CONNECT_NEWS: SocketFlags = Flags::bit(20);
/// An abort may end the socket.
pub(crate) const ABORTABLE: SocketFlags = Flags::bit(21);

/// The program pulls: the loop reads nothing.
pub(crate) const PULLED: SocketFlags = Flags::bit(22);

/// After a failed write the socket is read on.
pub(crate) const READS_ON: SocketFlags = Flags::bit(23);

/// A pending call of the handler, made by an `on_notify` of the stream.
pub(crate) enum Due {
    Finish,
    Timeout,
    /// A step of a connect by name.
    Connecting,
    Notify,
}

impl SocketInner {
    pub(crate) fn new(
        stream: AsyncStream,
        flags: SocketFlags,
        high_water_mark: usize,
        server: Weak<Listening>,
    ) -> Self {
        Self {
            stream,
            server,
            cold: ColdCell::empty(),
            high_water_mark: u32::try_from(high_water_mark).unwrap_or(u32::MAX),
            flags: FlagCell::new(flags),
        }
    }

    /// Whether any of `flags` is set.
    pub(crate) fn has(&self, flags: SocketFlags) -> bool {
        self.flags.has(flags)
    }

    pub(crate) fn set(&self, flags: SocketFlags) {
        self.flags.set(flags);
    }

    pub(crate) fn clear(&self, flags: SocketFlags) {
        self.flags.clear(flags);
    }

    /// Clears the flag. Returns whether it was set.
    pub(crate) fn take(&self, flag: SocketFlags) -> bool {
        self.flags.take(flag)
    }

    /// Takes the next pending call. Each `on_notify` makes one call and requests another if more are pending: a handler
    /// that a call replaces or destroys does not get the next.
    pub(crate) fn take_due(&self) -> Option<Due> {
        let due = if self.take(FINISH_PENDING) {
            Due::Finish
        } else if self.take(TIMED_OUT) {
            Due::Timeout
        } else if self.take(CONNECT_NEWS) {
            Due::Connecting
        } else if self.take(NOTIFIED) {
            return Some(Due::Notify);
        } else {
            return None;
        };
        if self.has(TIMED_OUT | CONNECT_NEWS | NOTIFIED) {
            self.stream.notify();
        }
        Some(due)
    }

    /// Records that data was read or written.
    #[inline]
    pub(crate) fn refresh_timeout(self: &Rc<Self>) {
        if self.has(TIMED) {
            IdleTimeout::refresh(self);
        }
    }

    /// Drops the timers of a destroyed socket, a connect by name, and the place in the list of an abort.
    #[inline]
    pub(crate) fn drop_timers(&self) {
        if self.has(TIMED | DESTROY_SOON | NAMED | ABORTABLE) {
            Connecting::drop_of(self);
            IdleTimeout::drop_of(self);
            Lingering::drop_of(self);
            drop(self.cold.peek(|cold| cold.abort.take()));
        }
    }

    /// Marks the socket as destroyed. Returns whether it was not.
    pub(crate) fn begin_destroy(&self) -> bool {
        let begins = !self.has(DESTROYED);
        if begins {
            self.set(DESTROYED);
            self.drop_timers();
        }
        begins
    }

    /// Keeps the reason of a destruction for `on_error`.
    pub(crate) fn keep_error(&self, error: Error) {
        self.set(HAD_ERROR);
        self.cold.with(|cold| cold.error = Some(error));
    }

    /// Whether the socket only waits for its peer: its handler gets no further call before `on_close`.
    pub(crate) fn is_lingering(&self) -> bool {
        self.has(DESTROY_SOON) && self.has(FINISHED)
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        match (self.has(DESTROYED), self.has(CONNECTING), self.has(PEER_ENDED), self.has(ENDED)) {
            (true, ..) | (_, _, true, true) => ReadyState::Closed,
            (_, true, ..) => ReadyState::Opening,
            (_, _, true, false) => ReadyState::WriteOnly,
            (_, _, false, true) => ReadyState::ReadOnly,
            (_, _, false, false) => ReadyState::Open,
        }
    }

    /// Sends the FIN when the kernel has taken all written data.
    pub(crate) fn shut_down(&self) {
        if self.stream.shutdown().is_err() {
            // There is no connection to send a FIN on, which as in Node (ENOTCONN) counts as sent.
            self.set(FINISH_PENDING);
            self.stream.notify();
        }
    }

    /// Whether `on_drain` is due: it is pending, and the kernel has taken everything. As in Node, not after `end`.
    pub(crate) fn takes_drain(&self) -> bool {
        !self.has(DESTROYED | ENDED) && self.stream.write_queue_size() == 0 && self.take(NEED_DRAIN)
    }

    /// The error of a write that is not possible.
    #[cold]
    pub(crate) fn write_refused(&self) -> Error {
        if self.has(DESTROYED) {
            // A socket that was destroyed while connecting keeps the flag.
            if self.has(CONNECTING) {
                let message = "write: the socket was closed before the connection was established";
                return Error::new(ErrorCode::SocketClosedBeforeConnection, message);
            }
            return Error::closed("write: the socket is closed");
        }
        if let Some(error) = self.cold.peek(|cold| cold.write_error.clone()).flatten() {
            return error;
        }
        if self.has(ENDED_BY_PEER) {
            return Error::new(
                ErrorCode::EndedByPeer,
                "write: this socket has been ended by the other party",
            );
        }
        Error::new(ErrorCode::WriteAfterEnd, "write: the socket has ended")
    }
}
