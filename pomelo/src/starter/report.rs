//! What becomes of a server that is started: it runs, it ends, or it never began.

use crate::record::RecordError;
use std::fmt;
use uv_core::process::ExitStatus;

/// A server that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The server's id.
    pub id: String,
    /// The process: the server's, or that of the `ssh` that starts it elsewhere.
    pub pid: i32,
    /// Whether the process is the server's.
    pub is_local: bool,
    /// The command, as a shell would take it.
    pub command: String,
}

/// The end of a server's process, or of the `ssh` to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerExit {
    /// What was started.
    pub started: Started,
    /// The code, or the signal: a death by a signal is no success.
    pub status: ExitStatus,
}

/// A server that could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    id: String,
    reason: StartFailure,
}

/// Why a server could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartFailure {
    /// Its record makes no sense.
    Record(RecordError),
    /// The system refused: there is no such program, say.
    System(uv_core::Error),
}

pub(super) type OnExit = Box<dyn FnOnce(ServerExit)>;

impl StartError {
    pub(super) fn record(id: &str, error: RecordError) -> Self {
        Self { id: id.into(), reason: StartFailure::Record(error) }
    }

    pub(super) fn system(id: &str, error: uv_core::Error) -> Self {
        Self { id: id.into(), reason: StartFailure::System(error) }
    }

    /// The server's id; empty if its record has none.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &StartFailure {
        &self.reason
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {:?} can not be started: ", self.id)?;
        match &self.reason {
            StartFailure::Record(error) => error.fmt(f),
            StartFailure::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            StartFailure::Record(error) => Some(error),
            StartFailure::System(error) => Some(error),
        }
    }
}
