//! What a primary and its workers say to each other, in bytes. Mirrors the messages of Node's
//! `lib/internal/cluster/{primary,child}.js`, without JSON and without a reply to every message.
//!
//! A frame is `length: u32 | kind: u8 | descriptors: u8 | body`, all numbers little-endian; the length counts what
//! follows it. The descriptors of a frame travel with its first byte (`SCM_RIGHTS`); the frame says how many they are.
//! Nothing here does I/O.

use crate::channel::wire::{Reader, Writer};
use net::Address;
use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The version of this format. A worker of another one refuses to start.
pub(crate) const VERSION: u8 = 2;

/// Bytes in one message of a program: these are words between processes, not files. It also bounds what one side
/// makes the other hold.
pub(crate) const MESSAGE_BYTES: usize = 1 << 20;

/// Descriptors in one frame: what the kernel takes in one message (`SCM_MAX_FD`).
pub(crate) const FRAME_FDS: usize = 253;

/// Descriptors in one frame of a worker: what a primary holds for each while the frame's end has not come. (Node has one.)
pub(crate) const WORKER_FDS: usize = 16;

/// Bytes in the path of a socket: `PATH_MAX`. The kernel takes fewer, but a path may be shorter from elsewhere.
pub(crate) const PATH_BYTES: usize = 4096;

/// Connections in one frame: one bit each in the answer.
pub(crate) const BATCH: usize = 64;

/// Kind and number of descriptors, which every frame has.
const FRAME_HEAD: usize = 2;

const LENGTH_BYTES: usize = 4;

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    /// To the primary: the worker runs.
    Online,
    /// To the primary: a server wants to listen (`queryServer`). `id` is for the answer.
    Query { id: u32, query: Query },
    /// To the primary: a server listens.
    Listening { key: u32 },
    /// To the primary: a batch of connections was looked at, in the order of the batches. A bit of `refused` stands for
    /// each connection that the worker did not take (`accepted`).
    Taken { batch: u32, refused: u64 },
    /// To the primary: a server that refused connections takes them again.
    Room { key: u32 },
    /// To the primary: a server does not listen any more.
    Close { key: u32 },
    /// To the primary: a server is about to close, and takes what waits for it before that.
    Drain { key: u32 },
    /// To the primary: the worker goes by its own wish, as soon as its servers are closed.
    Going,
    /// To the primary: the servers of the worker that goes are closed (`exitedAfterDisconnect`).
    Leaving,
    /// To the worker: the answer to a query. For [`Reply::Shared`] the socket comes with it.
    Answer { id: u32, reply: Reply },
    /// To the worker: connections, which come with it (`newconn`).
    Connections { key: u32, batch: u32 },
    /// To the worker: a server that is about to close has got all that waited.
    Drained { key: u32 },
    /// To the worker: close the servers and go (`disconnect`).
    Leave,
    /// To the worker: its leaving is noted.
    LeaveNoted,
    /// Either way: the program's own.
    User(Vec<u8>),
}

/// What a server wants to listen on, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    pub(crate) key: Key,
    pub(crate) backlog: u32,
    pub(crate) ipv6_only: bool,
    pub(crate) reuse_port: bool,
    pub(crate) readable_by_all: bool,
    pub(crate) writable_by_all: bool,
    /// What all connections shall have; they inherit it from the listener.
    pub(crate) no_delay: bool,
    /// Seconds; 0 for none.
    pub(crate) keep_alive: u32,
}

/// What makes two servers share a socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) target: Target,
    /// Tells the ports apart that the kernel chose for one worker; 0 for everything else.
    pub(crate) index: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Port(u16),
    Addr(SocketAddr),
    /// Absolute, or an abstract name that begins with NUL.
    Path(PathBuf),
}

