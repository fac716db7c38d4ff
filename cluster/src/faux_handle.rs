//! The listening handle of a worker whose primary accepts: it only stands for the socket. Mirrors `rr` in Node's
//! `lib/internal/cluster/child.js`.

use crate::message::Message;
use crate::worker::WorkerSelf;
use async_wrap::upcall::OnConnection;
use async_wrap::{AsyncContext, AsyncStream, Environment, Provider};
use net::{Acceptor, Address, ListenHandle, Result};
use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tcp_wrap::{Errno, Error, StreamWrap};
use uv_core::{Async, Slot};

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
    acceptor: Slot<Acceptor>,
    /// Connections taken and on their way to the server.
    reserved: Cell<usize>,
    /// A connection was refused: the primary waits for word that there is room.
    refused: Cell<bool>,
}

impl FauxHandle {
    pub(crate) fn new(worker: &Rc<WorkerSelf>, id: u32, address: Address, prepared: bool) -> Self {
        let is_tcp = address.as_tcp().is_some();
        let provider = if is_tcp { Provider::TcpServerWrap } else { Provider::PipeServerWrap };
        let faux = Faux {
            id,
            is_tcp,
            context: worker.env.new_context(provider),
            acceptor: Slot::empty(),
            reserved: Cell::new(0),
            refused: Cell::new(false),
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
            if self.worker.handles.remove(self.faux.id) {
                self.worker.tell(&Message::Close { key: self.faux.id });
            }
        }
    }

    fn ref_(&self) {
        self.alive.ref_();
    }

    fn unref(&self) {
        self.alive.unref();
    }

    fn has_room(&self) {
        if self.faux.refused.get() && self.faux.has_room() {
            self.faux.refused.set(false);
            self.worker.tell(&Message::Room { key: self.faux.id });
        }
    }
}

impl Drop for FauxHandle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Faux {
    /// Lets go of the server.
    pub(crate) fn forget(&self) {
        drop(self.acceptor.take());
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
        self.reserved.set(self.reserved.get() - 1);
        let stream = StreamWrap::from_passed(env.loop_handle(), fd, self.is_tcp);
        let provider = if self.is_tcp { Provider::TcpWrap } else { Provider::PipeWrap };
        let stream = AsyncStream::with_trigger(env, stream, provider, self.context.async_id());
        env.make_callback(self.context, || {
            self.acceptor.call(|acceptor| acceptor.on_connection(Ok(stream)));
        });
    }
}
