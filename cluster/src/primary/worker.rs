//! A worker as its primary sees it. Mirrors `cluster.Worker` in the primary, Node's `lib/internal/cluster/worker.js` and
//! `primary.js`.

use crate::channel::Channel;
use crate::channel::message::{Message, Reply};
use crate::primary::PrimaryState;
use crate::primary::window::{Acknowledged, Window};
use crate::scheduling::Candidate;
use crate::{Primary, ProtocolError, Result};
use async_wrap::{AsyncContext, Timeout};
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::time::Duration;
use uv_core::Errno;
use uv_core::process::{ExitStatus, Process};

/// Bytes of answers that wait for a worker to read them, beyond which nothing more is read from it: it asks faster than
/// it listens. Far more than any server asks for.
const ANSWERS: usize = 128 * 1024;

/// A connection that was accepted here. It stays open here until a worker has it for sure.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) fd: Rc<OwnedFd>,
    /// Its place in the order of its listening socket.
    pub(crate) number: u64,
}

/// A worker of a primary (`cluster.Worker`). A cheap clone.
#[derive(Clone)]
pub struct WorkerHandle(pub(crate) Rc<WorkerState>);

pub(crate) struct WorkerState {
    pub(crate) id: u32,
    pub(crate) primary: Weak<PrimaryState>,
    pub(crate) channel: Channel,
    /// What callbacks about the channel and about the process run in.
    pub(crate) channel_context: AsyncContext,
    pub(crate) process_context: AsyncContext,
    /// Set right after the start, before anybody sees the worker.
    pub(crate) process: OnceCell<Process>,
    /// The variables given to `fork_with`.
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) forked_at: Duration,
    /// Whether it was started as the user and group of the primary.
    is_same_user: bool,
    /// It has said that it runs.
    is_online: Cell<bool>,
    pub(crate) status: Cell<Option<ExitStatus>>,
    pub(crate) disconnected: Cell<bool>,
    /// Runs from the end of the process to that of the channel.
    pub(crate) bequest: Cell<Option<Timeout>>,
    pub(crate) exited_after_disconnect: Cell<Option<bool>>,
    /// It goes by its own wish, or unasked.
    pub(crate) is_going: Cell<bool>,
    window: RefCell<Window<Connection>>,
    taken: Cell<u64>,
    refused: Cell<u64>,
    /// It has not acknowledged its oldest batch for too long, and gets no more until it has.
    is_late: Cell<bool>,
    /// Bytes of answers that may still wait to be sent.
    answers: Cell<usize>,
    /// Sockets that may still wait to be sent with those.
    sockets: Cell<usize>,
    /// Connections are to be distributed when the channel notifies.
    pub(crate) distribution_due: Cell<bool>,
}

/// What became of the connections of one worker under a distributing policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Handed to the worker, which has not looked at them yet.
    pub in_flight: usize,
    /// Taken by the worker.
    pub taken: u64,
    /// Given back by the worker, for others.
    pub refused: u64,
}

/// What a new worker starts with.
pub(crate) struct Birth {
    pub(crate) id: u32,
    pub(crate) channel_context: AsyncContext,
    pub(crate) process_context: AsyncContext,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) forked_at: Duration,
    pub(crate) is_same_user: bool,
}

