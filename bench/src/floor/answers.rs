//! The answers: canned HTTP replies for each head or body, and what raw streams do.

use super::reactor::{Answer, Next};
use crate::sockets;
use memchr::memmem::Finder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use std::io;

/// What ends a request head.
const TERMINATOR: &[u8; 4] = b"\r\n\r\n";

/// How a reply says that its connection lasts, and that it does not.
const LASTS: &str = "keep-alive\r\nKeep-Alive: timeout=65";
const CLOSES: &str = "close";

/// Bytes of replies laid out in advance: more than a full receive of the load's requests asks for, when they are small.
const REPLIES: usize = 192 * 1024;

/// Writes of a streamed reply, and the bytes of each.
const STREAM: (usize, usize) = (16, 1024);

/// Writes that answer one byte, and the bytes of each.
const WRITES: (usize, usize) = (16, 64);

/// How long a peer that does not read may hold up the whole floor, in seconds; then it is dropped.
const SEND_PATIENCE: i64 = 5;

/// Answers each terminator with the canned reply.
pub(crate) struct CannedHttp {
    /// At least one reply, as often as it fits.
    replies: Vec<u8>,
    length: usize,
    /// The reply to a request that asks to close.
    last: Vec<u8>,
    terminator: Finder<'static>,
    close: Finder<'static>,
}

/// How far a connection has come.
#[derive(Default)]
pub(crate) struct Head {
    /// Bytes of a head's terminator that ended the last receive.
    carry: u8,
    /// Whether a request was answered already.
    answered: bool,
}

impl CannedHttp {
    pub(crate) fn hello() -> Self {
        Self::new("Content-Length: 5", b"hello")
    }

    pub(crate) fn sized(length: usize) -> Self {
        Self::new(&format!("Content-Length: {length}"), &vec![b'x'; length])
    }

    pub(crate) fn chunked() -> Self {
        let (writes, length) = STREAM;
        let mut body = Vec::new();
        for write in 0..writes {
            body.extend_from_slice(format!("{length:x}\r\n").as_bytes());
            body.resize(body.len() + length, b'a' + (write % 26) as u8);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        Self::new("Transfer-Encoding: chunked", &body)
    }

    fn new(framing: &str, body: &[u8]) -> Self {
        let one = reply(LASTS, framing, body);
        Self {
            replies: one.repeat((REPLIES / one.len()).max(1)),
            length: one.len(),
            last: reply(CLOSES, framing, body),
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

/// The reply of a minimal HTTP server, with this body.
fn reply(connection: &str, framing: &str, body: &[u8]) -> Vec<u8> {
    let mut reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\n\
         Connection: {connection}\r\n{framing}\r\n\r\n"
    )
    .into_bytes();
    reply.extend_from_slice(body);
    reply
}

impl Answer for CannedHttp {
    type State = Head;

    fn answer(&self, socket: BorrowedFd<'_>, state: &mut Head, bytes: &[u8]) -> io::Result<Next> {
        let mut heads = self.count_heads(&mut state.carry, bytes);
        if heads == 0 {
            return Ok(Next::Keep);
        }
        if !state.answered {
            state.answered = true;
            if self.close.find(bytes).is_some() {
                send_all(socket, &self.last)?;
                return Ok(Next::Close);
            }
        }
        while heads > 0 {
            let now = heads.min(self.replies.len() / self.length);
            send_all(socket, &self.replies[..now * self.length])?;
            heads -= now;
        }
        Ok(Next::Keep)
    }
}

/// Takes requests with a body of a known length, and answers `ok` to each.
pub(crate) struct Sink {
    length: usize,
    reply: Vec<u8>,
}

/// How far a request with a body has come.
#[derive(Default)]
pub(crate) struct Upload {
    /// Bytes of the body that are still to come; 0 while the head comes.
    left: usize,
    /// Bytes of the head's terminator that came last.
    matched: usize,
}

impl Sink {
    pub(crate) fn new(length: usize) -> Self {
        Self { length, reply: reply(LASTS, "Content-Length: 2", b"ok") }
    }

    /// How many requests end in `bytes`.
    fn count(&self, state: &mut Upload, mut bytes: &[u8]) -> usize {
        let mut ended = 0;
        while let Some((&byte, rest)) = bytes.split_first() {
            if state.left > 0 {
                let taken = state.left.min(bytes.len());
                state.left -= taken;
                bytes = &bytes[taken..];
                ended += usize::from(state.left == 0);
                continue;
            }
            bytes = rest;
            state.matched = match byte {
                _ if byte == TERMINATOR[state.matched] => state.matched + 1,
                b'\r' => 1,
                _ => 0,
            };
            if state.matched == TERMINATOR.len() {
                *state = Upload { left: self.length, matched: 0 };
            }
        }
        ended
    }
}

impl Answer for Sink {
    type State = Upload;

    fn answer(&self, socket: BorrowedFd<'_>, state: &mut Upload, bytes: &[u8]) -> io::Result<Next> {
        for _ in 0..self.count(state, bytes) {
            send_all(socket, &self.reply)?;
        }
        Ok(Next::Keep)
    }
}

/// What needs no state is a function.
impl<F: Fn(BorrowedFd<'_>, &[u8]) -> io::Result<()>> Answer for F {
    type State = ();

    fn answer(&self, socket: BorrowedFd<'_>, (): &mut (), bytes: &[u8]) -> io::Result<Next> {
        self(socket, bytes).map(|()| Next::Keep)
    }
}

/// Answers each byte with several small writes, each of which goes out at once.
pub(crate) fn write_often(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    (0..bytes.len() * WRITES.0).try_for_each(|_| send_all(socket, &[b'x'; WRITES.1]))
}

/// Sends everything: one call, unless the peer's window is full. Then the floor waits for it, as it queues
/// nothing.
pub(crate) fn send_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sockets::send(socket, bytes)? {
            Some(count) => bytes = &bytes[count..],
            None => {
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
        let (http, mut carry) = (CannedHttp::hello(), 0);
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
    fn bodies_are_counted_wherever_they_are_split() {
        let sink = Sink::new(3);
        let stream = b"POST / HTTP/1.1\r\n\r\nabcPOST / HTTP/1.1\r\nA: b\r\n\r\n\r\nz";
        for first in 0..=stream.len() {
            let mut state = Upload::default();
            let (one, other) = stream.split_at(first);
            assert_eq!(sink.count(&mut state, one) + sink.count(&mut state, other), 2, "split at {first}");
            assert_eq!((state.left, state.matched), (0, 0));
        }
    }

    #[test]
    fn replies_differ_in_their_persistence_only() {
        let http = CannedHttp::sized(70);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
        let lasting = text(&http.replies[..http.length]);
        assert_eq!(lasting.replace("keep-alive\r\nKeep-Alive: timeout=65", "close"), text(&http.last));
        assert!(lasting.starts_with("HTTP/1.1 200 OK\r\n") && lasting.contains("Content-Length: 70\r\n"));
    }
}
