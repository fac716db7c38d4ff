//! What a primary does with what a worker says. Mirrors `onmessage` in Node's `lib/internal/cluster/primary.js`.

use crate::channel::OnChannel;
use crate::channel::message::{Message, ProtocolError, Query, WORKER_FDS};
use crate::primary::PrimaryState;
use crate::primary::worker::WorkerState;
use crate::{Error, Result, WorkerHandle};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::Errno;

/// The signal that cannot be ignored.
const SIGKILL: i32 = 9;

/// Stands on the primary's end of a channel.
pub(crate) struct Conversation {
    pub(crate) primary: Rc<PrimaryState>,
    pub(crate) worker: Rc<WorkerState>,
}

impl Conversation {
    fn handle(&self) -> WorkerHandle {
        WorkerHandle(Rc::clone(&self.worker))
    }

    fn acknowledged(&self, batch: u32, refused: u64) -> Result<(), ProtocolError> {
        let acknowledged = self.worker.acknowledge(batch, refused)?;
        let listeners = &self.primary.listeners;
        if !acknowledged.refused.is_empty() {
            listeners.set_full(self.worker.id, acknowledged.key, true);
            listeners.give_back(acknowledged.key, acknowledged.refused);
        }
        listeners.distribute();
        Ok(())
    }

    /// A server wants to listen, which the program may forbid.
    fn query(&self, id: u32, query: &Query) {
        let (primary, worker) = (&self.primary, &self.worker);
        let address = query.key.target.address();
        let mut is_accepted = false;
        primary.emit("PrimaryHandler::accepts_listen", worker.channel_context, |handler| {
            is_accepted = handler.accepts_listen(&self.handle(), &address);
        });
        if worker.is_leaving() || !worker.is_connected() {
            // The handler has seen to that.
        } else if is_accepted {
            let settings = primary.settings().clone();
            primary.listeners.query(primary.env.loop_handle(), &settings, worker, id, query);
        } else {
            worker.refuse(id, &uv_core::Error::new("bind", Errno::EACCES).on(&address));
        }
    }

    fn has_room(&self, key: u32) {
        self.primary.listeners.set_full(self.worker.id, key, false);
        self.primary.listeners.distribute();
    }
}

impl OnChannel for Conversation {
    fn on_message(&mut self, message: Message, fds: Vec<OwnedFd>) -> Result<(), ProtocolError> {
        let (primary, worker) = (&self.primary, &self.worker);
        let is_user = matches!(message, Message::User(_));
        if !is_user && !fds.is_empty() {
            return Err(ProtocolError::Descriptors);
        }
        match message {
            Message::Online if worker.comes_online() => {
                primary.emit("PrimaryHandler::on_online", worker.channel_context, |handler| {
                    handler.on_online(&self.handle())
                });
            }
            Message::Online => {}
            // As in Node a worker that is to go starts nothing new; its question ends with the channel.
            Message::Query { .. } if worker.is_leaving() => {}
            Message::Query { id, query } => self.query(id, &query),
            Message::Listening { key } => {
                if let Some(address) = primary.listeners.hear(worker.id, key) {
                    let listening = |handler: &mut dyn crate::upcall::PrimaryHandler| {
                        handler.on_listening(&self.handle(), &address);
                    };
                    primary.emit("PrimaryHandler::on_listening", worker.channel_context, listening);
                }
            }
            Message::Taken { batch, refused } => return self.acknowledged(batch, refused),
            Message::Room { key } => self.has_room(key),
            Message::Drain { key } => {
                primary.listeners.drain(worker.id, key);
                primary.close_or_keep(worker);
                worker.send_connections(primary.env.loop_handle().now());
                worker.answer(&Message::Drained { key }, Vec::new());
            }
            Message::Close { key } => {
                primary.listeners.leave(worker.id, key);
                primary.close_or_keep(worker);
            }
            Message::Going => worker.is_going.set(true),
            Message::Leaving => {
                worker.exited_after_disconnect.set(Some(true));
                // Its servers are closed, unless it goes without waiting for them.
                primary.listeners.leave_all(worker.id);
                primary.close_or_keep(worker);
                worker.answer(&Message::LeaveNoted, Vec::new());
            }
            Message::User(data) => {
                primary.emit("PrimaryHandler::on_message", worker.channel_context, |handler| {
                    handler.on_message(&self.handle(), &data, fds)
                })
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
        let error = Error::DescriptorsLost { announced, arrived: fds.len() };
        let context = self.worker.channel_context;
        self.primary.emit("PrimaryHandler::on_error", context, |handler| {
            handler.on_error(Some(&self.handle()), error)
        });
        Ok(())
    }

    fn most_fds(&self) -> usize {
        WORKER_FDS
    }

    fn on_sent(&mut self) {
        self.worker.read_on_if_answered();
    }

    fn on_notify(&mut self) {
        let now = self.primary.env.loop_handle().now();
        self.worker.judge(now);
        self.worker.send_connections(now);
        if self.worker.distribution_due.take() {
            self.primary.listeners.distribute();
        }
    }

    fn on_unsent(&mut self, error: Error) {
        let context = self.worker.channel_context;
        self.primary.emit("PrimaryHandler::on_error", context, |handler| {
            handler.on_error(Some(&self.handle()), error)
        });
    }

    fn on_broken(&mut self, error: Error) {
        // Whatever it is, it is no worker of ours any more. Dead already is fine.
        let _ = self.handle().kill(SIGKILL);
        let context = self.worker.channel_context;
        self.primary.emit("PrimaryHandler::on_error", context, |handler| {
            handler.on_error(Some(&self.handle()), error)
        });
    }

    fn on_close(&mut self) {
        self.primary.worker_disconnected(&self.worker);
    }
}
