//! A channel between a primary and a worker: whatever comes, no descriptor stays open, and none gets to another message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use upcall_fuzz::{pieces, split};

fuzz_target!(|data: &[u8]| {
    let (word, bytes) = split(data);
    if word & 1 == 0 {
        return cluster::fuzzing::whole_frames(bytes, |frame| pieces(word, frame));
    }
    // Descriptors wherever they are: 0 to 3 with most pieces, and now and then more than a worker may send.
    let with_fds = |(at, piece)| {
        let part = word.rotate_right(2 + 3 * at as u32 % 60) & 7;
        (piece, if part == 7 { 20 } else { part.saturating_sub(3) as usize })
    };
    let pieces: Vec<_> = pieces(word.rotate_left(29), bytes).into_iter().enumerate().map(with_fds).collect();
    cluster::fuzzing::channel(&pieces);
});
