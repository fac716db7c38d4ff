//! Packets of pomelo's console: see `pomelo::fuzzing`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use upcall_fuzz::{pieces, split};

fuzz_target!(|data: &[u8]| {
    let (word, bytes) = split(data);
    pomelo::fuzzing::packets(bytes, &pieces(word, bytes));
});
