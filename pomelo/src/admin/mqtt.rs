//! The frames of the admin protocol: the five kinds of MQTT 3.1.1 packets that pomelo uses, byte for byte. Mirrors
//! what pomelo-admin's `lib/protocol/mqtt` makes `mqtt-connection` write and read.
//!
//! MQTT is only the envelope here: topics name what a message is, quality of service is 0, and nothing is subscribed.
//! A packet of any other kind is an error; so is a packet that is longer than its reader allows, before it is buffered.

use bytes::Bytes;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest first packet, in bytes: a CONNECT, in which pomelo sends only a client's name.
pub(crate) const MAX_CONNECT: usize = 512;

/// The longest packet of a peer that has sent its CONNECT and has not registered, in bytes: a registration carries the
/// record of one server.
pub(crate) const MAX_UNREGISTERED: usize = 64 * 1024;

/// The longest packet of a user, in bytes: commands are short.
pub(crate) const MAX_CLIENT: usize = 1024 * 1024;

/// The longest packet of a registered server or of a master, in bytes: the records of more than ten thousand servers.
pub(crate) const MAX_REGISTERED: usize = 16 * 1024 * 1024;

/// The bytes of a remaining length: MQTT's own bound, 7 bits each.
const MAX_LENGTH_BYTES: usize = 4;

/// The longest name of a topic: the two bytes of its length.
const MAX_TOPIC: usize = u16::MAX as usize;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PINGREQ: u8 = 0xC0;
const PINGRESP: u8 = 0xD0;
const DISCONNECT: u8 = 0xE0;

/// The master's answer to a CONNECT: no session, accepted.
pub(crate) const ACCEPTED: &[u8] = &[CONNACK, 2, 0, 0];
/// The question whether the peer is alive.
pub(crate) const PING: &[u8] = &[PINGREQ, 0];
/// The answer to a PINGREQ.
pub(crate) const PONG: &[u8] = &[PINGRESP, 0];
/// The last packet before a connection is closed.
pub(crate) const LEAVE: &[u8] = &[DISCONNECT, 0];

/// A packet, which borrows from the decoder's buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    Connect,
    ConnAck { code: u8 },
    Publish { topic: &'a str, payload: &'a [u8] },
    PingReq,
    PingResp,
    Disconnect,
}

/// The reason why bytes are no packet of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// The remaining length has more than four bytes.
    Length,
    TooLong {
        length: usize,
        limit: usize,
    },
    /// The first byte of a packet of another kind, or with flags that pomelo never sets.
    Kind(u8),
    /// What is wrong with the content of a packet.
    Content(&'static str),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("a remaining length of more than four bytes"),
            Self::TooLong { length, limit } => {
                write!(f, "a packet of {length} bytes; at most {limit} are allowed")
            }
            Self::Kind(first) => write!(f, "a packet that begins with {first:#04x}, which is not used here"),
            Self::Content(what) => f.write_str(what),
        }
    }
}

/// The CONNECT of a client: clean session, no keep-alive, no credentials, and pomelo's name for a client, which is
/// neither unique nor the id of a server.
pub(crate) fn connect() -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let client_id = format!("MQTT_ADMIN_{}", now.as_millis());
    let mut content = b"\x00\x04MQTT\x04\x02\x00\x00".to_vec();
    push_string(&mut content, &client_id);
    let mut packet = Vec::with_capacity(content.len() + 2);
    push_head(&mut packet, CONNECT, content.len());
    packet.extend_from_slice(&content);
    packet
}

/// A PUBLISH, which can be sent to any number of peers.
pub(crate) fn publish(topic: &str, payload: &str) -> Bytes {
    let length = 2 + topic.len() + payload.len();
    let mut packet = Vec::with_capacity(1 + MAX_LENGTH_BYTES + length);
    push_head(&mut packet, PUBLISH, length);
    push_string(&mut packet, topic);
    packet.extend_from_slice(payload.as_bytes());
    packet.into()
}

