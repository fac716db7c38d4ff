//! One end of the channel between a primary and a worker: messages and descriptors, in order. Mirrors `setupChannel`,
//! Node's `lib/internal/child_process.js`.
//!
//! Node has one handle in flight per channel and queues everything behind it. Here a message takes its descriptors along,
//! and nothing waits. This folder knows neither the primary nor the worker: each has an end that implements
//! [`OnChannel`].

pub(crate) mod bootstrap;
pub(crate) mod ids;
pub(crate) mod message;
mod outbox;
mod tower;
mod wire;

use crate::{Error, LAYER, Result};
use async_wrap::layer::trace::Facts;
use bytes::Bytes;
use message::{Decoder, FRAME_FDS, MESSAGE_BYTES, Message, ProtocolError};
use outbox::{Author, Outbox};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tcp_wrap::{PipeWrap, Written};
use tower::Tower;
use uv_core::{Errno, LoopHandle};

/// `send` returns `false` once this many bytes wait to be sent: Node's number.
const HIGH_WATER_MARK: usize = 128 * 1024;

/// Once the pipe holds this many bytes, frames wait in the outbox: enough to keep the kernel busy, and little for an
/// acknowledgement to wait behind.
const PIPE_BYTES: usize = 64 * 1024;

/// Frames that go from the outbox to the pipe per turn: a peer that reads as fast as this side writes does not keep
/// the loop from its other handles.
const FRAMES_PER_TURN: usize = 32;

/// A channel. A cheap clone.
#[derive(Clone)]
pub(crate) struct Channel {
    pipe: PipeWrap,
    outbox: Rc<Outbox>,
}

pub(crate) type Fds = Vec<Rc<OwnedFd>>;

/// The owner of one end of a channel. Called outside of any callback scope.
pub(crate) trait OnChannel {
    /// A message arrived. An error closes the channel.
    fn on_message(&mut self, message: Message, fds: Vec<OwnedFd>) -> Result<(), ProtocolError>;

    /// A message arrived with only the first of its `announced` descriptors: this process had no room for the others. An
    /// error closes the channel.
    fn on_message_cut(
        &mut self,
        message: Message,
        fds: Vec<OwnedFd>,
        announced: usize,
    ) -> Result<(), ProtocolError>;

    /// The limit of descriptors in one message. They are held until the message is complete.
    fn max_fds(&self) -> usize {
        FRAME_FDS
    }

    /// Follows [`Channel::notify`].
    fn on_notify(&mut self);

    /// Frames that had to wait may have been sent.
    fn on_sent(&mut self);

    /// A message of the program was not sent, because the kernel refused its descriptors. The channel is intact.
    fn on_unsent(&mut self, error: Error);

    /// The channel is unusable and will be closed.
    fn on_broken(&mut self, error: Error);

    /// The channel is closed: by this side, by the peer, or because it was broken. The last call.
    fn on_close(&mut self);
}

impl Channel {
    /// A channel that is not open yet.
    pub(crate) fn new(event_loop: &LoopHandle, handler: impl FnOnce(&Self) -> Box<dyn OnChannel>) -> Self {
        let channel = Self { pipe: PipeWrap::new_ipc(event_loop), outbox: Rc::default() };
        channel.pipe.set_handler(Tower::new(channel.clone(), handler(&channel)));
        channel
    }

    /// Opens the channel and returns its other end.
    pub(crate) fn open_pair(&self) -> Result<OwnedFd> {
        let theirs = self.pipe.handle().open_pair()?;
        self.pipe.read_start()?;
        Ok(theirs)
    }

    /// Opens the channel with an end that was made in another process.
    pub(crate) fn open(&self, fd: OwnedFd) -> Result<()> {
        self.pipe.open(fd)?;
        Ok(self.pipe.read_start()?)
    }

    /// Sends a message to a peer that may have closed the channel: `on_close` reports that.
    pub(crate) fn tell(&self, message: &Message) {
        self.tell_fds(message, Vec::new());
    }

    /// Like [`tell`](Self::tell), with descriptors.
    pub(crate) fn tell_fds(&self, message: &Message, fds: Fds) {
        if let Err(error) = self.send(message, fds) {
            log::debug!(target: "cluster", "channel: {error}");
        }
    }

    /// Sends a message with at most [`FRAME_FDS`] descriptors.
    pub(crate) fn send(&self, message: &Message, fds: Fds) -> Result<()> {
        let _down = LAYER.down("Channel::send", || message.facts(fds.len()));
        self.write(message.encode(count(&fds)?).into(), fds, Author::Cluster)
    }

