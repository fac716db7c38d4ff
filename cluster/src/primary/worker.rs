//! A worker as its primary sees it. Mirrors `cluster.Worker` in the primary, Node's `lib/internal/cluster/worker.js` and
//! `primary.js`.

use super::draining::What;
use super::window::{Acknowledged, Window};
use super::{Primary, PrimaryInner};
use crate::channel::ids::{BatchId, QueryId, SocketId, WorkerId};
use crate::channel::message::{Message, Reply};
use crate::channel::{Channel, Fds};
use crate::scheduling::Candidate;
use crate::{Error, ProtocolError, Result};
use async_wrap::layer::Place;
use async_wrap::{AsyncContext, Timeout};
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::time::Duration;
use uv_core::Errno;
use uv_core::process::{ExitStatus, Process};

/// Once this many bytes of answers wait for a worker to read them, nothing more is read from it: it asks faster than it
/// reads. No server asks for nearly as much.
const ANSWER_BYTES: usize = 128 * 1024;

/// A connection that the primary accepted. It stays open here until a worker has acknowledged it.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) fd: Rc<OwnedFd>,
    /// Its place in the order of its listening socket.
    pub(super) number: u64,
}

/// A worker of a primary (`cluster.Worker`). A cheap clone.
///
/// ```
/// use cluster::WorkerHandle;
/// use cluster::upcall::PrimaryHandler;
///
/// struct Greeter;
///
/// impl PrimaryHandler for Greeter {
///     fn on_online(&mut self, worker: &WorkerHandle) {
///         if let Err(error) = worker.send(b"hello") {
///             eprintln!("worker {}: {error}", worker.id());
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct WorkerHandle(pub(super) Rc<WorkerHandleInner>);

pub(super) struct WorkerHandleInner {
    pub(super) id: WorkerId,
    primary: Weak<PrimaryInner>,
    pub(super) channel: Channel,
    /// The contexts of calls about the channel and about the process.
    pub(super) channel_context: AsyncContext,
    pub(super) process_context: AsyncContext,
    /// Set right after the fork, before the program gets the handle.
    pub(super) process: OnceCell<Process>,
    /// The variables given to `fork_with`.
    pub(super) env: Vec<(OsString, OsString)>,
    /// How many of its predecessors died early in a row.
    pub(super) early_deaths: u32,
    pub(super) forked_at: Duration,
    is_same_user: bool,
    is_online: Cell<bool>,
    pub(super) status: Cell<Option<ExitStatus>>,
    pub(super) disconnected: Cell<bool>,
    /// Runs from the end of the process to the end of the channel.
    pub(super) drain_timeout: Cell<Option<Timeout>>,
    pub(super) exited_after_disconnect: Cell<Option<bool>>,
    /// It leaves by its own wish, or died.
    pub(super) is_going: Cell<bool>,
    window: RefCell<Window<Connection>>,
    taken: Cell<u64>,
    refused: Cell<u64>,
    /// It has not acknowledged its oldest batch in time, and gets no more connections until it has.
    is_late: Cell<bool>,
    /// Bytes of answers that may still wait to be sent.
    answer_bytes: Cell<usize>,
    /// Sockets that may still wait to be sent with them.
    answer_sockets: Cell<usize>,
    /// Connections are to be distributed when the channel notifies.
    pub(super) distribution_due: Cell<bool>,
}

/// What became of the connections of one worker under a distributing policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Handed to the worker and not acknowledged yet.
    pub in_flight: usize,
    /// Taken by the worker.
    pub taken: u64,
    /// Given back by the worker, for others.
    pub refused: u64,
}

/// What a new worker starts with.
pub(super) struct WorkerSpec {
    pub(super) id: WorkerId,
    pub(super) channel_context: AsyncContext,
    pub(super) process_context: AsyncContext,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) early_deaths: u32,
    pub(super) forked_at: Duration,
    pub(super) is_same_user: bool,
}

