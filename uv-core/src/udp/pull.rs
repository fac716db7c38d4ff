//! Pulling: the program receives a datagram itself, when and where it wants. libuv has no counterpart; this is what an
//! asynchronous reader stands on, as [`Stream::try_read`](crate::Stream::try_read) is for streams.

use super::Udp;
use super::flags::{ERROR_QUEUE, KEPT, RECEIVING};
use super::inner::UdpInner;
use super::{CLOSING, Envelope};
use crate::failure::{Call, Failure};
use crate::poller::Readiness;
use crate::{Errno, Error, Result};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// Calls for one datagram: more only follow errors of the socket's error queue, which is handled elsewhere.
const CALLS: usize = 16;

impl UdpInner {
    fn try_receive(self: &Rc<Self>, buffer: &mut [u8]) -> Result<(usize, Envelope)> {
        let failed = |errno| Error::new("receive", errno);
        if self.handle.is_closing() {
            return Err(failed(Errno::EBADF).noting(CLOSING));
        }
        let fd = self.opened("receive")?;
        if self.has(RECEIVING) {
            return Err(failed(Errno::EALREADY));
        }
        if self.has(KEPT)
            && let Some(taken) = self.take_kept(buffer)
        {
            return Ok(taken);
        }
        for _ in 0..CALLS {
            match self.pull_once(fd, buffer) {
                Ok(Some(taken)) => return Ok(taken),
                Ok(None) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Err(failed(Errno::EAGAIN))
    }

    /// Receives a datagram; what GRO has put behind it is kept for the next call. `None` if there was another event.
    fn pull_once(
        self: &Rc<Self>,
        fd: BorrowedFd<'_>,
        buffer: &mut [u8],
    ) -> Result<Option<(usize, Envelope)>, Errno> {
        let datagrams = &self.event_loop().inner().datagrams;
        let mut slots = datagrams.lend_slots();
        let received = self.receive_once(fd, &mut slots, 1);
        let taken = received.map(|received| {
            // Until a call finds nothing: the poller reports only what comes then.
            self.ready.set(Readiness::READABLE);
            self.take_first(&slots, received, buffer)
        });
        datagrams.return_slots(slots);
        taken.or_else(|errno| self.pull_failed(errno))
    }

    #[cold]
    fn pull_failed(self: &Rc<Self>, errno: Errno) -> Result<Option<(usize, Envelope)>, Errno> {
        match Failure::of(Call::Receive, errno) {
            Failure::Waiting => {
                self.ready.clear(Readiness::READABLE | Readiness::READ_ON);
                Err(Errno::EAGAIN)
            }
            // A temporary lack of memory, or interruptions beyond the bound: the next start pauses for it.
            Failure::Passing | Failure::Interrupted => {
                self.ready.set(Readiness::READABLE);
                Err(Errno::EAGAIN)
            }
            Failure::Peer if self.has(ERROR_QUEUE) => {
                // The queue, which says more, is told by `on_error`.
                self.note_met(Some(errno));
                self.feed();
                Ok(None)
            }
            _ => Err(errno),
        }
    }
}

impl Udp {
    /// Receives one datagram into `buffer`, at once, on a socket that does not receive by itself. Returns its number of bytes; of
    /// a longer one the begin, and [`Envelope::is_truncated`].
    ///
    /// When there is none, [`receive_start`](Self::receive_start) waits for the next.
    ///
    /// ```
    /// use uv_core::Loop;
    /// use uv_core::udp::{Udp, UdpOptions};
    ///
    /// let event_loop = Loop::new()?;
    /// let udp = Udp::new(&event_loop);
    /// udp.bind(([127, 0, 0, 1], 0).into(), &UdpOptions::default())?;
    /// let mut buffer = [0; 1500];
    /// assert!(udp.try_receive(&mut buffer).is_err_and(|error| error.errno() == uv_core::Errno::EAGAIN));
    /// # udp.close();
    /// # event_loop.run(uv_core::RunMode::Default)?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `EAGAIN` if there is none, `EALREADY` while the socket receives, `EBADF` without a socket; any error of the system call,
    /// such as `ECONNREFUSED`, after which the socket works on.
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<(usize, Envelope)> {
        self.0.try_receive(buffer)
    }
}
