//! The state of a stream: its flags, its descriptor and its tower; and the calls of the loop to it. Mirrors the fields
//! of `uv_stream_t` and `uv__stream_io`, `uv__stream_close` and `uv__stream_destroy`, libuv's `src/unix/stream.c`.

use super::accept::Listener;
use super::around::Around;
use super::flags::{
    AROUND, CONNECTING, END_TOLD, FED, NOTIFIED, QUEUED, READABLE, READING, Registration, StreamFlags,
    StreamKind, WRITABLE,
};
use super::{Outgoing, Stream};
use crate::failure::Call;
use crate::handle::{Handle, HandleInner};
use crate::layer::trace::Facts;
use crate::layer::{ColdCell, FlagCell, HandlerCell, OnUnwind};
use crate::paused::{Direction, Noted, Pauses};
use crate::poller::{Readiness, Ready};
use crate::socket_file::SocketFile;
use crate::sys::fd::FdCell;
use crate::traced;
use crate::upcall::StreamUpcall;
use crate::why::About;
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::cell::{Cell, OnceCell};
use std::collections::VecDeque;
use std::fmt::Display;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(crate) struct StreamInner {
    pub(super) handle: Handle,
    pub(super) fd: FdCell,
    flags: FlagCell<StreamKind>,
    /// Readiness that events have reported and that no system call has used up, so that no further event reports it.
    pub(super) ready: FlagCell<Ready>,
    pub(super) registration: Cell<Registration>,
    pub(super) tower: HandlerCell<Box<dyn StreamUpcall>>,
    /// The state of a listening stream.
    pub(super) listener: OnceCell<Box<Listener>>,
    pub(super) out: ColdCell<Outgoing>,
    pub(super) cold: ColdCell<Cold>,
    pub(super) bytes_read: Cell<u64>,
    pub(super) bytes_written: Cell<u64>,
}

/// The rare state: for streams that bind or connect, for IPC pipes, and for streams with a failure.
#[derive(Default)]
pub(super) struct Cold {
    /// The `EADDRINUSE` of `bind`, which `listen` or `on_connect` reports.
    pub(super) delayed_error: Option<Errno>,
    /// Received descriptors that are not yet taken.
    pub(super) received: VecDeque<OwnedFd>,
    /// The pauses after failures of the system.
    pub(super) pauses: Pauses,
    /// The program has passed in a standard descriptor.
    pub(super) is_standard: bool,
    /// The open file, which other processes may share, was made non-blocking for this stream: the close restores its
    /// mode.
    pub(super) is_lent: bool,
    /// A terminal, whose mode the close restores.
    pub(super) is_terminal: bool,
    /// The socket file that the close removes.
    file: Option<SocketFile>,
    /// The target in errors of `listen` and `connect`.
    pub(super) target: Option<Box<str>>,
    /// The port to which a TCP stream connects, if the kernel may choose the same port as its own; otherwise 0.
    pub(super) risky_port: u16,
    /// Creates the guard of the next event.
    pub(super) around: Option<Around>,
}

impl Cold {
    /// Whether there is nothing in it.
    pub(super) fn is_unused(&self) -> bool {
        let Self { delayed_error, received, pauses, is_standard, is_lent, is_terminal, file, target, .. } =
            self;
        let Self { risky_port, around, .. } = self;
        let has_flag = *is_standard || *is_lent || *is_terminal || *risky_port != 0;
        let has_state = delayed_error.is_some() || !received.is_empty() || !pauses.is_unused();
        !has_flag && !has_state && file.is_none() && target.is_none() && around.is_none()
    }
}

impl StreamInner {
    pub(super) fn new(handle: Handle, flags: StreamFlags) -> Self {
        Self {
            handle,
            fd: FdCell::empty(),
            flags: FlagCell::new(flags),
            ready: FlagCell::new(Readiness::NONE),
            registration: Cell::new(Registration::None),
            tower: HandlerCell::empty(),
            listener: OnceCell::new(),
            out: ColdCell::empty(),
            cold: ColdCell::empty(),
            bytes_read: Cell::new(0),
            bytes_written: Cell::new(0),
        }
    }

    pub(crate) fn has(&self, flags: StreamFlags) -> bool {
        self.flags.has(flags)
    }

    pub(crate) fn set(&self, flags: StreamFlags) {
        self.flags.set(flags);
    }

    pub(super) fn clear(&self, flags: StreamFlags) {
        self.flags.clear(flags);
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

    /// The descriptor, for one system call: see [`FdCell::get`].
    pub(crate) fn opened(&self) -> Result<BorrowedFd<'_>> {
        self.fd.get().ok_or(Error::new("fileno", Errno::EBADF))
    }

