//! The output of a socket of datagrams: the queue, and the results that are not reported yet. Knows system calls, but
//! neither the loop nor a tower. Mirrors `write_queue` and `write_completed_queue` of `uv_udp_t`.

use crate::sys::control::Marks;
use crate::sys::datagram::{self, Message};
use crate::{Errno, Error, Result};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

/// Interrupted calls per send: a storm of signals pauses the socket and loses nothing.
const INTERRUPTIONS: u32 = 16;

/// An empty queue keeps its memory up to this many datagrams, and up to this many copied bytes.
const DATAGRAMS_KEPT: usize = 256;
const BYTES_KEPT: usize = 64 * 1024;

/// The output that is queued or not yet reported. A socket has it only while there is some.
#[derive(Default)]
pub(crate) struct Outgoing {
    queue: VecDeque<Datagram>,
    /// Bytes in the queue.
    bytes: usize,
    /// The content of the datagrams that were copied.
    copies: Vec<u8>,
    /// Unreported results.
    done: VecDeque<Result<()>>,
}

/// A datagram in the queue; with a segment size, several.
pub(super) struct Datagram {
    content: Content,
    to: Option<SocketAddr>,
    marks: Option<Box<Marks>>,
    /// The bytes whose segments were sent already.
    sent: usize,
}

enum Content {
    Shared(Bytes),
    /// A part of `Outgoing::copies`.
    Copied {
        start: usize,
        len: usize,
    },
}

impl Content {
    fn len(&self) -> usize {
        match self {
            Self::Shared(bytes) => bytes.len(),
            Self::Copied { len, .. } => *len,
        }
    }

    fn in_copies<'a>(&'a self, copies: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Copied { start, len } => &copies[*start..*start + *len],
        }
    }
}

impl Datagram {
    fn marks(&self) -> Marks {
        self.marks.as_deref().copied().unwrap_or_default()
    }

    /// The bytes of a segment, if it has more than one.
    fn segment(&self) -> Option<usize> {
        self.marks().segment.map(usize::from).filter(|segment| self.content.len() > *segment)
    }

    fn whole<'a>(&'a self, copies: &'a [u8]) -> Message<'a> {
        Message { data: self.content.in_copies(copies), to: self.to, marks: self.marks() }
    }

    /// The segments that are left, each as a datagram.
    fn split<'a>(&'a self, copies: &'a [u8]) -> impl Iterator<Item = Message<'a>> + Clone {
        let data = self.content.in_copies(copies);
        let marks = Marks { segment: None, ..self.marks() };
        let segment = self.segment().unwrap_or(data.len()).max(1);
        let first = Some(&data[self.sent..]).filter(|rest| rest.is_empty());
        let rest = data[self.sent..].chunks(segment);
        first.into_iter().chain(rest).map(move |data| Message { data, to: self.to, marks })
    }
}

