//! What clients see of a server, over real sockets: the same on the fast path and on the slow one, however their bytes are
//! cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::LazyCell;
use upcall_fuzz::server::Pair;
use upcall_fuzz::{pieces, split};

thread_local! {
    static SERVERS: LazyCell<Pair> = LazyCell::new(Pair::new);
}

/// `~` stands for a request whose path is the letter behind it, so that the fuzzer finds the usual ones soon.
fn spell(bytes: &[u8]) -> Vec<u8> {
    let mut spelled = Vec::new();
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        if byte == b'~' {
            let letter = rest.next().copied().unwrap_or(b'x');
            spelled.extend_from_slice(b"GET /");
            spelled.push(letter);
            spelled.extend_from_slice(b" HTTP/1.1\r\nHost: a\r\n\r\n");
        } else {
            spelled.push(byte);
        }
    }
    spelled
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
        // Whether a client waits for `100 Continue` depends on how much of its body has come with the head.
        let names_expect = bytes.windows(6).any(|window| window.eq_ignore_ascii_case(b"expect"));
        if !names_expect {
            assert_eq!(in_pieces, whole);
        }
    });
});
