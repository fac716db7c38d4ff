//! What a socket knows of itself: a word of flags, and what few sockets need in a box of its own, so that an idle
//! connection is small. Mirrors the fields of `net.Socket` and of its `_readableState` and `_writableState`.

use crate::linger::Lingering;
use crate::listening::Listening;
use crate::timeout::IdleTimeout;
use crate::{Address, Error, ErrorCode};
use async_wrap::AsyncStream;
use std::cell::Cell;
use std::rc::Weak;

pub(crate) struct SocketState {
    pub(crate) stream: AsyncStream,
    /// Weak: the socket's tower keeps it, so that it goes with the loop although users keep sockets.
    pub(crate) server: Weak<Listening>,
    rare: Cell<Option<Box<Rare>>>,
    pub(crate) high_water_mark: u32,
    flags: Cell<u32>,
}

/// Part of the memory budget of an idle connection.
const _: () = assert!(size_of::<SocketState>() <= 32);

/// What only some sockets need.
#[derive(Default)]
pub(crate) struct Rare {
    /// Why the socket was destroyed, until `on_error` says it.
    pub(crate) error: Option<Error>,
    /// The peer's address once it was asked for: it outlives the connection.
    pub(crate) remote: Option<Address>,
    pub(crate) idle: Option<IdleTimeout>,
    pub(crate) lingering: Option<Box<Lingering>>,
}

pub(crate) const CONNECTING: u32 = 1;
/// `end` was called.
pub(crate) const ENDED: u32 = 1 << 1;
/// Our FIN is sent, as far as it can be.
pub(crate) const FINISHED: u32 = 1 << 2;
/// The peer's FIN came.
pub(crate) const PEER_ENDED: u32 = 1 << 3;
pub(crate) const DESTROYED: u32 = 1 << 4;
pub(crate) const PAUSED: u32 = 1 << 5;
/// The peer's FIN does not end this side.
pub(crate) const HALF_OPEN: u32 = 1 << 6;
/// A write said `false`: `on_drain` is owed.
pub(crate) const NEED_DRAIN: u32 = 1 << 7;
/// A handler stands on the stream.
pub(crate) const CLAIMED: u32 = 1 << 8;
/// Destroy once the FIN is sent and the peer has everything.
pub(crate) const DESTROY_SOON: u32 = 1 << 9;
pub(crate) const HAD_ERROR: u32 = 1 << 10;
/// The end was the peer's doing: writes say so.
pub(crate) const ENDED_BY_PEER: u32 = 1 << 11;
/// The idle timer ran out: `on_timeout` is owed.
pub(crate) const TIMED_OUT: u32 = 1 << 12;
/// An `on_notify` is owed.
pub(crate) const NOTIFIED: u32 = 1 << 13;
/// An end that needed no FIN: `on_finish` is owed.
pub(crate) const FINISH_OWED: u32 = 1 << 14;
/// An inactivity timeout is set.
pub(crate) const TIMED: u32 = 1 << 15;
/// It was accepted, and its handler is waited for.
pub(crate) const HELD: u32 = 1 << 16;
/// One handle of a held socket is not the program's.
pub(crate) const SHARED: u32 = 1 << 17;
/// It was closed while its handler was waited for.
pub(crate) const UNHEARD: u32 = 1 << 18;

impl SocketState {
    pub(crate) fn new(
        stream: AsyncStream,
        flags: u32,
        high_water_mark: usize,
        server: Weak<Listening>,
    ) -> Self {
        Self {
            stream,
            server,
            rare: Cell::new(None),
            high_water_mark: u32::try_from(high_water_mark).unwrap_or(u32::MAX),
            flags: Cell::new(flags),
        }
    }

    /// Whether any of `flags` is set.
    pub(crate) fn has(&self, flags: u32) -> bool {
        self.flags.get() & flags != 0
    }

    pub(crate) fn set(&self, flags: u32) {
        self.flags.set(self.flags.get() | flags);
    }

    pub(crate) fn clear(&self, flags: u32) {
        self.flags.set(self.flags.get() & !flags);
    }

    /// Clears the flag. Returns whether it was set.
    pub(crate) fn take(&self, flag: u32) -> bool {
        let had = self.has(flag);
        self.clear(flag);
        had
    }

    /// Works on the box of rare state. `work` calls nobody.
    pub(crate) fn with_rare<R>(&self, work: impl FnOnce(&mut Rare) -> R) -> R {
        let mut rare = self.rare.take().unwrap_or_default();
        let result = work(&mut rare);
        self.rare.set(Some(rare));
        result
    }

    /// Like `with_rare`, for what there is nothing of in the common case.
    pub(crate) fn if_rare<R>(&self, work: impl FnOnce(&mut Rare) -> Option<R>) -> Option<R> {
        let mut rare = self.rare.take()?;
        let result = work(&mut rare);
        self.rare.set(Some(rare));
        result
    }

    /// Sends the FIN, once everything written is with the kernel.
    pub(crate) fn shut_down(&self) {
        if self.stream.shutdown().is_err() {
            // There is nothing to send a FIN to, which as in Node (ENOTCONN) is as good as a FIN.
            self.set(FINISH_OWED);
            self.stream.notify();
        }
    }

    /// Whether `on_drain` is due now: owed, and everything is with the kernel. As in Node not after `end`.
    pub(crate) fn takes_drain(&self) -> bool {
        !self.has(DESTROYED | ENDED) && self.stream.write_queue_size() == 0 && self.take(NEED_DRAIN)
    }

    /// Why nothing can be written.
    pub(crate) fn write_refused(&self) -> Error {
        if self.has(DESTROYED) {
            // One that was destroyed while it connected is connecting for ever.
            if self.has(CONNECTING) {
                let message = "write: the socket was closed before the connection was established";
                return Error::new(ErrorCode::SocketClosedBeforeConnection, message);
            }
            return Error::closed();
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
