//! The deadline of a busy loop, kept by the kernel. libuv gives it to each epoll_wait(2), which then reads the clock twice
//! in the kernel, also if events are ready, and starts and cancels a timer if it sleeps.
//!
//! A deadline that has been that of many waits is given to a timerfd in the loop's epoll instance once, and further waits
//! have no timeout. A loop whose deadlines change from wait to wait, or that waits rarely, has no timerfd.

use crate::Errno;
use crate::poller::Poller;
use crate::sys;
use crate::sys::clock::Origin;
use crate::sys::fd::FdCell;
use std::cell::Cell;
use std::os::fd::AsFd;
use std::time::Duration;

/// Waits with one deadline before the kernel gets it: setting it costs about as much as three of them.
const WAITS: u32 = 16;

/// What [`Alarm::waits`] counts no further: the kernel has the deadline, or has refused it.
const SET: u32 = u32::MAX;
const REFUSED: u32 = u32::MAX - 1;

#[derive(Default)]
pub(crate) struct Alarm {
    fd: FdCell,
    /// The deadline of the last waits, in nanoseconds.
    deadline: Cell<u64>,
    /// The number of waits with this deadline.
    waits: Cell<u32>,
}

impl Alarm {
    /// Whether an event comes at `deadline`, which is not over yet, so that the next wait needs no timeout.
    #[inline]
    pub(crate) fn covers(&self, deadline: u64, origin: Origin, poller: &Poller) -> bool {
        // The clock of a world is not the kernel's.
        #[cfg(upcall_faults)]
        if crate::faults::is_on() {
            return false;
        }
        if self.deadline.get() != deadline {
            self.deadline.set(deadline);
            self.waits.set(0);
            return false;
        }
        self.waits.get() == SET || self.count(origin, poller)
    }

    fn count(&self, origin: Origin, poller: &Poller) -> bool {
        let waits = match self.waits.get() {
            REFUSED => return false,
            WAITS => match self.set(origin, poller) {
                Ok(()) => SET,
                // Further waits have timeouts, too.
                Err(_) => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::AlarmRefused);
                    REFUSED
                }
            },
            waits => waits + 1,
        };
        self.waits.set(waits);
        waits == SET
    }

    #[cold]
    fn set(&self, origin: Origin, poller: &Poller) -> Result<(), Errno> {
        if self.fd.get().is_none() {
            let fd = sys::alarm::create()?;
            poller.register_alarm(fd.as_fd())?;
            self.fd.set(fd);
        }
        let fd = self.fd.get().ok_or(Errno::EBADF)?;
        sys::alarm::set(fd, origin, Duration::from_nanos(self.deadline.get()))
    }
}
