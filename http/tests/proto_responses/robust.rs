//! Any bytes, in any pieces: no panic, the same verdict, and a bound on what is held.

use crate::harness::{GET, HEAD, OFFER, trace};
use http::proto::Limits;

/// Pieces of responses, valid and not, in an order by lot.
const PARTS: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 204\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: upgrade\r\nUpgrade: x\r\n",
    "\r\n",
    "\n",
    "\r",
    "3\r\nabc\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "abc",
    "A: b\r\n",
    " ",
    ":",
    "\0",
    "HTTP/1.1 101 X\r\n",
    "5;a=b\r\nhello\r\n",
];

#[test]
fn the_verdict_does_not_depend_on_the_cuts() {
    let limits =
        Limits::default().max_header_size(100).max_headers(4).max_trailer_size(50).max_chunk_extensions(8);
    // A linear congruential generator: the same inputs in every run.
    let mut state = 1_u64;
    let mut lot = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for _ in 0..2_000 {
        let input: String = (0..1 + lot(8)).map(|_| PARTS[lot(PARTS.len())]).collect();
        trace(&[[GET, HEAD, OFFER][lot(3)], GET], input.as_bytes(), &limits);
    }
}
