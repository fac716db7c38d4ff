//! A server that was started, and its end.

use uv_core::process::ExitStatus;

/// A server that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The server's id.
    pub id: String,
    /// The process: the server's, or that of the `ssh` that starts it on another host.
    pub pid: i32,
    /// Whether the process is the server's.
    pub is_local: bool,
    /// The command, quoted for a shell.
    pub command: String,
}

/// The end of a server's process, or of the `ssh` to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerExit {
    /// What was started.
    pub started: Started,
    /// The exit code or the signal; an end by a signal is a failure.
    pub status: ExitStatus,
}

pub(super) type OnExit = Box<dyn FnOnce(ServerExit)>;