impl Target {
    /// As an address: a port alone is that of every address.
    pub(crate) fn address(&self) -> Address {
        let path = match self {
            Self::Port(port) => return Address::Tcp((Ipv6Addr::UNSPECIFIED, *port).into()),
            Self::Addr(addr) => return Address::Tcp(*addr),
            Self::Path(path) => path,
        };
        match path.as_os_str().as_bytes() {
            [0, name @ ..] => Address::Abstract(name.to_vec()),
            _ => Address::Path(path.clone()),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// The primary listens and hands out connections. `prepared` if they have the options that were asked for; those
    /// of the first who asked count.
    Distributed { key: u32, address: Address, prepared: bool },
    /// The worker is to listen on the socket.
    Shared { key: u32, address: Address },
    /// The primary could not.
    Failed { errno: i32, target: String },
}

/// Bytes that are no message, or not at this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame longer than any message may be.
    TooLong,
    /// A frame whose content cannot be read.
    Malformed,
    /// Fewer or more descriptors than the frames said.
    Descriptors,
    /// A message that has no meaning now, such as the answer to a question that was not asked.
    Unexpected,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a frame is too long",
            Self::Malformed => "a frame cannot be read",
            Self::Descriptors => "descriptors do not match their frames",
            Self::Unexpected => "a message came out of turn",
        })
    }
}

impl std::error::Error for ProtocolError {}

impl Message {
    /// What it is called.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Online => "Online",
            Self::Query { .. } => "Query",
            Self::Listening { .. } => "Listening",
            Self::Taken { .. } => "Taken",
            Self::Room { .. } => "Room",
            Self::Close { .. } => "Close",
            Self::Drain { .. } => "Drain",
            Self::Going => "Going",
            Self::Leaving => "Leaving",
            Self::Answer { .. } => "Answer",
            Self::Connections { .. } => "Connections",
            Self::Drained { .. } => "Drained",
            Self::Leave => "Leave",
            Self::LeaveNoted => "LeaveNoted",
            Self::User(_) => "User",
        }
    }

    /// The frame of this message, which announces `fds` descriptors.
    pub(crate) fn encode(&self, fds: u8) -> Vec<u8> {
        let mut out = Writer::default();
        out.u32(0);
        match self {
            Self::Online => out.head(0, fds),
            Self::Query { id, query } => out.head(1, fds).u32(*id).query(query),
            Self::Listening { key } => out.head(2, fds).u32(*key),
            Self::Taken { batch, refused } => out.head(3, fds).u32(*batch).u64(*refused),
            Self::Room { key } => out.head(4, fds).u32(*key),
            Self::Close { key } => out.head(5, fds).u32(*key),
            Self::Leaving => out.head(6, fds),
            Self::Answer { id, reply } => out.head(7, fds).u32(*id).reply(reply),
            Self::Connections { key, batch } => out.head(8, fds).u32(*key).u32(*batch),
            Self::Leave => out.head(9, fds),
            Self::LeaveNoted => out.head(10, fds),
            Self::Drain { key } => out.head(12, fds).u32(*key),
            Self::Drained { key } => out.head(13, fds).u32(*key),
            Self::Going => out.head(14, fds),
            Self::User(data) => return Self::encode_user(data, fds),
        };
        out.finish()
    }

    /// The frame of a program's own message.
    pub(crate) fn encode_user(data: &[u8], fds: u8) -> Vec<u8> {
        let mut out = Writer::default();
        out.u32(0).head(11, fds).raw(data);
        out.finish()
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Self, ProtocolError> {
        let mut from = Reader::new(body);
        let message = match kind {
            0 => Self::Online,
            1 => Self::Query { id: from.u32()?, query: from.query()? },
            2 => Self::Listening { key: from.u32()? },
            3 => Self::Taken { batch: from.u32()?, refused: from.u64()? },
            4 => Self::Room { key: from.u32()? },
            5 => Self::Close { key: from.u32()? },
            6 => Self::Leaving,
            7 => Self::Answer { id: from.u32()?, reply: from.reply()? },
            8 => Self::Connections { key: from.u32()?, batch: from.u32()? },
            9 => Self::Leave,
            10 => Self::LeaveNoted,
            11 => Self::User(from.rest().to_vec()),
            12 => Self::Drain { key: from.u32()? },
            13 => Self::Drained { key: from.u32()? },
            14 => Self::Going,
            _ => return Err(ProtocolError::Malformed),
        };
        from.finish()?;
        Ok(message)
    }
}

