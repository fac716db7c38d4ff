//! The state of a socket of datagrams: its flags, its descriptor and its tower; and the calls of the loop to it. Mirrors
//! the fields of `uv_udp_t`, and `uv__udp_io`, `uv__udp_close` and `uv__udp_finish_close`, libuv's `src/unix/udp.c`.

use super::arrivals::Kept;
use super::flags::{
    BLOCKED, BOUND, CONNECTED, FED, IPV6, NOTIFIED, PEER_V4, QUEUED, RECEIVING, SHARED, STANDARD, UdpFlags,
    UdpKind, WATCHED, WATCHED_WRITABLE,
};
use super::outgoing::Outgoing;
use super::{Udp, datagram};
use crate::failure::Call;
use crate::handle::{Handle, HandleInner};
use crate::layer::trace::Facts;
use crate::layer::{ColdCell, FlagCell, HandlerCell, OnUnwind};
use crate::paused::{Direction, Pauses};
use crate::poller::{Readiness, Ready};
use crate::sys;
use crate::sys::addr::SockAddr;
use crate::sys::fd::FdCell;
use crate::traced;
use crate::upcall::UdpUpcall;
use crate::why::About;
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

pub(crate) struct UdpInner {
    pub(super) handle: Handle,
    pub(super) fd: FdCell,
    flags: FlagCell<UdpKind>,
    /// Readiness that events have reported and that no system call has used up, so that no further event reports it.
    pub(super) ready: FlagCell<Ready>,
    /// Datagrams per receiving call.
    pub(super) batch: Cell<u8>,
    /// The room for a datagram in bytes.
    pub(super) datagram_size: Cell<u32>,
    pub(super) tower: HandlerCell<Box<dyn UdpUpcall>>,
    out: ColdCell<Outgoing>,
    pub(super) cold: ColdCell<Cold>,
}

/// The rare state: for sockets with a failure, and for those that stop receiving within a batch.
#[derive(Default)]
pub(super) struct Cold {
    /// The pauses after failures of the system.
    pauses: Pauses,
    /// The error of an earlier datagram that a call to send has met. It is told by `on_error`.
    pub(super) met: Option<Errno>,
    /// What was received and not handed over.
    pub(super) kept: VecDeque<Kept>,
}

impl UdpInner {
    pub(super) fn new(handle: Handle) -> Self {
        Self {
            handle,
            fd: FdCell::empty(),
            flags: FlagCell::new(UdpFlags::NONE),
            ready: FlagCell::new(Readiness::NONE),
            batch: Cell::new(sys::slots::DATAGRAMS_PER_RECEIVE as u8),
            datagram_size: Cell::new(sys::slots::LARGEST_DATAGRAM as u32),
            tower: HandlerCell::empty(),
            out: ColdCell::empty(),
            cold: ColdCell::empty(),
        }
    }

    pub(super) fn has(&self, flags: UdpFlags) -> bool {
        self.flags.has(flags)
    }

    pub(super) fn set(&self, flags: UdpFlags) {
        self.flags.set(flags);
    }

    pub(super) fn clear(&self, flags: UdpFlags) {
        self.flags.clear(flags);
    }

    pub(super) fn event_loop(&self) -> &LoopHandle {
        self.handle.loop_handle()
    }

