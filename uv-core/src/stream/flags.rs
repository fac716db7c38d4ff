//! The flags of a stream.

use crate::layer::{FlagKind, Flags};

#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamKind;

/// Two bytes: an idle connection has no room for more.
impl FlagKind for StreamKind {
    type Bits = u16;
}

pub(crate) type StreamFlags = Flags<StreamKind>;

/// The stream can be read from.
pub(crate) const READABLE: StreamFlags = Flags::bit(0);
/// The stream can be written to.
pub(crate) const WRITABLE: StreamFlags = Flags::bit(1);
pub(super) const READING: StreamFlags = Flags::bit(2);
pub(super) const CONNECTING: StreamFlags = Flags::bit(3);
/// The socket has an address: a second `bind` is an error.
pub(crate) const BOUND: StreamFlags = Flags::bit(4);
/// `shutdown` was called.
pub(super) const SHUTTING: StreamFlags = Flags::bit(5);
/// The open file may outlive this descriptor, in another process or under another number.
pub(crate) const SHARED: StreamFlags = Flags::bit(6);
/// A socket rather than a pipe, a terminal or a file.
pub(crate) const SOCKET: StreamFlags = Flags::bit(7);
/// A Unix socket that may carry descriptors.
pub(crate) const IPC: StreamFlags = Flags::bit(8);
/// A queued write failed: the writes behind it wait for the close.
pub(super) const BROKEN: StreamFlags = Flags::bit(9);
/// An `on_notify` is pending.
pub(super) const NOTIFIED: StreamFlags = Flags::bit(10);
/// A socket in blocking mode: its writes block until the kernel has taken everything.
pub(super) const WAITING: StreamFlags = Flags::bit(11);
/// The peer's FIN was reported, read or not.
pub(super) const END_TOLD: StreamFlags = Flags::bit(12);
/// The handle is in the still-ready set.
pub(super) const QUEUED: StreamFlags = Flags::bit(13);
/// A guard surrounds the next event. Next to `QUEUED`, because one test looks at both.
pub(super) const AROUND: StreamFlags = Flags::bit(14);
/// The handle is in the pending queue.
pub(super) const FED: StreamFlags = Flags::bit(15);

/// The poller's interest in a descriptor. It only grows: a stream is registered once, and a second time if it ever has
/// to wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registration {
    None,
    Read,
    ReadWrite,
}