    pub(super) fn event_loop(&self) -> &LoopHandle {
        self.handle.loop_handle()
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.has(CONNECTING)
    }

    pub(crate) fn set_delayed_error(&self, errno: Errno) {
        self.cold.with(|cold| cold.delayed_error = Some(errno));
    }

    pub(crate) fn delayed_error(&self) -> Option<Errno> {
        self.cold.peek(|cold| cold.delayed_error).flatten()
    }

    /// Sets the target of the stream's errors: the name to which it is bound or connects.
    pub(crate) fn set_target(&self, target: impl Display) {
        self.cold.with(|cold| cold.target = Some(target.to_string().into_boxed_str()));
    }

    /// An error of the operation, with its target.
    pub(super) fn error(&self, op: &'static str, errno: Errno) -> Error {
        let error = Error::new(op, errno);
        match self.cold.peek(|cold| cold.target.clone()).flatten() {
            Some(target) => error.on(target),
            None => error,
        }
    }

    pub(crate) fn set_file(&self, file: SocketFile) {
        self.cold.with(|cold| cold.file = Some(file));
    }

    /// The path of the socket file that was created for this stream; an inner `None` if it was removed or replaced.
    pub(crate) fn file_path(&self) -> Option<Option<PathBuf>> {
        self.cold.peek(|cold| cold.file.as_ref().map(|file| file.path().map(Path::to_owned))).flatten()
    }

    pub(super) fn set_upcall(&self, upcall: Box<dyn StreamUpcall>) {
        if !self.handle.is_closed() {
            self.tower.set(upcall);
        }
    }

    pub(super) fn notify(self: &Rc<Self>) {
        if !self.handle.is_closing() && !self.has(NOTIFIED) {
            self.set(NOTIFIED);
            self.feed();
        }
    }

    /// Updates whether the handle is active: it reads, is pulled, connects, listens or writes.
    pub(super) fn update_active(&self) {
        let reads = self.has(READING | CONNECTING) || self.ready.has(Readiness::PULLED);
        if reads || self.listening().is_some() || self.is_writing() {
            self.handle.start();
        } else {
            self.handle.stop();
        }
    }

    /// Gives the stream a turn in the next poll phase (law 6).
    pub(super) fn push_ready(self: &Rc<Self>) {
        if self.stay_ready() {
            self.event_loop().push_ready(Rc::clone(self) as Rc<dyn HandleInner>);
        }
    }

    /// Pauses accepting or reading after a failure of the system.
    #[cold]
    pub(super) fn pause_input(self: &Rc<Self>, call: Call, errno: Errno) -> Noted {
        self.ready.clear(Readiness::READABLE);
        self.pause(call, errno, Direction::Input)
    }

    /// Pauses writing after a failure of the system.
    #[cold]
    pub(super) fn pause_output(self: &Rc<Self>, call: Call, errno: Errno) {
        self.pause(call, errno, Direction::Output);
    }

    fn pause(self: &Rc<Self>, call: Call, errno: Errno, direction: Direction) -> Noted {
        let now = self.event_loop().now();
        let begun = self.cold.with(|cold| cold.pauses.begin(direction, now));
        if let Some(pause) = begun {
            let needs_descriptor = matches!(errno, Errno::EMFILE | Errno::ENFILE);
            self.event_loop().pause(Rc::clone(self) as Rc<dyn HandleInner>, call, pause, needs_descriptor);
        }
        self.event_loop().note_trouble(call, errno)
    }

    /// Lets the pending phase report completions (law 1).
    pub(super) fn feed(self: &Rc<Self>) {
        if !self.has(FED) {
            self.set(FED);
            self.event_loop().feed(Rc::clone(self) as Rc<dyn HandleInner>);
        }
    }

    /// Returns a guard for a turn or a report. If an upcall panics, it schedules another turn for the rest.
    pub(super) fn on_unwind(self: &Rc<Self>) -> OnUnwind<impl FnOnce() + use<'_>> {
        OnUnwind::new(|| {
            if !self.handle.is_closing() {
                let writes = self.is_writing() && !self.has(CONNECTING);
                self.ready.set(Readiness::READABLE | Readiness::WRITABLE.when(writes));
                self.push_ready();
                self.feed();
            }
        })
    }
}

/// The functions that call the tower take a [`Stream`], which the tower gets. The loop gives each turn its own
/// reference to the inner state, and that becomes a [`Stream`] without counting references.
impl Stream {
    /// Calls the tower and traces the call.
    #[inline]
    #[track_caller]
    pub(super) fn call(&self, name: &'static str, call: impl FnOnce(&mut dyn StreamUpcall, &Self)) {
        let _up = LAYER.up(name, || Facts::of(self));
        self.0.tower.call(|upcall| call(&mut **upcall, self));
    }

