//! What clients see of a server whose handler is an async function, over real sockets: the same as of one whose handler is a
//! callback, however their bytes are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::LazyCell;
use upcall_fuzz::server::{Handlers, names_expect, spell};
use upcall_fuzz::{pieces, split};

thread_local! {
    static SERVERS: LazyCell<Handlers> = LazyCell::new(Handlers::new);
}

fuzz_target!(|data: &[u8]| {
    let (word, bytes) = split(data);
    let bytes = spell(bytes);
    let cut = pieces(word, &bytes);
    SERVERS.with(|servers| {
        let whole = servers.callback.ask(&[&bytes]);
        assert_eq!(servers.future.ask(&[&bytes]), whole);
        let in_pieces = servers.callback.ask(&cut);
        assert_eq!(servers.future.ask(&cut), in_pieces);
        if !names_expect(&bytes) {
            assert_eq!(in_pieces, whole);
        }
    });
});
