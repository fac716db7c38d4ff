//! One end of the channel between a primary and a worker: messages and descriptors, in order. Mirrors `setupChannel`,
//! Node's `lib/internal/child_process.js`.
//!
//! Node has one handle in flight for each channel and queues everything behind it; here a message takes its
//! descriptors along and nothing waits.

use crate::message::{Decoder, FRAME_FDS, Frame, MESSAGE_BYTES, Message, ProtocolError};
use crate::{Error, Result};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::mem::take;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{Errno, PipeWrap, Written};
use uv_core::LoopHandle;

/// Bytes that wait to be sent from which on `send` says that it is enough: Node's number.
const HIGH_WATER_MARK: usize = 128 * 1024;

/// A channel. A cheap clone.
#[derive(Clone)]
pub(crate) struct Channel(PipeWrap);

type Fds = Vec<Rc<OwnedFd>>;

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

    /// Somebody called [`Channel::notify`].
    fn on_notify(&mut self) {}

    /// Something that had to wait was sent.
    fn on_sent(&mut self) {}

    /// The channel is unusable and will be closed.
    fn on_broken(&mut self, error: Error);

    /// The channel is closed: by this side, by the other one, or because it was broken. The last call.
    fn on_close(&mut self);
}

impl Channel {
    /// A channel that is not open yet.
    pub(crate) fn new(lp: &LoopHandle, handler: impl FnOnce(&Self) -> Box<dyn OnChannel>) -> Self {
        let channel = Self(PipeWrap::new_ipc(lp));
        let tower = Tower {
            channel: channel.clone(),
            handler: handler(&channel),
            decoder: Decoder::default(),
            frames: VecDeque::new(),
            fds: VecDeque::new(),
            begun: Vec::new(),
        };
        channel.0.set_handler(tower);
        channel
    }

    /// Opens the channel and returns its other end.
    pub(crate) fn open_pair(&self) -> Result<OwnedFd> {
        let theirs = self.0.handle().open_pair()?;
        self.0.read_start()?;
        Ok(theirs)
    }

    /// Opens the channel with an end that came from elsewhere.
    pub(crate) fn open(&self, fd: OwnedFd) -> Result<()> {
        self.0.open(fd)?;
        Ok(self.0.read_start()?)
    }

    /// Sends a message. Returns whether more is welcome.
    pub(crate) fn send(&self, message: &Message) -> Result<bool> {
        self.write(message.encode(0), Vec::new())
    }

    /// Sends a message with descriptors, at most [`FRAME_FDS`].
    pub(crate) fn send_fds(&self, message: &Message, fds: Fds) -> Result<bool> {
        self.write(message.encode(count(&fds)?), fds)
    }

    /// Sends a program's own message, with descriptors.
    pub(crate) fn send_user(&self, data: &[u8], fds: Vec<OwnedFd>) -> Result<bool> {
        if data.len() > MESSAGE_BYTES {
            return Err(Error::MessageTooLong(data.len()));
        }
        let fds: Fds = fds.into_iter().map(Rc::new).collect();
        self.write(Message::encode_user(data, count(&fds)?), fds)
    }

    fn write(&self, frame: Vec<u8>, fds: Fds) -> Result<bool> {
        let pipe = &self.0;
        if pipe.is_closing() {
            return Err(Error::Disconnected);
        }
        if fds.is_empty() {
            let Written { .. } = pipe.write_bytes(frame.into())?;
        } else {
            pipe.write_fds(frame.into(), fds)?;
        }
        Ok(pipe.write_queue_size() < HIGH_WATER_MARK)
    }

    /// Whether everything that was sent is with the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        self.0.write_queue_size() == 0
    }

    /// Asks for an `on_notify` in this iteration of the loop.
    pub(crate) fn notify(&self) {
        self.0.notify();
    }

    /// Closes the channel once everything is sent.
    pub(crate) fn end(&self) {
        if self.0.shutdown().is_err() {
            self.close();
        }
    }

    /// Closes the channel at once.
    pub(crate) fn close(&self) {
        self.0.close();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    pub(crate) fn ref_(&self) {
        self.0.ref_();
    }

    pub(crate) fn unref(&self) {
        self.0.unref();
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
        f.debug_tuple("Channel").field(&self.0).finish()
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
        let mut came: Vec<_> = std::iter::from_fn(|| self.channel.0.take_received_fd()).collect();
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

    fn fail(&mut self, error: Error) {
        if !self.channel.is_closing() {
            self.channel.close();
            self.handler.on_broken(error);
        }
    }
}

impl OnStream for Tower {
    fn on_read(&mut self, data: &[u8]) {
        let sorted = self.sort(data);
        self.handle_frames();
        if let Err(error) = sorted {
            self.fail(error.into());
        }
    }

    fn on_end(&mut self) {
        self.channel.close();
    }

    fn on_error(&mut self, error: uv_core::Error) {
        // How a process looks that died with something unread.
        log::debug!(target: "cluster", "channel: {error}");
        self.channel.close();
    }

    fn on_write(&mut self, result: Result<(), uv_core::Error>) {
        match result {
            Ok(()) => self.handler.on_sent(),
            // The other side is gone; reading says so too, after what it had to say.
            Err(error) if matches!(error.errno(), Errno::EPIPE | Errno::ECONNRESET | Errno::ECANCELED) => {}
            Err(error) => self.fail(error.into()),
        }
    }

    fn on_shutdown(&mut self, _: Result<(), uv_core::Error>) {
        self.channel.close();
    }

    fn on_notify(&mut self) {
        self.handle_frames();
        self.handler.on_notify();
    }

    fn on_close(&mut self) {
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