/// A message and the number of descriptors that belong to it.
#[derive(Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) message: Message,
    pub(crate) fds: usize,
}

/// Cuts what is read into frames.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The beginning of a frame whose end has not come.
    partial: Vec<u8>,
}

impl Decoder {
    /// Appends the frames that `data` completes to `frames`.
    ///
    /// An error is final: where the next frame begins is not known.
    pub(crate) fn feed(&mut self, data: &[u8], frames: &mut VecDeque<Frame>) -> Result<(), ProtocolError> {
        if self.partial.is_empty() {
            let rest = cut(data, frames)?;
            self.partial.extend_from_slice(rest);
        } else {
            self.partial.extend_from_slice(data);
            let left = cut(&self.partial, frames)?.len();
            self.partial.drain(..self.partial.len() - left);
        }
        Ok(())
    }

    /// Whether everything fed so far was complete frames.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.partial.is_empty()
    }
}

/// Cuts complete frames off the front and returns the rest.
fn cut<'a>(mut data: &'a [u8], frames: &mut VecDeque<Frame>) -> Result<&'a [u8], ProtocolError> {
    while let Some((length, rest)) = data.split_first_chunk::<LENGTH_BYTES>() {
        let length = u32::from_le_bytes(*length) as usize;
        if length > FRAME_HEAD + MESSAGE_BYTES {
            return Err(ProtocolError::TooLong);
        }
        let Some((frame, rest)) = rest.split_at_checked(length) else { break };
        let [kind, fds, body @ ..] = frame else { return Err(ProtocolError::Malformed) };
        if usize::from(*fds) > FRAME_FDS {
            return Err(ProtocolError::Descriptors);
        }
        frames.push_back(Frame { message: Message::decode(*kind, body)?, fds: usize::from(*fds) });
        data = rest;
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn query(target: Target) -> Query {
        Query {
            key: Key { target, index: 7 },
            backlog: 511,
            ipv6_only: true,
            reuse_port: false,
            readable_by_all: false,
            writable_by_all: true,
            no_delay: true,
            keep_alive: 60,
        }
    }

    fn samples() -> Vec<Message> {
        let v4: SocketAddr = "127.0.0.1:80".parse().expect("an address");
        let v6: SocketAddr = "[fe80::1%3]:443".parse().expect("an address");
        let path = PathBuf::from(OsString::from_vec(vec![b'/', 0xff, b'x']));
        vec![
            Message::Online,
            Message::Query { id: 1, query: query(Target::Port(0)) },
            Message::Query { id: 2, query: query(Target::Addr(v4)) },
            Message::Query { id: u32::MAX, query: query(Target::Addr(v6)) },
            Message::Query { id: 4, query: query(Target::Path(path.clone())) },
            Message::Query { id: 5, query: query(Target::Path("\0name\0".into())) },
            Message::Listening { key: 3 },
            Message::Taken { batch: 9, refused: 1 << 63 | 1 },
            Message::Room { key: 2 },
            Message::Drain { key: 2 },
            Message::Drained { key: 2 },
            Message::Going,
            Message::Close { key: 1 },
            Message::Leaving,
            Message::Answer {
                id: 1,
                reply: Reply::Distributed { key: 5, address: Address::Tcp(v6), prepared: true },
            },
            Message::Answer { id: 1, reply: Reply::Shared { key: 5, address: Address::Path(path) } },
            Message::Answer {
                id: 1,
                reply: Reply::Shared { key: 5, address: Address::Abstract(vec![1, 0]) },
            },
            Message::Answer {
                id: 1,
                reply: Reply::Distributed { key: 5, address: Address::Unnamed, prepared: false },
            },
            Message::Answer { id: 1, reply: Reply::Failed { errno: 98, target: "[::]:80".into() } },
            Message::Connections { key: 1, batch: 2 },
            Message::Leave,
            Message::LeaveNoted,
            Message::User(Vec::new()),
            Message::User(b"hello".to_vec()),
        ]
    }

    fn decode_all(bytes: &[u8]) -> Result<VecDeque<Frame>, ProtocolError> {
        let mut frames = VecDeque::new();
        Decoder::default().feed(bytes, &mut frames).map(|()| frames)
    }

    #[test]
    fn every_message_survives_the_way() {
        for message in samples() {
            let frames = decode_all(&message.encode(2)).expect("a frame");
            assert_eq!(frames, [Frame { message, fds: 2 }]);
        }
    }

    #[test]
    fn frames_may_come_in_any_pieces() {
        let all: Vec<u8> = samples().iter().flat_map(|message| message.encode(0)).collect();
        for size in 1..64 {
            let (mut decoder, mut frames) = (Decoder::default(), VecDeque::new());
            for piece in all.chunks(size) {
                decoder.feed(piece, &mut frames).expect("whole frames");
            }
            assert!(decoder.is_between_frames());
            assert!(frames.iter().map(|frame| &frame.message).eq(&samples()));
        }
    }

    #[test]
    fn a_frame_longer_than_any_message_is_refused_before_it_is_held() {
        let long = (FRAME_HEAD + MESSAGE_BYTES + 1) as u32;
        assert_eq!(decode_all(&long.to_le_bytes()), Err(ProtocolError::TooLong));
        let longest = Message::User(vec![0; MESSAGE_BYTES]).encode(0);
        assert_eq!(decode_all(&longest).expect("a frame").len(), 1);
    }

    #[test]
    fn cut_short_overlong_and_unknown_bodies_are_refused() {
        for message in samples() {
            let frame = message.encode(0);
            let mut longer = frame.clone();
            longer.push(0);
            let length = (longer.len() - LENGTH_BYTES) as u32;
            longer[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
            let is_user = matches!(message, Message::User(_));
            assert_eq!(decode_all(&longer).is_ok(), is_user, "{message:?}");
            for len in FRAME_HEAD..frame.len() - LENGTH_BYTES {
                let mut shorter = frame[..LENGTH_BYTES + len].to_vec();
                shorter[..LENGTH_BYTES].copy_from_slice(&(len as u32).to_le_bytes());
                assert_eq!(decode_all(&shorter).is_ok(), is_user, "{message:?} cut to {len}");
            }
        }
        for path in ["relative", "./x", "/with\0nul", &format!("/{}", "x".repeat(PATH_BYTES))] {
            let message = Message::Query { id: 1, query: query(Target::Path(path.into())) };
            assert_eq!(decode_all(&message.encode(0)), Err(ProtocolError::Malformed), "{path:?}");
        }
        assert_eq!(decode_all(&[2, 0, 0, 0, 200, 0]), Err(ProtocolError::Malformed));
        assert_eq!(decode_all(&[1, 0, 0, 0, 0]), Err(ProtocolError::Malformed));
        assert_eq!(decode_all(&[2, 0, 0, 0, 0, 254]), Err(ProtocolError::Descriptors));
    }

    #[test]
    fn bytes_from_outside_never_panic() {
        // A plain linear congruential generator: the same bytes every time.
        let mut state = 1u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let samples = samples();
        for _ in 0..20_000 {
            let mut bytes = samples[next() as usize % samples.len()].encode(next() as u8);
            for _ in 0..=next() % 4 {
                let at = next() as usize % bytes.len();
                bytes[at] = next() as u8;
            }
            let _ = decode_all(&bytes);
            let noise: Vec<u8> = (0..next() % 40).map(|_| next() as u8).collect();
            let _ = decode_all(&noise);
            // A plausible length in front of noise gets past the first check.
            let mut framed = (noise.len() as u32).to_le_bytes().to_vec();
            framed.extend_from_slice(&noise);
            let _ = decode_all(&framed);
        }
    }
}
