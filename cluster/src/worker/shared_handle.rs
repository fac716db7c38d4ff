//! The listening handle of a worker that accepts itself, on a socket shared with other workers. Mirrors `shared` in Node's
//! `lib/internal/cluster/child.js`.

use super::WorkerInner;
use crate::channel::ids::SocketId;
use crate::channel::message::Message;
use async_wrap::{AsyncId, AsyncStream, Provider};
use net::source::{Acceptor, ListenHandle, ListenQueue};
use net::{Address, Result};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tcp_wrap::{PipeWrap, TcpWrap};

/// Connections accepted per turn: one, as in libuv, which leaves the others to idle workers.
const ACCEPT_BATCH: u32 = 1;

/// What a server holds. Closed when dropped.
pub(super) struct SharedHandle {
    worker: Rc<WorkerInner>,
    id: SocketId,
    address: Address,
    stream: AsyncStream,
}

impl SharedHandle {
    pub(super) fn new(worker: &Rc<WorkerInner>, id: SocketId, address: Address, fd: OwnedFd) -> Result<Self> {
        let (env, event_loop) = (&worker.env, worker.env.loop_handle());
        let (stream, opened) = if address.as_tcp().is_some() {
            let tcp = TcpWrap::new(event_loop);
            (AsyncStream::new(env, (*tcp).clone(), Provider::TcpServerWrap), tcp.open(fd))
        } else {
            let pipe = PipeWrap::new(event_loop);
            (AsyncStream::new(env, (*pipe).clone(), Provider::PipeServerWrap), pipe.open(fd))
        };
        let handle = Self { worker: Rc::clone(worker), id, address, stream };
        opened?;
        Ok(handle)
    }
}

impl ListenHandle for SharedHandle {
    fn listen(&self, backlog: u32, acceptor: Acceptor) -> Result<()> {
        acceptor.prepare_listener(&self.stream)?;
        let server = acceptor.server();
        self.stream.set_accept_batch(ACCEPT_BATCH);
        self.stream.listen(backlog, acceptor).map_err(|error| error.on(&self.address))?;
        self.worker.table.set_server(self.id, server);
        self.worker.channel.tell(&Message::Listening { socket: self.id });
        Ok(())
    }

    fn address(&self) -> Option<Address> {
        Some(self.address.clone())
    }

    fn take_queue(&self, connections: u32) -> ListenQueue {
        self.stream.set_accept_batch(connections);
        ListenQueue::InKernel
    }

    fn drain(&self) -> bool {
        self.stream.drain().is_ok()
    }

    fn set_accepting(&self, on: bool) {
        self.stream.set_accepting(on);
    }

    fn close(&self) {
        if !self.stream.is_closing() {
            self.stream.close();
            if self.worker.table.remove(self.id) {
                self.worker.channel.tell(&Message::Close { socket: self.id });
            }
        }
    }

    fn async_id(&self) -> Option<AsyncId> {
        Some(self.stream.async_id())
    }

    fn ref_(&self) {
        self.stream.ref_();
    }

    fn unref(&self) {
        self.stream.unref();
    }
}

impl Drop for SharedHandle {
    fn drop(&mut self) {
        self.close();
    }
}
