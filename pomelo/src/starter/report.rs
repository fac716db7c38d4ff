//! What becomes of a server that is started: it runs, it ends, or it never began.

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

pub(super) type OnExit = Box<dyn FnOnce(ServerExit)>;
