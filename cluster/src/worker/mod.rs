//! A worker as it sees itself. Mirrors `cluster.worker` in a worker, Node's `lib/internal/cluster/child.js`.

mod faux_handle;
mod listen_table;
mod shared_handle;
mod source;

use crate::LAYER;
use crate::channel::bootstrap::accept_invitation;
use crate::channel::message::{BATCH, Message, ProtocolError, Reply, WORKER_FDS};
use crate::channel::{Channel, OnChannel};
use crate::upcall::WorkerHandler;
use crate::worker::faux_handle::Faux;
use crate::worker::listen_table::{Handles, Reserved};
use crate::worker::source::WorkerSource;
use crate::{Error, Result};
use async_wrap::layer::HandlerCell;
use async_wrap::layer::trace::Facts;
use async_wrap::{AsyncContext, Environment, Provider};
use net::source::ListenSource;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::Errno;

/// This process, as a worker (`cluster.worker`). A cheap clone.
///
/// ```no_run
/// use async_wrap::{Environment, Loop, RunMode};
/// use cluster::Worker;
/// use net::{ListenOptions, Server, ServerOptions, Socket};
///
/// let lp = Loop::new()?;
/// let env = Environment::new(&lp);
/// if let Some(worker) = Worker::from_env(&env)? {
///     let server = Server::with_source(&env, ServerOptions::default(), worker.source());
///     server.listen_with(ListenOptions::port(8000), |_, socket| {
///         // …
/// #       drop(socket);
///     })?;
///     env.run(RunMode::Default)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Worker(Rc<WorkerSelf>);

pub(crate) struct WorkerSelf {
    pub(crate) env: Environment,
    id: u32,
    pub(crate) channel: Channel,
    pub(crate) context: AsyncContext,
    handler: HandlerCell<Box<dyn WorkerHandler>>,
    pub(crate) handles: Handles,
    /// Connections that were acknowledged, and that their servers have not got yet: the bytes that must be sent before
    /// the primary knows of it come first.
    taken: RefCell<VecDeque<(u64, Taken)>>,
    leaving: Cell<Leaving>,
    /// The servers are to close once they have the connections that were acknowledged.
    close_due: Cell<bool>,
    /// Servers whose close is waited for.
    closing: Cell<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// By the worker's own wish: the primary is to be told.
    Own,
    /// The primary wants it.
    Asked,
    /// By its own wish, without waiting for anything.
    Killed,
}

/// What a worker does that has no handler: what the trait says.
struct Plain;

impl WorkerHandler for Plain {}

impl Worker {
    /// This process as a worker, if a primary forked it (`cluster.isWorker`); `None` in every other process, in the
    /// children of workers too, and when called again.
    ///
    /// To be called before the program starts threads or other programs: it removes the variables by which a worker is
    /// known, which is possible in a process with one thread only. Children that inherit them are told of an error here.
    ///
    /// The channel to the primary keeps the loop alive: see [`unref`](Self::unref).
    ///
    /// # Errors
    /// `Invitation` if a primary forked this process and it cannot become a worker, for want of descriptors for example;
    /// `Version` if the primary speaks another version of the protocol; what the system says. The program is to end
    /// then.
    pub fn from_env(env: &Environment) -> Result<Option<Self>> {
        let Some((id, fd)) = accept_invitation()? else { return Ok(None) };
        let mut worker = None;
        let context = env.new_context(Provider::PipeWrap);
        let _channel = Channel::new(env.loop_handle(), |channel| {
            let me = Rc::new(WorkerSelf {
                env: env.clone(),
                id,
                channel: channel.clone(),
                context,
                handler: HandlerCell::empty(),
                handles: Handles::default(),
                taken: RefCell::default(),
                leaving: Cell::new(Leaving::No),
                close_due: Cell::new(false),
                closing: Cell::new(0),
            });
            worker = Some(Self(Rc::clone(&me)));
            Box::new(Attention(me))
        });
        let worker = worker.ok_or(Error::Disconnected)?;
        worker.0.handler.set(Box::new(Plain));
        worker.0.channel.open(fd)?;
        worker.0.tell(&Message::Online);
        Ok(Some(worker))
    }

    /// Sets the handler. One set during an upcall takes over after it.
    pub fn set_handler(&self, handler: impl WorkerHandler + 'static) {
        self.0.handler.set(Box::new(handler));
    }

    /// The worker's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Where servers of this worker get their listening handles: the primary. For
    /// [`Server::with_source`](net::Server::with_source).
    #[must_use]
    pub fn source(&self) -> Rc<dyn ListenSource> {
        Rc::new(WorkerSource(Rc::clone(&self.0)))
    }

    /// Sends a message (`process.send`). Returns whether more is welcome; what is sent anyway waits in memory.
    /// Acknowledgements of connections overtake it there.
    ///
    /// # Errors
    /// `Disconnected`, `MessageTooLong`, the system's refusal.
    pub fn send(&self, data: &[u8]) -> Result<bool> {
        self.0.channel.send_user(data, Vec::new())
    }

