//! The primary: it forks workers and knows them. Mirrors Node's `lib/internal/cluster/primary.js`.

mod distributor;
mod draining;
mod end;
mod members;
mod output;
mod sockets;
mod supervisor;
mod window;
mod worker;

pub use output::Output;
pub use supervisor::Backoff;
pub use worker::{Counters, WorkerHandle};

use crate::channel::Channel;
use crate::channel::bootstrap::{Invitation, STDIN, UNIQUE_ID, refuse_unaccepted};
use crate::channel::ids::WorkerId;
use crate::upcall::PrimaryHandler;
use crate::{Error, LAYER, Result, Settings};
use async_wrap::layer::trace::Facts;
use async_wrap::layer::{HandlerCell, OnDrop, Place};
use async_wrap::{AsyncContext, Environment, Provider};
use draining::Draining;
use end::PrimaryEnd;
use output::Pipes;
use sockets::SocketTable;
use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fmt;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;
use supervisor::Supervisor;
use uv_core::process::{ExitStatus, Process, Stdio};
use worker::{WorkerHandleInner, WorkerSpec};

/// How long the channel of a worker may stay open after its process ended. What the worker sent before is in the channel
/// and read at once; only another process to which the worker passed its end keeps it open.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The primary of a cluster. A cheap clone.
///
/// It keeps its loop alive while it has workers, and while a silent worker, or a child of one, may write output. Its
/// handler is called inside callback scopes of the environment. The handler should reach the primary through its arguments:
/// a clone in the handler is a reference cycle.
///
/// ```no_run
/// use cluster::async_wrap::Environment;
/// use cluster::upcall::PrimaryHandler;
/// use cluster::{Primary, Settings, Worker, WorkerHandle};
///
/// struct Count(usize);
///
/// impl PrimaryHandler for Count {
///     fn on_online(&mut self, _: &WorkerHandle) {
///         self.0 += 1;
///         println!("{} workers run", self.0);
///     }
/// }
///
/// let env = Environment::with_new_loop()?;
/// // A worker is this program again.
/// if let Some(worker) = Worker::from_env(&env)? {
///     println!("this is worker {}", worker.id());
/// } else {
///     let primary = Primary::new(&env, Settings::default(), Count(0));
///     for _ in 0..4 {
///         primary.fork()?;
///     }
/// }
/// env.run_to_end()?;
/// # Ok::<(), cluster::Error>(())
/// ```
#[derive(Clone)]
pub struct Primary(Rc<PrimaryInner>);

struct PrimaryInner {
    env: Environment,
    settings: RefCell<Settings>,
    /// Whether there was a fork, after which the policy is fixed.
    forked: Cell<bool>,
    handler: HandlerCell<Box<dyn PrimaryHandler>>,
    workers: RefCell<Vec<Rc<WorkerHandleInner>>>,
    last_worker: Cell<WorkerId>,
    sockets: SocketTable,
    supervisor: Supervisor,
    draining: Draining,
    disconnecting: Cell<bool>,
}

impl Primary {
    /// A primary without workers.
    #[must_use]
    pub fn new(env: &Environment, settings: Settings, handler: impl PrimaryHandler + 'static) -> Self {
        let primary = PrimaryInner {
            env: env.clone(),
            settings: RefCell::new(settings.settled()),
            forked: Cell::new(false),
            handler: HandlerCell::empty(),
            workers: RefCell::default(),
            last_worker: Cell::new(WorkerId(0)),
            sockets: SocketTable::new(env.loop_handle()),
            supervisor: Supervisor::default(),
            draining: Draining::default(),
            disconnecting: Cell::new(false),
        };
        primary.handler.set(Box::new(handler));
        Self(Rc::new(primary))
    }

    /// Changes the settings of workers to come (`setupPrimary`); `on_setup` follows.
    ///
    /// # Errors
    /// `PolicyFrozen` if `change` replaces the policy after the first fork. No setting is changed then.
    pub fn setup(&self, change: impl FnOnce(Settings) -> Settings) -> Result<()> {
        let changed = self.0.settings.borrow().clone().changed(change, self.0.forked.get())?;
        *self.0.settings.borrow_mut() = changed;
        let primary = self.clone();
        self.0.env.next_tick(move || primary.0.handler.call(|handler| handler.on_setup(&primary)));
        Ok(())
    }

