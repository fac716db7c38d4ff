//! The messages between a primary and its workers, and their frames. Mirrors the messages of Node's
//! `lib/internal/cluster/{primary,child}.js`, without JSON and without a reply to every message.
//!
//! A frame is `length: u32 | kind: u8 | descriptors: u8 | body`, all numbers little-endian; the length counts what
//! follows it. The descriptors of a frame travel with its first byte (`SCM_RIGHTS`); the frame holds their number.
//! Sans-IO: bytes in, messages out.

use super::ids::{BatchId, QueryId, SocketId};
use super::wire::{Reader, Writer};
use async_wrap::layer::trace::Facts;
use net::Address;
use net::source::{ListenQuery, ListenTarget};
use std::collections::VecDeque;
use std::fmt;

/// The version of this format. A worker that speaks another version refuses to start.
pub(crate) const VERSION: u8 = 2;

/// Bytes in one message of a program. It bounds what one process can make the other hold.
pub(crate) const MESSAGE_BYTES: usize = 1 << 20;

/// Descriptors in one frame: what the kernel takes in one message (`SCM_MAX_FD`).
pub(crate) const FRAME_FDS: usize = 253;

/// Descriptors in one frame of a worker, all of which a primary holds until the frame is complete. (Node has one.)
pub(crate) const WORKER_FDS: usize = 16;

/// Bytes in the path of a socket: `PATH_MAX`. The kernel takes fewer, but a path may be shorter relative to the folder
/// of the process that binds it.
pub(crate) const PATH_BYTES: usize = 4096;

/// Connections in one frame: one bit each in the acknowledgement.
pub(crate) const BATCH: usize = 64;

/// Kind and number of descriptors, which every frame has.
const FRAME_HEAD: usize = 2;

const LENGTH_BYTES: usize = 4;

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    /// To the primary: the worker runs.
    Online,
    /// To the primary: a server wants to listen (`queryServer`). `index` is that of [`Key`].
    Query { id: QueryId, index: u32, query: ListenQuery },
    /// To the primary: a server listens.
    Listening { socket: SocketId },
    /// To the primary: the worker has handled a batch of connections; batches are acknowledged in their order. Each bit
    /// of `refused` stands for a connection that the worker did not take (`accepted`).
    Taken { batch: BatchId, refused: u64 },
    /// To the primary: a server that refused connections has room again.
    Room { socket: SocketId },
    /// To the primary: a server no longer listens.
    Close { socket: SocketId },
    /// To the primary: a server is about to close, and takes the connections that wait for it before that.
    Drain { socket: SocketId },
    /// To the primary: the worker leaves by its own wish, as soon as its servers are closed.
    Going,
    /// To the primary: the servers of the leaving worker are closed (`exitedAfterDisconnect`).
    Leaving,
    /// To the worker: the answer to a query. For [`Reply::Shared`] the socket comes with it.
    Answer { id: QueryId, reply: Reply },
    /// To the worker: connections, whose descriptors come with it (`newconn`).
    Connections { socket: SocketId, batch: BatchId },
    /// To the worker: a server that is about to close has got all connections that waited.
    Drained { socket: SocketId },
    /// To the worker: close the servers and leave (`disconnect`).
    Leave,
    /// To the worker: the primary has noted that it leaves.
    LeaveNoted,
    /// Either way: a message of the program.
    User(Vec<u8>),
}

/// Servers of several workers share a socket if their keys are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) target: ListenTarget,
    /// Tells apart the ports that the kernel chose for one worker; 0 for every other target.
    pub(crate) index: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// The primary listens and hands out connections. `prepared` if they have the options that the query named: the
    /// first query for a socket decides.
    Distributed { socket: SocketId, address: Address, prepared: bool },
    /// The worker listens on the socket itself.
    Shared { socket: SocketId, address: Address },
    /// The primary could not bind or listen.
    Failed { errno: i32, target: String },
}

/// Bytes that are no message, or no message that is allowed at this point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame longer than any message may be.
    TooLong,
    /// A frame whose body cannot be decoded.
    Malformed,
    /// More or fewer descriptors than the frames announced.
    Descriptors,
    /// A message that is not allowed now, such as an answer to a query that was never sent.
    Unexpected,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a frame is too long",
            Self::Malformed => "a frame cannot be decoded",
            Self::Descriptors => "descriptors do not match their frames",
            Self::Unexpected => "a message came out of turn",
        })
    }
}

impl std::error::Error for ProtocolError {}

impl Message {
    const fn name(&self) -> &'static str {
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

    /// What a trace shows of the message and its descriptors.
    pub(crate) fn facts(&self, fds: usize) -> Facts {
        match fds {
            0 => Facts::saying(self.name()),
            1 => Facts::saying(format_args!("{}, 1 descriptor", self.name())),
            _ => Facts::saying(format_args!("{}, {fds} descriptors", self.name())),
        }
    }

    /// The frame of this message, which announces `fds` descriptors.
    pub(crate) fn encode(&self, fds: u8) -> Vec<u8> {
        let mut out = Writer::default();
        out.u32(0);
        match self {
            Self::Online => out.head(0, fds),
            Self::Query { id, index, query } => out.head(1, fds).u32(id.0).query(*index, query),
            Self::Listening { socket } => out.head(2, fds).u32(socket.0),
            Self::Taken { batch, refused } => out.head(3, fds).u32(batch.0).u64(*refused),
            Self::Room { socket } => out.head(4, fds).u32(socket.0),
            Self::Close { socket } => out.head(5, fds).u32(socket.0),
            Self::Leaving => out.head(6, fds),
            Self::Answer { id, reply } => out.head(7, fds).u32(id.0).reply(reply),
            Self::Connections { socket, batch } => out.head(8, fds).u32(socket.0).u32(batch.0),
            Self::Leave => out.head(9, fds),
            Self::LeaveNoted => out.head(10, fds),
            Self::Drain { socket } => out.head(12, fds).u32(socket.0),
            Self::Drained { socket } => out.head(13, fds).u32(socket.0),
            Self::Going => out.head(14, fds),
            Self::User(data) => return Self::encode_user(data, fds),
        };
        out.finish()
    }

