//! The error of this crate: what a program, its configuration, the network or the system made of a call.

use crate::admin::RequestError;
use crate::config::{ConfigError, RecordError};
use crate::{Failure, Method};
use std::{fmt, io};

/// What a fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation of an application or of its admin side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A configuration file is missing or wrong.
    Config(ConfigError),
    /// An argument of the command line is wrong.
    Argument {
        /// The argument, as it was given.
        word: String,
        /// What is expected in its place.
        expected: &'static str,
    },
    /// The record of a server is wrong.
    Record(RecordError),
    /// An option has a value that makes no sense.
    Option {
        /// The option's name.
        name: &'static str,
        /// What is expected of its value.
        expected: &'static str,
    },
    /// The application has been started before.
    AlreadyStarted,
    /// The application was stopped before its start had ended.
    Stopped,
    /// Another component has this name.
    DuplicateComponent(String),
    /// The configuration has no server of this id and no type of this name.
    UnknownServer(String),
    /// A component, a lifecycle or a plugin failed.
    Failed {
        /// The component's name; `lifecycle` for the lifecycle.
        component: String,
        /// The method that failed.
        method: Method,
        /// The reason that it gave.
        failure: Failure,
    },
    /// A server could not be started.
    Start {
        /// The server's id; empty if its record has none.
        id: String,
        /// The reason: a wrong record, or the system's refusal.
        reason: Box<Self>,
    },
    /// No master answers; the reason, with its host and port.
    Unreachable(String),
    /// The master refused the registration; its words.
    Refused(String),
    /// A request on the admin side has no response.
    Request(RequestError),
    /// A socket or a listening server failed.
    Net(net::Error),
    /// The system refused a call.
    System(uv_core::Error),
}

impl Error {
    /// The error of a server that could not be started.
    pub(crate) fn start(id: &str, reason: impl Into<Self>) -> Self {
        Self::Start { id: id.into(), reason: Box::new(reason.into()) }
    }

    fn system(&self) -> Option<&uv_core::Error> {
        match self {
            Self::System(error) => Some(error),
            Self::Net(error) => error.system(),
            Self::Start { reason, .. } => reason.system(),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Argument { word, expected } => write!(f, "argument {word:?}: expected {expected}"),
            Self::Record(error) => error.fmt(f),
            Self::Option { name, expected } => write!(f, "option {name}: expected {expected}"),
            // pomelo's words.
            Self::AlreadyStarted => f.write_str("application has already start."),
            Self::Stopped => f.write_str("the application was stopped before its start had ended"),
            Self::DuplicateComponent(name) => write!(f, "another component is named {name:?}"),
            Self::UnknownServer(name) => write!(f, "the configuration has no server and no type {name:?}"),
            Self::Failed { component, method, failure } => {
                write!(f, "fail to operate component {component:?}, method {method}: {failure}")
            }
            Self::Start { id, reason } => write!(f, "server {id:?} cannot be started: {reason}"),
            Self::Unreachable(reason) => write!(f, "no master: {reason}"),
            Self::Refused(reason) => write!(f, "the master refused: {reason}"),
            Self::Request(error) => error.fmt(f),
            Self::Net(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Record(error) => Some(error),
            Self::Failed { failure, .. } => Some(failure),
            Self::Start { reason, .. } => Some(reason),
            Self::Request(error) => Some(error),
            Self::Net(error) => Some(error),
            Self::System(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<net::Error> for Error {
    fn from(error: net::Error) -> Self {
        Self::Net(error)
    }
}

impl From<uv_core::Error> for Error {
    fn from(error: uv_core::Error) -> Self {
        Self::System(error)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = error.system().map_or(io::ErrorKind::Other, |system| Self::from(system.clone()).kind());
        Self::new(kind, error)
    }
}