impl WorkerHandle {
    /// The worker's number: 1 for the first one, and never used again.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// The worker's process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.0.process.get().map_or(0, Process::pid)
    }

    /// Sends a message (`worker.send`). Returns whether more is welcome; what is sent anyway waits in memory.
    ///
    /// # Errors
    /// `Disconnected`, `MessageTooLong`, the system's refusal.
    pub fn send(&self, data: &[u8]) -> Result<bool> {
        self.0.channel.send_user(data, Vec::new())
    }

    /// Sends a message and, with it, descriptors, at most 253.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_fds(&self, data: &[u8], fds: Vec<OwnedFd>) -> Result<bool> {
        self.0.channel.send_user(data, fds)
    }

    /// Asks the worker to go: it gets no more connections, closes its servers, waits for their connections, and then
    /// closes the channel (`worker.disconnect`). Idempotent.
    pub fn disconnect(&self) {
        self.0.disconnect();
    }

    /// Sends a signal to the worker's process (`worker.kill`, which takes SIGTERM unless told otherwise). It works
    /// however busy the worker is, and does not count as asking it to go.
    ///
    /// # Errors
    /// `ESRCH` once the process ended; `EINVAL` if there is no such signal.
    pub fn kill(&self, signum: i32) -> Result<()> {
        match self.0.process.get() {
            Some(process) => Ok(process.kill(signum)?),
            None => Err(uv_core::Error::new("kill", Errno::ESRCH).into()),
        }
    }

    /// Whether the channel is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Whether the process ended.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        // Signal 0 only asks.
        self.0.status.get().is_some() || self.kill(0).is_err()
    }

    /// How the process ended, once that is known.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        self.0.status.get()
    }

    /// Whether the worker went because somebody asked it to; nothing is known while it is there and nobody did.
    #[must_use]
    pub fn exited_after_disconnect(&self) -> Option<bool> {
        self.0.exited_after_disconnect.get()
    }

    /// Whether the worker was started as the user and group of the primary, and so with its rights.
    #[must_use]
    pub fn is_same_user(&self) -> bool {
        self.0.is_same_user
    }

    /// What became of its connections.
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

    /// The primary, unless it is gone.
    #[must_use]
    pub fn primary(&self) -> Option<Primary> {
        self.0.primary.upgrade().map(Primary)
    }
}

