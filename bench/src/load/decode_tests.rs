//! The decoder's tests: every framing, cut at every byte.

use super::{Decoder, Done, Malformed};
use crate::load::expect::Expect;

const HELLO: Expect = Expect::Exactly(b"hello");
const GOOD: Done = Done { status: 200, body_matches: true, close: false };

/// Decodes `stream` in pieces of `size` bytes; the end of the connection follows if `end`.
fn decode(stream: &[u8], size: usize, end: bool, expect: &Expect) -> Result<Vec<Done>, Malformed> {
    let (mut decoder, mut responses) = (Decoder::new(), Vec::new());
    for mut piece in stream.chunks(size) {
        while !piece.is_empty() {
            responses.extend(decoder.step(&mut piece, expect)?);
        }
    }
    if end {
        responses.extend(decoder.end(expect)?);
    }
    Ok(responses)
}

fn assert_decodes(stream: &[u8], end: bool, want: &[Done]) {
    for size in 1..=stream.len() {
        let got = decode(stream, size, end, &HELLO);
        assert_eq!(got.as_deref(), Ok(want), "in pieces of {size}: {:?}", String::from_utf8_lossy(stream));
    }
}

#[test]
fn a_length_delimits_pipelined_responses() {
    let one = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    assert_decodes(&one.repeat(3), true, &[GOOD; 3]);
}

#[test]
fn heads_that_differ_are_parsed_anew() {
    let stream = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 404 Not Found\r\n\
        Content-Length: 0\r\nConnection: close\r\n\r\n";
    assert_decodes(stream, false, &[GOOD, Done { status: 404, body_matches: false, close: true }]);
}

#[test]
fn chunks_with_extensions_and_trailers_are_one_body() {
    let one = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n003\r\nllo\r\n0\r\nX: y\r\n\r\n";
    assert_decodes(&one.repeat(2), true, &[GOOD; 2]);
}

#[test]
fn the_end_of_the_connection_delimits_the_rest() {
    let closed = Done { close: true, ..GOOD };
    assert_decodes(b"HTTP/1.0 200 OK\r\n\r\nhello", true, &[closed]);
    assert_decodes(b"HTTP/1.1 200\r\n\r\nhello", true, &[closed]);
}

#[test]
fn interim_responses_and_those_without_a_body_are_understood() {
    let stream =
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    assert_decodes(stream, true, &[GOOD]);
    assert_decodes(
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        true,
        &[Done { status: 304, body_matches: false, close: false }],
    );
}

#[test]
fn a_wrong_body_is_told_from_a_right_one() {
    for body in ["hell", "hellO", "hello!"] {
        let stream = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_decodes(stream.as_bytes(), true, &[Done { body_matches: false, ..GOOD }]);
    }
}

#[test]
fn a_cut_response_is_an_error() {
    for stream in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"[..],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        assert!(decode(stream, stream.len(), true, &HELLO).is_err());
    }
}

#[test]
fn unsure_framing_is_an_error() {
    for stream in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        "HTTP/1.1 999 X\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "hello\r\n\r\n",
    ] {
        assert!(decode(stream.as_bytes(), stream.len(), false, &HELLO).is_err(), "{stream:?}");
    }
}