    /// The descriptor, for one system call: see [`FdCell::get`].
    pub(super) fn opened(&self, op: &'static str) -> Result<BorrowedFd<'_>> {
        self.fd.get().ok_or_else(|| {
            let note =
                if self.handle.is_closing() { super::CLOSING } else { "there is no socket yet: bind it" };
            Error::new(op, Errno::EBADF).noting(note)
        })
    }

    /// Sets the descriptor.
    pub(super) fn open(&self, fd: OwnedFd, flags: UdpFlags) {
        // A handle of a dropped loop is closed already.
        if !self.handle.is_closed() {
            self.fd.set(fd);
            self.set(flags);
        }
    }

    /// Sets a descriptor that the program opened.
    pub(super) fn adopt(&self, fd: OwnedFd) -> Result<(), Errno> {
        if !sys::socket::is_socket(fd.as_raw_fd()) {
            return Err(Errno::ENOTSOCK);
        }
        let local = sys::socket::local_addr(fd.as_fd())?;
        let (true, Some(local)) = (sys::datagram::is_datagram_socket(fd.as_fd()), local.as_inet()) else {
            return Err(Errno::EPROTOTYPE);
        };
        sys::fd::set_cloexec(fd.as_fd())?;
        let peer = sys::socket::peer_addr(fd.as_fd()).ok().and_then(|peer| peer.as_inet());
        let is_standard = sys::fd::is_standard(fd.as_raw_fd());
        let flags = SHARED | BOUND.when(local.port() != 0) | IPV6.when(local.is_ipv6());
        self.open(fd, flags | STANDARD.when(is_standard));
        if let Some(peer) = peer {
            self.note_peer(peer);
        }
        Ok(())
    }

    /// The socket, which is created if there is none. Returns whether it was.
    pub(super) fn socket(&self, family: libc::c_int) -> Result<(BorrowedFd<'_>, bool), Errno> {
        let is_new = self.fd.get().is_none();
        if is_new {
            let fd = sys::datagram::socket(family)?;
            // Of an earlier socket, whose bind has failed.
            self.clear(IPV6);
            self.open(fd, IPV6.when(family == libc::AF_INET6));
        }
        self.fd.get().map(|fd| (fd, is_new)).ok_or(Errno::EBADF)
    }

    /// Binds a handle without a socket to a port of the kernel's choice (`uv__udp_maybe_deferred_bind`).
    pub(super) fn bind_if_new(&self, is_ipv6: bool, reuse_address: bool) -> Result<(), Errno> {
        if self.fd.get().is_some() {
            return Ok(());
        }
        let any = if is_ipv6 {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        } else {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        };
        let addr = SockAddr::inet(any);
        let (fd, _) = self.socket(addr.family())?;
        let bound = if reuse_address {
            sys::socket::set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)
        } else {
            Ok(())
        };
        match bound.and_then(|()| sys::socket::bind(fd, &addr)) {
            Ok(()) => self.set(BOUND),
            Err(errno) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::DatagramBindFails);
                self.fd.close();
                return Err(errno);
            }
        }
        Ok(())
    }

    pub(super) fn note_peer(&self, addr: SocketAddr) {
        self.set(CONNECTED);
        if datagram::is_ipv4(addr.ip()) { self.set(PEER_V4) } else { self.clear(PEER_V4) }
    }

    /// Removes the peer; what still waits in the queue goes to it. Linux also takes a port back that it had chosen itself: the
    /// socket is bound to it again.
    pub(super) fn disconnect(&self) -> Result<(), Errno> {
        let fd = self.fd.get().ok_or(Errno::EBADF)?;
        let inet = |addr: SockAddr| addr.as_inet().ok_or(Errno::EINVAL);
        let before = sys::socket::local_addr(fd).and_then(inet)?;
        let peer = if self.is_sending() { Some(sys::socket::peer_addr(fd).and_then(inet)?) } else { None };
        sys::datagram::disconnect(fd)?;
        self.clear(CONNECTED);
        if let Some(peer) = peer {
            self.if_output(|out| out.address_to(peer));
        }
        let after = sys::socket::local_addr(fd).and_then(inet)?;
        if after.port() == before.port() {
            return Ok(());
        }
        let again = SocketAddr::new(after.ip(), before.port());
        sys::socket::bind(fd, &SockAddr::inet(again))
    }

    /// Registers the descriptor for input, once.
    pub(super) fn watch(&self) -> Result<(), Errno> {
        if self.has(WATCHED) {
            return Ok(());
        }
        let Some(fd) = self.fd.get() else { return Ok(()) };
        self.event_loop().inner().poller.register(fd, self.handle.key(), false)?;
        self.set(WATCHED);
        Ok(())
    }

    /// Registers the descriptor for output as well, once.
    pub(super) fn watch_writable(&self) -> Result<(), Errno> {
        if self.has(WATCHED_WRITABLE) {
            return Ok(());
        }
        let Some(fd) = self.fd.get() else { return Ok(()) };
        let poller = &self.event_loop().inner().poller;
        if self.has(WATCHED) {
            poller.register_writable(fd, self.handle.key())?;
        } else {
            poller.register(fd, self.handle.key(), true)?;
        }
        self.set(WATCHED | WATCHED_WRITABLE);
        Ok(())
    }

    /// Calls `work` with the output; a socket without output gets an empty queue for it. `work` must not call back.
    pub(super) fn with_output<R>(&self, work: impl FnOnce(&mut Outgoing) -> R) -> R {
        let mut out = self.out.take().unwrap_or_else(|| self.event_loop().inner().datagrams.take_output());
        let result = work(&mut out);
        self.keep_output(out);
        result
    }

    /// Like `with_output`, but does nothing for a socket without output.
    pub(super) fn if_output<R>(&self, work: impl FnOnce(&mut Outgoing) -> R) -> Option<R> {
        let mut out = self.out.take()?;
        let result = work(&mut out);
        self.keep_output(out);
        Some(result)
    }

    fn keep_output(&self, mut out: Box<Outgoing>) {
        if out.is_idle() {
            out.shrink();
            self.event_loop().inner().datagrams.return_output(out);
        } else {
            self.out.put(out);
        }
    }

    pub(super) fn is_sending(&self) -> bool {
        self.out.peek(|out| !out.is_empty()) == Some(true)
    }

    /// The numbers of datagrams and bytes in the queue.
    pub(super) fn queue_size(&self) -> (usize, usize) {
        self.out.peek(|out| out.size()).unwrap_or_default()
    }

    /// The number of sends that have ended and are not reported.
    pub(super) fn results(&self) -> usize {
        self.out.peek(|out| out.results()).unwrap_or_default()
    }

    /// Updates whether the handle is active: it receives, or has something to send.
    pub(super) fn update_active(&self) {
        if self.has(RECEIVING) || self.is_sending() {
            self.handle.start();
        } else {
            self.handle.stop();
        }
    }

    pub(super) fn set_upcall(&self, upcall: Box<dyn UdpUpcall>) {
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

    /// Gives the socket a turn in the next poll phase (law 6).
    pub(super) fn push_ready(self: &Rc<Self>) {
        if self.stay_ready() {
            self.event_loop().push_ready(Rc::clone(self) as Rc<dyn HandleInner>);
        }
    }

    /// Lets the pending phase send what is queued and report completions (law 1).
    pub(super) fn feed(self: &Rc<Self>) {
        if !self.has(FED) {
            self.set(FED);
            self.event_loop().feed(Rc::clone(self) as Rc<dyn HandleInner>);
        }
    }

    /// Pauses receiving after a failure of the system.
    #[cold]
    pub(super) fn pause_input(self: &Rc<Self>, call: Call, errno: Errno) {
        self.ready.clear(Readiness::READABLE);
        self.pause(call, errno, Direction::Input);
    }

    /// Pauses sending after a failure of the system.
    #[cold]
    pub(super) fn pause_output(self: &Rc<Self>, call: Call, errno: Errno) {
        self.pause(call, errno, Direction::Output);
    }

    fn pause(self: &Rc<Self>, call: Call, errno: Errno, direction: Direction) {
        let now = self.event_loop().now();
        let begun = self.cold.with(|cold| cold.pauses.begin(direction, now));
        if let Some(pause) = begun {
            self.event_loop().pause(Rc::clone(self) as Rc<dyn HandleInner>, call, pause, false);
        }
        self.event_loop().note_trouble(call, errno);
    }

    /// Returns a guard for a turn or a report. If an upcall panics, it schedules another turn for the rest.
    pub(super) fn on_unwind(self: &Rc<Self>) -> OnUnwind<impl FnOnce() + use<'_>> {
        OnUnwind::new(|| {
            if !self.handle.is_closing() {
                self.ready.set(Readiness::READABLE | Readiness::WRITABLE | Readiness::FAILED);
                self.push_ready();
                self.feed();
            }
        })
    }
}

