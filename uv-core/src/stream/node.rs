//! What a stream is made of: its flags, its descriptor and its tower; and what the loop asks of it. Mirrors the fields
//! of `uv_stream_t` and `uv__stream_io`, `uv__stream_close` and `uv__stream_destroy`, libuv's `src/unix/stream.c`.

use super::around::Around;
use super::flags::{
    AROUND, CONNECTING, END_TOLD, FAILED, FED, INPUT_PAUSED, LISTENING, MAYBE_READABLE, MAYBE_WRITABLE,
    NOTED, NOTIFIED, OUTPUT_PAUSED, PEER_ENDED, QUEUED, READABLE, READING, WRITABLE,
};
use super::{Outgoing, Stream};
use crate::failure::Call;
use crate::handle::{Handle, Node};
use crate::layer::HandlerCell;
use crate::layer::trace::Facts;
use crate::paused::{Noted, Pause};
use crate::poller::Readiness;
use crate::socket_file::SocketFile;
use crate::sys::fd::FdCell;
use crate::upcall::{AcceptUpcall, StreamUpcall};
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt::Display;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(crate) struct StreamNode {
    pub(super) handle: Handle,
    pub(super) fd: FdCell,
    flags: Cell<u32>,
    pub(super) tower: HandlerCell<Tower>,
    pub(super) out: Cell<Option<Box<Outgoing>>>,
    extra: Cell<Option<Box<Extra>>>,
    pub(super) bytes_read: Cell<u64>,
    pub(super) bytes_written: Cell<u64>,
}

pub(super) enum Tower {
    Stream(Box<dyn StreamUpcall>),
    Accept(Box<dyn AcceptUpcall>),
}

/// What only some streams need: listeners, connecting streams, pipes that pass handles.
#[derive(Default)]
pub(super) struct Extra {
    /// A connection that waits to be taken by `accept`.
    pub(super) accepted: Option<OwnedFd>,
    /// Connections per turn; 0 stands for one.
    pub(super) accept_batch: u32,
    /// `bind` failed with EADDRINUSE; `listen` or `connect` says so.
    pub(super) delayed_error: Option<Errno>,
    /// Descriptors that came with messages and wait to be taken.
    pub(super) received: VecDeque<OwnedFd>,
    /// How long the stream waits after a failure of the system.
    pause: Pause,
    /// The number of the trouble that the listener has told of.
    pub(super) told: u32,
    /// The socket file to remove at close.
    file: Option<SocketFile>,
    /// What errors of `listen` and `connect` are about.
    target: Option<Box<str>>,
    /// The port to which a TCP stream connects, if its own may be the same one; else 0.
    pub(super) risky_port: u16,
    /// What surrounds the next event's turn.
    pub(super) around: Option<Around>,
}

impl StreamNode {
    pub(super) fn new(handle: Handle, flags: u32) -> Self {
        Self {
            handle,
            fd: FdCell::empty(),
            flags: Cell::new(flags),
            tower: HandlerCell::empty(),
            out: Cell::new(None),
            extra: Cell::new(None),
            bytes_read: Cell::new(0),
            bytes_written: Cell::new(0),
        }
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags.get() & flag != 0
    }

    pub(crate) fn set(&self, flag: u32) {
        self.flags.set(self.flags.get() | flag);
    }

    pub(super) fn clear(&self, flag: u32) {
        self.flags.set(self.flags.get() & !flag);
    }

    pub(super) fn base(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn fd(&self) -> &FdCell {
        &self.fd
    }

    pub(crate) fn fileno(&self) -> Result<RawFd> {
        self.fd.number().ok_or(Error::new("fileno", Errno::EBADF))
    }

    /// The descriptor, for a system call: see [`FdCell::get`].
    pub(crate) fn opened(&self) -> Result<BorrowedFd<'_>> {
        self.fd.get().ok_or(Error::new("fileno", Errno::EBADF))
    }

    pub(super) fn lp(&self) -> &LoopHandle {
        self.handle.loop_handle()
    }

    /// Works on the box of rare state. `work` calls nobody.
    pub(super) fn with_extra<R>(&self, work: impl FnOnce(&mut Extra) -> R) -> R {
        let mut extra = self.extra.take().unwrap_or_default();
        let result = work(&mut extra);
        self.extra.set(Some(extra));
        result
    }

    /// Like `with_extra`, for streams that have no such box in the common case.
    pub(super) fn if_extra<R>(&self, work: impl FnOnce(&mut Extra) -> Option<R>) -> Option<R> {
        let mut extra = self.extra.take()?;
        let result = work(&mut extra);
        self.extra.set(Some(extra));
        result
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.has(CONNECTING)
    }

