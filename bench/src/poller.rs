//! An epoll set with its event buffer: the readiness mechanism of the floors and the load.

use std::io;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::retry_on_intr;

pub(crate) use rustix::event::epoll::EventFlags;

/// Events taken from the kernel by one wait; more than the 64 connections of the usual load, so that one wait
/// takes all.
const EVENTS_PER_WAIT: usize = 1024;

/// An epoll set whose members are known by a key of the caller's choice.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// Makes an empty set.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_PER_WAIT) })
    }

    /// Puts `source` into the set; its events carry `key`. Closing the source takes it out.
    pub(crate) fn add(&self, source: impl AsFd, key: u64, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, epoll::EventData::new_u64(key), interest)?)
    }

    /// Changes what a member is watched for.
    pub(crate) fn modify(&self, source: impl AsFd, key: u64, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, epoll::EventData::new_u64(key), interest)?)
    }

    /// Waits until a member is ready or `timeout` is over (`None`: no limit) and returns the number of events.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.map(|wait| Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        });
        self.events.clear();
        retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()))?;
        Ok(self.events.len())
    }

    /// The key and the readiness of the `index`-th event of the last wait.
    pub(crate) fn event(&self, index: usize) -> (u64, EventFlags) {
        let event = self.events[index];
        (event.data.u64(), event.flags)
    }
}
