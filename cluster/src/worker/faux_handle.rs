//! The listening handle of a worker whose primary accepts: it stands for the primary's socket. Mirrors `rr` in Node's
//! `lib/internal/cluster/child.js`.

use super::WorkerInner;
use crate::LAYER;
use crate::channel::ids::SocketId;
use crate::channel::message::Message;
use async_wrap::layer::{HandlerCell, Place};
use async_wrap::{AsyncContext, AsyncId, AsyncStream, Environment, Provider};
use net::source::{Acceptor, ListenHandle, ListenQueue};
use net::{Address, Result};
use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;
use tcp_wrap::StreamWrap;
use uv_core::{Async, Errno, Error, Timer};

/// A process that is out of descriptors gets no connections for this long: short for the clients that wait, and long
/// compared with the cost of the messages.
const DESCRIPTOR_WAIT: Duration = Duration::from_millis(50);

/// What a server holds. Closed when dropped.
pub(super) struct FauxHandle {
    worker: Rc<WorkerInner>,
    inner: Rc<FauxInner>,
    address: Address,
    /// Whether connections come with the server's options.
    prepared: bool,
    /// Keeps the loop alive, as a listening socket would. (Node has an interval of 24 days.)
    alive: Async,
}

/// Passes connections to the server.
pub(super) struct FauxInner {
    id: SocketId,
    is_tcp: bool,
    context: AsyncContext,
    /// Where the program listens.
    place: Place,
    acceptor: HandlerCell<Acceptor>,
    /// Reservations that exist.
    reserved: Cell<usize>,
    /// A connection was refused, so the primary sends no more until it is told of room.
    refused: Cell<bool>,
    /// Runs after connections were refused for want of descriptors.
    descriptor_timer: RefCell<Option<Timer>>,
}

impl FauxHandle {
    pub(super) fn new(worker: &Rc<WorkerInner>, id: SocketId, address: Address, prepared: bool) -> Self {
        let is_tcp = address.as_tcp().is_some();
        let provider = if is_tcp { Provider::TcpServerWrap } else { Provider::PipeServerWrap };
        let inner = FauxInner {
            id,
            is_tcp,
            context: worker.env.new_context(provider),
            place: Place::marked(),
            acceptor: HandlerCell::empty(),
            reserved: Cell::new(0),
            refused: Cell::new(false),
            descriptor_timer: RefCell::default(),
        };
        let alive = Async::new(worker.env.loop_handle(), |_: &Async| {});
        Self { worker: Rc::clone(worker), inner: Rc::new(inner), address, prepared, alive }
    }

    pub(super) fn inner(&self) -> &Rc<FauxInner> {
        &self.inner
    }
}

impl ListenHandle for FauxHandle {
    fn listen(&self, _backlog: u32, acceptor: Acceptor) -> Result<()> {
        if self.alive.is_closing() {
            return Err(Error::new("listen", Errno::EINVAL).into());
        }
        self.worker.table.set_server(self.inner.id, acceptor.server());
        if self.prepared {
            acceptor.expect_prepared();
        }
        self.inner.acceptor.set(acceptor);
        self.worker.channel.tell(&Message::Listening { socket: self.inner.id });
        // The primary may take this server for full: connections that came before it listened were refused, and so were
        // those for an earlier server of this socket that came after this one had asked for it.
        self.inner.set_refused();
        self.has_room();
        Ok(())
    }

    fn address(&self) -> Option<Address> {
        Some(self.address.clone())
    }

    fn close(&self) {
        if !self.alive.is_closing() {
            self.alive.close();
            self.worker.env.emit_destroy(self.inner.context.async_id());
            self.inner.drop_acceptor();
            if let Some(timer) = self.inner.descriptor_timer.take() {
                timer.close();
            }
            if self.worker.table.remove(self.inner.id) {
                self.worker.channel.tell(&Message::Close { socket: self.inner.id });
            }
        }
    }

    fn take_queue(&self, _: u32) -> ListenQueue {
        if self.worker.is_told_to_leave() {
            // The primary sent them before it told the worker to leave.
            return ListenQueue::Nothing;
        }
        let asked = self.worker.channel.send(&Message::Drain { socket: self.inner.id }, Vec::new());
        if asked.is_ok() { ListenQueue::Elsewhere } else { ListenQueue::Nothing }
    }

