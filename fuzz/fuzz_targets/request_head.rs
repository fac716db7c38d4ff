//! Requests, whatever they are: the decoder says the same about every way to cut the input, and about a table of fields
//! that served another connection before.
#![no_main]

use http::proto::FieldTable;
use libfuzzer_sys::fuzz_target;
use upcall_fuzz::{limits, pieces, split, transcript};

fuzz_target!(|data: &[u8]| {
    let (word, bytes) = split(data);
    let limits = limits();
    let mut table = FieldTable::new();
    let whole = transcript(&mut table, &[bytes], &limits);
    // The table now remembers the section that came last, as it does from one connection of a server to the next.
    assert_eq!(transcript(&mut table, &pieces(word, bytes), &limits), whole);
    assert_eq!(transcript(&mut table, &[bytes], &limits), whole);
    let each: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(transcript(&mut FieldTable::new(), &each, &limits), whole);
});
