//! A worker as it sees itself. Mirrors `cluster.worker` in a worker, Node's `lib/internal/cluster/child.js`.

mod delivery;
mod end;
mod faux_handle;
mod listen_table;
mod shared_handle;
mod source;

use crate::channel::Channel;
use crate::channel::bootstrap::accept_invitation;
use crate::channel::ids::WorkerId;
use crate::channel::message::{Message, WORKER_FDS};
use crate::upcall::WorkerHandler;
use crate::{Error, LAYER, Result};
use async_wrap::layer::trace::Facts;
use async_wrap::layer::{HandlerCell, Place};
use async_wrap::{AsyncContext, Environment, Provider};
use delivery::Delivery;
use end::WorkerEnd;
use listen_table::ListenTable;
use net::source::ListenSource;
use source::WorkerSource;
use std::cell::Cell;
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::Errno;

/// This process, as a worker (`cluster.worker`). A cheap clone.
///
/// ```no_run
/// use cluster::Worker;
/// use net::{ListenOptions, Server, ServerOptions, Socket};
/// use async_wrap::Environment;
/// use uv_core::{Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let env = Environment::new(&event_loop);
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
pub struct Worker(Rc<WorkerInner>);

struct WorkerInner {
    env: Environment,
    id: WorkerId,
    channel: Channel,
    context: AsyncContext,
    handler: HandlerCell<Box<dyn WorkerHandler>>,
    table: ListenTable,
    delivery: Delivery,
    leaving: Cell<Leaving>,
    /// The servers are to close once the connections that were acknowledged are delivered.
    close_due: Cell<bool>,
    /// Servers that have not reported their close yet.
    closing: Cell<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// By the worker's own wish: the primary is to be told.
    Own,
    /// On the primary's request.
    Asked,
    /// By its own wish, without waiting for servers and connections.
    Killed,
}

/// The handler of a worker whose program sets none.
struct DefaultHandler;

impl WorkerHandler for DefaultHandler {}

impl Worker {
    /// This process as a worker, if a primary forked it (`cluster.isWorker`). `None` in every other process, in children
    /// of workers, and on a second call.
    ///
    /// Call it before the program starts threads or other programs: it removes the variables that mark a worker, which is
    /// possible only in a process with one thread. In a child that inherits the variables it fails.
    ///
    /// The channel to the primary keeps the loop alive: see [`unref`](Self::unref).
    ///
    /// # Errors
    /// `Invitation` if a primary forked this process and it cannot become a worker, for want of descriptors for example;
    /// `Version` if the primary speaks another version of the protocol; the system's refusal. The program should end
    /// then.
    #[track_caller]
    pub fn from_env(env: &Environment) -> Result<Option<Self>> {
        let Some((id, fd)) = accept_invitation()? else { return Ok(None) };
        let _place = Place::caller().mark();
        let mut worker = None;
        let context = env.new_context(Provider::PipeWrap);
        let _channel = Channel::new(env.loop_handle(), |channel| {
            let inner = Rc::new(WorkerInner {
                env: env.clone(),
                id,
                channel: channel.clone(),
                context,
                handler: HandlerCell::empty(),
                table: ListenTable::default(),
                delivery: Delivery::default(),
                leaving: Cell::new(Leaving::No),
                close_due: Cell::new(false),
                closing: Cell::new(0),
            });
            worker = Some(Self(Rc::clone(&inner)));
            Box::new(WorkerEnd(inner))
        });
        let worker = worker.ok_or(Error::Disconnected)?;
        worker.0.handler.set(Box::new(DefaultHandler));
        worker.0.channel.open(fd)?;
        worker.0.channel.tell(&Message::Online);
        Ok(Some(worker))
    }

    /// Sets the handler. A handler that is set during an upcall takes over after it.
    pub fn set_handler(&self, handler: impl WorkerHandler + 'static) {
        self.0.handler.set(Box::new(handler));
    }

    /// The worker's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id.0
    }

    /// The source of listening handles for servers of this worker, which asks the primary. For
    /// [`Server::with_source`](net::Server::with_source).
    #[must_use]
    pub fn source(&self) -> Rc<dyn ListenSource> {
        Rc::new(WorkerSource(Rc::clone(&self.0)))
    }

    /// Sends a message (`process.send`). Returns `false` once the caller should pause; what is sent anyway waits in memory,
    /// where acknowledgements of connections overtake it.
    ///
    /// # Errors
    /// `Disconnected`, `MessageTooLong`, the system's refusal.
    pub fn send(&self, data: &[u8]) -> Result<bool> {
        self.0.channel.send_user(data, Vec::new())
    }

    /// Sends a message with at most 16 descriptors.
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

    /// Ends the worker (`cluster.worker.kill`): tells the primary that it leaves, closes the channel without waiting for
    /// servers and connections, and then stops the loop, which is as close to Node's `process.exit(0)` as a library can
    /// come. Without a channel the loop is stopped at once.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// Whether the channel to the primary is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.0.channel.is_closing()
    }

    /// Lets the channel keep the loop alive, which is the default.
    pub fn ref_(&self) {
        self.0.channel.ref_();
    }

    /// Lets the loop end although the channel is open (`process.channel.unref`).
    pub fn unref(&self) {
        self.0.channel.unref();
    }

    /// The environment that the worker runs in.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.env
    }
}

impl WorkerInner {
    fn emit(self: &Rc<Self>, name: &'static str, call: impl FnOnce(&mut dyn WorkerHandler, &Worker)) {
        let worker = Worker(Rc::clone(self));
        self.env.make_callback(self.context, || {
            let _up = LAYER.up(name, Facts::default);
            self.handler.call(|handler| call(&mut **handler, &worker));
        });
    }

    fn is_leaving(&self) -> bool {
        self.leaving.get() != Leaving::No
    }

    fn is_told_to_leave(&self) -> bool {
        self.leaving.get() == Leaving::Asked
    }

    fn leave(self: &Rc<Self>, how: Leaving) {
        if !self.is_leaving() && !self.channel.is_closing() {
            self.leaving.set(how);
            if how == Leaving::Own {
                self.channel.tell(&Message::Going);
            }
            let worker = Rc::clone(self);
            self.env.next_tick(move || worker.close_servers());
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
            self.channel.tell(&Message::Going);
            self.channel.tell(&Message::Leaving);
        }
    }

    /// `_disconnect`.
    fn close_servers(self: &Rc<Self>) {
        let waits = !self.delivery.is_empty();
        self.close_due.set(waits);
        if waits {
            return;
        }
        // The handler may close some of them; their close is waited for as well.
        let servers = self.table.servers();
        let worker = Worker(Rc::clone(self));
        self.handler.call(|handler| handler.on_leave(&worker));
        // One more than there are, so that a server that closes at once is not taken for the last one.
        self.closing.set(1);
        for server in servers {
            let worker = Rc::clone(self);
            if server.shutdown_with(move || worker.server_closed()).is_ok() {
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
            // The primary was told by `kill`.
            Leaving::Killed => {}
            Leaving::Own | Leaving::No => self.channel.tell(&Message::Leaving),
        }
    }

    /// Delivers the connections that the primary knows to be taken, and then closes the servers if that was waiting.
    fn deliver(self: &Rc<Self>) {
        self.delivery.run(&self.env, &self.channel);
        if self.close_due.get() && self.delivery.is_empty() {
            let worker = Rc::clone(self);
            self.close_due.set(false);
            self.env.next_tick(move || worker.close_servers());
        }
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
