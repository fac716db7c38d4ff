//! One end of the channel between a primary and a worker: messages and descriptors, in order. Mirrors `setupChannel`,
//! Node's `lib/internal/child_process.js`.
//!
//! Node has one handle in flight for each channel and queues everything behind it; here a message takes its
//! descriptors along and nothing waits.

pub(crate) mod bootstrap;
pub(crate) mod message;
mod outbox;
mod wire;

use crate::channel::message::{Decoder, FRAME_FDS, Frame, MESSAGE_BYTES, Message, ProtocolError, WORKER_FDS};
use crate::channel::outbox::{Author, Outbox};
use crate::{Error, LAYER, Result};
use async_wrap::StreamWrap;
use async_wrap::layer::trace::Facts;
use bytes::Bytes;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::mem::take;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{Errno, PipeWrap, Written};
use uv_core::LoopHandle;
use uv_core::failure::Failure;

/// Bytes that wait to be sent from which on `send` says that it is enough: Node's number.
const HIGH_WATER_MARK: usize = 128 * 1024;

/// Bytes in the pipe from which on what is sent waits in the outbox: enough for the kernel to be kept busy, and little
/// for an acknowledgement to wait behind.
const PIPE_BYTES: usize = 64 * 1024;

/// Frames that go from the outbox to the pipe at a time: a peer that reads as fast as this side writes does not keep
/// the loop from the others.
const FRAMES_PER_TURN: usize = 32;

/// A channel. A cheap clone.
#[derive(Clone)]
pub(crate) struct Channel {
    pipe: PipeWrap,
    outbox: Rc<Outbox>,
}

pub(crate) type Fds = Vec<Rc<OwnedFd>>;

/// What is told of a channel; called outside of any callback scope.
pub(crate) trait OnChannel {
    /// A message came. An error closes the channel.
    fn on_message(&mut self, message: Message, fds: Vec<OwnedFd>) -> Result<(), ProtocolError>;

    /// A message came, and the first of its `announced` descriptors: for the others this process had no room. An error
    /// closes the channel.
    fn on_message_cut(
        &mut self,
        _message: Message,
        _fds: Vec<OwnedFd>,
        _announced: usize,
    ) -> Result<(), ProtocolError> {
        Err(ProtocolError::Descriptors)
    }

    /// How many descriptors one message may bring. They are held until the message is complete.
    fn most_fds(&self) -> usize {
        FRAME_FDS
    }

    /// Somebody called [`Channel::notify`].
    fn on_notify(&mut self) {}

    /// Something that had to wait may have been sent.
    fn on_sent(&mut self) {}

    /// A program's own message was not sent, as the system refuses its descriptors; nothing else is wrong.
    fn on_unsent(&mut self, error: Error);

    /// The channel is unusable and will be closed.
    fn on_broken(&mut self, error: Error);

    /// The channel is closed: by this side, by the other one, or because it was broken. The last call.
    fn on_close(&mut self);
}

impl Channel {
    /// A channel that is not open yet.
    pub(crate) fn new(lp: &LoopHandle, handler: impl FnOnce(&Self) -> Box<dyn OnChannel>) -> Self {
        let channel = Self { pipe: PipeWrap::new_ipc(lp), outbox: Rc::default() };
        let tower = Tower {
            channel: channel.clone(),
            handler: handler(&channel),
            decoder: Decoder::default(),
            frames: VecDeque::new(),
            fds: VecDeque::new(),
            begun: Vec::new(),
        };
        channel.pipe.set_handler(tower);
        channel
    }

    /// Opens the channel and returns its other end.
    pub(crate) fn open_pair(&self) -> Result<OwnedFd> {
        let theirs = self.pipe.handle().open_pair()?;
        self.pipe.read_start()?;
        Ok(theirs)
    }

    /// Opens the channel with an end that came from elsewhere.
    pub(crate) fn open(&self, fd: OwnedFd) -> Result<()> {
        self.pipe.open(fd)?;
        Ok(self.pipe.read_start()?)
    }

    /// Sends a message. Returns whether more is welcome.
    pub(crate) fn send(&self, message: &Message) -> Result<bool> {
        let _down = LAYER.down("Channel::send", || Facts::saying(message.name()));
        self.write(message.encode(0).into(), Vec::new(), Author::Cluster)
    }

    /// Sends a message ahead of what waits. Returns how many bytes must be [`sent`](Self::sent) for it to be with the
    /// kernel.
    pub(crate) fn send_ahead(&self, message: &Message) -> Result<u64> {
        let _down = LAYER.down("Channel::send_ahead", || Facts::saying(message.name()));
        self.check_open()?;
        self.put(message.encode(0).into(), Vec::new(), Author::Cluster)?;
        Ok(self.pipe.bytes_written())
    }

    /// Sends a message with descriptors, at most [`FRAME_FDS`].
    pub(crate) fn send_fds(&self, message: &Message, fds: Fds) -> Result<bool> {
        let _down = LAYER.down("Channel::send_fds", || with_descriptors(message, fds.len()));
        self.write(message.encode(count(&fds)?).into(), fds, Author::Cluster)
    }

    /// Sends a program's own message, with descriptors.
    pub(crate) fn send_user(&self, data: &[u8], fds: Vec<OwnedFd>) -> Result<bool> {
        let _down = LAYER.down("Channel::send_user", || Facts::default().bytes(data.len()));
        if data.len() > MESSAGE_BYTES {
            return Err(Error::MessageTooLong(data.len()));
        }
        let fds: Fds = fds.into_iter().map(Rc::new).collect();
        self.write(Message::encode_user(data, count(&fds)?).into(), fds, Author::Program)
    }

