//! The worker's end of a channel: what follows from the primary's messages. Mirrors `onmessage` and `onconnection` in
//! Node's `lib/internal/cluster/child.js`.

use super::faux_handle::FauxHandle;
use super::shared_handle::SharedHandle;
use super::{Leaving, WorkerInner};
use crate::channel::OnChannel;
use crate::channel::ids::{BatchId, QueryId, SocketId};
use crate::channel::message::{BATCH, Message, ProtocolError, Reply};
use crate::{Error, Result};
use async_wrap::layer::OnDrop;
use net::Address;
use net::source::ListenHandle;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::Errno;

pub(super) struct WorkerEnd(pub(super) Rc<WorkerInner>);

impl WorkerEnd {
    /// The primary answered a query.
    fn answered(&self, id: QueryId, reply: Reply, fd: Option<OwnedFd>) -> Result<(), ProtocolError> {
        let worker = &self.0;
        let question = worker.table.take_question(id).ok_or(ProtocolError::Unexpected)?;
        let mark = question.place.mark();
        let handle: net::Result<Box<dyn ListenHandle>> = match (reply, fd) {
            (Reply::Distributed { socket, address, prepared }, None) => {
                let handle = FauxHandle::new(worker, socket, address, prepared);
                worker.table.insert(socket, question.key, Some(Rc::clone(handle.inner())));
                Ok(Box::new(handle))
            }
            (Reply::Shared { socket, address }, Some(fd)) => {
                worker.table.insert(socket, question.key, None);
                SharedHandle::new(worker, socket, address, fd).map(|handle| Box::new(handle) as _)
            }
            (Reply::Failed { errno, target }, None) => {
                Err(uv_core::Error::new("bind", Errno::from_raw(errno)).on(target).into())
            }
            _ => return Err(ProtocolError::Descriptors),
        };
        // The program is not called within it.
        drop(mark);
        worker.env.make_callback(worker.context, || (question.reply)(handle));
        Ok(())
    }

    /// The primary shared a socket, but this process had no room for its descriptor.
    fn socket_lost(&self, id: QueryId, socket: SocketId, address: &Address) -> Result<(), ProtocolError> {
        let worker = &self.0;
        let question = worker.table.take_question(id).ok_or(ProtocolError::Unexpected)?;
        #[cfg(upcall_faults)]
        uv_core::faults::reached(uv_core::faults::Branch::SharedSocketLost);
        // Otherwise the next query for it would find it in use.
        worker.channel.tell(&Message::Close { socket });
        let error = uv_core::Error::new("listen", Errno::EMFILE).on(address);
        worker.env.make_callback(worker.context, || (question.reply)(Err(error.into())));
        Ok(())
    }

    /// A batch of connections arrived. They are acknowledged before any of them is served: if this process dies, the
    /// primary gives a connection that is not acknowledged to another worker.
    ///
    /// Of `announced` connections the last ones are missing if the process had no descriptors for them. The primary still
    /// has them, so they are refused like those for which the server has no room.
    fn take_connections(&self, socket: SocketId, batch: BatchId, fds: Vec<OwnedFd>, announced: usize) {
        let worker = &self.0;
        let faux = worker.table.faux(socket).filter(|_| worker.leaving.get() != Leaving::Killed);
        let taken = faux.as_ref().map_or(0, |faux| faux.room().min(fds.len()));
        if let Some(faux) = &faux
            && taken < announced
        {
            faux.set_refused();
            if fds.len() < announced {
                #[cfg(upcall_faults)]
                uv_core::faults::reached(uv_core::faults::Branch::ConnectionsLost);
                faux.wait_for_descriptors(worker);
            }
        }
        let refused = (taken..announced).fold(0, |refused: u64, index| refused | 1 << index);
        // Ahead of the program's messages, for which connections should not wait.
        let Ok(sent) = worker.channel.send_ahead(&Message::Taken { batch, refused }) else {
            // The channel is closed, so the primary gives them to another worker.
            return;
        };
        if let Some(faux) = faux {
            worker.delivery.add(sent, fds.into_iter().take(taken).map(|fd| (faux.reserve(), fd)));
        }
        worker.deliver();
    }

    /// The primary has sent all connections that waited for a server, which closes behind the last of them.
    fn drained(&self, socket: SocketId) {
        if let Some(faux) = self.0.table.faux(socket) {
            self.0.delivery.add_queue_end(faux);
        }
        self.0.deliver();
    }

    fn report_error(&self, error: Error) {
        self.0.emit("WorkerHandler::on_error", |handler, worker| handler.on_error(worker, error));
    }
}

impl OnChannel for WorkerEnd {
    fn on_message(&mut self, message: Message, mut fds: Vec<OwnedFd>) -> Result<(), ProtocolError> {
        match message {
            Message::Answer { id, reply } => return self.answered(id, reply, fds.pop()),
            Message::Connections { socket, batch } if fds.len() <= BATCH => {
                let announced = fds.len();
                self.take_connections(socket, batch, fds, announced);
            }
            Message::Drained { socket } => self.drained(socket),
            Message::Leave => self.0.leave(Leaving::Asked),
            Message::LeaveNoted => self.0.channel.end(),
            Message::User(data) => self
                .0
                .emit("WorkerHandler::on_message", |handler, worker| handler.on_message(worker, &data, fds)),
            _ => return Err(ProtocolError::Unexpected),
        }
        Ok(())
    }

    fn on_message_cut(
        &mut self,
        message: Message,
        fds: Vec<OwnedFd>,
        announced: usize,
    ) -> Result<(), ProtocolError> {
        match message {
            Message::Connections { socket, batch } if announced <= BATCH => {
                self.take_connections(socket, batch, fds, announced);
            }
            Message::Answer { id, reply: Reply::Shared { socket, address } } => {
                return self.socket_lost(id, socket, &address);
            }
            Message::User(_) => {
                self.report_error(Error::DescriptorsLost { announced, arrived: fds.len() });
            }
            _ => return Err(ProtocolError::Descriptors),
        }
        Ok(())
    }

    fn on_notify(&mut self) {
        self.0.deliver();
    }

    fn on_sent(&mut self) {
        self.0.deliver();
    }

    fn on_unsent(&mut self, error: Error) {
        self.report_error(error);
    }

    fn on_broken(&mut self, error: Error) {
        log::error!(target: "cluster", "primary: {error}");
    }

    fn on_close(&mut self) {
        let worker = &self.0;
        worker.delivery.clear();
        worker.table.fail_questions(&worker.env, worker.context);
        if worker.leaving.get() == Leaving::Killed {
            worker.env.loop_handle().stop();
        }
        let asked = worker.is_leaving();
        let _gone = OnDrop::new(|| worker.env.emit_destroy(worker.context.async_id()));
        worker.emit("WorkerHandler::on_disconnect", |handler, worker| handler.on_disconnect(worker, asked));
    }
}

impl Drop for WorkerEnd {
    fn drop(&mut self) {
        // Servers and the handler may hold the worker, which holds them.
        self.0.table.clear();
        drop(self.0.handler.take());
    }
}
