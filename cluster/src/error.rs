//! What goes wrong between processes: the system's refusals, and what the other side should not have sent.

use crate::channel::message::{MESSAGE_BYTES, ProtocolError};
use std::fmt;

/// What a fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation of a primary or a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The system refused: a worker cannot be started, a signal not sent, a channel broke.
    System(uv_core::Error),
    /// The other side sent what is no message. Its channel is closed; a worker is killed.
    Protocol(ProtocolError),
    /// The primary is of another version of this crate.
    Version {
        /// The version of the message format that the primary speaks.
        primary: u8,
    },
    /// This process was forked as a worker and cannot become one. It is to end: as anything else, a primary above all,
    /// it would do what nobody asked it to.
    Invitation(InvitationError),
    /// There is no channel to the other side any more.
    Disconnected,
    /// A message of so many bytes is too long: the limit is one mebibyte.
    MessageTooLong(usize),
    /// A message of the other side's program was lost, because this process had no room for all of its descriptors.
    DescriptorsLost {
        /// Descriptors that were sent with it.
        announced: usize,
        /// Those of them that arrived, which are closed.
        arrived: usize,
    },
    /// The scheduling policy cannot be changed after the first fork.
    PolicyFrozen,
}

/// Why a process that was forked as a worker cannot become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvitationError {
    /// The variables that a primary sets for a worker, `UPCALL_UNIQUE_ID` and `UPCALL_STDIN`, are not as it sets them.
    Variables,
    /// Standard input is not the socket that the primary made for this worker.
    Stdin,
    /// That socket is empty: the message with the channel was read before, or never sent.
    Empty,
    /// The message came without the channel, for which this process had no descriptor left.
    NoChannel,
    /// The process calls for workers of its own, and has not called [`Worker::from_env`](crate::Worker::from_env) yet,
    /// or not successfully.
    Unaccepted,
}

impl fmt::Display for InvitationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variables => "UPCALL_UNIQUE_ID or UPCALL_STDIN is not what a primary sets",
            Self::Stdin => "standard input is not what the primary gave it",
            Self::Empty => "no message lies in its standard input",
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
            Self::Protocol(error) => write!(f, "channel: {error}"),
            Self::Version { primary } => write!(f, "the primary speaks version {primary} of the protocol"),
            Self::Invitation(InvitationError::Unaccepted) => {
                write!(
                    f,
                    "this process was forked as a worker, so it cannot fork: {}",
                    InvitationError::Unaccepted
                )
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
            Self::PolicyFrozen => f.write_str("the scheduling policy is fixed once there was a worker"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
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
