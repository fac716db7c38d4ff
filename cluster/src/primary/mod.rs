//! The primary: it forks workers and knows them. Mirrors Node's `lib/internal/cluster/primary.js`.

mod bind;
mod distributor;
mod end;
mod output;
mod sockets;
mod supervisor;
mod window;
mod worker;

pub use output::Output;
pub use supervisor::{Backoff, Supervised};
pub use worker::{Counters, WorkerHandle};

use crate::LAYER;
use crate::channel::Channel;
use crate::channel::bootstrap::{Invitation, STDIN, UNIQUE_ID, refuse_unaccepted};
use crate::primary::end::Conversation;
use crate::primary::output::Pipes;
use crate::primary::sockets::Listeners;
use crate::primary::worker::{Birth, WorkerState};
use crate::upcall::PrimaryHandler;
use crate::{Error, Result, Settings};
use async_wrap::layer::HandlerCell;
use async_wrap::layer::trace::Facts;
use async_wrap::{AsyncContext, Environment, Provider};
use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fmt;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;
use uv_core::process::{ExitStatus, Process, Stdio};

/// How long the channel of a worker whose process has ended may stay open. What the worker said lies in it and is read at
/// once; only a process to which the worker gave its end keeps it open.
const BEQUEST: Duration = Duration::from_secs(1);

/// The primary of a cluster. A cheap clone.
///
/// It keeps its loop alive while it has workers, and while somebody may write to what it reads of silent ones. Its
/// handler is called inside of callback scopes of the environment,
/// and should reach the primary through what it is given rather than hold one, which would keep both for ever.
#[derive(Clone)]
pub struct Primary(pub(crate) Rc<PrimaryState>);

pub(crate) struct PrimaryState {
    pub(crate) env: Environment,
    settings: RefCell<Settings>,
    /// Whether there was a fork, after which the policy stays.
    forked: Cell<bool>,
    handler: HandlerCell<Box<dyn PrimaryHandler>>,
    workers: RefCell<Vec<Rc<WorkerState>>>,
    last_worker: Cell<u32>,
    pub(crate) listeners: Listeners,
    disconnecting: Cell<bool>,
}

impl Primary {
    /// A primary without workers.
    #[must_use]
    pub fn new(env: &Environment, settings: Settings, handler: impl PrimaryHandler + 'static) -> Self {
        let state = PrimaryState {
            env: env.clone(),
            settings: RefCell::new(settings.settled()),
            forked: Cell::new(false),
            handler: HandlerCell::empty(),
            workers: RefCell::default(),
            last_worker: Cell::new(0),
            listeners: Listeners::default(),
            disconnecting: Cell::new(false),
        };
        state.handler.set(Box::new(handler));
        Self(Rc::new(state))
    }

    /// Changes the settings for workers to come (`setupPrimary`); `on_setup` follows.
    ///
    /// # Errors
    /// `PolicyFrozen` if that would change the policy after the first fork. Nothing is changed then.
    pub fn setup(&self, change: impl FnOnce(Settings) -> Settings) -> Result<()> {
        let changed = self.0.settings.borrow().clone().changed(change, self.0.forked.get())?;
        *self.0.settings.borrow_mut() = changed;
        let primary = self.clone();
        self.0.env.next_tick(move || primary.0.handler.call(|handler| handler.on_setup(&primary)));
        Ok(())
    }

    /// The settings for workers to come.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.0.settings.borrow().clone()
    }

    /// Starts a worker; `on_fork` follows.
    ///
    /// # Errors
    /// The system's refusal: no such program, no right to it, too many processes, no way to send it its channel.
    /// `Invitation` in a process that was itself forked as a worker and has not become one.
    pub fn fork(&self) -> Result<WorkerHandle> {
        self.fork_with(Vec::<(OsString, OsString)>::new())
    }

    /// Starts a worker with variables of its own in its environment.
    ///
    /// # Errors
    /// As for [`fork`](Self::fork).
    pub fn fork_with(
        &self,
        env: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Result<WorkerHandle> {
        let env = env.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let worker = self.0.start_worker(env)?;
        let (primary, forked) = (Rc::clone(&self.0), worker.clone());
        self.0.env.next_tick(move || primary.handler.call(|handler| handler.on_fork(&forked)));
        Ok(worker)
    }

    /// The workers that are there: from their fork until they have both disconnected and ended. In the order of their
    /// forks.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerHandle> {
        self.0.workers.borrow().iter().map(|worker| WorkerHandle(Rc::clone(worker))).collect()
    }

    /// Disconnects every worker (`cluster.disconnect`); `on_disconnected` comes when none is left, also if there is
    /// none now.
    pub fn disconnect(&self) {
        self.0.disconnecting.set(true);
        self.0.listeners.close_kept();
        self.0.listeners.deal_out();
        self.workers().iter().for_each(WorkerHandle::disconnect);
        let primary = Rc::clone(&self.0);
        self.0.env.next_tick(move || primary.report_if_disconnected());
    }

    /// Whether [`disconnect`](Self::disconnect) was called and workers are left.
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

