//! Limits of any size: what they refuse does not depend on how the input is cut, what comes before the refusal is what
//! larger limits say, and no more is held than they allow.
#![no_main]

use http::proto::{FieldTable, Limits};
use libfuzzer_sys::fuzz_target;
use upcall_fuzz::{pieces, split, transcript};

fuzz_target!(|data: &[u8]| {
    let (word, bytes) = split(data);
    let part = |at: u32| (word >> at & 0xff) as usize;
    let limits = Limits::default()
        .max_header_size(part(0) * 2)
        .max_headers(part(8) % 8 + 1)
        .max_trailer_size(part(16) % 64)
        .max_chunk_extensions(part(24) % 16);
    let mut table = FieldTable::new();
    let whole = transcript(&mut table, &[bytes], &limits);
    assert_eq!(transcript(&mut table, &pieces(word, bytes), &limits), whole);
    let each: Vec<&[u8]> = bytes.chunks(1).collect();
    let in_bytes = transcript(&mut table, &each, &limits);
    assert_eq!(in_bytes, whole);
    let most = limits.max_header_size.max(limits.max_trailer_size);
    assert!(in_bytes.held <= most, "{} bytes were held", in_bytes.held);

    let free = transcript(&mut table, &[bytes], &Limits::default());
    if whole.fault.is_none() {
        return assert_eq!(whole.items, free.items);
    }
    assert!(free.body.starts_with(&whole.body));
    // The last part of a body may go on where the limits do not bite.
    let before = whole.items.len().saturating_sub(1);
    assert_eq!(whole.items[..before], free.items[..before.min(free.items.len())]);
});
