//! The entry of the fuzz target `cluster_frame`, since the frames are private. Not part of an ordinary build.

use crate::channel::message::{Decoder, Frame, ProtocolError};
use std::collections::VecDeque;

/// Decodes frames whole and in pieces, and encodes them again.
///
/// # Panics
/// If the results differ.
pub fn frames(bytes: &[u8], pieces: &[&[u8]]) {
    let (whole, fault) = decode(&[bytes]);
    assert_eq!(decode(pieces), decode(&[bytes]));
    assert!(fault.is_none() || whole.len() <= bytes.len() / 6, "a frame has six bytes at least");
    let mut written = Vec::new();
    for frame in &whole {
        written.extend_from_slice(&frame.message.encode(frame.fds as u8));
    }
    assert_eq!(decode(&[&written]), (whole, None));
}

fn decode(pieces: &[&[u8]]) -> (VecDeque<Frame>, Option<ProtocolError>) {
    let (mut decoder, mut frames) = (Decoder::default(), VecDeque::new());
    for piece in pieces {
        if let Err(fault) = decoder.feed(piece, &mut frames) {
            return (frames, Some(fault));
        }
    }
    (frames, None)
}
