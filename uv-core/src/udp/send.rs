//! Sending: datagrams are queued, leave together at the end of the phase, and their results are reported in order. Mirrors
//! `uv_udp_send`, `uv_udp_try_send2`, `uv__udp_sendmsg` and `uv__udp_run_completed`.
//!
//! libuv sends the first datagram of an empty queue at once. Here a queue has one `sendmmsg` for up to 64 datagrams, so
//! that an answer to each of a batch costs one system call for all.

use super::flags::{BLOCKED, CONNECTED, PEER_V4, SPLITS};
use super::inner::UdpInner;
use super::outgoing::{Outgoing, error_of_send, retrying};
use super::{CLOSING, SendOptions, Udp, datagram::is_ipv4};
use crate::failure::{Call, Failure};
use crate::poller::Readiness;
use crate::sys::control::Marks;
use crate::sys::datagram::{self, DATAGRAMS_PER_SEND, Message};
use crate::traced;
use crate::{Errno, Error, Result};
use bytes::Bytes;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// Calls per turn: a long queue does not keep the loop from other handles.
const CALLS_PER_TURN: u32 = 32;

/// Copied bytes that wait for the end of the phase; beyond them the queue is sent at once.
const BYTES_COPIED: usize = 256 * 1024;

/// Segments of one buffer: the kernel's limit (`UDP_MAX_SEGMENTS`).
const SEGMENTS: usize = 64;

/// What follows from one call.
enum Step {
    GoesOn,
    /// The kernel has no room: an event reports when it has.
    Full,
    /// The call is repeated after a pause.
    Pauses(Errno),
}

impl UdpInner {
    pub(super) fn send(self: &Rc<Self>, data: Bytes, options: &SendOptions) -> Result<()> {
        self.check(data.len(), options)?;
        let marks = self.boxed_marks(data.len(), options);
        self.enqueue(|out| out.push(data, options.to, marks));
        Ok(())
    }

