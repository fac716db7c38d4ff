//! Listening and accepting. Mirrors `uv_listen`, `uv__server_io`, `uv_accept` and libuv's `EMFILE` trick.

use super::{BOUND, IPC, READABLE, SOCKET, Stream, StreamInner, WRITABLE};
use crate::failure::{Call, Failure};
use crate::handle::HandleKind;
use crate::layer::HandlerCell;
use crate::layer::trace::Facts;
use crate::poller::Readiness;
use crate::sys;
use crate::upcall::AcceptUpcall;
use crate::{Errno, Error, LAYER, Result};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Connections closed unserved in one turn when the process has no descriptors left; the next turn closes more.
const SHED_PER_TURN: u32 = 1024;

/// If a turn accepts this many connections, they have been waiting for it, and their first bytes have probably arrived:
/// reading immediately then saves most of them a registration. If it accepts fewer, they have just been established,
/// and an immediate read would find nothing.
const CROWD: u32 = 4;

/// Aborted connections skipped per turn; the next turn skips more.
const ABORTED_PER_TURN: u32 = 64;

/// Connections refused per turn that do not count in its batch. Each costs little, and those that wait behind a flood of
/// them are reached sooner.
const REFUSED_PER_TURN: u32 = 64;

/// The state that only listening streams have.
#[derive(Default)]
pub(super) struct Listener {
    pub(super) upcall: HandlerCell<Box<dyn AcceptUpcall>>,
    /// An accepted connection that the program has not taken by `accept`.
    accepted: Cell<Option<OwnedFd>>,
    /// The program has refused the connection that was announced last.
    is_refused: Cell<bool>,
    /// The listener is paused until that connection is taken.
    is_held: Cell<bool>,
    /// The last turn found a burst of connections.
    is_crowded: Cell<bool>,
    /// The number of the trouble that the listener has reported.
    told: Cell<u32>,
    /// The program has stopped accepting.
    is_stopped: Cell<bool>,
    /// A Unix socket that refuses clients: poll(2) reports input although none waits.
    refuses: Cell<bool>,
    /// `on_drained` is to be called once no connection waits.
    is_draining: Cell<bool>,
    /// Whether it listens: before `listen` it only has its batch, and after a close it does not listen.
    is_listening: Cell<bool>,
    /// Connections per turn; 0 means 1.
    batch: Cell<u32>,
}

impl Listener {
    /// The first half of a close. Closes a connection that was not taken, and ends a drain.
    pub(super) fn stop(&self) {
        self.is_listening.set(false);
        self.is_draining.set(false);
        drop(self.accepted.take());
    }

    fn is_holding(&self) -> bool {
        let accepted = self.accepted.take();
        let is_holding = accepted.is_some();
        self.accepted.set(accepted);
        is_holding
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.get() && !self.is_draining.get()
    }

    /// Whether a connection has been completed since accept(2) found none.
    fn has_more(&self, fd: BorrowedFd<'_>) -> bool {
        !self.refuses.get() && sys::socket::has_input(fd) == Ok(true)
    }

    /// Records for the next turn whether this turn found a burst, or as many connections as it may take.
    fn note_crowd(&self, taken: u32, batch: u32) {
        self.is_crowded.set(taken >= CROWD.min(batch));
    }
}

impl StreamInner {
    /// The listener state, if this stream listens.
    #[inline]
    pub(super) fn listening(&self) -> Option<&Listener> {
        self.listener.get().map(|listener| &**listener).filter(|listener| listener.is_listening.get())
    }

    fn listener(&self) -> &Listener {
        self.listener.get_or_init(Box::default)
    }