    /// Sends a message ahead of the frames that wait. The kernel has it once the returned number of bytes are
    /// [`sent`](Self::sent).
    pub(crate) fn send_ahead(&self, message: &Message) -> Result<u64> {
        let _down = LAYER.down("Channel::send_ahead", || message.facts(0));
        self.check_open()?;
        self.put(message.encode(0).into(), Vec::new(), Author::Cluster)?;
        Ok(self.pipe.bytes_written())
    }

    /// Sends a message of the program. Returns `false` once the caller should pause.
    pub(crate) fn send_user(&self, data: &[u8], fds: Vec<OwnedFd>) -> Result<bool> {
        let _down = LAYER.down("Channel::send_user", || Facts::default().bytes(data.len()));
        if data.len() > MESSAGE_BYTES {
            return Err(Error::MessageTooLong(data.len()));
        }
        let fds: Fds = fds.into_iter().map(Rc::new).collect();
        self.write(Message::encode_user(data, count(&fds)?).into(), fds, Author::Program)?;
        Ok(self.unsent() < HIGH_WATER_MARK)
    }

    fn check_open(&self) -> Result<()> {
        if self.pipe.is_closing() || !self.outbox.is_open() { Err(Error::Disconnected) } else { Ok(()) }
    }

    fn write(&self, frame: Bytes, fds: Fds, author: Author) -> Result<()> {
        self.check_open()?;
        if self.outbox.is_empty() && self.has_room() {
            self.put(frame, fds, author)?;
        } else {
            self.outbox.push(frame, fds, author);
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.pipe.write_queue_size() < PIPE_BYTES
    }

    fn put(&self, frame: Bytes, fds: Fds, author: Author) -> Result<()> {
        let is_reported = if fds.is_empty() {
            let Written { later, .. } = self.pipe.write_bytes(frame)?;
            later > 0
        } else {
            self.pipe.write_fds(frame, fds)?;
            true
        };
        if is_reported {
            self.outbox.put(author);
        }
        Ok(())
    }

    /// Moves frames from the outbox to the pipe, as far as the pipe has room.
    fn refill(&self) -> Result<()> {
        for _ in 0..FRAMES_PER_TURN {
            if !self.has_room() {
                return Ok(());
            }
            let Some((frame, fds, author)) = self.outbox.pop() else { break };
            self.put(frame, fds, author)?;
        }
        if !self.outbox.is_empty() {
            self.notify();
        } else if self.outbox.is_ending() {
            self.shut_down();
        }
        Ok(())
    }

    /// Bytes that the kernel has not taken yet.
    pub(crate) fn unsent(&self) -> usize {
        self.pipe.write_queue_size() + self.outbox.bytes()
    }

    /// Bytes that the kernel has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.pipe.bytes_written() - self.pipe.write_queue_size() as u64
    }

    /// Stops reading until [`resume`](Self::resume), or until sending fails. Only while something waits to be sent, so
    /// that one of the two follows.
    pub(crate) fn pause(&self) {
        self.pipe.read_stop();
    }

    pub(crate) fn resume(&self) {
        // Refused while reading, and at the end of the input.
        let _ = self.pipe.read_start();
    }

    /// Asks for an `on_notify` in this iteration of the loop.
    pub(crate) fn notify(&self) {
        self.pipe.notify();
    }

    /// Closes the channel once everything is sent.
    pub(crate) fn end(&self) {
        if self.outbox.is_open() {
            self.outbox.end();
            if self.outbox.is_empty() {
                self.shut_down();
            }
        }
    }

    fn shut_down(&self) {
        self.outbox.ended();
        if self.pipe.shutdown().is_err() {
            self.close();
        }
    }

    /// Closes the channel at once.
    pub(crate) fn close(&self) {
        self.pipe.close();
        self.outbox.abandon();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.pipe.is_closing()
    }

    pub(crate) fn ref_(&self) {
        self.pipe.ref_();
    }

    pub(crate) fn unref(&self) {
        self.pipe.unref();
    }
}

fn count(fds: &Fds) -> Result<u8> {
    match u8::try_from(fds.len()) {
        Ok(count) if fds.len() <= FRAME_FDS => Ok(count),
        _ => Err(uv_core::Error::new("write", Errno::EINVAL).into()),
    }
}
