//! Frames between a primary and its workers: see `cluster::fuzzing`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use upcall_fuzz::{pieces, split};

fuzz_target!(|data: &[u8]| {
    let (word, bytes) = split(data);
    cluster::fuzzing::frames(bytes, &pieces(word, bytes));
});