    /// The settings of workers to come.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.0.settings.borrow().clone()
    }

    /// Starts a worker; `on_fork` follows.
    ///
    /// # Errors
    /// The system's refusal: no such program, no permission, too many processes, no room for the channel's descriptor.
    /// `Invitation` in a process that was itself forked as a worker and has not become one.
    #[track_caller]
    pub fn fork(&self) -> Result<WorkerHandle> {
        self.fork_with(Vec::<(OsString, OsString)>::new())
    }

    /// Starts a worker with additional variables in its environment.
    ///
    /// # Errors
    /// As for [`fork`](Self::fork).
    #[track_caller]
    pub fn fork_with(
        &self,
        env: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Result<WorkerHandle> {
        let env = env.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.0.fork(env, 0)
    }

    /// The workers, in the order of their forks. A worker is among them until it has both disconnected and ended.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerHandle> {
        self.0.workers.borrow().iter().map(|worker| WorkerHandle(Rc::clone(worker))).collect()
    }

    /// Disconnects every worker (`cluster.disconnect`). `on_disconnected` follows once no worker is left, also if there is
    /// no worker now.
    pub fn disconnect(&self) {
        self.0.disconnecting.set(true);
        self.0.sockets.close_kept();
        self.0.sockets.deal_out();
        self.workers().iter().for_each(WorkerHandle::disconnect);
        let primary = Rc::clone(&self.0);
        self.0.env.next_tick(move || primary.report_if_disconnected());
    }

    /// Whether [`disconnect`](Self::disconnect) was called and some workers are left.
    #[must_use]
    pub fn is_disconnecting(&self) -> bool {
        self.0.disconnecting.get()
    }

    /// The environment that the primary runs in.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.env
    }
}

impl PrimaryInner {
    /// Starts a worker whose predecessors died early, so many in a row.
    #[track_caller]
    fn fork(self: &Rc<Self>, env: Vec<(OsString, OsString)>, early_deaths: u32) -> Result<WorkerHandle> {
        let _place = Place::caller().mark();
        let worker = WorkerHandle(self.start_worker(env, early_deaths)?);
        let (primary, forked) = (Rc::clone(self), worker.clone());
        self.env.next_tick(move || primary.handler.call(|handler| handler.on_fork(&forked)));
        Ok(worker)
    }

    fn start_worker(
        self: &Rc<Self>,
        env: Vec<(OsString, OsString)>,
        early_deaths: u32,
    ) -> Result<Rc<WorkerHandleInner>> {
        refuse_unaccepted()?;
        // Also if it cannot be started: its channel is closed later, by which time another worker may have been forked.
        let id = WorkerId(self.last_worker.get().0 + 1);
        self.last_worker.set(id);
        let event_loop = self.env.loop_handle();
        let spec = WorkerSpec {
            id,
            channel_context: self.env.new_context(Provider::PipeWrap),
            process_context: self.env.new_context(Provider::ProcessWrap),
            env,
            early_deaths,
            forked_at: event_loop.now(),
            is_same_user: self.settings().is_same_user(),
        };
        let mut worker = None;
        let _channel = Channel::new(event_loop, |channel| {
            let new = Rc::new(WorkerHandleInner::new(self, channel.clone(), spec));
            worker = Some(Rc::clone(&new));
            Box::new(PrimaryEnd { primary: Rc::clone(self), worker: new })
        });
        let worker = worker.ok_or(Error::Disconnected)?;
        self.spawn(&worker).inspect_err(|_| worker.channel.close())?;
        self.forked.set(true);
        self.workers.borrow_mut().push(Rc::clone(&worker));
        Ok(worker)
    }

    fn spawn(self: &Rc<Self>, worker: &Rc<WorkerHandleInner>) -> Result<()> {
        let event_loop = self.env.loop_handle();
        let invitation = Invitation::new(event_loop, worker.channel.open_pair()?)?;
        let settings = self.settings.borrow();
        let mut options = settings.spawn_options()?;
        for (key, value) in &worker.env {
            options = options.env(key, value);
        }
        let pipes = settings.silent.then(|| Pipes::new(event_loop));
        let [stdout, stderr] =
            pipes.as_ref().map_or([Stdio::InheritFd(1), Stdio::InheritFd(2)], Pipes::stdio);
        let options = options
            .env(UNIQUE_ID, worker.id.0.to_string())
            .env(STDIN, invitation.inode.to_string())
            .stdio([Stdio::InheritFd(invitation.stdin.as_raw_fd()), stdout, stderr]);
        let (primary, ended) = (Rc::clone(self), Rc::clone(worker));
        let process = Process::spawn(event_loop, &options, move |process: &Process, status| {
            process.close();
            primary.worker_exited(&ended, status);
        });
        let process = process.inspect_err(|_| pipes.iter().for_each(Pipes::close))?;
        if let Some(pipes) = pipes {
            pipes.read(self, worker);
        }
        // The cell is empty: this is the only call.
        let _ = worker.process.set(process);
        Ok(())
    }