fn push_head(packet: &mut Vec<u8>, first: u8, mut length: usize) {
    packet.push(first);
    loop {
        let low = (length % 128) as u8;
        length /= 128;
        if length == 0 {
            packet.push(low);
            return;
        }
        packet.push(low | 0x80);
    }
}

fn push_string(packet: &mut Vec<u8>, text: &str) {
    debug_assert!(text.len() <= MAX_TOPIC, "topics and client ids are this crate's own and short");
    packet.extend_from_slice(&(text.len() as u16).to_be_bytes());
    packet.extend_from_slice(text.as_bytes());
}

/// Reads packets from bytes that come in pieces of any size. Its buffer is empty between packets.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    held: Vec<u8>,
    /// The length of what has been decoded.
    used: usize,
}

impl Decoder {
    /// Adds bytes that were read.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.held.extend_from_slice(data);
    }

    /// The next packet; nothing until it is complete. A packet with more than `limit` bytes after its head is refused as
    /// soon as the head is complete. The caller may pause between two packets: the buffer then holds at most one read, and
    /// the kernel the rest.
    pub(crate) fn next(&mut self, limit: usize) -> Result<Option<Packet<'_>>, FrameError> {
        let Some((start, end)) = measure(&self.held[self.used..], limit)? else {
            if self.used > 0 {
                self.held.drain(..self.used);
                self.held.shrink_to_fit();
                self.used = 0;
            }
            return Ok(None);
        };
        let begin = self.used;
        self.used += end;
        packet(self.held[begin], &self.held[begin + start..begin + end]).map(Some)
    }

    /// Discards the buffer.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Where the content of the first packet of `input` begins and ends; `None` while it is incomplete.
fn measure(input: &[u8], limit: usize) -> Result<Option<(usize, usize)>, FrameError> {
    let Some(&first) = input.first() else { return Ok(None) };
    if !matches!(first, CONNECT | CONNACK | PUBLISH | PINGREQ | PINGRESP | DISCONNECT) {
        return Err(FrameError::Kind(first));
    }
    let Some((length, head)) = remaining_length(&input[1..])? else { return Ok(None) };
    if length > limit {
        return Err(FrameError::TooLong { length, limit });
    }
    let (start, end) = (1 + head, 1 + head + length);
    Ok((input.len() >= end).then_some((start, end)))
}

fn remaining_length(input: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let mut length = 0;
    for (at, &byte) in input.iter().take(MAX_LENGTH_BYTES).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    if input.len() < MAX_LENGTH_BYTES { Ok(None) } else { Err(FrameError::Length) }
}

fn packet(first: u8, content: &[u8]) -> Result<Packet<'_>, FrameError> {
    match (first, content) {
        (CONNECT, _) => check_connect(content).map(|()| Packet::Connect),
        (CONNACK, &[_, code]) => Ok(Packet::ConnAck { code }),
        (PUBLISH, _) => {
            let (topic, payload) = split_string(content).ok_or(FrameError::Content("a truncated topic"))?;
            let topic =
                str::from_utf8(topic).map_err(|_| FrameError::Content("a topic that is not UTF-8"))?;
            Ok(Packet::Publish { topic, payload })
        }
        (PINGREQ, []) => Ok(Packet::PingReq),
        (PINGRESP, []) => Ok(Packet::PingResp),
        (DISCONNECT, []) => Ok(Packet::Disconnect),
        _ => Err(FrameError::Content("a packet of the wrong length")),
    }
}

/// Checks the protocol's name, its level, flags and keep-alive, and the client's id. A will and credentials are not read:
/// pomelo sends neither.
fn check_connect(content: &[u8]) -> Result<(), FrameError> {
    let (name, rest) = split_string(content).ok_or(FrameError::Content("a truncated CONNECT"))?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(FrameError::Content("a CONNECT of another protocol"));
    }
    let fixed = 4;
    let client_id = rest.get(fixed..).and_then(split_string);
    client_id.map(|_| ()).ok_or(FrameError::Content("a truncated CONNECT"))
}

fn split_string(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