impl WorkerState {
    pub(crate) fn new(primary: &Rc<PrimaryState>, channel: Channel, birth: Birth) -> Self {
        Self {
            id: birth.id,
            primary: Rc::downgrade(primary),
            channel,
            channel_context: birth.channel_context,
            process_context: birth.process_context,
            process: OnceCell::new(),
            env: birth.env,
            forked_at: birth.forked_at,
            is_same_user: birth.is_same_user,
            is_online: Cell::new(false),
            status: Cell::new(None),
            disconnected: Cell::new(false),
            bequest: Cell::new(None),
            exited_after_disconnect: Cell::new(None),
            is_going: Cell::new(false),
            window: RefCell::default(),
            taken: Cell::new(0),
            refused: Cell::new(0),
            is_late: Cell::new(false),
            answers: Cell::new(0),
            sockets: Cell::new(0),
            distribution_due: Cell::new(false),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        !self.channel.is_closing()
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.exited_after_disconnect.get() == Some(true)
    }

    /// The worker runs. Returns whether that is news.
    pub(crate) fn comes_online(&self) -> bool {
        !self.is_online.replace(true)
    }

    fn disconnect(&self) {
        if self.is_connected() && !self.is_leaving() {
            self.exited_after_disconnect.set(Some(true));
            let primary = self.primary.upgrade();
            if let Some(primary) = &primary {
                primary.listeners.drain_all(self.id);
            }
            // What it was given before comes first: its servers close when it hears that it is to go.
            let now = primary.as_ref().map_or(Duration::ZERO, |primary| primary.env.loop_handle().now());
            self.send_connections(now);
            self.tell(&Message::Leave);
            if let Some(primary) = primary {
                primary.listeners.close_deserted();
                // What it gives back from now on still finds the others.
                // From the loop, as a policy is not called while somebody calls us.
                self.distribution_due.set(true);
                self.channel.notify();
            }
        }
    }

    /// From here on it is known whether somebody had asked.
    pub(crate) fn settle(&self) {
        if self.exited_after_disconnect.get().is_none() {
            self.exited_after_disconnect.set(Some(false));
        }
    }

    /// Sends a message to a worker that may be gone: then its channel says so.
    pub(crate) fn tell(&self, message: &Message) {
        if let Err(error) = self.channel.send(message) {
            log::debug!(target: "cluster", "worker {}: {error}", self.id);
        }
    }

    /// Answers a message of the worker. Nothing more is read from one that does not read its answers.
    pub(crate) fn answer(&self, message: &Message, fds: Vec<Rc<OwnedFd>>) {
        let (before, sockets) = (self.channel.unsent(), fds.len());
        if let Err(error) = self.channel.send_fds(message, fds) {
            log::debug!(target: "cluster", "worker {}: {error}", self.id);
        }
        let waiting = self.channel.unsent().saturating_sub(before);
        self.answers.set(self.answers.get() + waiting);
        if waiting > 0 {
            self.sockets.set(self.sockets.get() + sockets);
        }
        if waiting > 0 && self.answers.get() > ANSWERS {
            self.channel.pause();
        }
    }

    /// Answers a query that has no socket.
    pub(crate) fn refuse(&self, id: u32, error: &uv_core::Error) {
        let target = error.target().unwrap_or_default();
        // That a socket file is left over is worth saying in the worker too.
        let target = error.note().map_or_else(|| target.to_owned(), |note| format!("{target} ({note})"));
        let reply = Reply::Failed { errno: error.errno().raw(), target };
        self.answer(&Message::Answer { id, reply }, Vec::new());
    }

    /// Sockets that wait to be sent to a worker that does not read.
    pub(crate) fn waiting_sockets(&self) -> usize {
        self.sockets.get()
    }

    /// Something was sent: reads on if all answers were.
    pub(crate) fn read_on_if_answered(&self) {
        if self.answers.get() > 0 && self.channel.unsent() == 0 {
            self.answers.set(0);
            self.sockets.set(0);
            self.channel.resume();
        }
    }

    pub(crate) fn can_take_a_connection(&self) -> bool {
        self.is_punctual() && self.window.borrow().has_room()
    }

    /// Whether it is there, and acknowledges in time.
    pub(crate) fn is_punctual(&self) -> bool {
        self.is_connected() && self.status.get().is_none() && !self.is_late.get()
    }

    /// Whether the worker would be late if it had not acknowledged by now. Its word may have come, and not have been
    /// heard yet: so it is judged, and connections are distributed, at the end of this turn of the loop.
    pub(crate) fn seems_late(&self, now: Duration) -> bool {
        let seems = self.is_connected() && !self.is_late.get() && self.window.borrow().is_overdue(now);
        if seems {
            self.distribution_due.set(true);
            self.channel.notify();
        }
        seems
    }

    /// Everything that came in this turn of the loop was heard.
    pub(crate) fn judge(&self, now: Duration) {
        self.is_late.set(self.window.borrow().is_overdue(now));
    }

    pub(crate) fn as_candidate(&self) -> Candidate {
        let in_flight = self.window.borrow().in_flight();
        Candidate { worker: self.id, in_flight, taken: self.taken.get() }
    }

    /// Gives the worker a connection of a listening socket (`handoff`). Those of one turn travel together.
    pub(crate) fn hand(&self, key: u32, connection: Connection) {
        self.window.borrow_mut().push(key, connection);
        self.channel.notify();
    }

    /// Sends what was handed over in this turn.
    pub(crate) fn send_connections(&self, now: Duration) {
        loop {
            let (message, fds) = {
                let mut window = self.window.borrow_mut();
                let Some(batch) = window.next_batch(now) else { return };
                let fds = batch.connections.iter().map(|connection| Rc::clone(&connection.fd)).collect();
                (Message::Connections { key: batch.key, batch: batch.id }, fds)
            };
            if let Err(error) = self.channel.send_fds(&message, fds) {
                // They stay in the window, and come back when the channel is closed.
                log::debug!(target: "cluster", "worker {}: {error}", self.id);
            }
        }
    }

    pub(crate) fn acknowledge(
        &self,
        batch: u32,
        refused: u64,
    ) -> Result<Acknowledged<Connection>, ProtocolError> {
        let acknowledged = self.window.borrow_mut().acknowledge(batch, refused)?;
        self.is_late.set(false);
        self.taken.set(self.taken.get() + acknowledged.taken as u64);
        self.refused.set(self.refused.get() + acknowledged.refused.len() as u64);
        Ok(acknowledged)
    }

    /// Connections that the worker was handed and will never acknowledge.
    pub(crate) fn take_unacknowledged(&self) -> Vec<(u32, Connection)> {
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