    pub(super) fn listen(self: &Rc<Self>, backlog: u32, upcall: Box<dyn AcceptUpcall>) -> Result<()> {
        let failed = |errno| self.error("listen", errno);
        if self.handle.is_closing() || self.has(READABLE | WRITABLE) {
            return Err(failed(Errno::EINVAL));
        }
        if let Some(errno) = self.delayed_error() {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::ListenTellsBind);
            return Err(failed(errno));
        }
        let fd = self.fd.get().ok_or_else(|| failed(Errno::EINVAL))?;
        self.make_nonblocking(fd).map_err(failed)?;
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        sys::socket::listen(fd, backlog).map_err(failed)?;
        self.watch().map_err(failed)?;
        self.listener().upcall.set(upcall);
        self.listener().is_listening.set(true);
        self.set(BOUND);
        self.update_active();
        Ok(())
    }

    pub(super) fn set_accept_batch(&self, connections: u32) {
        self.listener().batch.set(connections);
    }

    pub(super) fn set_accepting(self: &Rc<Self>, on: bool) {
        let was_stopped = self.listener().is_stopped.replace(!on);
        if on && was_stopped && self.listening().is_some() {
            // The events of the connections that wait have passed.
            self.ready.set(Readiness::READABLE);
            self.push_ready();
        }
    }

    pub(super) fn drain(self: &Rc<Self>) -> Result<()> {
        let listener = self.listening().ok_or_else(|| self.error("drain", Errno::EINVAL))?;
        listener.is_draining.set(true);
        // A paused listener takes its turn when the pause is over.
        self.ready.set(Readiness::READABLE);
        self.push_ready();
        Ok(())
    }

    pub(super) fn stop_handshakes(&self) -> Result<()> {
        let failed = |errno| self.error("stop_handshakes", errno);
        let fd = self.fd.get().ok_or_else(|| failed(Errno::EINVAL))?;
        match self.handle.kind() {
            HandleKind::Tcp => sys::handshake::ignore_syns(fd),
            _ => sys::handshake::refuse_connects(fd).inspect(|()| self.listener().refuses.set(true)),
        }
        .map_err(failed)
    }

    pub(super) fn resume_handshakes(&self) -> Result<()> {
        let failed = |errno| self.error("resume_handshakes", errno);
        let fd = self.fd.get().ok_or_else(|| failed(Errno::EINVAL))?;
        match self.handle.kind() {
            HandleKind::Tcp => sys::handshake::answer_syns(fd).map_err(failed),
            _ => Err(failed(Errno::ENOTSUP)),
        }
    }

    /// The listener's own address is read for the error, because it may have been bound to port 0.
    fn accept_error(&self, errno: Errno) -> Error {
        let address = self.fd.get().and_then(|fd| {
            let addr = sys::socket::local_addr(fd);
            #[cfg(upcall_faults)]
            crate::faults::reached_if(crate::faults::Branch::ListenerWithoutAddress, &addr);
            addr.ok()?.as_inet()
        });
        match address {
            Some(address) => Error::new("accept", errno).on(address),
            None => self.error("accept", errno),
        }
    }

    /// Creates a stream of the same kind for the connection that is waiting.
    #[track_caller]
    pub(super) fn accept(self: &Rc<Self>) -> Result<Stream> {
        let fd = self.accept_fd()?;
        let stream = Stream::create(self.event_loop(), self.handle.kind(), SOCKET | IPC.when(self.has(IPC)));
        if self.listener().is_crowded.get() {
            stream.0.open(fd, READABLE | WRITABLE);
        } else {
            stream.0.open_fresh(fd, READABLE | WRITABLE);
        }
        Ok(stream)
    }

    /// Accepts the next connection, announced or not.
    pub(super) fn try_accept_fd(&self) -> Result<OwnedFd> {
        if let Some(held) = self.listener.get().and_then(|listener| listener.accepted.take()) {
            return Ok(held);
        }
        let failed = |errno| Error::new("accept", errno);
        let fd = self.fd.get().filter(|_| self.listening().is_some()).ok_or_else(|| failed(Errno::EINVAL))?;
        let mut refused = Errno::ECONNABORTED;
        for _ in 0..ABORTED_PER_TURN {
            match sys::socket::accept(fd) {
                Ok(connection) => return Ok(connection),
                Err(errno) => match Failure::of(Call::Accept, errno) {
                    Failure::Interrupted | Failure::Connection => {
                        #[cfg(upcall_faults)]
                        crate::faults::reached(crate::faults::Branch::AcceptSkips);
                        refused = errno;
                    }
                    // As in a drain: who accepts unasked is about to close, and waits for no event.
                    Failure::Waiting if self.listening().is_some_and(|listener| listener.has_more(fd)) => {
                        refused = errno;
                    }
                    _ => {
                        #[cfg(upcall_faults)]
                        crate::faults::reached(crate::faults::Branch::AcceptFails);
                        return Err(failed(errno));
                    }
                },
            }
        }
        #[cfg(upcall_faults)]
        crate::faults::reached(crate::faults::Branch::AcceptLosesPatience);
        Err(failed(refused))
    }

    pub(super) fn accept_fd(self: &Rc<Self>) -> Result<OwnedFd> {
        let none_waits = Error::new("accept", Errno::EAGAIN);
        let Some(listener) = self.listener.get() else { return Err(none_waits) };
        let accepted = listener.accepted.take().ok_or(none_waits)?;
        if listener.is_held.take() {
            self.push_ready();
        }
        Ok(accepted)
    }
}