    /// Handles readiness in libuv's order: input before output.
    #[inline(always)] // +24 instructions in tcp/echo-64 without this and that of try_write
    fn turn(&self) {
        let inner = &self.0;
        if inner.handle.is_closing() {
            return;
        }
        let unfinished = inner.on_unwind();
        if let Some(listener) = inner.listening() {
            self.accept_turn(listener);
        } else if inner.has(CONNECTING) {
            self.connect_turn();
        } else {
            if inner.has(READING) && inner.ready.has(Readiness::READABLE) {
                self.read_turn();
            }
            if inner.ready.has(Readiness::WRITABLE) && !inner.handle.is_closing() {
                self.write_turn();
            }
            // Last, because a queued write reports its own failure.
            if inner.ready.has(Readiness::PEER_ENDED | Readiness::FAILED | Readiness::PULLED) {
                self.tell_unread();
            }
        }
        unfinished.disarm();
    }

    /// A turn without an event. Not inlined, so that a turn for an event is inlined into its caller.
    #[inline(never)]
    pub(super) fn another_turn(&self) {
        self.turn();
    }
}

impl HandleInner for StreamInner {
    fn base(&self) -> &Handle {
        &self.handle
    }

    fn on_event(self: Rc<Self>, readiness: Readiness) {
        self.ready.set(readiness);
        let stream = Stream(self);
        if stream.0.has(QUEUED | AROUND) {
            return stream.on_other_event(readiness);
        }
        stream.turn();
    }

    fn postpone(&self, readiness: Readiness) -> bool {
        self.ready.set(readiness);
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
        let now = self.event_loop().now();
        let again = self.cold.with(|cold| cold.pauses.end(now));
        if !self.handle.is_closing() {
            self.ready.set(again);
            self.push_ready();
        }
    }

    fn on_pending(self: Rc<Self>) {
        self.clear(FED);
        if self.handle.is_closing() {
            return;
        }
        let stream = Stream(self);
        let inner = &stream.0;
        let unfinished = inner.on_unwind();
        stream.report();
        if inner.has(NOTIFIED) && !inner.handle.is_closing() {
            inner.clear(NOTIFIED);
            stream.call("StreamUpcall::on_notify", |upcall, stream| upcall.on_notify(stream));
        }
        if inner.ready.has(Readiness::PEER_ENDED | Readiness::FAILED) || inner.has(END_TOLD) {
            stream.tell_unread_end();
            inner.watch_unread();
        }
        unfinished.disarm();
    }

    fn begin_close(&self) {
        // CONNECTING stays: the connect is still to be reported as cancelled.
        self.clear(READING | READABLE | WRITABLE);
        self.ready.clear(Readiness::PULLED);
        self.release_held();
        self.stop_watching();
        let cold = self.cold.take();
        if let Some(file) = cold.as_ref().and_then(|cold| cold.file.as_ref())
            && self.event_loop().is_own()
        {
            // Before the close, so that no client connects to a socket that is about to close.
            file.remove();
        }
        if let Some(listener) = self.listener.get() {
            listener.stop();
        }
        self.release(cold.as_deref());
        // The report of a cancelled connect needs the target.
        let target = cold.and_then(|mut cold| cold.target.take());
        if target.is_some() {
            self.cold.with(|kept| kept.target = target);
        }
    }

    fn cancel(self: Rc<Self>) {
        let stream = Stream(self);
        stream.cancel_connect();
        stream.cancel_output();
    }

    fn finish_close(self: Rc<Self>) {
        let stream = Stream(self);
        stream.0.tower.call(|upcall| {
            let _up = LAYER.up(traced::ON_CLOSE, || Facts::of(&stream));
            upcall.on_close(&stream);
        });
        if let Some(listener) = stream.0.listener.get() {
            listener.upcall.call(|upcall| {
                let _up = LAYER.up(traced::ON_CLOSE_LISTENING, || Facts::of(&stream));
                upcall.on_close(&stream);
            });
        }
    }

    fn drop_tower(&self) {
        drop(self.tower.take());
        if let Some(listener) = self.listener.get() {
            drop(listener.upcall.take());
        }
        drop(self.cold.take());
        drop(self.out.take());
    }

    fn descriptor(&self) -> Option<i32> {
        self.fd.number()
    }

    fn about(&self) -> About {
        self.describe()
    }
}

#[cfg(test)]
#[path = "../models/ready.rs"]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_stream_is_small() {
        let counts_of_rc = 2 * size_of::<usize>();
        assert!(size_of::<StreamInner>() + counts_of_rc <= 112);
    }
}
