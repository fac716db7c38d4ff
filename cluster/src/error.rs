//! Errors between processes: the system's refusals, and what the other side should not have sent.

use crate::channel::message::{MESSAGE_BYTES, ProtocolError};
use std::{fmt, io};

/// What a fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation of a primary or a worker. It becomes an [`io::Error`] by `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The system refused: a worker could not be started, a signal not sent, or a channel broke.
    System(uv_core::Error),
    /// A server or a socket failed, other than by the system's refusal. For programs that pass it on by `?`.
    Net(net::Error),
    /// The other side sent bytes that are no message. Its channel is closed, and a worker is killed.
    Protocol(ProtocolError),
    /// The primary was built with another version of this crate.
    Version {
        /// The version of the message format that the primary speaks.
        primary: u8,
    },
    /// This process was forked as a worker and cannot become one. It should end: if it went on as a primary, it would fork
    /// workers that fail likewise.
    Invitation(InvitationError),
    /// The channel to the other side is closed.
    Disconnected,
    /// A message of so many bytes is too long: the limit is one mebibyte.
    MessageTooLong(usize),
    /// A message of the other side's program was lost, because this process had no room for all of its descriptors.
    DescriptorsLost {
        /// Descriptors that were sent with it.
        announced: usize,
        /// How many of them arrived. They are closed.
        arrived: usize,
    },
    /// The scheduling policy cannot be changed after the first fork.
    PolicyFrozen,
}

/// Why a process that was forked as a worker cannot become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvitationError {
    /// The variables that a primary sets for a worker, `UPCALL_UNIQUE_ID` and `UPCALL_STDIN`, have other values.
    Variables,
    /// Standard input is not the socket that the primary made for this worker.
    Stdin,
    /// That socket is empty: the message with the channel was read before, or never sent.
    Empty,
    /// The message arrived without the channel, because this process had no descriptor left.
    NoChannel,
    /// The process forks workers of its own, and has not called [`Worker::from_env`](crate::Worker::from_env)
    /// successfully before.
    Unaccepted,
}

impl fmt::Display for InvitationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variables => "UPCALL_UNIQUE_ID or UPCALL_STDIN is not what a primary sets",
            Self::Stdin => "standard input is not the socket that the primary made",
            Self::Empty => "standard input holds no message",
            Self::NoChannel => "no descriptor was left for the channel",
            Self::Unaccepted => "it has not become a worker yet",
        })
    }
}

impl std::error::Error for InvitationError {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::Net(error) => error.fmt(f),
            Self::Protocol(error) => write!(f, "channel: {error}"),
            Self::Version { primary } => write!(f, "the primary speaks version {primary} of the protocol"),
            Self::Invitation(error @ InvitationError::Unaccepted) => {
                write!(f, "this process was forked as a worker, so it cannot fork: {error}")
            }
            Self::Invitation(error) => {
                write!(f, "this process was forked as a worker and cannot become one: {error}")
            }
            Self::Disconnected => f.write_str("the channel is closed"),
            Self::MessageTooLong(bytes) => {
                write!(f, "a message of {bytes} bytes is longer than {MESSAGE_BYTES}")
            }
            Self::DescriptorsLost { announced, arrived } => {
                write!(f, "a message is lost: {arrived} of its {announced} descriptors arrived")
            }
            Self::PolicyFrozen => f.write_str("the scheduling policy is fixed by the first fork"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            Self::Net(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::Invitation(error) => Some(error),
            _ => None,
        }
    }
}

impl From<uv_core::Error> for Error {
    fn from(error: uv_core::Error) -> Self {
        Self::System(error)
    }
}

impl From<net::Error> for Error {
    fn from(error: net::Error) -> Self {
        error.system().cloned().map_or(Self::Net(error), Self::System)
    }
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<InvitationError> for Error {
    fn from(error: InvitationError) -> Self {
        Self::Invitation(error)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::System(error) => error.into(),
            error => Self::other(error),
        }
    }
}
