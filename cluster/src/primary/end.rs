//! The primary's end of a channel: what follows from a worker's messages. Mirrors `onmessage` in Node's
//! `lib/internal/cluster/primary.js`.

use super::draining::What;
use super::worker::WorkerHandleInner;
use super::{PrimaryInner, WorkerHandle};
use crate::channel::OnChannel;
use crate::channel::ids::{BatchId, QueryId, SocketId};
use crate::channel::message::{Message, ProtocolError, WORKER_FDS};
use crate::upcall::PrimaryHandler;
use crate::{Error, Result};
use net::source::ListenQuery;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::Errno;
use uv_core::Signal;

pub(super) struct PrimaryEnd {
    pub(super) primary: Rc<PrimaryInner>,
    pub(super) worker: Rc<WorkerHandleInner>,
}

impl PrimaryEnd {
    /// Calls the handler in the context of the channel.
    fn emit(&self, name: &'static str, call: impl FnOnce(&mut dyn PrimaryHandler, &WorkerHandle)) {
        let worker = WorkerHandle(Rc::clone(&self.worker));
        self.primary.emit(name, self.worker.channel_context, |handler| call(handler, &worker));
    }

    /// A server wants to listen, which the program may forbid.
    fn queried(&self, id: QueryId, index: u32, query: &ListenQuery) {
        let (primary, worker) = (&self.primary, &self.worker);
        let address = query.target.address();
        let mut is_accepted = false;
        self.emit("PrimaryHandler::accepts_listen", |handler, worker| {
            is_accepted = handler.accepts_listen(worker, &address);
        });
        if worker.is_leaving() || !worker.is_connected() {
            // The handler disconnected or killed it.
            return;
        }
        if !is_accepted {
            return worker.refuse(id, &uv_core::Error::new("bind", Errno::EACCES).on(&address));
        }
        let settings = primary.settings().clone();
        let _place = worker.place().mark();
        match primary.sockets.get(&settings, worker, index, query) {
            Ok(socket) => {
                let (reply, fds) = socket.reply(query);
                worker.answer(&Message::Answer { id, reply }, fds);
                socket.add(worker);
            }
            Err(error) => worker.refuse(id, &error),
        }
    }

    fn listening(&self, socket: SocketId) {
        if let Some(address) = self.primary.sockets.set_listening(self.worker.id, socket) {
            self.emit("PrimaryHandler::on_listening", |handler, worker| {
                handler.on_listening(worker, &address)
            });
        }
    }

    fn acknowledged(&self, batch: BatchId, refused: u64) -> Result<(), ProtocolError> {
        let acknowledged = self.worker.acknowledge(batch, refused)?;
        let sockets = &self.primary.sockets;
        if !acknowledged.refused.is_empty() {
            sockets.set_full(self.worker.id, acknowledged.socket, true);
            sockets.give_back(acknowledged.socket, acknowledged.refused);
        }
        sockets.distribute();
        Ok(())
    }

    fn has_room(&self, socket: SocketId) {
        self.primary.sockets.set_full(self.worker.id, socket, false);
        self.primary.sockets.distribute();
    }

    fn leaving(&self) {
        let (primary, worker) = (&self.primary, &self.worker);
        worker.exited_after_disconnect.set(Some(true));
        // Its servers are closed, unless it leaves without waiting for them.
        primary.sockets.leave_all(worker.id);
        primary.close_or_keep(worker);
        worker.answer(&Message::LeaveNoted, Vec::new());
    }

    fn report_error(&self, error: Error) {
        self.emit("PrimaryHandler::on_error", |handler, worker| handler.on_error(Some(worker), error));
    }
}

impl OnChannel for PrimaryEnd {
    fn on_message(&mut self, message: Message, fds: Vec<OwnedFd>) -> Result<(), ProtocolError> {
        let (primary, worker) = (&self.primary, &self.worker);
        let is_user = matches!(message, Message::User(_));
        if !is_user && !fds.is_empty() {
            return Err(ProtocolError::Descriptors);
        }
        match message {
            Message::Online if worker.set_online() => {
                self.emit("PrimaryHandler::on_online", |handler, worker| handler.on_online(worker));
            }
            Message::Online => {}
            // As in Node a worker that is to leave starts nothing new; its query ends with the channel.
            Message::Query { .. } if worker.is_leaving() => {}
            Message::Query { id, index, query } => self.queried(id, index, &query),
            Message::Listening { socket } => self.listening(socket),
            Message::Taken { batch, refused } => return self.acknowledged(batch, refused),
            Message::Room { socket } => self.has_room(socket),
            Message::Drain { socket } => primary.drain(worker, What::Socket(socket)),
            Message::Close { socket } => {
                primary.sockets.leave(worker.id, socket);
                primary.close_or_keep(worker);
            }
            Message::Going => worker.is_going.set(true),
            Message::Leaving => self.leaving(),
            Message::User(data) => {
                self.emit("PrimaryHandler::on_message", |handler, worker| {
                    handler.on_message(worker, &data, fds)
                });
            }
            Message::Answer { .. }
            | Message::Connections { .. }
            | Message::Drained { .. }
            | Message::Leave
            | Message::LeaveNoted => return Err(ProtocolError::Unexpected),
        }
        Ok(())
    }

    fn on_message_cut(
        &mut self,
        message: Message,
        fds: Vec<OwnedFd>,
        announced: usize,
    ) -> Result<(), ProtocolError> {
        let Message::User(_) = message else { return Err(ProtocolError::Descriptors) };
        self.report_error(Error::DescriptorsLost { announced, arrived: fds.len() });
        Ok(())
    }

    fn max_fds(&self) -> usize {
        WORKER_FDS
    }

    fn on_sent(&mut self) {
        self.worker.resume_if_answered();
    }

    fn on_notify(&mut self) {
        let now = self.primary.env.loop_handle().now();
        self.worker.judge(now);
        self.worker.send_connections(now);
        if self.worker.distribution_due.take() {
            self.primary.sockets.distribute();
        }
    }

    fn on_unsent(&mut self, error: Error) {
        self.report_error(error);
    }

    fn on_broken(&mut self, error: Error) {
        // It no longer acts as a worker. Fails if the process has ended.
        let _ = self.worker.kill(Signal::SIGKILL);
        self.report_error(error);
    }

    fn on_close(&mut self) {
        self.primary.worker_disconnected(&self.worker);
    }
}
