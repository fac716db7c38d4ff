//! Everything that this layer calls upward: the events of a primary, and of a worker.

use crate::{Error, Output, Primary, Worker, WorkerHandle};
use net::Address;
use std::os::fd::OwnedFd;
use uv_core::process::ExitStatus;

/// The handler of a primary. Mirrors the events of Node's `cluster` in the primary.
pub trait PrimaryHandler {
    /// The settings were changed ('setup').
    fn on_setup(&mut self, primary: &Primary) {
        let _ = primary;
    }

    /// A worker was started ('fork').
    fn on_fork(&mut self, worker: &WorkerHandle) {
        let _ = worker;
    }

    /// A worker runs ('online').
    fn on_online(&mut self, worker: &WorkerHandle) {
        let _ = worker;
    }

    /// A server of a worker wants to listen on `address`. If this returns `false`, its `listen` fails with `EACCES`.
    ///
    /// The primary makes the socket, with its own rights. By default it makes no socket file for a worker of another user or
    /// group, since that user may not be allowed to create the file. A worker of the same user could create it by itself;
    /// abstract names and ports are what a primary with more rights is for. A program that knows the addresses of its
    /// workers should accept only those: a compromised worker then gets no others.
    fn accepts_listen(&mut self, worker: &WorkerHandle, address: &Address) -> bool {
        worker.is_same_user() || !matches!(address, Address::Path(_))
    }

    /// A server of a worker listens ('listening'). Called once per socket and worker, until the server stops.
    fn on_listening(&mut self, worker: &WorkerHandle, address: &Address) {
        let _ = (worker, address);
    }

    /// A worker sent a message ('message'). The bytes are lent for the call.
    fn on_message(&mut self, worker: &WorkerHandle, data: &[u8], fds: Vec<OwnedFd>) {
        let _ = (worker, data, fds);
    }

    /// A silent worker wrote output (`worker.process.stdout`): a piece of any size, lent for the call. The last pieces may
    /// follow `on_exit`. A worker that writes faster than this method returns has to wait.
    fn on_output(&mut self, worker: &WorkerHandle, output: Output, data: &[u8]) {
        let _ = (worker, output, data);
    }

    /// The channel to a worker is closed ('disconnect'). Comes before or after `on_exit`.
    fn on_disconnect(&mut self, worker: &WorkerHandle) {
        let _ = worker;
    }

    /// A worker ended ('exit').
    fn on_exit(&mut self, worker: &WorkerHandle, status: ExitStatus) {
        let _ = (worker, status);
    }

    /// An error ('error'): a worker sent bytes that are no message, and is killed; a message of a worker lost descriptors, for
    /// which this process had no room; a message to a worker was not sent, because the kernel refused its descriptors; or a
    /// successor could not be started, in which case there is no worker.
    fn on_error(&mut self, worker: Option<&WorkerHandle>, error: Error) {
        let _ = worker;
        log::error!(target: "cluster", "{error}");
    }

    /// Follows [`Primary::disconnect`] once no worker is left.
    fn on_disconnected(&mut self, primary: &Primary) {
        let _ = primary;
    }
}

/// The handler of a worker. Mirrors the events of `process` and `cluster.worker` in a Node worker.
pub trait WorkerHandler {
    /// The primary sent a message ('message'). The bytes are lent for the call.
    fn on_message(&mut self, worker: &Worker, data: &[u8], fds: Vec<OwnedFd>) {
        let _ = (worker, data, fds);
    }

    /// An error ('error'): a message of the primary lost descriptors, for which this process had no room; or a message to the
    /// primary was not sent, because the kernel refused its descriptors.
    fn on_error(&mut self, worker: &Worker, error: Error) {
        let _ = worker;
        log::error!(target: "cluster", "{error}");
    }

    /// The worker is to leave: its servers are about to be closed, which takes as long as their connections. The place to
    /// end connections that would stay, such as idle keep-alive connections.
    fn on_leave(&mut self, worker: &Worker) {
        let _ = worker;
    }

    /// The channel is closed ('disconnect'). `asked` is `true` after a call of `disconnect` on either side. If not, the
    /// primary is lost. By default the worker ends with it: the loop stops at once, which is as close to Node's
    /// `process.exit(0)` as a library can come.
    fn on_disconnect(&mut self, worker: &Worker, asked: bool) {
        if !asked {
            worker.environment().loop_handle().stop();
        }
    }
}