    pub(crate) fn set_delayed_error(&self, errno: Errno) {
        self.with_extra(|extra| extra.delayed_error = Some(errno));
    }

    pub(crate) fn delayed_error(&self) -> Option<Errno> {
        self.if_extra(|extra| extra.delayed_error)
    }

    /// Remembers what the stream's errors are about: the name to which it is bound or connects.
    pub(crate) fn set_target(&self, target: impl Display) {
        self.with_extra(|extra| extra.target = Some(target.to_string().into_boxed_str()));
    }

    /// The error of an operation, saying what it is about.
    pub(super) fn error(&self, op: &'static str, errno: Errno) -> Error {
        let error = Error::new(op, errno);
        match self.if_extra(|extra| extra.target.clone()) {
            Some(target) => error.on(target),
            None => error,
        }
    }

    pub(crate) fn set_file(&self, file: SocketFile) {
        self.with_extra(|extra| extra.file = Some(file));
    }

    /// Where the socket file that was made for this stream is; no path if it is gone, or another file by now.
    pub(crate) fn file_path(&self) -> Option<Option<PathBuf>> {
        self.if_extra(|extra| extra.file.as_ref().map(|file| file.path().map(Path::to_owned)))
    }

    pub(super) fn set_upcall(&self, upcall: Box<dyn StreamUpcall>) {
        if !self.handle.is_closed() {
            self.tower.set(Tower::Stream(upcall));
        }
    }

    pub(super) fn notify(self: &Rc<Self>) {
        if !self.handle.is_closing() && !self.has(NOTIFIED) {
            self.set(NOTIFIED);
            self.feed();
        }
    }

    /// Active means reading, connecting, listening or writing.
    pub(super) fn update_active(&self) {
        if self.has(READING | CONNECTING | LISTENING) || self.is_writing() {
            self.handle.start();
        } else {
            self.handle.stop();
        }
    }

    /// Leaves work to the next poll phase: law 6.
    pub(super) fn push_ready(self: &Rc<Self>) {
        if self.stay_ready() {
            self.lp().push_ready(Rc::clone(self) as Rc<dyn Node>);
        }
    }

    /// Accepting or reading failed by a state of the system: leaves it alone for a while.
    #[cold]
    pub(super) fn pause_input(self: &Rc<Self>, call: Call, errno: Errno) -> Noted {
        self.clear(MAYBE_READABLE);
        self.pause(INPUT_PAUSED, call, errno)
    }

    /// The same of writing.
    #[cold]
    pub(super) fn pause_output(self: &Rc<Self>, call: Call, errno: Errno) {
        self.pause(OUTPUT_PAUSED, call, errno);
    }

    fn pause(self: &Rc<Self>, flag: u32, call: Call, errno: Errno) -> Noted {
        if !self.has(INPUT_PAUSED | OUTPUT_PAUSED) {
            let now = self.lp().now();
            let pause = self.with_extra(|extra| {
                extra.pause = extra.pause.after_failure(now);
                extra.pause
            });
            let needs_descriptor = matches!(errno, Errno::EMFILE | Errno::ENFILE);
            self.lp().pause(Rc::clone(self) as Rc<dyn Node>, call, pause, needs_descriptor);
        }
        self.set(flag);
        self.lp().note_trouble(call, errno)
    }

    /// Leaves completions to the pending phase: law 1.
    pub(super) fn feed(self: &Rc<Self>) {
        if !self.has(FED) {
            self.set(FED);
            self.lp().feed(Rc::clone(self) as Rc<dyn Node>);
        }
    }

    fn note(&self, readiness: Readiness) {
        self.set(readiness.0 << NOTED);
    }
}

/// What calls the tower, and so needs the stream that the tower is given: the loop hands a turn the node's own reference,
/// which makes a [`Stream`] without touching the count.
impl Stream {
    /// Calls the tower, and says so.
    #[inline(always)]
    #[track_caller]
    pub(super) fn call(&self, name: &'static str, call: impl FnOnce(&mut dyn StreamUpcall, &Self)) {
        let _up = LAYER.up(name, || Facts::of(self));
        self.0.tower.call(|tower| {
            if let Tower::Stream(upcall) = tower {
                call(&mut **upcall, self);
            }
        });
    }

