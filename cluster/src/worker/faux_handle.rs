//! The listening handle of a worker whose primary accepts: it only stands for the socket. Mirrors `rr` in Node's
//! `lib/internal/cluster/child.js`.

use crate::LAYER;
use crate::channel::message::Message;
use crate::worker::WorkerSelf;
use async_wrap::layer::HandlerCell;
use async_wrap::{AsyncContext, AsyncId, AsyncStream, Environment, Provider};
use net::source::{Acceptor, ListenHandle, ListenQueue};
use net::{Address, Result};
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use tcp_wrap::{Errno, Error, StreamWrap};
use uv_core::{Async, Timer};

/// How long a process that is out of descriptors gets no connections: short for those who wait, and far more than the
/// messages cost.
const DESCRIPTOR_WAIT: Duration = Duration::from_millis(50);

/// What a server holds. Closed when dropped.
pub(crate) struct FauxHandle {
    worker: Rc<WorkerSelf>,
    faux: Rc<Faux>,
    address: Address,
    /// Whether connections come with the server's options.
    prepared: bool,
    /// Keeps the loop alive, as a listening socket would. (Node has an interval of 24 days.)
    alive: Async,
}

/// What connections are given to.
pub(crate) struct Faux {
    id: u32,
    is_tcp: bool,
    context: AsyncContext,
    acceptor: HandlerCell<Acceptor>,
    /// Connections taken and on their way to the server.
    reserved: Cell<usize>,
    /// A connection was refused: the primary waits for word that there is room.
    refused: Cell<bool>,
    /// Runs after connections were refused for want of descriptors.
    patience: RefCell<Option<Timer>>,
}

impl FauxHandle {
    pub(crate) fn new(worker: &Rc<WorkerSelf>, id: u32, address: Address, prepared: bool) -> Self {
        let is_tcp = address.as_tcp().is_some();
        let provider = if is_tcp { Provider::TcpServerWrap } else { Provider::PipeServerWrap };
        let faux = Faux {
            id,
            is_tcp,
            context: worker.env.new_context(provider),
            acceptor: HandlerCell::empty(),
            reserved: Cell::new(0),
            refused: Cell::new(false),
            patience: RefCell::default(),
        };
        let alive = Async::new(worker.env.loop_handle(), |_: &Async| {});
        Self { worker: Rc::clone(worker), faux: Rc::new(faux), address, prepared, alive }
    }

    pub(crate) fn faux(&self) -> &Rc<Faux> {
        &self.faux
    }
}

impl ListenHandle for FauxHandle {
    fn listen(&self, _backlog: u32, acceptor: Acceptor) -> Result<()> {
        if self.alive.is_closing() {
            return Err(Error::new("listen", Errno::EINVAL).into());
        }
        self.worker.handles.set_server(self.faux.id, acceptor.server());
        if self.prepared {
            acceptor.expect_prepared();
        }
        self.faux.acceptor.set(acceptor);
        self.worker.tell(&Message::Listening { key: self.faux.id });
        // The primary may have it that this server is full: of connections that came before there was a server, or of
        // those for one that listened here earlier, which were refused after this one had asked to listen.
        self.faux.refused.set(true);
        self.has_room();
        Ok(())
    }

    fn address(&self) -> Option<Address> {
        Some(self.address.clone())
    }

    fn close(&self) {
        if !self.alive.is_closing() {
            self.alive.close();
            self.worker.env.emit_destroy(self.faux.context.async_id());
            self.faux.forget();
            self.faux.stop_waiting();
            if self.worker.handles.remove(self.faux.id) {
                self.worker.tell(&Message::Close { key: self.faux.id });
            }
        }
    }

    fn take_queue(&self, _: u32) -> ListenQueue {
        if self.worker.is_told_to_leave() {
            // The primary had that in mind before it said so.
            return ListenQueue::Nothing;
        }
        let asked = self.worker.channel.send(&Message::Drain { key: self.faux.id });
        if asked.is_ok() { ListenQueue::Elsewhere } else { ListenQueue::Nothing }
    }

    fn async_id(&self) -> Option<AsyncId> {
        Some(self.faux.context.async_id())
    }

    fn ref_(&self) {
        self.alive.ref_();
    }

    fn unref(&self) {
        self.alive.unref();
    }

    fn has_room(&self) {
        self.faux.tell_room(&self.worker);
    }
}

impl Drop for FauxHandle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Faux {
    /// All has come that waited for a server which is about to close.
    pub(crate) fn queue_taken(&self) {
        self.acceptor.call(|acceptor| acceptor.queue_taken());
    }

    /// Lets go of the server.
    pub(crate) fn forget(&self) {
        drop(self.acceptor.take());
    }

    /// Tells a primary that waits for it that there is room, if there is.
    fn tell_room(&self, worker: &WorkerSelf) {
        if self.refused.get() && self.has_room() {
            self.refused.set(false);
            worker.tell(&Message::Room { key: self.id });
        }
    }

    /// Connections were refused because the process is out of descriptors: says in a while that there is room. Who
    /// closes a descriptor is not known, so there is nothing else to wait for.
    pub(crate) fn wait_for_descriptors(self: &Rc<Self>, worker: &Rc<WorkerSelf>) {
        self.refused.set(true);
        let mut patience = self.patience.borrow_mut();
        let timer = patience.get_or_insert_with(|| Timer::new(worker.env.loop_handle()));
        timer.unref();
        let (faux, worker) = (Rc::downgrade(self), Rc::downgrade(worker));
        let tell = move |_: &Timer| {
            if let (Some(faux), Some(worker)) = (faux.upgrade(), worker.upgrade()) {
                faux.tell_room(&worker);
            }
        };
        if let Err(error) = timer.start(DESCRIPTOR_WAIT, Duration::ZERO, tell) {
            log::warn!(target: "cluster", "{error}");
        }
    }

    fn stop_waiting(&self) {
        if let Some(timer) = self.patience.take() {
            timer.close();
        }
    }

    fn has_room(&self) -> bool {
        // The acceptor is elsewhere only while it takes a connection; better a question too many than one too few.
        let mut room = usize::MAX;
        self.acceptor.call(|acceptor| room = acceptor.room());
        room > self.reserved.get()
    }

    /// Reserves places for `count` connections, or as many as there are.
    pub(crate) fn reserve_up_to(&self, count: usize) -> usize {
        let mut room = 0;
        self.acceptor.call(|acceptor| room = acceptor.room());
        let places = room.saturating_sub(self.reserved.get()).min(count);
        self.reserved.set(self.reserved.get() + places);
        if places < count {
            self.refused.set(true);
        }
        places
    }

    /// `onconnection`: in the context of the server, which is the connection's cause.
    pub(crate) fn serve(&self, env: &Environment, fd: OwnedFd) {
        let _scope = LAYER.scope("Faux::serve", || self.context.facts());
        self.reserved.set(self.reserved.get() - 1);
        let stream = StreamWrap::from_passed(env.loop_handle(), fd, self.is_tcp);
        let provider = if self.is_tcp { Provider::TcpWrap } else { Provider::PipeWrap };
        let stream = AsyncStream::with_trigger(env, stream, provider, self.context.async_id());
        env.make_callback(self.context, || {
            let _up = LAYER.up("OnConnection::on_connection", || stream.context().facts());
            self.acceptor.call(|acceptor| acceptor.accept(Ok(stream)));
        });
    }
}