impl StreamInner {
    pub(super) fn with_announced<R>(&self, work: impl FnOnce(BorrowedFd<'_>) -> R) -> Option<R> {
        let listener = self.listening()?;
        let accepted = listener.accepted.take()?;
        let result = work(accepted.as_fd());
        if listener.is_listening.get() {
            listener.accepted.set(Some(accepted));
        }
        Some(result)
    }

    pub(super) fn refuse(self: &Rc<Self>) -> Result<()> {
        drop(self.accept_fd()?);
        self.listener().is_refused.set(true);
        Ok(())
    }
}

impl Stream {
    /// Announces connections, up to the batch; the next poll phase continues.
    #[inline(never)]
    pub(super) fn accept_turn(&self, listener: &Listener) {
        let inner = &self.0;
        if inner.cold.peek(|cold| cold.pauses.is_input_paused()) == Some(true) {
            return;
        }
        let batch = listener.batch.get().max(1);
        let (mut room, mut refusals) = (batch, REFUSED_PER_TURN);
        let mut patience = ABORTED_PER_TURN;
        // The error of the last aborted connection.
        let mut aborted = Errno::ECONNABORTED;
        while room > 0 && patience > 0 {
            let Some(fd) = inner.fd.get().filter(|_| !listener.is_stopped()) else { return };
            if listener.is_holding() {
                // A connection that is not taken stops the listener until it is.
                return listener.is_held.set(true);
            }
            match sys::socket::accept(fd) {
                Ok(connection) => {
                    listener.accepted.set(Some(connection));
                    self.announce(listener, Ok(()));
                    match listener.is_refused.take() {
                        true if refusals > 0 => refusals -= 1,
                        _ => room -= 1,
                    }
                    if listener.is_holding() {
                        listener.note_crowd(batch - room, batch);
                        return listener.is_held.set(true);
                    }
                    // A failing `accept4` costs ten times as much as `poll`: the kernel creates a file before it fails,
                    // and removes it. A connection that arrives after this is reported by another event.
                    if !inner.fd.get().is_some_and(sys::socket::may_have_input) {
                        return self.all_accepted(listener, batch - room);
                    }
                }
                Err(errno) => match Failure::of(Call::Accept, errno) {
                    Failure::Waiting => {
                        #[cfg(upcall_faults)]
                        crate::faults::reached(crate::faults::Branch::ListenerDrained);
                        if listener.is_draining.get() && listener.has_more(fd) {
                            break;
                        }
                        return self.all_accepted(listener, batch - room);
                    }
                    Failure::Interrupted | Failure::Connection => {
                        #[cfg(upcall_faults)]
                        crate::faults::reached(crate::faults::Branch::ListenerSkips);
                        patience -= 1;
                        aborted = errno;
                    }
                    _ if is_lack_of_descriptors(errno) => return self.shed(listener, fd, errno),
                    _ => {
                        #[cfg(upcall_faults)]
                        crate::faults::reached(crate::faults::Branch::ListenerPauses);
                        return self.accept_later(listener, errno);
                    }
                },
            }
        }
        listener.note_crowd(batch - room, batch);
        if inner.handle.is_closing() {
            return;
        }
        if patience == 0 && room == batch {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::ListenerLosesPatience);
            // After this many aborted connections in a row the connections are not the cause.
            return self.accept_later(listener, aborted);
        }
        inner.push_ready();
    }