impl WorkerHandle {
    /// The worker's id: 1 for the first worker, and never used again.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id.0
    }

    /// The worker's process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.0.process.get().map_or(0, Process::pid)
    }

    /// Sends a message (`worker.send`). Returns `false` once the caller should pause; what is sent anyway waits in memory.
    ///
    /// # Errors
    /// `Disconnected`, `MessageTooLong`, the system's refusal.
    pub fn send(&self, data: &[u8]) -> Result<bool> {
        self.0.channel.send_user(data, Vec::new())
    }

    /// Sends a message with at most 253 descriptors.
    ///
    /// # Errors
    /// As for [`send`](Self::send); `EINVAL` for more descriptors.
    pub fn send_fds(&self, data: &[u8], fds: Vec<OwnedFd>) -> Result<bool> {
        self.0.channel.send_user(data, fds)
    }

    /// Asks the worker to leave: it gets no more connections, closes its servers, waits for their connections, and then
    /// closes the channel (`worker.disconnect`). Idempotent.
    pub fn disconnect(&self) {
        self.0.disconnect();
    }

    /// Sends a signal to the worker's process (`worker.kill`, whose default is SIGTERM). It works however busy the worker
    /// is, and does not count as a request to leave.
    ///
    /// # Errors
    /// `ESRCH` once the process ended; `EINVAL` if there is no such signal.
    pub fn kill(&self, signum: i32) -> Result<()> {
        self.0.kill(signum)
    }

    /// Whether the channel is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Whether the process ended.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        // Signal 0 only asks. `EPERM` is what the system says of a living worker that has become another user.
        let is_missing =
            |error: &Error| matches!(error, Error::System(error) if error.errno() == Errno::ESRCH);
        let has_ended = self.0.status.get().is_some();
        let is_dead = has_ended || self.kill(0).is_err_and(|error| is_missing(&error));
        #[cfg(upcall_faults)]
        if is_dead && !has_ended {
            uv_core::faults::reached(uv_core::faults::Branch::WorkerMissing);
        }
        is_dead
    }

    /// How the process ended, once that is known.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        self.0.status.get()
    }

    /// Whether the worker left because the primary or the worker itself called `disconnect`. `None` while it runs and
    /// neither has.
    #[must_use]
    pub fn exited_after_disconnect(&self) -> Option<bool> {
        self.0.exited_after_disconnect.get()
    }

    /// Whether the worker was started as the user and group of the primary, and so with its rights.
    #[must_use]
    pub fn is_same_user(&self) -> bool {
        self.0.is_same_user
    }

    /// What became of the worker's connections.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            in_flight: self.0.window.borrow().in_flight(),
            taken: self.0.taken.get(),
            refused: self.0.refused.get(),
        }
    }

    /// How long ago the worker was forked.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.primary().map_or(Duration::ZERO, |primary| {
            primary.environment().loop_handle().now().saturating_sub(self.0.forked_at)
        })
    }

    /// The primary. `None` once it was dropped.
    #[must_use]
    pub fn primary(&self) -> Option<Primary> {
        self.0.primary.upgrade().map(Primary)
    }
}

impl WorkerHandleInner {
    pub(super) fn new(primary: &Rc<PrimaryInner>, channel: Channel, spec: WorkerSpec) -> Self {
        Self {
            id: spec.id,
            primary: Rc::downgrade(primary),
            channel,
            channel_context: spec.channel_context,
            process_context: spec.process_context,
            process: OnceCell::new(),
            env: spec.env,
            early_deaths: spec.early_deaths,
            forked_at: spec.forked_at,
            is_same_user: spec.is_same_user,
            is_online: Cell::new(false),
            status: Cell::new(None),
            disconnected: Cell::new(false),
            drain_timeout: Cell::new(None),
            exited_after_disconnect: Cell::new(None),
            is_going: Cell::new(false),
            window: RefCell::default(),
            taken: Cell::new(0),
            refused: Cell::new(0),
            is_late: Cell::new(false),
            answer_bytes: Cell::new(0),
            answer_sockets: Cell::new(0),
            distribution_due: Cell::new(false),
        }
    }

    /// The place in the program's sources where the worker was forked.
    pub(super) fn place(&self) -> Place {
        self.process.get().map_or_else(Place::marked, |process| Place::of(process))
    }