/// The functions that call the tower take a [`Udp`], which the tower gets. The loop gives each turn its own reference to
/// the inner state, and that becomes a [`Udp`] without counting references.
impl Udp {
    /// Calls the tower and traces the call.
    #[inline]
    #[track_caller]
    pub(super) fn call(&self, name: &'static str, call: impl FnOnce(&mut dyn UdpUpcall, &Self)) {
        let _up = LAYER.up(name, || Facts::of(self));
        self.0.tower.call(|upcall| call(&mut **upcall, self));
    }

    /// Handles readiness in libuv's order: errors and input before output.
    fn turn(&self) {
        let inner = &self.0;
        if inner.handle.is_closing() {
            return;
        }
        let unfinished = inner.on_unwind();
        if inner.ready.has(Readiness::FAILED) {
            self.error_turn();
        }
        if inner.has(RECEIVING) && inner.ready.has(Readiness::READABLE) {
            self.receive_turn();
        }
        if inner.ready.take(Readiness::WRITABLE) && inner.has(BLOCKED) && !inner.handle.is_closing() {
            inner.clear(BLOCKED);
            inner.flush();
            inner.update_active();
            self.report();
            self.tell_met_error();
        }
        unfinished.disarm();
    }
}

impl HandleInner for UdpInner {
    fn base(&self) -> &Handle {
        &self.handle
    }