    /// Does what the descriptor is ready for, in libuv's order: input before output.
    #[inline(always)]
    fn turn(&self) {
        let node = &self.0;
        if node.handle.is_closing() {
            return;
        }
        let unfinished = Unfinished(node);
        if node.has(LISTENING) {
            self.accept_turn();
        } else if node.has(CONNECTING) {
            self.connect_turn();
        } else {
            if node.has(READING) && node.has(MAYBE_READABLE) {
                self.read_turn();
            }
            if node.has(MAYBE_WRITABLE) && !node.handle.is_closing() {
                self.write_turn();
            }
            // Last: a write that waits says itself what failed.
            if node.has(PEER_ENDED | FAILED) {
                self.tell_unread_end();
            }
        }
        std::mem::forget(unfinished);
    }

    /// A turn that no event began. Apart, so that the other one is part of what is called for an event.
    #[inline(never)]
    pub(super) fn another_turn(&self) {
        self.turn();
    }
}

/// A turn or a report that an upcall's panic ended: another one follows, for whatever is left.
pub(super) struct Unfinished<'a>(pub(super) &'a Rc<StreamNode>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let node = self.0;
        if !node.handle.is_closing() {
            node.set(MAYBE_READABLE);
            if node.is_writing() && !node.has(CONNECTING) {
                node.set(MAYBE_WRITABLE);
            }
            node.push_ready();
            node.feed();
        }
    }
}

impl Node for StreamNode {
    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn on_event(self: Rc<Self>, readiness: Readiness) {
        self.note(readiness);
        let stream = Stream(self);
        if stream.0.has(QUEUED | AROUND) {
            return stream.on_other_event(readiness);
        }
        stream.turn();
    }

    fn postpone(&self, readiness: Readiness) -> bool {
        self.note(readiness);
        self.stay_ready()
    }

    fn stay_ready(&self) -> bool {
        let is_new = !self.has(QUEUED);
        self.set(QUEUED);
        is_new
    }

    fn on_ready(self: Rc<Self>) {
        self.clear(QUEUED);
        Stream(self).another_turn();
    }

    fn resume(self: Rc<Self>) {
        let (input, output) = (self.has(INPUT_PAUSED), self.has(OUTPUT_PAUSED));
        self.clear(INPUT_PAUSED | OUTPUT_PAUSED);
        let now = self.lp().now();
        self.with_extra(|extra| extra.pause.end(now));
        if !self.handle.is_closing() {
            self.set(if input { MAYBE_READABLE } else { 0 } | if output { MAYBE_WRITABLE } else { 0 });
            self.push_ready();
        }
    }

    fn on_pending(self: Rc<Self>) {
        self.clear(FED);
        if self.handle.is_closing() {
            return;
        }
        let stream = Stream(self);
        let node = &stream.0;
        let unfinished = Unfinished(node);
        stream.report();
        if node.has(NOTIFIED) && !node.handle.is_closing() {
            node.clear(NOTIFIED);
            stream.call("StreamUpcall::on_notify", |upcall, stream| upcall.on_notify(stream));
        }
        if node.has(PEER_ENDED | FAILED | END_TOLD) {
            stream.tell_unread_end();
            node.watch_unread();
        }
        std::mem::forget(unfinished);
    }

    fn begin_close(&self) {
        // CONNECTING stays: the connect is still to be reported as cancelled.
        self.clear(READING | LISTENING | READABLE | WRITABLE);
        self.stop_watching();
        let extra = self.extra.take();
        if let Some(file) = extra.as_ref().and_then(|extra| extra.file.as_ref())
            && self.lp().is_own()
        {
            // Before the close, so that nobody connects to a socket that is about to vanish.
            file.remove();
        }
        // What `connect` was about is still wanted for its report.
        let target = extra.and_then(|mut extra| extra.target.take());
        if target.is_some() {
            self.with_extra(|extra| extra.target = target);
        }
        self.release();
    }

    fn cancel(self: Rc<Self>) {
        let stream = Stream(self);
        stream.cancel_connect();
        stream.cancel_output();
    }

    fn finish_close(self: Rc<Self>) {
        let stream = Stream(self);
        stream.0.tower.call(|tower| match tower {
            Tower::Stream(upcall) => {
                let _up = LAYER.up("StreamUpcall::on_close", || Facts::of(&stream));
                upcall.on_close(&stream);
            }
            Tower::Accept(upcall) => {
                let _up = LAYER.up("AcceptUpcall::on_close", || Facts::of(&stream));
                upcall.on_close(&stream);
            }
        });
    }

    fn drop_tower(&self) {
        drop(self.tower.take());
        drop(self.extra.take());
        drop(self.out.take());
    }

    fn descriptor(&self) -> Option<i32> {
        self.fd.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_stream_is_small() {
        let counts_of_rc = 2 * size_of::<usize>();
        assert!(size_of::<StreamNode>() + counts_of_rc <= 112);
    }
}
