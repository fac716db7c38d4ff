//! What goes wrong in an application, typed.

use crate::args::ArgumentError;
use crate::config::ConfigError;
use crate::record::RecordError;
use crate::starter::StartError;
use crate::{Failure, Method};
use std::fmt;

/// What a fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A configuration file is wrong.
    Config(ConfigError),
    /// An argument of the command line is wrong.
    Argument(ArgumentError),
    /// `start` on an application that was started before.
    AlreadyStarted,
    /// The application was stopped before its start had ended.
    Stopped,
    /// There is a component of this name already.
    DuplicateComponent(String),
    /// The configuration has no server of this id and no type of this name.
    UnknownServer(String),
    /// A server's record makes no sense.
    Record(RecordError),
    /// A component, a lifecycle or a plugin failed.
    Failed {
        /// The component's name; `lifecycle` for the lifecycle.
        component: String,
        /// In which of its methods.
        method: Method,
        /// What it said.
        failure: Failure,
    },
    /// A server could not be started.
    Start(StartError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Argument(error) => error.fmt(f),
            // pomelo's words.
            Self::AlreadyStarted => f.write_str("application has already start."),
            Self::Stopped => f.write_str("the application was stopped before its start had ended"),
            Self::DuplicateComponent(name) => write!(f, "there is a component {name:?} already"),
            Self::UnknownServer(name) => {
                write!(f, "no server {name:?} in the configuration, and no type of this name")
            }
            Self::Failed { component, method, failure } => {
                write!(f, "fail to operate component {component:?}, method {method}: {failure}")
            }
            Self::Record(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Argument(error) => Some(error),
            Self::Failed { failure, .. } => Some(failure),
            Self::Record(error) => Some(error),
            Self::Start(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<ArgumentError> for Error {
    fn from(error: ArgumentError) -> Self {
        Self::Argument(error)
    }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}
