//! How much is accepted, and that a decoder holds no more than that.

use crate::harness::{run, trace};
use http::proto::{Decoder, Event, FieldTable, Limits, ParseError};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn with_size(max_header_size: usize) -> Limits {
    Limits::default().max_header_size(max_header_size)
}

#[test]
fn the_defaults_are_those_of_node() {
    let limits = Limits::default();
    assert_eq!((limits.max_header_size, limits.max_headers), (16_384, 2_000));
    assert_eq!((limits.max_trailer_size, limits.max_chunk_extensions), (16_384, 16_384));
}

#[test]
fn a_head_of_exactly_the_limit_is_accepted_and_one_byte_more_is_not() {
    let size = REQUEST.len();
    assert_eq!(trace(REQUEST.as_bytes(), &with_size(size)).fault, None);
    let fault = trace(REQUEST.as_bytes(), &with_size(size - 1)).fault;
    assert_eq!(fault, Some(ParseError::HeadTooLarge));
    assert_eq!(ParseError::HeadTooLarge.status(), 431);
    // What comes after the head does not count.
    let two = REQUEST.repeat(2);
    assert_eq!(trace(two.as_bytes(), &with_size(size)).fault, None);
}

#[test]
fn every_limit_gives_the_same_fault_in_all_pieces() {
    let input = "POST /abc HTTP/1.1\r\nHost: h\r\nLong: 0123456789\r\nContent-Length: 1\r\n\r\nxGET";
    for size in 0..input.len() {
        trace(input.as_bytes(), &with_size(size));
    }
}

// RFC 9112, 3: a target longer than the server wishes to parse is answered with 414; Node answers 431.
#[test]
fn a_request_line_beyond_the_limit_is_too_long() {
    let input = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(100));
    assert_eq!(trace(input.as_bytes(), &with_size(50)).fault, Some(ParseError::UriTooLong));
    assert_eq!(ParseError::UriTooLong.status(), 414);
    // RFC 9112, 3: request lines of 8000 bytes are to be supported.
    let input = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(8_000));
    assert_eq!(trace(input.as_bytes(), &Limits::default()).fault, None);
}

#[test]
fn an_endless_head_is_refused_as_soon_as_it_exceeds_the_limit() {
    for (start, fault) in [
        ("GET /", ParseError::UriTooLong),
        ("GET / HTTP/1.1\r\nA", ParseError::HeadTooLarge),
        ("GET / HTTP/1.1\r\nA: ", ParseError::HeadTooLarge),
    ] {
        let limit = 1_000;
        let input = start.to_string() + &"a".repeat(limit + 1 - start.len());
        let before = run(&[&input.as_bytes()[..limit]], &with_size(limit));
        assert_eq!(before.fault, None);
        assert_eq!(trace(input.as_bytes(), &with_size(limit)).fault, Some(fault));
    }
}

#[test]
fn fields_are_counted() {
    for limit in [1, 15, 16, 17, 40] {
        let limits = Limits::default().max_headers(limit);
        let head =
            |count: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
        assert_eq!(trace(head(limit).as_bytes(), &limits).fault, None);
        assert_eq!(trace(head(limit + 1).as_bytes(), &limits).fault, Some(ParseError::TooManyFields));
    }
    assert_eq!(ParseError::TooManyFields.status(), 431);
}

#[test]
fn trailers_are_bounded_like_heads() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    let limits = Limits::default().max_trailer_size(10).max_headers(2);
    let fault = |trailers: &str| trace(format!("{head}{trailers}").as_bytes(), &limits).fault;
    assert_eq!(fault("A: bcd\r\n\r\n"), None);
    assert_eq!(fault("A: bcde\r\n\r\n"), Some(ParseError::TrailersTooLarge));
    assert_eq!(fault("A:\r\nB:\r\n\r\n"), None);
    let limits = limits.max_trailer_size(100);
    let fault = |trailers: &str| trace(format!("{head}{trailers}").as_bytes(), &limits).fault;
    assert_eq!(fault("A:\r\nB:\r\nC:\r\n\r\n"), Some(ParseError::TooManyFields));
    assert_eq!(
        fault("Host:\r\nHost:\r\nHost:\r\n\r\n"),
        Some(ParseError::TooManyFields),
        "dropped ones count"
    );
    assert_eq!(ParseError::TrailersTooLarge.status(), 431);
}

#[test]
fn a_decoder_is_small_and_owns_nothing_between_requests() {
    assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());
    let (mut decoder, mut table, limits) = (Decoder::new(), FieldTable::new(), Limits::default());
    let (mut first, mut second) = REQUEST.as_bytes().split_at(10);
    assert!(!decoder.has_started());
    assert!(matches!(decoder.decode(&mut first, &mut table, &limits), Ok(Event::NeedMore)));
    assert_eq!(decoder.buffered(), 10);
    assert!(decoder.is_in_head() && decoder.has_started());
    assert!(matches!(decoder.decode(&mut second, &mut table, &limits), Ok(Event::Head(_))));
    assert!(!decoder.is_in_head() && !decoder.has_started());
    assert!(matches!(decoder.decode(&mut second, &mut table, &limits), Ok(Event::End(_))));
    assert!(matches!(decoder.decode(&mut second, &mut table, &limits), Ok(Event::NeedMore)));
    assert_eq!(decoder.buffered(), 0);
    assert!(!decoder.has_started());
}
