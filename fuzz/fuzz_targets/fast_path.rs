//! What clients see of a server, over real sockets: the same on the fast path and on the slow one, however their bytes are
//! cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::LazyCell;
use upcall_fuzz::server::{Pair, names_expect, spell};
use upcall_fuzz::{pieces, split};

thread_local! {
    static SERVERS: LazyCell<Pair> = LazyCell::new(Pair::new);
}

fuzz_target!(|data: &[u8]| {
    let (word, bytes) = split(data);
    let bytes = spell(bytes);
    let cut = pieces(word, &bytes);
    SERVERS.with(|servers| {
        let whole = servers.slow.ask(&[&bytes]);
        assert_eq!(servers.fast.ask(&[&bytes]), whole);
        let in_pieces = servers.slow.ask(&cut);
        assert_eq!(servers.fast.ask(&cut), in_pieces);
        if !names_expect(&bytes) {
            assert_eq!(in_pieces, whole);
        }
    });
});