    fn async_id(&self) -> Option<AsyncId> {
        Some(self.inner.context.async_id())
    }

    fn ref_(&self) {
        self.alive.ref_();
    }

    fn unref(&self) {
        self.alive.unref();
    }

    fn has_room(&self) {
        self.inner.report_room(&self.worker);
    }
}

impl Drop for FauxHandle {
    fn drop(&mut self) {
        self.close();
    }
}

impl FauxInner {
    /// The server is about to close, and has got all connections that waited for it.
    pub(super) fn queue_taken(&self) {
        self.acceptor.call(|acceptor| acceptor.queue_taken());
    }

    /// Drops the server's acceptor.
    pub(super) fn drop_acceptor(&self) {
        drop(self.acceptor.take());
    }

    /// The number of connections that the server can take. 0 before it listens and once it is closed.
    pub(super) fn room(&self) -> usize {
        self.room_or(0)
    }

    fn room_or(&self, unknown: usize) -> usize {
        let mut room = unknown;
        self.acceptor.call(|acceptor| room = acceptor.room());
        room.saturating_sub(self.reserved.get())
    }

    /// Reserves a place for a connection.
    pub(super) fn reserve(self: &Rc<Self>) -> Reservation {
        self.reserved.set(self.reserved.get() + 1);
        Reservation(Rc::clone(self))
    }

    /// Connections are refused: the primary is to be told once there is room.
    pub(super) fn set_refused(&self) {
        self.refused.set(true);
    }

    /// Tells the primary that there is room, if it waits for that and there is.
    fn report_room(&self, worker: &WorkerInner) {
        // Room is unknown only while the acceptor takes a connection; a message too many does no harm then.
        if self.refused.get() && self.room_or(usize::MAX) > 0 {
            self.refused.set(false);
            worker.channel.tell(&Message::Room { socket: self.id });
        }
    }

    /// Connections were refused because the process is out of descriptors: reports room after a pause, since no event tells
    /// when a descriptor is closed.
    pub(super) fn wait_for_descriptors(self: &Rc<Self>, worker: &Rc<WorkerInner>) {
        let mut timer = self.descriptor_timer.borrow_mut();
        let timer = timer.get_or_insert_with(|| Timer::new(worker.env.loop_handle()));
        timer.unref();
        let (inner, worker) = (Rc::downgrade(self), Rc::downgrade(worker));
        let report = move |_: &Timer| {
            if let (Some(inner), Some(worker)) = (inner.upgrade(), worker.upgrade()) {
                inner.report_room(&worker);
            }
        };
        if let Err(error) = timer.start(DESCRIPTOR_WAIT, Duration::ZERO, report) {
            log::warn!(target: "cluster", "{error}");
        }
    }

    /// Passes a connection to the server, in the context of its socket, which is the connection's trigger (`onconnection`).
    fn serve(&self, env: &Environment, fd: OwnedFd) {
        let _scope = LAYER.scope("FauxInner::serve", || self.context.facts());
        let mut is_wanted = false;
        self.acceptor.call(|acceptor| is_wanted = acceptor.admits(fd.as_fd(), self.context));
        if !is_wanted {
            // Closed, since it was refused or the server is closed.
            return;
        }
        let mark = self.place.mark();
        let stream = StreamWrap::from_passed(env.loop_handle(), fd, self.is_tcp);
        drop(mark);
        let provider = if self.is_tcp { Provider::TcpWrap } else { Provider::PipeWrap };
        let stream = AsyncStream::with_trigger(env, stream, provider, self.context.async_id());
        env.make_callback(self.context, || {
            let _up = LAYER.up("OnConnection::on_connection", || stream.context().facts());
            self.acceptor.call(|acceptor| acceptor.accept(Ok(stream)));
        });
    }
}

/// A place in a server for a connection that is on its way there. Dropping it gives the place back.
pub(super) struct Reservation(Rc<FauxInner>);

impl Reservation {
    pub(super) fn serve(self, env: &Environment, fd: OwnedFd) {
        let faux = Rc::clone(&self.0);
        // From here on the server counts the connection itself.
        drop(self);
        faux.serve(env, fd);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.reserved.set(self.0.reserved.get() - 1);
    }
}
