//! Chunked bodies: the same for every way to cut them, and what was chunked by hand comes out as it went in.
#![no_main]

use http::proto::FieldTable;
use libfuzzer_sys::fuzz_target;
use upcall_fuzz::{limits, pieces, split, transcript};

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fuzz_target!(|data: &[u8]| {
    let (word, bytes) = split(data);
    let limits = limits();
    let mut table = FieldTable::new();
    let wild = [HEAD, bytes].concat();
    let whole = transcript(&mut table, &[&wild], &limits);
    assert_eq!(transcript(&mut table, &pieces(word, &wild), &limits), whole);

    let mut tame = HEAD.to_vec();
    for chunk in pieces(word.rotate_left(17), bytes) {
        tame.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        tame.extend_from_slice(chunk);
        tame.extend_from_slice(b"\r\n");
    }
    tame.extend_from_slice(b"0\r\n\r\n");
    let said = transcript(&mut table, &pieces(word.rotate_left(31), &tame), &limits);
    assert_eq!((said.fault, &said.body[..]), (None, bytes));
    assert_eq!(said.items.last().map(String::as_str), Some("end "));
});