    fn on_event(self: Rc<Self>, readiness: Readiness) {
        self.ready.set(readiness);
        // A socket in the still-ready set has its turn when that set is processed.
        if !self.has(QUEUED) {
            Udp(self).turn();
        }
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
        Udp(self).turn();
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
        let udp = Udp(self);
        let inner = &udp.0;
        let unfinished = inner.on_unwind();
        // First: a layer above tells by it that the socket is bound, before what was sent since then.
        if inner.has(NOTIFIED) {
            inner.clear(NOTIFIED);
            udp.call("UdpUpcall::on_notify", |upcall, udp| upcall.on_notify(udp));
        }
        if inner.handle.is_closing() {
            return unfinished.disarm();
        }
        if !inner.has(BLOCKED) {
            inner.flush();
            inner.update_active();
        }
        udp.report();
        udp.tell_met_error();
        unfinished.disarm();
    }

    fn begin_close(&self) {
        self.send_last();
        self.clear(RECEIVING);
        if let Some(fd) = self.fd.get() {
            if self.has(WATCHED) && self.has(SHARED) {
                // Otherwise closing the descriptor ends the registration, which saves a system call.
                self.event_loop().inner().poller.deregister(fd);
            }
            if self.has(STANDARD) {
                self.fd.retire();
            } else {
                self.fd.close();
            }
            self.event_loop().resume_those_without_descriptor();
        }
    }

    fn cancel(self: Rc<Self>) {
        Udp(self).cancel_output();
    }

    fn finish_close(self: Rc<Self>) {
        let udp = Udp(self);
        udp.call(traced::ON_CLOSE_UDP, |upcall, udp| upcall.on_close(udp));
    }

    fn drop_tower(&self) {
        drop(self.tower.take());
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
mod tests {
    use super::*;

    #[test]
    fn an_idle_socket_is_small() {
        let counts_of_rc = 2 * size_of::<usize>();
        assert!(size_of::<UdpInner>() + counts_of_rc <= 112);
    }
}
