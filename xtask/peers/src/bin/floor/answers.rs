//! The answers: canned HTTP replies counted by head terminators, and echo.

use std::io;

use memchr::memmem::Finder;
use peers::sockets::{self, Transfer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};

use crate::reactor::{Answer, Connection, Next};

/// What ends a request head.
const TERMINATOR: &[u8; 4] = b"\r\n\r\n";

/// The reply of a minimal HTTP server, byte for byte.
const REPLY: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\n\
    Connection: keep-alive\r\nKeep-Alive: timeout=65\r\nContent-Length: 5\r\n\r\nhello";

/// The same for a request that asks to close.
const LAST_REPLY: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\n\
    Connection: close\r\nContent-Length: 5\r\n\r\nhello";

/// Replies laid out in advance: more than a full receive of the load's requests holds.
const REPLIES: usize = 1024;

/// How long a peer that does not read may hold up the whole floor, in seconds; then it is dropped.
const SEND_PATIENCE: i64 = 5;

/// Answers each terminator with the canned reply.
pub(crate) struct CannedHttp {
    replies: Vec<u8>,
    terminator: Finder<'static>,
    close: Finder<'static>,
}

impl CannedHttp {
    pub(crate) fn new() -> Self {
        Self {
            replies: REPLY.repeat(REPLIES),
            terminator: Finder::new(TERMINATOR),
            close: Finder::new(b"Connection: close"),
        }
    }

    /// Heads that end in `bytes`. `carry` holds how much of a terminator ended the receive before.
    fn count_heads(&self, carry: &mut u8, bytes: &[u8]) -> usize {
        // A terminator that began in the last receive lies in its carried bytes and at most three new ones.
        let carried = usize::from(*carry);
        let mut joint = [0; 6];
        let fresh = bytes.len().min(3);
        joint[..carried].copy_from_slice(&TERMINATOR[..carried]);
        joint[carried..carried + fresh].copy_from_slice(&bytes[..fresh]);
        let joint = &joint[..carried + fresh];
        let split = if carried == 0 { None } else { self.terminator.find(joint) };
        let whole = split.map_or(bytes, |at| &bytes[at + TERMINATOR.len() - carried..]);
        let heads = self.terminator.find_iter(whole).count();

        let tail = if bytes.len() <= 3 && split.is_none() { joint } else { whole };
        *carry = (1..=3u8)
            .rev()
            .find(|&length| tail.ends_with(&TERMINATOR[..usize::from(length)]))
            .unwrap_or_default();
        heads + usize::from(split.is_some())
    }
}

impl Answer for CannedHttp {
    fn answer(&self, connection: &mut Connection, bytes: &[u8]) -> io::Result<Next> {
        let mut heads = self.count_heads(&mut connection.carry, bytes);
        if heads == 0 {
            return Ok(Next::Keep);
        }
        let socket = connection.socket.as_fd();
        if !connection.answered {
            connection.answered = true;
            if self.close.find(bytes).is_some() {
                send_all(socket, LAST_REPLY)?;
                return Ok(Next::Close);
            }
        }
        while heads > 0 {
            let now = heads.min(REPLIES);
            send_all(socket, &self.replies[..now * REPLY.len()])?;
            heads -= now;
        }
        Ok(Next::Keep)
    }
}

/// Sends back what came.
pub(crate) struct Echo;

impl Answer for Echo {
    fn answer(&self, connection: &mut Connection, bytes: &[u8]) -> io::Result<Next> {
        send_all(connection.socket.as_fd(), bytes)?;
        Ok(Next::Keep)
    }
}

/// Sends everything: one call, unless the peer's window is full. Then the floor waits for it, as it queues
/// nothing.
fn send_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sockets::send(socket, bytes)? {
            Transfer::Bytes(count) => bytes = &bytes[count..],
            Transfer::NotReady => {
                let patience = Timespec { tv_sec: SEND_PATIENCE, tv_nsec: 0 };
                if poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::OUT)], Some(&patience))? == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pieces: &[&[u8]]) -> Vec<usize> {
        let (http, mut carry) = (CannedHttp::new(), 0);
        pieces.iter().map(|bytes| http.count_heads(&mut carry, bytes)).collect()
    }

    #[test]
    fn counts_whole_and_pipelined_heads() {
        assert_eq!(counts(&[b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]), [1]);
        assert_eq!(counts(&[b"a\r\n\r\nb\r\n\r\nc\r\n\r\n"]), [3]);
        assert_eq!(counts(&[b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n\r\n"]), [0, 1]);
    }

    #[test]
    fn counts_a_terminator_wherever_it_is_split() {
        let stream = b"one\r\n\r\ntwo: x\r\n\r\n";
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(counts(&pieces).iter().sum::<usize>(), 2, "split at {first} and {second}");
            }
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(counts(&single).iter().sum::<usize>(), 2);
    }

    #[test]
    fn replies_differ_in_their_persistence_only() {
        assert_eq!(
            REPLY.len(),
            LAST_REPLY.len() + "keep-alive\r\nKeep-Alive: timeout=65".len() - "close".len()
        );
    }
}