impl PrimaryState {
    fn start_worker(self: &Rc<Self>, env: Vec<(OsString, OsString)>) -> Result<WorkerHandle> {
        refuse_unaccepted()?;
        let id = self.last_worker.get() + 1;
        let lp = self.env.loop_handle();
        let birth = Birth {
            id,
            channel_context: self.env.new_context(Provider::PipeWrap),
            process_context: self.env.new_context(Provider::ProcessWrap),
            env,
            forked_at: lp.now(),
            is_same_user: self.settings().is_same_user(),
        };
        let mut worker = None;
        let _channel = Channel::new(lp, |channel| {
            let state = Rc::new(WorkerState::new(self, channel.clone(), birth));
            worker = Some(Rc::clone(&state));
            Box::new(Conversation { primary: Rc::clone(self), worker: state })
        });
        let worker = worker.ok_or(Error::Disconnected)?;
        self.spawn(&worker).inspect_err(|_| worker.channel.close())?;
        self.last_worker.set(id);
        self.forked.set(true);
        self.workers.borrow_mut().push(Rc::clone(&worker));
        Ok(WorkerHandle(worker))
    }

    fn spawn(self: &Rc<Self>, worker: &Rc<WorkerState>) -> Result<()> {
        let lp = self.env.loop_handle();
        let invitation = Invitation::new(lp, worker.channel.open_pair()?)?;
        let settings = self.settings.borrow();
        let mut options = settings.spawn_options()?;
        for (key, value) in &worker.env {
            options = options.env(key, value);
        }
        let pipes = settings.is_silent().then(|| Pipes::new(lp));
        let [stdout, stderr] =
            pipes.as_ref().map_or([Stdio::InheritFd(1), Stdio::InheritFd(2)], Pipes::stdio);
        let options = options
            .env(UNIQUE_ID, worker.id.to_string())
            .env(STDIN, invitation.inode.to_string())
            .stdio([Stdio::InheritFd(invitation.stdin.as_raw_fd()), stdout, stderr]);
        let (primary, ended) = (Rc::clone(self), Rc::clone(worker));
        let process = Process::spawn(lp, &options, move |process: &Process, status| {
            process.close();
            primary.worker_exited(&ended, status);
        });
        let process = process.inspect_err(|_| pipes.iter().for_each(Pipes::close))?;
        if let Some(pipes) = pipes {
            pipes.read(self, worker);
        }
        // A fresh cell: this is the only call.
        let _ = worker.process.set(process);
        Ok(())
    }

    /// Calls the handler in a callback scope.
    pub(crate) fn emit(
        &self,
        name: &'static str,
        context: AsyncContext,
        call: impl FnOnce(&mut dyn PrimaryHandler),
    ) {
        self.env.make_callback(context, || {
            let _up = LAYER.up(name, Facts::default);
            self.handler.call(|handler| call(&mut **handler));
        });
    }

    pub(crate) fn report_error(&self, error: Error) {
        self.handler.call(|handler| handler.on_error(None, error));
    }

    pub(crate) fn settings(&self) -> std::cell::Ref<'_, Settings> {
        self.settings.borrow()
    }

    fn worker_exited(self: &Rc<Self>, worker: &Rc<WorkerState>, status: ExitStatus) {
        worker.status.set(Some(status));
        worker.settle();
        if !worker.disconnected.get() {
            let ended = Rc::clone(worker);
            let timeout = self.env.set_deadline(BEQUEST, move |_| ended.channel.close());
            timeout.unref();
            worker.bequest.set(Some(timeout));
        }
        self.forget_if_gone(worker);
        let handle = WorkerHandle(Rc::clone(worker));
        self.emit("PrimaryHandler::on_exit", worker.process_context, |handler| {
            handler.on_exit(&handle, status)
        });
        self.env.emit_destroy(worker.process_context.async_id());
        self.report_if_disconnected();
    }

    /// The channel is closed. Everything that the worker said before was heard, so what it did not acknowledge it will
    /// not serve.
    pub(crate) fn worker_disconnected(self: &Rc<Self>, worker: &Rc<WorkerState>) {
        worker.disconnected.set(true);
        if let Some(timeout) = worker.bequest.take() {
            timeout.clear();
        }
        let unasked = !worker.is_leaving();
        worker.settle();
        self.listeners.leave_all(worker.id);
        for (key, connection) in worker.take_unacknowledged() {
            self.listeners.give_back(key, vec![connection]);
        }
        // Or it goes by its own wish, and does not wait for the end of that.
        worker.is_going.set(unasked || worker.is_going.get());
        self.close_or_keep(worker);
        self.listeners.distribute();
        if worker.process.get().is_none() {
            // It was never started, and nobody knows of it.
            self.env.emit_destroy(worker.process_context.async_id());
            return self.env.emit_destroy(worker.channel_context.async_id());
        }
        self.forget_if_gone(worker);
        let handle = WorkerHandle(Rc::clone(worker));
        self.emit("PrimaryHandler::on_disconnect", worker.channel_context, |handler| {
            handler.on_disconnect(&handle)
        });
        self.env.emit_destroy(worker.channel_context.async_id());
        self.report_if_disconnected();
    }

    /// Closes the sockets that nobody has any more. Those of a worker that goes unasked may wait for its successor.
    pub(crate) fn close_or_keep(&self, worker: &WorkerState) {
        if worker.is_going.get() && self.settings().keeps_listening() && !self.disconnecting.get() {
            self.listeners.keep_deserted(self.settings().most_listeners());
        } else {
            self.listeners.close_deserted();
        }
    }

    fn forget_if_gone(&self, worker: &Rc<WorkerState>) {
        if worker.disconnected.get() && worker.status.get().is_some() {
            self.workers.borrow_mut().retain(|other| !Rc::ptr_eq(other, worker));
        }
    }

    fn report_if_disconnected(self: &Rc<Self>) {
        if self.workers.borrow().is_empty() && self.disconnecting.replace(false) {
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
