//! Errors: a code that programs match, and the system's error if there is one.

use crate::uv_core;
use crate::uv_core::Errno;
use async_wrap::layer::Printable;
use async_wrap::task::Elapsed;
use std::net::IpAddr;
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
    /// An [`AbortHandle`](crate::abort::AbortHandle) has ended it (`AbortError`).
    Aborted,
    /// The block list has the address to connect to (`ERR_IP_BLOCKED`).
    IpBlocked,
    /// A reset of a handle that is not a TCP connection (`ERR_INVALID_HANDLE_TYPE`).
    InvalidHandleType,
    /// A look-up has found only addresses of the other family (`ERR_INVALID_ADDRESS_FAMILY`).
    InvalidAddressFamily,
    /// A host has several addresses, and the connects to all of them have failed (`AggregateError`): see
    /// [`Error::attempts`].
    AllAttemptsFailed,
    /// `bind` of a socket that is bound (`ERR_SOCKET_ALREADY_BOUND`).
    AlreadyBound,
    /// Port 0 as a destination (`ERR_SOCKET_BAD_PORT`).
    BadPort,
    /// The size of a socket's buffer cannot be read or set (`ERR_SOCKET_BUFFER_SIZE`).
    BufferSize,
    /// A socket of datagrams has a peer (`ERR_SOCKET_DGRAM_IS_CONNECTED`).
    IsConnected,
    /// A socket of datagrams has no peer (`ERR_SOCKET_DGRAM_NOT_CONNECTED`).
    NotConnected,
    /// A socket of datagrams is closed (`ERR_SOCKET_DGRAM_NOT_RUNNING`).
    NotRunning,
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
    Attempts(Box<Attempts>),
    /// With what it is about, which follows the message.
    About(ErrorCode, &'static str, Box<str>),
}

/// The failed attempts to connect to a host.
#[derive(Clone, PartialEq, Eq)]
struct Attempts {
    host: String,
    port: u16,
    errors: Vec<uv_core::Error>,
}

impl Error {
    /// The error of a connect by name whose attempts have failed, of which there is at least one.
    pub(crate) fn attempts_failed(host: &str, port: u16, errors: &[uv_core::Error]) -> Self {
        match errors {
            [error] => error.clone().into(),
            _ => {
                let errors = errors.to_vec();
                Self(Repr::Attempts(Box::new(Attempts { host: host.to_owned(), port, errors })))
            }
        }
    }

    pub(crate) const fn new(code: ErrorCode, message: &'static str) -> Self {
        Self(Repr::Own(code, message))
    }

    /// An error with what it is about.
    pub(crate) fn about(code: ErrorCode, message: &'static str, subject: impl fmt::Display) -> Self {
        Self(Repr::About(code, message, subject.to_string().into_boxed_str()))
    }

    /// The error of a connect to an address that is blocked.
    pub(crate) fn blocked(address: IpAddr) -> Self {
        Self::about(ErrorCode::IpBlocked, "connect: the block list has the address", address)
    }

    /// The error of a host that has no address of the wanted family.
    pub(crate) fn no_address(message: &'static str, host: &str) -> Self {
        Self(Repr::About(ErrorCode::InvalidAddressFamily, message, host.into()))
    }

    pub(crate) const fn closed(message: &'static str) -> Self {
        Self::new(ErrorCode::SocketClosed, message)
    }

    /// The kind of error.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match &self.0 {
            Repr::System(_) => ErrorCode::System,
            Repr::Own(code, _) | Repr::About(code, ..) => *code,
            Repr::Attempts(_) => ErrorCode::AllAttemptsFailed,
        }
    }

    /// The system's error with its operation and address, if a system call failed.
    #[must_use]
    pub const fn system(&self) -> Option<&uv_core::Error> {
        match &self.0 {
            Repr::System(error) => Some(error),
            Repr::Own(..) | Repr::About(..) | Repr::Attempts(_) => None,
        }
    }

    /// The errors of the attempts to connect to a host with several addresses, in the order in which they failed: each
    /// with its address and errno.
    #[must_use]
    pub fn attempts(&self) -> &[uv_core::Error] {
        match &self.0 {
            Repr::Attempts(attempts) => &attempts.errors,
            Repr::System(_) | Repr::Own(..) | Repr::About(..) => &[],
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

    /// The system's error number, if a system call failed; as in Node, the first one of several attempts.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        self.system().or_else(|| self.attempts().first()).map(uv_core::Error::errno)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::System(error) => error.fmt(f),
            Repr::Own(_, message) => f.write_str(message),
            Repr::About(_, message, subject) => write!(f, "{message}: {subject}"),
            Repr::Attempts(attempts) => attempts.fmt(f),
        }
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, errors } = self;
        write!(f, "connect {}:{port}: all {} addresses failed", Printable(host), errors.len())?;
        let mut between = ": ";
        for error in errors {
            write!(f, "{between}{error}")?;
            between = "; ";
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.code())
    }
}

/// Without a source: the system's error has the same text, which what prints a chain of errors would repeat. See
/// [`Error::system`].
impl std::error::Error for Error {}

impl From<uv_core::Error> for Error {
    fn from(error: uv_core::Error) -> Self {
        Self(Repr::System(error))
    }
}

/// As `ETIMEDOUT`: what [`Environment::timeout`](async_wrap::Environment::timeout) gives up.
impl From<Elapsed> for Error {
    fn from(elapsed: Elapsed) -> Self {
        uv_core::Error::from(elapsed).into()
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match (&error.0, error.code()) {
            (Repr::System(error), _) => Self::from(error.clone()).kind(),
            (Repr::Attempts(attempts), _) => {
                attempts.errors.first().map_or(io::ErrorKind::Other, |error| Self::from(error.clone()).kind())
            }
            (
                _,
                ErrorCode::SocketClosed
                | ErrorCode::SocketClosedBeforeConnection
                | ErrorCode::NotConnected
                | ErrorCode::NotRunning,
            ) => io::ErrorKind::NotConnected,
            (_, ErrorCode::WriteAfterEnd | ErrorCode::EndedByPeer) => io::ErrorKind::BrokenPipe,
            (_, ErrorCode::InvalidArgument | ErrorCode::InvalidHandleType | ErrorCode::BadPort) => {
                io::ErrorKind::InvalidInput
            }
            (_, ErrorCode::IpBlocked) => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
