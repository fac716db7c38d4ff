//! A way in for the fuzzer, which is no part of an ordinary build: the packets are private.

use crate::admin::mqtt::{Decoder, FrameError};

/// Bytes that a packet may have after its head here.
const LIMIT: usize = 4096;

/// Reads packets whole and in pieces: both say the same, and nothing is longer than allowed.
///
/// # Panics
/// If not.
pub fn packets(bytes: &[u8], pieces: &[&[u8]]) {
    let (whole, fault) = decode(&[bytes]);
    assert!(whole.iter().all(|packet| packet.len() < 6 * LIMIT), "a packet longer than allowed");
    assert_eq!(decode(pieces), (whole, fault));
}

/// What the packets are, in words, and what ended them.
fn decode(pieces: &[&[u8]]) -> (Vec<String>, Option<FrameError>) {
    let (mut decoder, mut packets) = (Decoder::default(), Vec::new());
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next(LIMIT) {
                Ok(Some(packet)) => packets.push(format!("{packet:?}")),
                Ok(None) => break,
                Err(fault) => return (packets, Some(fault)),
            }
        }
    }
    (packets, None)
}
