//! Payloads of pomelo's console, which are JSON: see `pomelo::fuzzing`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| pomelo::fuzzing::message(data));
