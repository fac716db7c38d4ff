//! Errors: a code that programs match, and the system's error if there is one.

use crate::uv_core;
use crate::uv_core::Errno;
use std::{fmt, io};

/// The result of a fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of error, by Node's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// A system call failed: see [`Error::system`].
    System,
    /// `listen` on a server that is listening or starting to (`ERR_SERVER_ALREADY_LISTEN`).
    ServerAlreadyListen,
    /// `close` on a server that is not listening (`ERR_SERVER_NOT_RUNNING`).
    ServerNotRunning,
    /// An invalid option (`ERR_INVALID_ARG_VALUE`).
    InvalidArgument,
    /// The socket is destroyed (`ERR_SOCKET_CLOSED`).
    SocketClosed,
    /// The socket was destroyed before it was connected (`ERR_SOCKET_CLOSED_BEFORE_CONNECTION`).
    SocketClosedBeforeConnection,
    /// A write after `end` (`ERR_STREAM_WRITE_AFTER_END`).
    WriteAfterEnd,
    /// A write after the peer's FIN has ended this side too (`EPIPE`).
    EndedByPeer,
    /// A reset of a handle that is not a TCP connection (`ERR_INVALID_HANDLE_TYPE`).
    InvalidHandleType,
}

/// The step in which a server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenPhase {
    /// Binding the socket: the server does not listen.
    Bind,
    /// Starting to listen: the server does not listen.
    Listen,
    /// Accepting a connection: the server still listens, and retries after a pause.
    Accept,
}

/// A failed operation of a server or a socket.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Repr);

#[derive(Clone, PartialEq, Eq)]
enum Repr {
    System(uv_core::Error),
    Own(ErrorCode, &'static str),
}

impl Error {
    pub(crate) const fn new(code: ErrorCode, message: &'static str) -> Self {
        Self(Repr::Own(code, message))
    }

    pub(crate) const fn closed(message: &'static str) -> Self {
        Self::new(ErrorCode::SocketClosed, message)
    }

    /// The kind of error.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match &self.0 {
            Repr::System(_) => ErrorCode::System,
            Repr::Own(code, _) => *code,
        }
    }

    /// The system's error with its operation and address, if a system call failed.
    #[must_use]
    pub const fn system(&self) -> Option<&uv_core::Error> {
        match &self.0 {
            Repr::System(error) => Some(error),
            Repr::Own(..) => None,
        }
    }

    /// The step in which a server failed, for errors of a system call. After a failure in any step except
    /// [`ListenPhase::Accept`] the server does not listen. `None` if no system call failed.
    #[must_use]
    pub fn phase(&self) -> Option<ListenPhase> {
        Some(match self.system()?.op() {
            "accept" => ListenPhase::Accept,
            "listen" => ListenPhase::Listen,
            // Creating the socket, its options, its socket file.
            _ => ListenPhase::Bind,
        })
    }

    /// The system's error number, if a system call failed.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        self.system().map(uv_core::Error::errno)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::System(error) => error.fmt(f),
            Repr::Own(_, message) => f.write_str(message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.code())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.system().map(|error| error as _)
    }
}

impl From<uv_core::Error> for Error {
    fn from(error: uv_core::Error) -> Self {
        Self(Repr::System(error))
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match (&error.0, error.code()) {
            (Repr::System(error), _) => Self::from_raw_os_error(error.errno().raw()).kind(),
            (_, ErrorCode::SocketClosed | ErrorCode::SocketClosedBeforeConnection) => {
                io::ErrorKind::NotConnected
            }
            (_, ErrorCode::WriteAfterEnd | ErrorCode::EndedByPeer) => io::ErrorKind::BrokenPipe,
            (_, ErrorCode::InvalidArgument | ErrorCode::InvalidHandleType) => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
