//! The entry point of the fuzz target `admin_frame`, which needs the private decoder; not part of an ordinary build.

use crate::admin::mqtt::{Decoder, FrameError};

/// The most bytes of a packet after its head.
const LIMIT: usize = 4096;

/// Decodes packets from all bytes at once and in pieces, and compares.
///
/// # Panics
/// The results differ, or a packet is longer than allowed.
pub fn packets(bytes: &[u8], pieces: &[&[u8]]) {
    let (whole, fault) = decode(&[bytes]);
    assert!(whole.iter().all(|packet| packet.len() < 6 * LIMIT), "a packet longer than allowed");
    assert_eq!(decode(pieces), (whole, fault));
}

/// The packets, in words, and the fault that ended them.
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
