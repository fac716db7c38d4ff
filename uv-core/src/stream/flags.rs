//! What is true of a stream, a bit each. The bits are numbered by an enumeration, so that no two can be the same.

use crate::poller::Readiness;

enum Bit {
    Readable,
    Writable,
    Reading,
    Connecting,
    Listening,
    Bound,
    Shutting,
    Registered,
    RegisteredWritable,
    MaybeReadable,
    MaybeWritable,
    ReadOn,
    PeerEnded,
    Failed,
    Shared,
    Socket,
    Ipc,
    Broken,
    Held,
    Notified,
    Crowded,
    InputPaused,
    OutputPaused,
    Standard,
    Lent,
    Waiting,
    Queued,
    Fed,
    EndTold,
    Around,
}

impl Bit {
    const fn flag(self) -> u32 {
        1 << self as u32
    }
}

/// The stream may be read from.
pub(crate) const READABLE: u32 = Bit::Readable.flag();
/// The stream may be written to.
pub(crate) const WRITABLE: u32 = Bit::Writable.flag();
pub(super) const READING: u32 = Bit::Reading.flag();
pub(super) const CONNECTING: u32 = Bit::Connecting.flag();
pub(super) const LISTENING: u32 = Bit::Listening.flag();
/// The socket has an address: a second `bind` is an error.
pub(crate) const BOUND: u32 = Bit::Bound.flag();
/// `shutdown` was called.
pub(super) const SHUTTING: u32 = Bit::Shutting.flag();
/// The poller watches for input.
pub(super) const REGISTERED: u32 = Bit::Registered.flag();
/// The poller watches for writability too.
pub(super) const REGISTERED_WRITABLE: u32 = Bit::RegisteredWritable.flag();
/// There may be input, or connections, that no event will announce.
pub(super) const MAYBE_READABLE: u32 = Bit::MaybeReadable.flag();
/// There may be room for output that no event will announce.
pub(super) const MAYBE_WRITABLE: u32 = Bit::MaybeWritable.flag();
/// A short read is not the last one.
pub(super) const READ_ON: u32 = Bit::ReadOn.flag();
/// The peer has finished sending, or so it was when an event spoke of the stream last.
pub(super) const PEER_ENDED: u32 = Bit::PeerEnded.flag();
/// An event spoke of a failure.
pub(super) const FAILED: u32 = Bit::Failed.flag();
/// The open file may outlive this descriptor, in another process or under another number.
pub(crate) const SHARED: u32 = Bit::Shared.flag();
/// A socket, as opposed to a pipe, a terminal or a file.
pub(crate) const SOCKET: u32 = Bit::Socket.flag();
/// A Unix socket that may carry handles.
pub(crate) const IPC: u32 = Bit::Ipc.flag();
/// A queued write failed: the others behind it wait for the close.
pub(super) const BROKEN: u32 = Bit::Broken.flag();
/// The listener stands still until the announced connection is taken.
pub(super) const HELD: u32 = Bit::Held.flag();
/// An `on_notify` was asked for.
pub(super) const NOTIFIED: u32 = Bit::Notified.flag();
/// Connections come to this listener faster than its turns.
pub(super) const CROWDED: u32 = Bit::Crowded.flag();
/// Accepting or reading failed by a state of the system, and pauses.
pub(super) const INPUT_PAUSED: u32 = Bit::InputPaused.flag();
/// The same of writing.
pub(super) const OUTPUT_PAUSED: u32 = Bit::OutputPaused.flag();
/// The program gave a standard descriptor away.
pub(super) const STANDARD: u32 = Bit::Standard.flag();
/// The open file may be others' too and was made non-blocking for this stream: its mode is restored at close.
pub(crate) const LENT: u32 = Bit::Lent.flag();
/// A socket whose writes wait until everything is with the kernel.
pub(super) const WAITING: u32 = Bit::Waiting.flag();
/// The handle is in the still-ready set.
pub(super) const QUEUED: u32 = Bit::Queued.flag();
/// The handle is in the pending queue.
pub(super) const FED: u32 = Bit::Fed.flag();
/// The peer's end was told, be it read or not.
pub(super) const END_TOLD: u32 = Bit::EndTold.flag();
/// The turn of the next event is surrounded.
pub(super) const AROUND: u32 = Bit::Around.flag();

/// Where the flags lie that events set: as they lie in a [`Readiness`], from this bit on.
pub(super) const NOTED: u32 = Bit::MaybeReadable as u32;

const _: () = {
    assert!(MAYBE_READABLE == Readiness::READABLE << NOTED);
    assert!(MAYBE_WRITABLE == Readiness::WRITABLE << NOTED);
    assert!(READ_ON == Readiness::READ_ON << NOTED);
    assert!(PEER_ENDED == Readiness::PEER_ENDED << NOTED);
    assert!(FAILED == Readiness::FAILED << NOTED);
};
