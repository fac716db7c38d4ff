//! Everything that this layer calls upward: what happens to the workers of a primary, and to a worker.

use crate::{Error, Output, Primary, Worker, WorkerHandle};
use net::Address;
use std::os::fd::OwnedFd;
use uv_core::process::ExitStatus;

/// A primary. Mirrors the events of Node's `cluster` in the primary.
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

    /// A server of a worker wants to listen there: whether it may. If not, its `listen` fails with `EACCES`.
    ///
    /// The primary makes the socket, with the primary's rights. To a worker that was started as another user or group it
    /// makes no file unless this method is overridden: it would make one where that user may not. A worker of the same
    /// user could make it by itself; abstract names and ports are what a primary with more rights is for. A program that
    /// knows where its workers listen says so here, and what a worker asks for that was taken over is refused.
    fn accepts_listen(&mut self, worker: &WorkerHandle, address: &Address) -> bool {
        worker.is_same_user() || !matches!(address, Address::Path(_))
    }

    /// A server of a worker listens ('listening'). Told once until it stops.
    fn on_listening(&mut self, worker: &WorkerHandle, address: &Address) {
        let _ = (worker, address);
    }

    /// A worker sent something ('message'). The bytes are lent for the call.
    fn on_message(&mut self, worker: &WorkerHandle, data: &[u8], fds: Vec<OwnedFd>) {
        let _ = (worker, data, fds);
    }

    /// A silent worker wrote something (`worker.process.stdout`): a piece of any size, which is lent for the call. The
    /// last ones may come after `on_exit`. A worker that writes faster than this returns has to wait.
    fn on_output(&mut self, worker: &WorkerHandle, output: Output, data: &[u8]) {
        let _ = (worker, output, data);
    }

    /// The channel to a worker is closed ('disconnect'). It comes before or after `on_exit`.
    fn on_disconnect(&mut self, worker: &WorkerHandle) {
        let _ = worker;
    }

    /// A worker ended ('exit').
    fn on_exit(&mut self, worker: &WorkerHandle, status: ExitStatus) {
        let _ = (worker, status);
    }

    /// A worker sent what is no message and is killed; or its message lost descriptors, for which this process had no
    /// room; or a message to it was not sent, as the system refuses its descriptors; or a new one could not be started, of
    /// which there is none then ('error').
    fn on_error(&mut self, worker: Option<&WorkerHandle>, error: Error) {
        let _ = worker;
        log::error!(target: "cluster", "{error}");
    }

    /// After [`Primary::disconnect`]: no worker is left.
    fn on_disconnected(&mut self, primary: &Primary) {
        let _ = primary;
    }
}

/// A worker. Mirrors the events of `process` and `cluster.worker` in a Node worker.
pub trait WorkerHandler {
    /// The primary sent something ('message'). The bytes are lent for the call.
    fn on_message(&mut self, worker: &Worker, data: &[u8], fds: Vec<OwnedFd>) {
        let _ = (worker, data, fds);
    }

    /// A message from the primary lost descriptors, for which this process had no room; or one to it was not sent, as the
    /// system refuses its descriptors ('error').
    fn on_error(&mut self, worker: &Worker, error: Error) {
        let _ = worker;
        log::error!(target: "cluster", "{error}");
    }

    /// The worker is to go: its servers are about to be closed, which takes as long as their connections. The time to
    /// end those that would stay, such as idle ones that are kept alive.
    fn on_leave(&mut self, worker: &Worker) {
        let _ = worker;
    }

    /// The channel is closed ('disconnect'): `asked` says whether somebody called `disconnect`. If not, the primary is
    /// lost, and unless this method is overridden the worker ends with it: the loop stops at once, as near to Node's
    /// `process.exit(0)` as a library may come.
    fn on_disconnect(&mut self, worker: &Worker, asked: bool) {
        if !asked {
            worker.environment().loop_handle().stop();
        }
    }
}
