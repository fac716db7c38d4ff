//! Responses, whatever they are: the decoder of a client says the same about every way to cut the input, and finds a fault at
//! the same byte, before which every prefix is valid.
#![no_main]

use http::proto::{FieldTable, ParseError, ResponseDecoder, ResponseEvent, ResponseTo};
use libfuzzer_sys::fuzz_target;
use upcall_fuzz::{limits, pieces, split};

/// The events of a run, joined where a cut would part them, and the fault with its byte.
type Said = (Vec<String>, Vec<u8>, Option<(ParseError, u64)>);

fuzz_target!(|data: &[u8]| {
    let (word, bytes) = split(data);
    let to = ResponseTo { is_head: word & 1 > 0, is_connect: word & 6 == 6, offers_upgrade: word & 24 == 24 };
    let whole = said(to, &[bytes]);
    assert_eq!(said(to, &pieces(word, bytes)), whole);
    let each: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(said(to, &each), whole);
});

fn said(to: ResponseTo, pieces: &[&[u8]]) -> Said {
    let (mut decoder, mut table, limits) = (ResponseDecoder::new(), FieldTable::new(), limits());
    let (mut items, mut body) = (Vec::new(), Vec::new());
    assert!(decoder.begin(to));
    for piece in pieces {
        let mut input = *piece;
        loop {
            match decoder.decode(&mut input, &mut table, &limits) {
                Ok(ResponseEvent::NeedMore) => break assert!(input.is_empty(), "input was left over"),
                Ok(ResponseEvent::Done) => break,
                Ok(ResponseEvent::Body(data)) => {
                    assert!(!data.is_empty(), "a part of a body has bytes");
                    body.extend_from_slice(data);
                }
                Ok(ResponseEvent::End(trailers)) => {
                    items.push(format!("end {} {trailers:?}", body.len()));
                    // Each request is answered by one response.
                    let _ = decoder.begin(to);
                }
                Ok(ResponseEvent::Information(head)) => {
                    assert!(head.is_informational() && head.status != 101);
                    items.push(format!("{head:?}"));
                }
                Ok(ResponseEvent::Head(head)) => items.push(format!("{head:?}")),
                Err(fault) => return (items, body, Some((fault, decoder.offset()))),
            }
        }
        assert!(decoder.buffered() <= limits.max_header_size.max(limits.max_trailer_size));
    }
    (items, body, None)
}
