//! A master's console, over real sockets: whatever its peers say, each server that came has left once all are closed, and
//! nothing stays alive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::LazyCell;
use upcall_fuzz::console::Console;

thread_local! {
    static CONSOLE: LazyCell<Console> = LazyCell::new(Console::new);
}

fuzz_target!(|data: &[u8]| CONSOLE.with(|console| console.hear(data)));
