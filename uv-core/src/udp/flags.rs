//! The flags of a socket of datagrams.

use crate::layer::{FlagKind, Flags};

#[derive(Clone, Copy, Debug)]
pub(crate) struct UdpKind;

impl FlagKind for UdpKind {
    type Bits = u32;
}

pub(super) type UdpFlags = Flags<UdpKind>;

/// The socket has an address: a second `bind` is an error.
pub(super) const BOUND: UdpFlags = Flags::bit(0);
/// The socket has a peer.
pub(super) const CONNECTED: UdpFlags = Flags::bit(1);
/// The peer's address is of IPv4.
pub(super) const PEER_V4: UdpFlags = Flags::bit(2);
pub(super) const RECEIVING: UdpFlags = Flags::bit(3);
/// A socket of IPv6, which may carry IPv4 as well.
pub(super) const IPV6: UdpFlags = Flags::bit(4);
/// The open file may outlive this descriptor, in another process or under another number.
pub(super) const SHARED: UdpFlags = Flags::bit(5);
/// The program has passed in a standard descriptor.
pub(super) const STANDARD: UdpFlags = Flags::bit(6);
/// The kernel keeps a queue of errors (`IP_RECVERR`).
pub(super) const ERROR_QUEUE: UdpFlags = Flags::bit(7);
/// The kernel tells more than the sender: the destination, ECN or a segment size.
pub(super) const TELLS: UdpFlags = Flags::bit(8);
/// The kernel may make one buffer of several datagrams.
pub(super) const GRO: UdpFlags = Flags::bit(9);
/// The kernel has refused a buffer of several datagrams: each leaves by itself.
pub(super) const SPLITS: UdpFlags = Flags::bit(10);
/// The queue waits for room in the kernel, or for the end of a pause.
pub(super) const BLOCKED: UdpFlags = Flags::bit(11);
/// An `on_notify` is pending.
pub(super) const NOTIFIED: UdpFlags = Flags::bit(12);
/// The handle is in the still-ready set.
pub(super) const QUEUED: UdpFlags = Flags::bit(13);
/// The handle is in the pending queue.
pub(super) const FED: UdpFlags = Flags::bit(14);
/// The poller watches the descriptor for input.
pub(super) const WATCHED: UdpFlags = Flags::bit(15);
/// The poller watches the descriptor for room as well.
pub(super) const WATCHED_WRITABLE: UdpFlags = Flags::bit(16);
/// Datagrams that were received wait for the next start.
pub(super) const KEPT: UdpFlags = Flags::bit(17);
