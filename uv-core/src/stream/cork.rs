//! Small writes of one callback leave together. libuv sends each by itself; Node's programs cork a socket for it.
//!
//! The kernel gets the bytes of each write at once, but is told that more follow (`MSG_MORE`), and sends them when the
//! callback is over. So nothing waits in this process, where its end would lose it, and the results of writes and the sizes
//! of queues are what they always are. Only a packet waits, and never for long: the kernel sends it at the latest after
//! 200 ms, with the next acknowledgement from the peer if Nagle's algorithm is off, and with a FIN.
//!
//! Two writes, such as a head and its body, leave at once, because the call that ends the wait would cost as much as it saves.

use super::{SHARED, Stream, StreamInner};
use crate::handle::HandleKind;
use crate::key::{Key, Token};
use crate::layer::trace::Facts;
use crate::sys;
use crate::sys::socket::Means;
use crate::{LAYER, Result};
use std::cell::Cell;
use std::rc::Rc;

/// A write of so many bytes leaves at once, with everything before it: its own cost is beyond that of a packet.
const SMALL: usize = 4096;

const NO_STREAM: Token = Key::NONE.to_token();

/// The writes of one turn of a loop, one stream after the other.
pub(crate) struct Cork {
    /// The stream that wrote last, by its key.
    last: Cell<Token>,
    /// The stream that last wrote twice in a row.
    twice: Cell<Token>,
    /// The stream whose bytes the kernel holds back.
    held: Cell<Option<Rc<StreamInner>>>,
}

impl Default for Cork {
    fn default() -> Self {
        Self { last: Cell::new(NO_STREAM), twice: Cell::new(NO_STREAM), held: Cell::new(None) }
    }
}

impl Cork {
    /// Notes a write. Returns whether the last one was of another stream.
    #[inline]
    fn is_first(&self, key: Key) -> bool {
        self.last.replace(key.to_token()) != key.to_token()
    }

    /// Begins a turn of the loop.
    #[inline]
    pub(crate) fn begin_turn(&self) {
        self.release();
        self.last.set(NO_STREAM);
        self.twice.set(NO_STREAM);
    }

    /// The end of a callback: what is held back leaves.
    #[inline]
    pub(crate) fn release(&self) {
        if let Some(stream) = self.held.take() {
            stream.uncork();
        }
    }

    /// Like `release`, for one stream.
    #[inline]
    fn release_own(&self, stream: &StreamInner) {
        if let Some(held) = self.held.take() {
            if std::ptr::eq(&raw const *held, stream) {
                stream.uncork();
            } else {
                self.held.set(Some(held));
            }
        }
    }

    /// Notes the stream whose bytes are held back from now on.
    fn hold(&self, stream: &Rc<StreamInner>) {
        match self.held.take() {
            Some(held) if Rc::ptr_eq(&held, stream) => self.held.set(Some(held)),
            other => {
                if let Some(other) = other {
                    other.uncork();
                }
                self.held.set(Some(Rc::clone(stream)));
            }
        }
    }
}

impl Stream {
    /// Like [`try_write`](Self::try_write), for output that more follows at once, such as a file: over TCP they share segments
    /// (`MSG_MORE`). If nothing follows, the kernel sends it after 200 ms.
    ///
    /// # Errors
    /// As for `try_write`.
    pub fn try_write_more(&self, data: &[u8]) -> Result<usize> {
        let _down = LAYER.down("Stream::try_write_more", || Facts::of(self).bytes(data.len()));
        self.0.try_write_more(data)
    }
}

impl StreamInner {
    fn try_write_more(&self, data: &[u8]) -> Result<usize> {
        let Some(fd) = self.free_fd().filter(|_| !data.is_empty()) else { return self.nothing_at_once() };
        let means = match self.means() {
            Means::Socket => Means::Corked,
            other => other,
        };
        self.try_write_by(fd, means, data)
    }

    /// Notes a write. Returns whether the last one of this turn was of another stream.
    #[inline]
    pub(super) fn is_first_of_turn(&self) -> bool {
        self.cork().is_first(self.handle.key())
    }

    /// How to write so many bytes.
    #[inline]
    pub(super) fn means_of(self: &Rc<Self>, bytes: usize) -> Means {
        if self.is_first_of_turn() { self.means() } else { self.means_in_a_row(bytes) }
    }

    /// How to write so many bytes behind another write of this stream.
    #[inline(never)]
    pub(super) fn means_in_a_row(self: &Rc<Self>, bytes: usize) -> Means {
        let means = self.means();
        let is_tcp = matches!(means, Means::Socket) && self.handle.kind() == HandleKind::Tcp;
        // Another owner of the socket may have corked it. Outside of callbacks, the program may do anything next.
        if !is_tcp || bytes >= SMALL || self.has(SHARED) || !self.event_loop().inner().is_running() {
            return means;
        }
        let (cork, token) = (self.cork(), self.handle.key().to_token());
        if cork.twice.replace(token) != token {
            return means;
        }
        cork.hold(self);
        Means::Corked
    }

    fn cork(&self) -> &Cork {
        &self.event_loop().inner().cork
    }

    /// Before the descriptor leaves the stream: a close with unread input would lose what is held back.
    pub(super) fn release_held(&self) {
        self.cork().release_own(self);
    }

    #[cold]
    #[inline(never)]
    fn uncork(&self) {
        if let Some(fd) = self.fd.get() {
            // If the system refuses, the bytes leave a little later.
            let _ = sys::socket::uncork(fd);
        }
    }
}
