//! The floor of proxies: what a client sends goes to a connection upstream that it has to itself until the answer has ended,
//! and what comes from there goes to the client.
//!
//! Of HTTP it knows where answers end, and that a client may ask to close. It adds no field, checks none, has no limits, and
//! waits for an end that does not read, as it queues nothing.

use super::answer::Answer;
use super::answers::send_all;
use super::reactor::{Listener, Source, TAKEN_PER_EVENT};
use crate::poller::{EventFlags, Poller};
use crate::sockets::{self, Address};
use memchr::memmem::Finder;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use std::io;

/// Bytes asked for by one receive.
const READ_BUFFER: usize = 64 * 1024;

/// Receives per event while each of them is full.
const READS_PER_EVENT: usize = 16;

/// The listener's key; connections use their descriptor's number.
const LISTENER: u64 = u64::MAX;

/// What a client sends that wants one answer only. Upstream it would close the connection, so other words take its place.
const CLOSE: &[u8] = b"Connection: close";
const NO_CLOSE: &[u8] = b"X-Was-Connection:";

/// One end, with the descriptor of the other while an answer is under way.
struct End {
    socket: OwnedFd,
    other: Option<usize>,
    side: Side,
}

enum Side {
    /// What it sends before its first answer may ask to close.
    Client {
        is_new: bool,
        closes: bool,
    },
    Upstream(Answer),
}

struct Relay<'a> {
    to: &'a Address,
    poller: Poller,
    /// Indexed by descriptor.
    ends: Vec<Option<End>>,
    /// Connections upstream that no client has, the last used last.
    idle: Vec<usize>,
    buffer: Vec<u8>,
    close: Finder<'static>,
}

/// Relays between those who connect and `to`, until the listener fails.
pub(crate) fn serve(to: &Address) -> io::Result<()> {
    let listener = Listener::open(&Address::ANY_PORT)?;
    let mut relay = Relay {
        to,
        poller: Poller::new()?,
        ends: Vec::new(),
        idle: Vec::new(),
        buffer: vec![0; READ_BUFFER],
        close: Finder::new(CLOSE),
    };
    relay.poller.add(&listener, LISTENER, EventFlags::IN)?;
    loop {
        for index in 0..relay.poller.wait(None)? {
            match relay.poller.event(index).0 {
                LISTENER => relay.take_new(&listener)?,
                key => relay.read(key as usize),
            }
        }
    }
}

impl Relay<'_> {
    fn take_new(&mut self, listener: &Listener) -> io::Result<()> {
        for _ in 0..TAKEN_PER_EVENT {
            let Some(socket) = listener.next()? else { break };
            self.add(socket, Side::Client { is_new: true, closes: false })?;
        }
        Ok(())
    }

    fn add(&mut self, socket: OwnedFd, side: Side) -> io::Result<usize> {
        let slot = socket.as_raw_fd() as usize;
        self.poller.add(&socket, slot as u64, EventFlags::IN)?;
        if slot >= self.ends.len() {
            self.ends.resize_with(slot + 1, || None);
        }
        self.ends[slot] = Some(End { socket, other: None, side });
        Ok(slot)
    }

    /// An error ends both ends; the load counts it.
    fn read(&mut self, slot: usize) {
        for _ in 0..READS_PER_EVENT {
            let Some(Some(end)) = self.ends.get(slot) else { return };
            match sockets::recv(&end.socket, &mut self.buffer) {
                Ok(Some(count)) if count > 0 => {
                    if self.pass(slot, count).is_err() {
                        return self.drop_both(slot);
                    }
                    if count < READ_BUFFER {
                        return;
                    }
                }
                Ok(None) => return,
                _ => return self.drop_both(slot),
            }
        }
    }

    /// Passes on what is in the buffer.
    fn pass(&mut self, slot: usize, count: usize) -> io::Result<()> {
        let Some(end) = &mut self.ends[slot] else { return Ok(()) };
        let other = end.other;
        if let Side::Upstream(answer) = &mut end.side {
            let client = other.ok_or_else(|| io::Error::other("an answer without a request"))?;
            let has_ended = answer.take(&self.buffer[..count])?;
            self.send(client, count)?;
            if has_ended {
                self.part(slot, client);
            }
            return Ok(());
        }
        if let Side::Client { is_new: true, closes } = &mut end.side
            && let Some(at) = self.close.find(&self.buffer[..count])
        {
            *closes = true;
            self.buffer[at..at + CLOSE.len()].copy_from_slice(NO_CLOSE);
        }
        let upstream = match other {
            Some(upstream) => upstream,
            None => self.join(slot)?,
        };
        self.send(upstream, count)
    }

    fn send(&self, slot: usize, count: usize) -> io::Result<()> {
        let end = self.ends[slot].as_ref().ok_or(io::ErrorKind::NotConnected)?;
        send_all(end.socket.as_fd(), &self.buffer[..count])
    }

    /// Gives a client a connection upstream.
    fn join(&mut self, client: usize) -> io::Result<usize> {
        let upstream = match self.idle.pop() {
            Some(upstream) => upstream,
            None => self.add(sockets::connect(self.to, None)?, Side::Upstream(Answer::default()))?,
        };
        self.set_other(client, Some(upstream));
        self.set_other(upstream, Some(client));
        Ok(upstream)
    }

    /// The answer has ended.
    fn part(&mut self, upstream: usize, client: usize) {
        self.set_other(upstream, None);
        self.idle.push(upstream);
        let Some(End { other, side: Side::Client { is_new, closes }, .. }) = &mut self.ends[client] else {
            return;
        };
        (*other, *is_new) = (None, false);
        if *closes {
            self.ends[client] = None;
        }
    }

    fn set_other(&mut self, slot: usize, other: Option<usize>) {
        if let Some(end) = &mut self.ends[slot] {
            end.other = other;
        }
    }

    /// Closes an end, and the end that it is joined to.
    fn drop_both(&mut self, slot: usize) {
        let Some(end) = self.ends[slot].take() else { return };
        match end.other {
            Some(other) => self.ends[other] = None,
            None => self.idle.retain(|idle| *idle != slot),
        }
    }
}