    /// Sends a message and, with it, descriptors, at most 16.
    ///
    /// # Errors
    /// As for [`send`](Self::send); `EINVAL` for more descriptors.
    pub fn send_fds(&self, data: &[u8], fds: Vec<OwnedFd>) -> Result<bool> {
        if fds.len() > WORKER_FDS {
            return Err(uv_core::Error::new("write", Errno::EINVAL).into());
        }
        self.0.channel.send_user(data, fds)
    }

    /// Leaves the cluster: closes the servers, waits for their connections, then closes the channel
    /// (`cluster.worker.disconnect`). Idempotent.
    pub fn disconnect(&self) {
        self.0.leave(Leaving::Own);
    }

    /// Ends the worker (`cluster.worker.kill`): tells the primary that it goes, closes the channel without waiting for
    /// servers and connections, and then stops the loop, as near to Node's `process.exit(0)` as a library may come.
    ///
    /// Without a channel the loop is stopped at once. To end by a signal is the process's own business.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// Whether there is a channel to the primary.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.0.channel.is_closing()
    }

    /// Lets the channel keep the loop alive, which it does at first.
    pub fn ref_(&self) {
        self.0.channel.ref_();
    }

    /// Lets the loop end although there is a channel (`process.channel.unref`).
    pub fn unref(&self) {
        self.0.channel.unref();
    }

    /// The environment that the worker runs in.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.env
    }
}

impl WorkerSelf {
    fn emit(self: &Rc<Self>, name: &'static str, call: impl FnOnce(&mut dyn WorkerHandler, &Worker)) {
        let worker = Worker(Rc::clone(self));
        self.env.make_callback(self.context, || {
            let _up = LAYER.up(name, Facts::default);
            self.handler.call(|handler| call(&mut **handler, &worker));
        });
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get() != Leaving::No
    }

    pub(crate) fn is_told_to_leave(&self) -> bool {
        self.leaving.get() == Leaving::Asked
    }

    /// Sends a message to a primary that may be gone: then the channel says so.
    pub(crate) fn tell(&self, message: &Message) {
        if let Err(error) = self.channel.send(message) {
            log::debug!(target: "cluster", "primary: {error}");
        }
    }

    fn leave(self: &Rc<Self>, how: Leaving) {
        if !self.is_leaving() && !self.channel.is_closing() {
            self.leaving.set(how);
            if how == Leaving::Own {
                self.tell(&Message::Going);
            }
            let me = Rc::clone(self);
            self.env.next_tick(move || me.close_servers());
        }
    }

    /// `destroy`.
    fn kill(&self) {
        if self.leaving.replace(Leaving::Killed) == Leaving::Killed {
            return;
        }
        if self.channel.is_closing() {
            self.env.loop_handle().stop();
        } else {
            self.tell(&Message::Going);
            self.tell(&Message::Leaving);
        }
    }

    /// `_disconnect`.
    fn close_servers(self: &Rc<Self>) {
        let waits = !self.taken.borrow().is_empty();
        self.close_due.set(waits);
        if waits {
            return;
        }
        // The handler may close them, and then too they are waited for.
        let servers = self.handles.servers();
        let worker = Worker(Rc::clone(self));
        self.handler.call(|handler| handler.on_leave(&worker));
        // One more than there are, so that none of them is taken for the last one before all are counted.
        self.closing.set(1);
        for server in servers {
            let me = Rc::clone(self);
            if server.shutdown_with(move || me.server_closed()).is_ok() {
                self.closing.set(self.closing.get() + 1);
            }
        }
        self.server_closed();
    }

    fn server_closed(&self) {
        self.closing.set(self.closing.get() - 1);
        if self.closing.get() > 0 {
            return;
        }
        match self.leaving.get() {
            Leaving::Asked => self.channel.end(),
            // That was said already.
            Leaving::Killed => {}
            Leaving::Own | Leaving::No => self.tell(&Message::Leaving),
        }
    }

    /// A batch of connections came. The primary learns which of them are taken before any is served: one that it does
    /// not know to be taken it gives to somebody else when this process dies.
    ///
    /// Of `announced` connections those for which the process had no descriptor are missing at the end. The primary
    /// still has them, so they are refused as those are for which a server has no room.
    fn take_connections(self: &Rc<Self>, key: u32, batch: u32, fds: Vec<OwnedFd>, announced: usize) {
        let entry = self.handles.find(key).filter(|_| self.leaving.get() != Leaving::Killed);
        let room = entry.as_ref().map_or(0, |entry| entry.reserve_up_to(fds.len()));
        let refused = (room..announced).fold(0, |refused: u64, index| refused | 1 << index);
        if let Some(entry) = entry.as_ref().filter(|_| fds.len() < announced) {
            entry.wait_for_descriptors(self);
        }
        // Ahead of what the program has to say, for which connections should not wait.
        let Ok(known) = self.channel.send_ahead(&Message::Taken { batch, refused }) else {
            // The primary is gone, or counts on somebody else.
            return;
        };
        if let Some(entry) = entry {
            let mut taken = self.taken.borrow_mut();
            let connections = fds.into_iter().take(room);
            taken.extend(connections.map(|fd| (known, Taken::Connection(Reserved::new(&entry), fd))));
        }
        self.serve();
    }