    fn all_accepted(&self, listener: &Listener, taken: u32) {
        self.0.ready.clear(Readiness::READABLE);
        listener.is_crowded.set(taken >= CROWD);
        self.tell_drained(listener);
    }

    /// Reports the end of a drain.
    fn tell_drained(&self, listener: &Listener) {
        if listener.is_draining.take() {
            let _up = LAYER.up("AcceptUpcall::on_drained", || Facts::of(self));
            listener.upcall.call(|upcall| upcall.on_drained(self));
        }
    }

    fn announce(&self, listener: &Listener, status: Result<()>) {
        let _up = LAYER.up("AcceptUpcall::on_connection", || Facts::of(self));
        listener.upcall.call(|upcall| upcall.on_connection(self, status));
    }

    /// Closes the spare descriptor to accept connections, and closes them immediately: better than a peer that waits
    /// for an answer, and than a listener that is reported ready without end. The listener itself continues.
    #[cold]
    fn shed(&self, listener: &Listener, fd: BorrowedFd<'_>, lack: Errno) {
        let inner = &self.0;
        #[cfg(upcall_faults)]
        crate::faults::reached(crate::faults::Branch::ListenerSheds);
        let Some(spare) = inner.event_loop().take_spare_fd() else {
            if inner.event_loop().restore_spare_fd() {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ShedOpensSpare);
                return inner.push_ready();
            }
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::ShedWithoutSpare);
            // Another thread has taken even the spare descriptor.
            return self.accept_later(listener, lack);
        };
        drop(spare);
        let mut failed = None;
        let mut shed = 0;
        for _ in 0..SHED_PER_TURN {
            match sys::socket::accept(fd) {
                Ok(connection) => {
                    drop(connection);
                    shed += 1;
                }
                Err(errno) => match Failure::of(Call::Accept, errno) {
                    Failure::Interrupted | Failure::Connection => {
                        #[cfg(upcall_faults)]
                        crate::faults::reached(crate::faults::Branch::ShedSkips);
                    }
                    _ => {
                        failed = Some(errno);
                        break;
                    }
                },
            }
        }
        inner.event_loop().restore_spare_fd();
        if shed > 0 && inner.event_loop().note_trouble(Call::Accept, lack).is_new {
            log::warn!(target: "uv_core", "accept: {lack}: connections are closed unserved");
        }
        match failed {
            Some(errno) if errno.would_block() => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ShedDrained);
                inner.ready.clear(Readiness::READABLE);
                self.tell_drained(listener);
            }
            _ if shed == 0 => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ShedFails);
                self.accept_later(listener, failed.unwrap_or(lack));
            }
            _ => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ShedGoesOn);
                inner.push_ready();
            }
        }
    }

    /// Reports once that no connection can be accepted now, and pauses the listener.
    #[cold]
    fn accept_later(&self, listener: &Listener, errno: Errno) {
        let inner = &self.0;
        let trouble = inner.pause_input(Call::Accept, errno).number;
        if listener.told.replace(trouble) != trouble {
            self.announce(listener, Err(inner.accept_error(errno)));
        }
    }
}

fn is_lack_of_descriptors(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE)
}
