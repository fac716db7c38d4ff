//! How a command can fail, and the exit code of each way.

use super::table::printable;
use pomelo::admin::{ClientError, RequestError};
use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// A failure of a command.
#[derive(Debug)]
pub(super) enum Failure {
    /// No master answers there.
    NoMaster(String),
    /// The master refused the login.
    Login(String),
    /// The master refused what was asked for, or did not do all of it.
    Command(String),
    /// The master did not answer in time, or went away before it did.
    NoAnswer(String),
    /// Anything else.
    Other(Box<dyn Error>),
}

impl Failure {
    /// 1 is the code of all other commands' failures.
    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Other(_) => 1,
            Self::NoMaster(_) => 2,
            Self::Login(_) => 3,
            Self::Command(_) => 4,
            Self::NoAnswer(_) => 5,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMaster(reason) | Self::Login(reason) | Self::Command(reason) | Self::NoAnswer(reason) => {
                f.write_str(reason)
            }
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl From<Box<dyn Error>> for Failure {
    fn from(error: Box<dyn Error>) -> Self {
        Self::Other(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let text = printable(&error.to_string());
        match error {
            ClientError::Refused(_) => Self::Login(text),
            _ => Self::NoMaster(text),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::NoAnswer(format!("the master: {error}"))
    }
}
