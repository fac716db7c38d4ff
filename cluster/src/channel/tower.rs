//! Turns what the channel's pipe reads into messages with their descriptors, and the ends of writes into calls to the
//! owner of this end. Mirrors `channel.onread` of Node's `lib/internal/child_process.js`.

use super::message::{Frame, WORKER_FDS};
use super::{Author, Channel, Decoder, OnChannel, ProtocolError};
use crate::{Error, LAYER, Result};
use async_wrap::layer::OnUnwind;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::mem::take;
use std::os::fd::OwnedFd;
use tcp_wrap::StreamWrap;
use tcp_wrap::upcall::OnStream;
use uv_core::Errno;
use uv_core::failure::Failure;

/// The handler of a channel's pipe.
pub(super) struct Tower {
    channel: Channel,
    handler: Box<dyn OnChannel>,
    decoder: Decoder,
    /// Frames that were read and are not handled yet.
    frames: VecDeque<Frame>,
    /// The descriptors of each of these frames.
    fds: VecDeque<Vec<OwnedFd>>,
    /// The descriptors of the frame that is not complete yet.
    partial_fds: Vec<OwnedFd>,
}

impl Tower {
    pub(super) fn new(channel: Channel, handler: Box<dyn OnChannel>) -> Self {
        Self {
            channel,
            handler,
            decoder: Decoder::default(),
            frames: VecDeque::new(),
            fds: VecDeque::new(),
            partial_fds: Vec::new(),
        }
    }

    /// Handles the frames that are complete. A panic leaves the rest to `on_notify`.
    fn handle_frames(&mut self) {
        let channel = self.channel.clone();
        let rest = OnUnwind::new(|| channel.notify());
        while let Some(Frame { message, fds: announced }) = self.frames.pop_front() {
            let fds = self.fds.pop_front().unwrap_or_default();
            let _scope = LAYER.scope("OnChannel::on_message", || message.facts(fds.len()));
            let handled = match fds.len().cmp(&announced) {
                Ordering::Equal => self.handler.on_message(message, fds),
                Ordering::Less => self.handler.on_message_cut(message, fds, announced),
                Ordering::Greater => Err(ProtocolError::Descriptors),
            };
            if let Err(error) = handled {
                self.fail(error.into());
            }
            if self.channel.is_closing() {
                self.frames.clear();
                self.fds.clear();
            }
        }
        rest.disarm();
    }

    /// Splits the input of one read into frames, each with its descriptors.
    ///
    /// Descriptors arrive with the first byte of their frame and end the read. So those of one read belong to the only
    /// frame that begins in it and announces descriptors, even if earlier frames lost theirs.
    fn split(&mut self, data: &[u8]) -> Result<(), ProtocolError> {
        let mut received: Vec<_> = std::iter::from_fn(|| self.channel.pipe.take_received_fd()).collect();
        if received.len() > WORKER_FDS && received.len() > self.handler.max_fds() {
            return Err(ProtocolError::Descriptors);
        }
        let continues = !self.decoder.is_between_frames();
        let first = self.frames.len();
        let fed = self.decoder.feed(data, &mut self.frames);
        for (index, frame) in self.frames.iter().enumerate().skip(first) {
            let began_earlier = continues && index == first;
            self.fds.push_back(match began_earlier {
                true => take(&mut self.partial_fds),
                false if frame.fds > 0 => take(&mut received),
                false => Vec::new(),
            });
        }
        let has_begun = !self.decoder.is_between_frames() && (!continues || self.frames.len() > first);
        if has_begun {
            self.partial_fds = take(&mut received);
        }
        // Descriptors that match no frame are a protocol error.
        fed.and(if received.is_empty() { Ok(()) } else { Err(ProtocolError::Descriptors) })
    }

    /// Sends frames that had to wait. The pipe takes them at once or reports their end later, so the owner is told here
    /// too.
    fn refill(&mut self) {
        match self.channel.refill() {
            Ok(()) => self.handler.on_sent(),
            Err(error) => self.sending_failed(error, Author::Cluster),
        }
    }

    fn sending_failed(&mut self, error: Error, author: Author) {
        let has_ended =
            |error: &uv_core::Error| error.failure() == Failure::Peer || error.errno() == Errno::ECANCELED;
        match &error {
            // The peer has closed its end. Reading reports that too, behind what the peer sent before.
            Error::System(system) if has_ended(system) => {
                #[cfg(upcall_faults)]
                uv_core::faults::reached(uv_core::faults::Branch::ChannelEnds);
                self.channel.outbox.abandon();
                self.channel.resume();
            }
            _ if author == Author::Program => self.handler.on_unsent(error),
            _ => {
                #[cfg(upcall_faults)]
                uv_core::faults::reached(uv_core::faults::Branch::ChannelFails);
                self.fail(error);
            }
        }
    }

    fn fail(&mut self, error: Error) {
        if !self.channel.is_closing() {
            self.channel.close();
            self.handler.on_broken(error);
        }
    }
}

impl OnStream for Tower {
    fn on_read(&mut self, _: &StreamWrap, data: &[u8]) {
        let split = self.split(data);
        self.handle_frames();
        if let Err(error) = split {
            self.fail(error.into());
        }
    }

    fn on_end(&mut self, _: &StreamWrap) {
        self.channel.close();
    }

    fn on_error(&mut self, _: &StreamWrap, error: uv_core::Error) {
        // A process that died with unread input appears as a reset.
        log::debug!(target: "cluster", "channel: {error}");
        self.channel.close();
    }

    fn on_write(&mut self, _: &StreamWrap, result: Result<(), uv_core::Error>) {
        let author = self.channel.outbox.ended_put();
        match result {
            Ok(()) => self.refill(),
            Err(error) => self.sending_failed(error.into(), author),
        }
    }

    fn on_shutdown(&mut self, _: &StreamWrap, _: Result<(), uv_core::Error>) {
        self.channel.close();
    }

    fn on_notify(&mut self, _: &StreamWrap) {
        self.handle_frames();
        self.refill();
        self.handler.on_notify();
    }

    fn on_close(&mut self, _: &StreamWrap) {
        self.handler.on_close();
    }
}
