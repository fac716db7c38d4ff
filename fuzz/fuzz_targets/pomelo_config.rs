//! The files of an application's configuration: see `pomelo::fuzzing`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| pomelo::fuzzing::config(data));
