//! Whatever comes in: no panic, an end, bounded memory, and the same events however it is cut.

use crate::harness::{run, run_with, trace};
use http::proto::{FieldTable, Limits};

const SEEDS: &[&str] = &[
    "GET /a?b HTTP/1.1\r\nHost: h:80\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n",
    "POST http://h/x HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\\\"\";c\r\nhello\r\n0\r\nT: v\r\n\r\n",
    "CONNECT h:1 HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade, close\r\n\r\nraw",
    "\r\nOPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n\r\nGET /accept HTTP/1.1\r\nHost: h\r\n\r\nraw",
];

/// Pieces that matter to some state of the machine.
const SPLICES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"\"",
    b"\\",
    b"\0",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"#",
    b"%",
    b"@",
    b"[",
    b"0\r\n\r\n",
    b"ffffffffffffffff",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: h\r\n",
    b"\r\n\r\n",
    b"HTTP/1.1",
    b"gzip, ",
    b"chunked",
];

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let other = self.below(input.len() + 1);
        let (from, to) = (at.min(other), at.max(other));
        match self.below(6) {
            0 if at < input.len() => input[at] = self.below(256) as u8,
            1 if at < input.len() => input[at] ^= 1 << self.below(8),
            2 => drop(input.drain(from..to.min(from + 8))),
            3 => {
                let copy = input[from..to.min(from + 40)].to_vec();
                drop(input.splice(at..at, copy));
            }
            4 => input.truncate(at),
            _ => drop(input.splice(at..at, SPLICES[self.below(SPLICES.len())].iter().copied())),
        }
    }
}

#[test]
fn mutated_requests_never_panic_and_never_depend_on_their_pieces() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let small =
        Limits::default().max_header_size(80).max_headers(3).max_trailer_size(12).max_chunk_extensions(6);
    for round in 0..30_000 {
        let mut input = SEEDS[random.below(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..=random.below(4) {
            random.mutate(&mut input);
        }
        let limits = if round % 3 == 0 { small.clone() } else { Limits::default() };
        let whole = run(&[&input], &limits);
        let mut pieces = Vec::new();
        let mut rest = &input[..];
        while !rest.is_empty() {
            let (piece, next) = rest.split_at(1 + random.below(rest.len().min(24)));
            pieces.push(piece);
            rest = next;
        }
        assert_eq!(run(&pieces, &limits), whole, "{}", input.escape_ascii());
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(run(&bytes, &limits), whole, "{}", input.escape_ascii());
    }
}

/// A table remembers the fields that it read last. Heads that share all of these, some or none follow one another, with
/// other request lines, limits and trailers.
#[test]
fn what_a_table_has_read_before_changes_nothing() {
    let mut random = Random(0x0123_4567_89ab_cdef);
    let small =
        Limits::default().max_header_size(80).max_headers(2).max_trailer_size(12).max_chunk_extensions(6);
    let (mut table, mut input) = (FieldTable::new(), Vec::new());
    for round in 0..30_000 {
        match random.below(4) {
            // The same once more, to be known again.
            0 => {}
            1 => input = SEEDS[random.below(SEEDS.len())].as_bytes().to_vec(),
            2 => {
                // The same fields behind another request line.
                let line: &[u8] = [&b"GET /other HTTP/1.1"[..], b"GET / HTTP/1.0", b"CONNECT h:1 HTTP/1.1"]
                    [random.below(3)];
                let end = input.iter().position(|byte| *byte == b'\r').unwrap_or(0);
                drop(input.splice(..end, line.iter().copied()));
            }
            _ => random.mutate(&mut input),
        }
        let limits = if round % 5 == 0 { small.clone() } else { Limits::default() };
        let cut = random.below(input.len() + 1);
        for pieces in [&[&input[..]][..], &[&input[..cut], &input[cut..]]] {
            let expected = run(pieces, &limits);
            assert_eq!(run_with(&mut table, pieces, &limits), expected, "{}", input.escape_ascii());
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random(42);
    for _ in 0..2_000 {
        let len = random.below(64);
        let input: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
        trace(&input, &Limits::default());
    }
}

// Every prefix of every seed is either a complete series of messages or is waiting for more.
#[test]
fn prefixes_of_valid_input_are_never_refused() {
    for seed in SEEDS {
        for len in 0..=seed.len() {
            assert_eq!(run(&[&seed.as_bytes()[..len]], &Limits::default()).fault, None, "{:?}", &seed[..len]);
        }
    }
}