    pub(super) fn kill(&self, signum: i32) -> Result<()> {
        match self.process.get() {
            Some(process) => Ok(process.kill(signum)?),
            None => Err(uv_core::Error::new("kill", Errno::ESRCH).into()),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        !self.channel.is_closing()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.exited_after_disconnect.get() == Some(true)
    }

    /// Returns whether the worker was not online before.
    pub(super) fn set_online(&self) -> bool {
        !self.is_online.replace(true)
    }

    fn disconnect(self: &Rc<Self>) {
        if self.is_connected() && !self.is_leaving() {
            self.exited_after_disconnect.set(Some(true));
            match self.primary.upgrade() {
                Some(primary) => primary.drain(self, What::All),
                None => {
                    self.send_connections(Duration::ZERO);
                    self.channel.tell(&Message::Leave);
                }
            }
        }
    }

    /// Decides `exited_after_disconnect`: from here on it cannot become `true`.
    pub(super) fn settle(&self) {
        if self.exited_after_disconnect.get().is_none() {
            self.exited_after_disconnect.set(Some(false));
        }
    }

    /// Answers a message of the worker. Reading from it pauses while it does not read its answers.
    pub(super) fn answer(&self, message: &Message, fds: Fds) {
        let (before, sockets) = (self.channel.unsent(), fds.len());
        self.channel.tell_fds(message, fds);
        let waiting = self.channel.unsent().saturating_sub(before);
        if waiting > 0 {
            self.answer_bytes.set(self.answer_bytes.get() + waiting);
            self.answer_sockets.set(self.answer_sockets.get() + sockets);
            if self.answer_bytes.get() > ANSWER_BYTES {
                self.channel.pause();
            }
        }
    }

    /// Answers a query with an error.
    pub(super) fn refuse(&self, id: QueryId, error: &uv_core::Error) {
        let target = error.target().unwrap_or_default();
        // The note, such as that a socket file is left over, has no field of its own in the format.
        let target = error.note().map_or_else(|| target.to_owned(), |note| format!("{target} ({note})"));
        let reply = Reply::Failed { errno: error.errno().raw(), target };
        self.answer(&Message::Answer { id, reply }, Vec::new());
    }

    /// The number of sockets that wait to be sent to a worker that does not read.
    pub(super) fn waiting_sockets(&self) -> usize {
        self.answer_sockets.get()
    }

    /// Frames were sent: reads on if all answers were.
    pub(super) fn resume_if_answered(&self) {
        if self.answer_bytes.get() > 0 && self.channel.unsent() == 0 {
            self.answer_bytes.set(0);
            self.answer_sockets.set(0);
            self.channel.resume();
        }
    }

    pub(super) fn can_take_a_connection(&self) -> bool {
        self.is_punctual() && self.window.borrow().has_room()
    }

    /// Whether it runs and acknowledges in time.
    pub(super) fn is_punctual(&self) -> bool {
        self.is_connected() && self.status.get().is_none() && !self.is_late.get()
    }

    /// Whether an acknowledgement is overdue, which may be in the channel, unread.
    pub(super) fn is_late_at(&self, now: Duration) -> bool {
        self.is_connected() && !self.is_late.get() && self.window.borrow().is_overdue(now)
    }

    /// Has the worker judged and connections distributed at the end of this turn of the loop.
    pub(super) fn request_distribution(&self) {
        self.distribution_due.set(true);
        self.channel.notify();
    }

    /// Decides whether the worker is late, once the whole input of this turn of the loop was read.
    pub(super) fn judge(&self, now: Duration) {
        self.is_late.set(self.window.borrow().is_overdue(now));
    }

    pub(super) fn as_candidate(&self) -> Candidate {
        let in_flight = self.window.borrow().in_flight();
        Candidate { worker: self.id.0, in_flight, taken: self.taken.get() }
    }

    /// Hands a connection of a listening socket to the worker (`handoff`). The connections of one turn travel together.
    pub(super) fn hand(&self, socket: SocketId, connection: Connection) {
        self.window.borrow_mut().push(socket, connection);
        self.channel.notify();
    }

    /// Sends the connections that were handed over in this turn.
    pub(super) fn send_connections(&self, now: Duration) {
        loop {
            let (message, fds) = {
                let mut window = self.window.borrow_mut();
                let Some(batch) = window.next_batch(now) else { return };
                let fds = batch.connections.iter().map(|connection| Rc::clone(&connection.fd)).collect();
                (Message::Connections { socket: batch.socket, batch: batch.id }, fds)
            };
            // If that fails, they stay in the window until the channel is closed.
            self.channel.tell_fds(&message, fds);
        }
    }

    pub(super) fn acknowledge(
        &self,
        batch: BatchId,
        refused: u64,
    ) -> Result<Acknowledged<Connection>, ProtocolError> {
        let acknowledged = self.window.borrow_mut().acknowledge(batch, refused)?;
        self.is_late.set(false);
        self.taken.set(self.taken.get() + acknowledged.taken as u64);
        self.refused.set(self.refused.get() + acknowledged.refused.len() as u64);
        Ok(acknowledged)
    }

    /// Connections that the worker was handed and will never acknowledge.
    pub(super) fn take_unacknowledged(&self) -> Vec<(SocketId, Connection)> {
        self.window.borrow_mut().take_all()
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle")
            .field("id", &self.id())
            .field("pid", &self.pid())
            .field("connected", &self.is_connected())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
