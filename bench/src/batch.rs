//! Datagrams in batches, by `recvmmsg` and `sendmmsg`: for the floor and the load.

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use std::array::from_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, RawFd};

/// Datagrams in one call.
pub(crate) const BATCH: usize = 32;

/// Room for each, whatever its length, and a gap, so that they do not share the same few lines of a processor's cache.
const ROOM: usize = 65_536 + 192;

/// What one call has received.
pub(crate) struct Batch {
    buffer: Vec<u8>,
    lengths: [usize; BATCH],
    from: [Option<SockaddrIn>; BATCH],
    count: usize,
    incoming: MultiHeaders<SockaddrIn>,
    outgoing: MultiHeaders<SockaddrIn>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; ROOM * BATCH],
            lengths: [0; BATCH],
            from: [None; BATCH],
            count: 0,
            incoming: MultiHeaders::preallocate(BATCH, None),
            outgoing: MultiHeaders::preallocate(BATCH, None),
        }
    }

    /// Receives what waits, at most [`BATCH`]. Returns whether that is any.
    pub(crate) fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<bool> {
        let mut rooms = self.buffer.chunks_exact_mut(ROOM);
        let mut slices: [_; BATCH] = from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
        self.count = 0;
        let flags = MsgFlags::MSG_DONTWAIT;
        let received = match recvmmsg(socket.as_raw_fd(), &mut self.incoming, &mut slices, flags, None) {
            Err(nix::Error::EAGAIN) => return Ok(false),
            received => received?,
        };
        for (index, datagram) in received.enumerate() {
            (self.lengths[index], self.from[index]) = (datagram.bytes, datagram.address);
            self.count = index + 1;
        }
        Ok(self.count > 0)
    }

    /// The datagrams of the last call.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let lengths = self.lengths[..self.count].iter();
        self.buffer.chunks_exact(ROOM).zip(lengths).map(|(room, length)| &room[..*length])
    }

    /// Sends them back to where they came from. A datagram that cannot be sent is lost.
    pub(crate) fn send_back(&mut self, socket: &impl AsRawFd) {
        let mut rooms = self.buffer.chunks_exact(ROOM).zip(&self.lengths);
        let slices: [_; BATCH] = from_fn(|_| {
            let (room, length) = rooms.next().unwrap_or((&[], &0));
            [IoSlice::new(&room[..*length])]
        });
        let mut first = 0;
        while first < self.count {
            let to = &self.from[first..self.count];
            let slices = &slices[first..self.count];
            first += send(socket.as_raw_fd(), &mut self.outgoing, slices, to).unwrap_or(1).max(1);
        }
    }

    /// Sends these to the socket's peer, at most [`BATCH`]. Returns how many have left.
    pub(crate) fn send(&mut self, socket: &impl AsRawFd, datagrams: &[Vec<u8>]) -> io::Result<usize> {
        let slices: Vec<_> = datagrams.iter().take(BATCH).map(|datagram| [IoSlice::new(datagram)]).collect();
        let to = [None; BATCH];
        match send(socket.as_raw_fd(), &mut self.outgoing, &slices, &to) {
            Err(nix::Error::EAGAIN) => Ok(0),
            sent => Ok(sent?),
        }
    }
}

fn send(
    socket: RawFd,
    headers: &mut MultiHeaders<SockaddrIn>,
    slices: &[[IoSlice<'_>; 1]],
    to: &[Option<SockaddrIn>],
) -> nix::Result<usize> {
    Ok(sendmmsg(socket, headers, slices, to, [], MsgFlags::MSG_DONTWAIT)?.count())
}