    /// Gives servers their connections, once the primary knows. A panic leaves the rest to `on_notify`.
    fn serve(self: &Rc<Self>) {
        let unfinished = Unfinished(self);
        while let Some(taken) = self.next_taken() {
            match taken {
                Taken::Connection(entry, fd) => entry.serve(&self.env, fd),
                Taken::Queue(faux) => faux.queue_taken(),
            }
        }
        drop(unfinished);
        if self.close_due.get() && self.taken.borrow().is_empty() {
            let me = Rc::clone(self);
            self.close_due.set(false);
            self.env.next_tick(move || me.close_servers());
        }
    }

    fn next_taken(&self) -> Option<Taken> {
        let mut taken = self.taken.borrow_mut();
        taken.pop_front_if(|(known, _)| *known <= self.channel.sent()).map(|(_, taken)| taken)
    }

    /// All has come that waited for a server; it closes behind the last of it.
    fn queue_taken(self: &Rc<Self>, key: u32) {
        if let Some(faux) = self.handles.find(key) {
            let mut taken = self.taken.borrow_mut();
            let known = taken.back().map_or(0, |(known, _)| *known);
            taken.push_back((known, Taken::Queue(faux)));
        }
        self.serve();
    }
}

/// What follows when the primary knows.
enum Taken {
    Connection(Reserved, OwnedFd),
    /// A server that is about to close has got all that waited for it.
    Queue(Rc<Faux>),
}

struct Unfinished<'a>(&'a WorkerSelf);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.channel.notify();
        }
    }
}

/// Stands on the worker's end of the channel: `onmessage`.
struct Attention(Rc<WorkerSelf>);

impl OnChannel for Attention {
    fn on_message(&mut self, message: Message, mut fds: Vec<OwnedFd>) -> Result<(), ProtocolError> {
        let me = &self.0;
        match message {
            Message::Answer { id, reply } => me.answered(id, reply, fds.pop()),
            Message::Connections { key, batch } if fds.len() <= BATCH => {
                let announced = fds.len();
                me.take_connections(key, batch, fds, announced);
                Ok(())
            }
            Message::Drained { key } => {
                me.queue_taken(key);
                Ok(())
            }
            Message::Leave => {
                me.leave(Leaving::Asked);
                Ok(())
            }
            Message::LeaveNoted => {
                me.channel.end();
                Ok(())
            }
            Message::User(data) => {
                me.emit("WorkerHandler::on_message", |handler, worker| {
                    handler.on_message(worker, &data, fds)
                });
                Ok(())
            }
            _ => Err(ProtocolError::Unexpected),
        }
    }

    fn on_message_cut(
        &mut self,
        message: Message,
        fds: Vec<OwnedFd>,
        announced: usize,
    ) -> Result<(), ProtocolError> {
        match message {
            Message::Connections { key, batch } if announced <= BATCH => {
                self.0.take_connections(key, batch, fds, announced);
                Ok(())
            }
            Message::Answer { id, reply: Reply::Shared { key, address } } => {
                self.0.socket_lost(id, key, &address)
            }
            Message::User(_) => {
                let error = Error::DescriptorsLost { announced, arrived: fds.len() };
                self.0.emit("WorkerHandler::on_error", |handler, worker| handler.on_error(worker, error));
                Ok(())
            }
            _ => Err(ProtocolError::Descriptors),
        }
    }

    fn on_notify(&mut self) {
        self.0.serve();
    }

    fn on_sent(&mut self) {
        self.0.serve();
    }

    fn on_unsent(&mut self, error: Error) {
        self.0.emit("WorkerHandler::on_error", |handler, worker| handler.on_error(worker, error));
    }

    fn on_broken(&mut self, error: Error) {
        log::error!(target: "cluster", "primary: {error}");
    }

    fn on_close(&mut self) {
        let me = &self.0;
        me.taken.take();
        me.handles.primary_is_gone(&me.env, me.context);
        if me.leaving.get() == Leaving::Killed {
            me.env.loop_handle().stop();
        }
        me.emit("WorkerHandler::on_disconnect", |handler, worker| {
            handler.on_disconnect(worker, me.is_leaving())
        });
        me.env.emit_destroy(me.context.async_id());
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        // Servers and handler may hold the worker, which holds them.
        self.0.handles.forget();
        drop(self.0.handler.take());
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("id", &self.id())
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}