impl Outgoing {
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.done.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The numbers of datagrams and bytes in the queue.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.queue.len(), self.bytes)
    }

    /// The bytes that were copied into the queue.
    pub(super) fn copied(&self) -> usize {
        self.copies.len()
    }

    /// The number of unreported results.
    pub(super) fn results(&self) -> usize {
        self.done.len()
    }

    pub(super) fn take_result(&mut self) -> Option<Result<()>> {
        self.done.pop_front()
    }

    /// Releases the memory of an unusually long queue.
    pub(super) fn shrink(&mut self) {
        self.queue.shrink_to(DATAGRAMS_KEPT);
        self.done.shrink_to(DATAGRAMS_KEPT);
        self.copies.clear();
        self.copies.shrink_to(BYTES_KEPT);
    }

    pub(super) fn push(&mut self, data: Bytes, to: Option<SocketAddr>, marks: Option<Box<Marks>>) {
        self.bytes += data.len();
        self.queue.push_back(Datagram { content: Content::Shared(data), to, marks, sent: 0 });
    }

    /// Queues a copy of `data`, gathered from several buffers.
    pub(super) fn push_copy(
        &mut self,
        data: &[IoSlice<'_>],
        to: Option<SocketAddr>,
        marks: Option<Box<Marks>>,
    ) {
        let start = self.copies.len();
        data.iter().for_each(|part| self.copies.extend_from_slice(part));
        let len = self.copies.len() - start;
        self.bytes += len;
        self.queue.push_back(Datagram { content: Content::Copied { start, len }, to, marks, sent: 0 });
    }

    /// Sends once. An error is that of the first datagram. With `splits`, segments leave each by itself.
    pub(super) fn send(&mut self, fd: BorrowedFd<'_>, splits: bool) -> Result<(), Errno> {
        if self.queue.is_empty() {
            return Ok(());
        }
        let copies = &self.copies;
        let sent = if splits {
            let messages = self.queue.iter().flat_map(|one| one.split(copies));
            retrying(|| datagram::send_many(fd, messages.clone()))?
        } else {
            let messages = self.queue.iter().map(|one| one.whole(copies));
            retrying(|| datagram::send_many(fd, messages.clone()))?
        };
        self.advance(sent, splits);
        Ok(())
    }

    /// Completes the datagrams that these messages end.
    fn advance(&mut self, messages: usize, splits: bool) {
        for _ in 0..messages {
            let Some(head) = self.queue.front_mut() else { break };
            if splits && let Some(segment) = head.segment() {
                head.sent += segment;
                if head.sent < head.content.len() {
                    continue;
                }
            }
            self.finish_head(Ok(()));
        }
    }

    /// Completes the first datagram.
    pub(super) fn finish_head(&mut self, result: Result<()>) {
        if let Some(head) = self.queue.pop_front() {
            self.bytes -= head.content.len();
            self.done.push_back(result);
        }
        if self.queue.is_empty() {
            self.copies.clear();
        }
    }

    /// Completes the first datagram with an error, which names its destination: its own, or the socket's peer.
    pub(super) fn fail_head(&mut self, errno: Errno, peer: Option<SocketAddr>) {
        let to = self.queue.front().and_then(|head| head.to).or(peer);
        self.finish_head(Err(error_of_send(errno, to)));
    }

    /// Gives datagrams to the peer its address, because it is about to be the peer no longer.
    pub(super) fn address_to(&mut self, peer: SocketAddr) {
        self.queue.iter_mut().for_each(|one| one.to = one.to.or(Some(peer)));
    }

    /// Whether the first datagram has several segments.
    pub(super) fn head_has_segments(&self) -> bool {
        self.queue.front().is_some_and(|head| head.segment().is_some())
    }

    /// Whether the first datagram has several segments, of which none was sent.
    pub(super) fn head_is_refused_alone(&self) -> bool {
        self.queue.front().is_some_and(|head| head.segment().is_some() && head.sent == 0)
    }

    /// Gives each copied datagram memory of its own, because the queue has to wait: the copies of a queue that is never
    /// empty would only grow.
    pub(super) fn settle(&mut self) {
        let copies = std::mem::take(&mut self.copies);
        for one in &mut self.queue {
            if let Content::Copied { .. } = one.content {
                one.content = Content::Shared(Bytes::copy_from_slice(one.content.in_copies(&copies)));
            }
        }
        self.copies = copies;
        self.copies.clear();
    }

    /// Completes all queued datagrams as cancelled.
    pub(super) fn cancel_queue(&mut self) {
        while !self.queue.is_empty() {
            self.fail_head(Errno::ECANCELED, None);
        }
    }
}

/// The error of a datagram that is not sent.
pub(super) fn error_of_send(errno: Errno, to: Option<SocketAddr>) -> Error {
    let error = Error::new("send", errno);
    if let Some(to) = to { error.on(to) } else { error }
}

/// Repeats an interrupted call, within a bound.
pub(super) fn retrying(mut send: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    for _ in 0..INTERRUPTIONS {
        match send() {
            Err(Errno::EINTR) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::SendInterrupted);
            }
            result => return result,
        }
    }
    Err(Errno::EINTR)
}
