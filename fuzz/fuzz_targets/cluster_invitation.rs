//! The standard input of a new worker: see `cluster::fuzzing`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((fds, bytes)) = data.split_first() else { return };
    cluster::fuzzing::invitation(bytes, usize::from(fds % 4));
});