    /// The frame of a message of the program.
    pub(crate) fn encode_user(data: &[u8], fds: u8) -> Vec<u8> {
        let mut out = Writer::default();
        out.u32(0).head(11, fds).raw(data);
        out.finish()
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Self, ProtocolError> {
        let mut from = Reader::new(body);
        let message = match kind {
            0 => Self::Online,
            1 => {
                let (id, (index, query)) = (QueryId(from.u32()?), from.query()?);
                Self::Query { id, index, query }
            }
            2 => Self::Listening { socket: SocketId(from.u32()?) },
            3 => Self::Taken { batch: BatchId(from.u32()?), refused: from.u64()? },
            4 => Self::Room { socket: SocketId(from.u32()?) },
            5 => Self::Close { socket: SocketId(from.u32()?) },
            6 => Self::Leaving,
            7 => Self::Answer { id: QueryId(from.u32()?), reply: from.reply()? },
            8 => Self::Connections { socket: SocketId(from.u32()?), batch: BatchId(from.u32()?) },
            9 => Self::Leave,
            10 => Self::LeaveNoted,
            11 => Self::User(from.rest().to_vec()),
            12 => Self::Drain { socket: SocketId(from.u32()?) },
            13 => Self::Drained { socket: SocketId(from.u32()?) },
            14 => Self::Going,
            _ => return Err(ProtocolError::Malformed),
        };
        from.finish()?;
        Ok(message)
    }
}

/// A message and the number of its descriptors.
#[derive(Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) message: Message,
    pub(crate) fds: usize,
}

/// Splits the input into frames.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The beginning of a frame that is not complete yet.
    partial: Vec<u8>,
}

impl Decoder {
    /// Appends the frames that `data` completes to `frames`.
    ///
    /// An error is final, since the beginning of the next frame is unknown.
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

    /// Whether the input so far ends with a complete frame.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.partial.is_empty()
    }
}

/// Splits complete frames off the front and returns the rest.
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
    use std::net::SocketAddr;
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;
    use std::time::Duration;

    fn query(id: u32, target: ListenTarget) -> Message {
        let query = ListenQuery {
            target,
            backlog: 511,
            ipv6_only: true,
            reuse_port: false,
            readable_by_all: false,
            writable_by_all: true,
            no_delay: true,
            keep_alive: Some(Duration::from_secs(60)),
        };
        Message::Query { id: QueryId(id), index: 7, query }
    }

    fn samples() -> Vec<Message> {
        let v4: SocketAddr = "127.0.0.1:80".parse().expect("an address");
        let v6: SocketAddr = "[fe80::1%3]:443".parse().expect("an address");
        let path = PathBuf::from(OsString::from_vec(vec![b'/', 0xff, b'x']));
        vec![
            Message::Online,
            query(1, ListenTarget::Port(0)),
            query(2, ListenTarget::Addr(v4)),
            query(u32::MAX, ListenTarget::Addr(v6)),
            query(4, ListenTarget::Path(path.clone())),
            query(5, ListenTarget::Path("\0name\0".into())),
            Message::Listening { socket: SocketId(3) },
            Message::Taken { batch: BatchId(9), refused: 1 << 63 | 1 },
            Message::Room { socket: SocketId(2) },
            Message::Drain { socket: SocketId(2) },
            Message::Drained { socket: SocketId(2) },
            Message::Going,
            Message::Close { socket: SocketId(1) },
            Message::Leaving,
            Message::Answer {
                id: QueryId(1),
                reply: Reply::Distributed { socket: SocketId(5), address: Address::Tcp(v6), prepared: true },
            },
            Message::Answer {
                id: QueryId(1),
                reply: Reply::Shared { socket: SocketId(5), address: Address::Path(path) },
            },
            Message::Answer {
                id: QueryId(1),
                reply: Reply::Shared { socket: SocketId(5), address: Address::Abstract(vec![1, 0]) },
            },
            Message::Answer {
                id: QueryId(1),
                reply: Reply::Distributed { socket: SocketId(5), address: Address::Unnamed, prepared: false },
            },
            Message::Answer { id: QueryId(1), reply: Reply::Failed { errno: 98, target: "[::]:80".into() } },
            Message::Connections { socket: SocketId(1), batch: BatchId(2) },
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
            let message = query(1, ListenTarget::Path(path.into()));
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

    /// Primary and workers may be of different builds, so the bytes of a version never change.
    #[test]
    fn the_bytes_of_version_two_stay_as_they_are() {
        for (message, expected) in [
            (Message::Taken { batch: BatchId(9), refused: 2 }, "0e000000 03 00 09000000 0200000000000000"),
            (
                Message::Connections { socket: SocketId(1), batch: BatchId(2) },
                "0a000000 08 00 01000000 02000000",
            ),
            (
                query(4, ListenTarget::Port(80)),
                "16000000 01 00 04000000 00 5000 07000000 ff010000 19 3c000000",
            ),
        ] {
            let bytes: String = message.encode(0).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(bytes, expected.replace(' ', ""), "{message:?}");
        }
    }
}