    fn check_open(&self) -> Result<()> {
        if self.pipe.is_closing() || !self.outbox.is_open() { Err(Error::Disconnected) } else { Ok(()) }
    }

    fn write(&self, frame: Bytes, fds: Fds, author: Author) -> Result<bool> {
        self.check_open()?;
        if self.outbox.is_empty() && self.has_room() {
            self.put(frame, fds, author)?;
        } else {
            self.outbox.push(frame, fds, author);
        }
        Ok(self.unsent() < HIGH_WATER_MARK)
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

    /// Gives the pipe what waits, as far as it has room.
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

    /// Bytes that are not with the kernel yet.
    pub(crate) fn unsent(&self) -> usize {
        self.pipe.write_queue_size() + self.outbox.bytes()
    }

    /// Bytes that are with the kernel.
    pub(crate) fn sent(&self) -> u64 {
        self.pipe.bytes_written() - self.pipe.write_queue_size() as u64
    }

    /// Reads nothing more until [`resume`](Self::resume), or until sending fails; only while something waits to be sent,
    /// so that one of the two follows.
    pub(crate) fn pause(&self) {
        self.pipe.read_stop();
    }

    pub(crate) fn resume(&self) {
        // Refused to who reads already, or has read everything.
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

/// What a trace says of a message.
fn with_descriptors(message: &Message, count: usize) -> Facts {
    match count {
        0 => Facts::saying(message.name()),
        1 => Facts::saying(format_args!("{}, 1 descriptor", message.name())),
        _ => Facts::saying(format_args!("{}, {count} descriptors", message.name())),
    }
}

fn count(fds: &Fds) -> Result<u8> {
    match u8::try_from(fds.len()) {
        Ok(count) if fds.len() <= FRAME_FDS => Ok(count),
        _ => Err(uv_core::Error::new("write", Errno::EINVAL).into()),
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Channel").field(&self.pipe).finish()
    }
}

/// Stands on the pipe.
struct Tower {
    channel: Channel,
    handler: Box<dyn OnChannel>,
    decoder: Decoder,
    /// Read and not yet handled.
    frames: VecDeque<Frame>,
    /// What came with each of them.
    fds: VecDeque<Vec<OwnedFd>>,
    /// What came with the frame whose end has not come.
    begun: Vec<OwnedFd>,
}

impl Tower {
    /// Handles the frames that are complete. A panic leaves the rest to `on_notify`.
    fn handle_frames(&mut self) {
        let unfinished = Unfinished(self.channel.clone());
        while let Some(Frame { message, fds: announced }) = self.frames.pop_front() {
            let fds = self.fds.pop_front().unwrap_or_default();
            let _scope = LAYER.scope("OnChannel::on_message", || with_descriptors(&message, fds.len()));
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
        drop(unfinished);
    }

    /// Cuts what one read brought into frames, each with its descriptors.
    ///
    /// Descriptors come with the first byte of their frame and end the read. So those of one read belong to the one
    /// frame that begins in it and announces some, even if others before it lost theirs.
    fn sort(&mut self, data: &[u8]) -> Result<(), ProtocolError> {
        let mut came: Vec<_> = std::iter::from_fn(|| self.channel.pipe.take_received_fd()).collect();
        if came.len() > WORKER_FDS && came.len() > self.handler.most_fds() {
            return Err(ProtocolError::Descriptors);
        }
        let goes_on = !self.decoder.is_between_frames();
        let first = self.frames.len();
        let fed = self.decoder.feed(data, &mut self.frames);
        for (index, frame) in self.frames.iter().enumerate().skip(first) {
            let is_old = goes_on && index == first;
            self.fds.push_back(match is_old {
                true => take(&mut self.begun),
                false if frame.fds > 0 => take(&mut came),
                false => Vec::new(),
            });
        }
        let has_begun = !self.decoder.is_between_frames() && (!goes_on || self.frames.len() > first);
        if has_begun {
            self.begun = take(&mut came);
        }
        // Those that belong to no frame are none that anybody sent.
        fed.and(if came.is_empty() { Ok(()) } else { Err(ProtocolError::Descriptors) })
    }

    /// Something may be sent that had to wait. The pipe takes it at once or reports it later, so this is said here too.
    fn refill(&mut self) {
        match self.channel.refill() {
            Ok(()) => self.handler.on_sent(),
            Err(error) => self.sending_failed(error, Author::Cluster),
        }
    }

    fn sending_failed(&mut self, error: Error, author: Author) {
        let is_over =
            |error: &uv_core::Error| error.failure() == Failure::Peer || error.errno() == Errno::ECANCELED;
        match &error {
            // The other side is gone; reading says so too, after what it had to say.
            Error::System(system) if is_over(system) => {
                self.channel.outbox.abandon();
                self.channel.resume();
            }
            _ if author == Author::Program => self.handler.on_unsent(error),
            _ => self.fail(error),
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
        let sorted = self.sort(data);
        self.handle_frames();
        if let Err(error) = sorted {
            self.fail(error.into());
        }
    }

    fn on_end(&mut self, _: &StreamWrap) {
        self.channel.close();
    }

    fn on_error(&mut self, _: &StreamWrap, error: uv_core::Error) {
        // How a process looks that died with something unread.
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

/// Has the rest handled after a panic.
struct Unfinished(Channel);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.notify();
        }
    }
}