    /// Calls the handler in a callback scope.
    fn emit(&self, name: &'static str, context: AsyncContext, call: impl FnOnce(&mut dyn PrimaryHandler)) {
        self.env.make_callback(context, || {
            let _up = LAYER.up(name, Facts::default);
            self.handler.call(|handler| call(&mut **handler));
        });
    }

    fn report_error(&self, error: Error) {
        self.handler.call(|handler| handler.on_error(None, error));
    }

    fn settings(&self) -> std::cell::Ref<'_, Settings> {
        self.settings.borrow()
    }

    fn worker_exited(self: &Rc<Self>, worker: &Rc<WorkerHandleInner>, status: ExitStatus) {
        worker.status.set(Some(status));
        worker.settle();
        if !worker.disconnected.get() {
            let ended = Rc::clone(worker);
            let timeout = self.env.set_deadline(DRAIN_TIME, move |_| ended.channel.close());
            timeout.unref();
            worker.drain_timeout.set(Some(timeout));
        }
        self.forget_if_over(worker);
        let handle = WorkerHandle(Rc::clone(worker));
        let _gone = OnDrop::new(|| self.env.emit_destroy(worker.process_context.async_id()));
        self.emit("PrimaryHandler::on_exit", worker.process_context, |handler| {
            // Also if the handler panics. Behind its call, in which it may disconnect the primary.
            let _successor = OnDrop::new(|| self.supervisor.worker_died(self, worker));
            handler.on_exit(&handle, status);
        });
        self.report_if_disconnected();
    }

    /// The channel is closed, and all messages that the worker sent were read. So it never serves a connection that it has
    /// not acknowledged.
    fn worker_disconnected(self: &Rc<Self>, worker: &Rc<WorkerHandleInner>) {
        worker.disconnected.set(true);
        if let Some(timeout) = worker.drain_timeout.take() {
            timeout.clear();
        }
        let unasked = !worker.is_leaving();
        worker.settle();
        self.sockets.leave_all(worker.id);
        for (socket, connection) in worker.take_unacknowledged() {
            self.sockets.give_back(socket, vec![connection]);
        }
        // A worker that leaves by its own wish may end before its servers are closed.
        worker.is_going.set(unasked || worker.is_going.get());
        self.close_or_keep(worker);
        self.sockets.distribute();
        if worker.process.get().is_none() {
            // It could not be started, so the program has no handle of it.
            self.env.emit_destroy(worker.process_context.async_id());
            return self.env.emit_destroy(worker.channel_context.async_id());
        }
        self.forget_if_over(worker);
        let handle = WorkerHandle(Rc::clone(worker));
        let _gone = OnDrop::new(|| self.env.emit_destroy(worker.channel_context.async_id()));
        self.emit("PrimaryHandler::on_disconnect", worker.channel_context, |handler| {
            handler.on_disconnect(&handle)
        });
        self.report_if_disconnected();
    }

    /// Closes the sockets without members. Those of a worker that leaves by its own wish, or died, may wait for its
    /// successor.
    fn close_or_keep(&self, worker: &WorkerHandleInner) {
        if worker.is_going.get() && self.settings().keep_listening && !self.disconnecting.get() {
            self.sockets.keep_deserted(self.settings().max_listeners);
        } else {
            self.sockets.close_deserted();
        }
    }

    fn forget_if_over(&self, worker: &Rc<WorkerHandleInner>) {
        if worker.disconnected.get() && worker.status.get().is_some() {
            self.workers.borrow_mut().retain(|other| !Rc::ptr_eq(other, worker));
        }
    }

    fn report_if_disconnected(self: &Rc<Self>) {
        if self.workers.borrow().is_empty() && self.disconnecting.replace(false) {
            self.supervisor.clear();
            let primary = Primary(Rc::clone(self));
            self.emit("PrimaryHandler::on_disconnected", AsyncContext::NONE, |handler| {
                handler.on_disconnected(&primary)
            });
        }
    }
}

impl fmt::Debug for Primary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primary")
            .field("workers", &self.workers())
            .field("disconnecting", &self.is_disconnecting())
            .finish_non_exhaustive()
    }
}
