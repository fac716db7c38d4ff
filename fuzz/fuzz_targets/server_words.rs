//! The command line of an application's server, for this host and for a shell on another one: see `pomelo::fuzzing`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let words: Vec<_> = data.split(|&byte| byte == b'\n').map(String::from_utf8_lossy).collect();
    // No word of a command line has a zero.
    if data.contains(&0) {
        return;
    }
    let words: Vec<_> = words.into_iter().map(String::from).collect();
    pomelo::fuzzing::words(&words);
});