    /// Sends a copy of `data`.
    pub(super) fn send_copy(self: &Rc<Self>, data: &[IoSlice<'_>], options: &SendOptions) -> Result<()> {
        self.check_buffers(data, options)?;
        let marks = self.boxed_marks(total(data), options);
        if self.has(BLOCKED) {
            // Memory of its own: it may wait for long.
            let data: Vec<u8> = data.iter().flat_map(|part| part.iter().copied()).collect();
            self.enqueue(|out| out.push(data.into(), options.to, marks));
        } else {
            self.enqueue(|out| out.push_copy(data, options.to, marks));
        }
        Ok(())
    }

    fn enqueue(self: &Rc<Self>, push: impl FnOnce(&mut Outgoing)) {
        self.event_loop().begin_request();
        let is_long = self.with_output(|out| {
            push(out);
            out.size().0 >= DATAGRAMS_PER_SEND || out.copied() >= BYTES_COPIED
        });
        if is_long && !self.has(BLOCKED) && self.event_loop().is_own() {
            self.flush();
        }
        if !self.has(BLOCKED) || self.has_results() {
            self.feed();
        }
        self.update_active();
    }

    fn has_results(&self) -> bool {
        self.results() > 0
    }

    fn boxed_marks(&self, len: usize, options: &SendOptions) -> Option<Box<Marks>> {
        options.has_marks(len).then(|| Box::new(options.marks(len, self.has(PEER_V4))))
    }

    /// Checks that a datagram of this length can be sent so, and binds a new handle.
    fn check(&self, len: usize, options: &SendOptions) -> Result<()> {
        let failed = |errno| error_of_send(errno, options.to);
        if self.handle.is_closing() {
            return Err(failed(Errno::EBADF).noting(CLOSING));
        }
        match (options.to, self.has(CONNECTED)) {
            (Some(_), true) => return Err(failed(Errno::EISCONN)),
            (None, false) => return Err(failed(Errno::EDESTADDRREQ)),
            (Some(to), _) if to.port() == 0 => {
                return Err(failed(Errno::EINVAL).noting("port 0 is no destination"));
            }
            _ => {}
        }
        if options.segment.is_some_and(|segment| segment == 0 || len.div_ceil(segment.into()) > SEGMENTS) {
            return Err(failed(Errno::EINVAL).noting("a buffer has 1 to 64 segments"));
        }
        // The kernel would ignore it.
        if options.source.is_some_and(|source| is_ipv4(source) != options.is_ipv4(self.has(PEER_V4))) {
            return Err(failed(Errno::EINVAL).noting("the source is of another family than the destination"));
        }
        options.to.map_or(Ok(()), |to| self.bind_if_new(to.is_ipv6(), false)).map_err(failed)
    }

    /// Like `check`, for several buffers: none is a mistake.
    fn check_buffers(&self, data: &[IoSlice<'_>], options: &SendOptions) -> Result<()> {
        if data.is_empty() || data.len() > libc::UIO_MAXIOV as usize {
            return Err(Error::new("send", Errno::EINVAL));
        }
        self.check(total(data), options)
    }

    /// Sends the queue until the kernel has no more room or the turn reaches its bound.
    pub(super) fn flush(self: &Rc<Self>) {
        let mut suspect = None;
        for _ in 0..CALLS_PER_TURN {
            let Some(fd) = self.fd.get().filter(|_| self.is_sending()) else { return self.note_met(suspect) };
            match self.step(fd, &mut suspect) {
                Step::GoesOn => {}
                Step::Full => {
                    self.block();
                    if let Err(errno) = self.watch_writable() {
                        #[cfg(upcall_faults)]
                        crate::faults::reached(crate::faults::Branch::SendUnwatched);
                        // epoll_ctl(2) has no other errors for a socket than those that pass.
                        self.pause_output(Call::Watch, errno);
                    }
                    return self.note_met(suspect);
                }
                Step::Pauses(errno) => {
                    self.block();
                    self.pause_output(Call::Send, errno);
                    return self.note_met(suspect);
                }
            }
        }
        self.note_met(suspect);
        if self.is_sending() {
            self.block();
            self.ready.set(Readiness::WRITABLE);
            self.push_ready();
        }
    }

    /// Sends what is queued, before something else that must not overtake it.
    pub(super) fn flush_now(self: &Rc<Self>) {
        // A forked child shares the socket: the queue is its parent's.
        if self.is_sending() && !self.has(BLOCKED) && self.event_loop().is_own() {
            self.flush();
            self.feed();
        }
    }

    /// Sends what is queued when the handle closes, within the same bound. What the kernel does not take is cancelled.
    pub(super) fn send_last(&self) {
        // As for `flush_now`.
        if self.has(BLOCKED) || !self.event_loop().is_own() {
            return;
        }
        let mut suspect = None;
        for _ in 0..CALLS_PER_TURN {
            let Some(fd) = self.fd.get().filter(|_| self.is_sending()) else { return };
            if !matches!(self.step(fd, &mut suspect), Step::GoesOn) {
                return;
            }
        }
    }

    /// Makes one call. A failure that can be of an earlier datagram is a suspect until the call was repeated.
    fn step(&self, fd: BorrowedFd<'_>, suspect: &mut Option<Errno>) -> Step {
        let errno = match self.with_output(|out| out.send(fd, self.has(SPLITS))) {
            Ok(()) => {
                self.note_met(suspect.take());
                return Step::GoesOn;
            }
            Err(errno) => errno,
        };
        match Failure::of(Call::Send, errno) {
            Failure::Waiting => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::SendBlocks);
                return Step::Full;
            }
            Failure::Interrupted => return Step::Pauses(errno),
            Failure::Peer if *suspect != Some(errno) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::SendRepeats);
                self.note_met(suspect.replace(errno));
                return Step::GoesOn;
            }
            _ => *suspect = None,
        }
        if refuses_segments(errno)
            && !self.has(SPLITS)
            && self.if_output(|out| out.head_has_segments()) == Some(true)
        {
            self.set(SPLITS);
            return Step::GoesOn;
        }
        #[cfg(upcall_faults)]
        crate::faults::reached(crate::faults::Branch::SendFails);
        let peer = self.peer();
        let is_first_segment = self.with_output(|out| {
            let is_first_segment = out.head_is_refused_alone();
            out.fail_head(errno, peer);
            is_first_segment
        });
        self.note_refusal(errno, is_first_segment);
        Step::GoesOn
    }

    /// The kernel has refused the first segment of a buffer by itself: if it did so for the reason for which it had refused
    /// the whole, that reason was not in the segments, and the next buffer may leave as a whole.
    fn note_refusal(&self, errno: Errno, is_first_segment: bool) {
        if is_first_segment && refuses_segments(errno) {
            self.clear(SPLITS);
        }
    }

    /// Records an error of an earlier datagram, to be told by `on_error`.
    pub(super) fn note_met(&self, errno: Option<Errno>) {
        if errno.is_some() {
            self.cold.with(|cold| cold.met = errno);
        }
    }

    /// The queue has to wait.
    fn block(&self) {
        self.set(BLOCKED);
        self.if_output(Outgoing::settle);
    }

    pub(super) fn try_send(self: &Rc<Self>, data: &[IoSlice<'_>], options: &SendOptions) -> Result<usize> {
        self.check_buffers(data, options)?;
        let fd = self.free_fd()?;
        let marks = options.marks(total(data), self.has(PEER_V4));
        let mut suspect = None;
        loop {
            if marks.segment.is_some() && self.has(SPLITS) {
                return self.try_split(fd, data, options, marks);
            }
            match retrying(|| datagram::send(fd, data, options.to, &marks)) {
                Ok(count) => {
                    self.met_before(suspect);
                    return Ok(count);
                }
                Err(errno) if refuses_segments(errno) && marks.segment.is_some() => self.set(SPLITS),
                Err(errno) => suspect = Some(self.repeats_after(errno, suspect, options)?),
            }
        }
    }

    /// Decides about a failure of a call to send at once: it is repeated once if it can be that of an earlier datagram.
    fn repeats_after(
        self: &Rc<Self>,
        errno: Errno,
        suspect: Option<Errno>,
        options: &SendOptions,
    ) -> Result<Errno> {
        let failure = Failure::of(Call::Send, errno);
        if failure == Failure::Peer && suspect.is_none() {
            return Ok(errno);
        }
        #[cfg(upcall_faults)]
        crate::faults::reached(crate::faults::Branch::TrySendReturns);
        if suspect != Some(errno) {
            self.met_before(suspect);
        }
        let errno = if failure == Failure::Interrupted { Errno::EAGAIN } else { errno };
        Err(error_of_send(errno, options.to))
    }

    fn met_before(self: &Rc<Self>, suspect: Option<Errno>) {
        if suspect.is_some() {
            self.note_met(suspect);
            self.feed();
        }
    }

    /// Sends the segments of a buffer each by itself. Returns the bytes of those that were sent.
    fn try_split(
        self: &Rc<Self>,
        fd: BorrowedFd<'_>,
        data: &[IoSlice<'_>],
        options: &SendOptions,
        marks: Marks,
    ) -> Result<usize> {
        let data: Vec<u8> = data.iter().flat_map(|part| part.iter().copied()).collect();
        let segment = marks.segment.map_or(data.len(), usize::from).max(1);
        let marks = Marks { segment: None, ..marks };
        let messages = data.chunks(segment).map(|data| Message { data, to: options.to, marks });
        let mut suspect = None;
        loop {
            match retrying(|| datagram::send_many(fd, messages.clone())) {
                Ok(count) => {
                    self.met_before(suspect);
                    return Ok((count * segment).min(data.len()));
                }
                Err(errno) => {
                    self.note_refusal(errno, true);
                    suspect = Some(self.repeats_after(errno, suspect, options)?);
                }
            }
        }
    }

    pub(super) fn try_send_many(self: &Rc<Self>, datagrams: &[(&[u8], SendOptions)]) -> Result<usize> {
        for (data, options) in datagrams {
            self.check(data.len(), options)?;
        }
        let fd = self.free_fd()?;
        let is_v4 = self.has(PEER_V4);
        let mut sent = 0;
        let mut suspect = None;
        while let Some((data, options)) = datagrams.get(sent) {
            let called = if options.segment_of(data.len()).is_some() {
                // By itself, because the kernel may refuse it. What it has taken of the segments is sent again.
                let taken = self.try_send(&[IoSlice::new(data)], options).map_err(|error| error.errno());
                taken.and_then(|taken| if taken < data.len() { Err(Errno::EAGAIN) } else { Ok(1) })
            } else {
                let is_plain =
                    |(data, options): &&(&[u8], SendOptions)| options.segment_of(data.len()).is_none();
                let plain = datagrams[sent..].iter().take_while(is_plain);
                let messages = plain.map(|(data, options)| Message {
                    data,
                    to: options.to,
                    marks: options.marks(data.len(), is_v4),
                });
                retrying(|| datagram::send_many(fd, messages.clone()))
            };
            match called {
                Ok(count) => {
                    sent += count;
                    self.met_before(suspect.take());
                }
                Err(errno) => match self.repeats_after(errno, suspect, options) {
                    Ok(errno) => suspect = Some(errno),
                    Err(_) if sent > 0 => return Ok(sent),
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(sent)
    }

    /// The descriptor, if the queue is empty or can be sent before.
    fn free_fd(self: &Rc<Self>) -> Result<BorrowedFd<'_>> {
        self.flush_now();
        if self.is_sending() {
            return Err(Error::new("send", Errno::EAGAIN));
        }
        self.opened("send")
    }
}

/// Whether the kernel cannot make several datagrams of one buffer: EIO without an offload of checksums, EINVAL of some
/// drivers before Linux 6.2. If the datagram itself is wrong, its segments fail as well.
fn refuses_segments(errno: Errno) -> bool {
    matches!(errno.raw(), libc::EIO | libc::EINVAL)
}

fn total(data: &[IoSlice<'_>]) -> usize {
    data.iter().map(|part| part.len()).sum()
}

impl Udp {
    /// Reports results in order. A datagram that ends during a report waits for the next round, and a closing socket
    /// for the close phase.
    pub(super) fn report(&self) {
        let inner = &self.0;
        let results = inner.if_output(|out| out.results()).unwrap_or(0);
        for _ in 0..results {
            if inner.handle.is_closing() {
                return;
            }
            self.report_one();
        }
        if !inner.handle.is_closing() && inner.has_results() {
            inner.feed();
        }
    }

    /// Reports the oldest result. Returns whether there was one.
    fn report_one(&self) -> bool {
        let inner = &self.0;
        let Some(result) = inner.if_output(Outgoing::take_result).flatten() else { return false };
        inner.event_loop().end_request();
        self.call(traced::ON_SEND, |upcall, udp| upcall.on_send(udp, result));
        true
    }

    /// The close phase's part: reports results in order. Results that exist already are reported as they are.
    pub(super) fn cancel_output(&self) {
        self.0.if_output(Outgoing::cancel_queue);
        while self.report_one() {}
    }
}
