//! The numbers by which a primary and its workers name what they share: a type for each, so that none can be taken for
//! another.

/// A worker: 1 for the first one of a primary, and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkerId(pub(crate) u32);

/// A listening socket of the primary. Never used again: a late message about a socket concerns no other socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SocketId(pub(crate) u32);

/// A batch of connections on their way to one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BatchId(pub(crate) u32);

/// A worker's request to listen, which its answer repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueryId(pub(crate) u32);
