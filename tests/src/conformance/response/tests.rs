//! Responses that must be understood, and faults that must be noticed.

use super::*;

const ANY: RequestKind = RequestKind { head: false, http10: false };
const HEAD: RequestKind = RequestKind { head: true, http10: false };
const HTTP10: RequestKind = RequestKind { head: false, http10: true };

fn complete(source: &str, ended: bool, request: RequestKind) -> (Response, usize) {
    match parse(source.as_bytes(), ended, request) {
        Ok(Progress::Complete(response, used)) => (response, used),
        other => panic!("{source:?}: {other:?}"),
    }
}

fn refused(source: &str, request: RequestKind) -> String {
    match parse(source.as_bytes(), true, request) {
        Err(why) => why,
        other => panic!("{source:?} was accepted: {other:?}"),
    }
}

#[test]
fn a_length_delimits_the_body() {
    let source = "HTTP/1.1 200 OK\r\nA:  b \r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1";
    let (response, used) = complete(source, false, ANY);
    assert_eq!((response.status, response.body.as_slice(), used), (200, &b"hello"[..], source.len() - 8));
    assert_eq!(response.values("a").collect::<Vec<_>>(), ["b"]);
}

#[test]
fn chunks_delimit_the_body() {
    let source = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\n!";
    let (response, used) = complete(source, false, ANY);
    assert_eq!((response.body.as_slice(), used), (&b"hello0123456789"[..], source.len() - 1));
}

#[test]
fn every_prefix_is_incomplete() {
    for source in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        for end in 0..source.len() {
            let progress = parse(&source.as_bytes()[..end], false, ANY);
            assert!(matches!(progress, Ok(Progress::Head | Progress::Body(_))), "{end}: {progress:?}");
        }
    }
}

#[test]
fn the_end_of_the_connection_delimits_the_rest() {
    let source = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";
    assert!(matches!(parse(source.as_bytes(), false, ANY), Ok(Progress::Body(_))));
    assert_eq!(complete(source, true, ANY).0.body, b"hello");
}

#[test]
fn some_responses_have_no_body() {
    let with_length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(complete(with_length, false, HEAD).1, with_length.len());
    for source in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_eq!(complete(source, false, HEAD).1, source.len());
    }
}

#[test]
fn bad_status_lines_are_noticed() {
    for line in [
        "HTTP/1.0 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 200",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 600 OK",
        "HTTP/1.1 200 O\x01K",
        "HTTP/1.1 200 O\rK",
        "\r\nHTTP/1.1 200 OK",
        "garbage",
    ] {
        refused(&format!("{line}\r\nContent-Length: 0\r\n\r\n"), ANY);
    }
    assert!(parse(b"HTTX", false, ANY).is_err(), "garbage was waited upon");
}

#[test]
fn bad_fields_are_noticed() {
    for line in [
        "No-Colon",
        "Space : x",
        ": x",
        "A: b\r\n folded",
        "A: b\nC: d",
        "A: \x01",
        "A\x00: b",
        " A: b",
        "A: \x7f",
    ] {
        refused(&format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{line}\r\n\r\n"), ANY);
    }
}

#[test]
fn bad_framing_is_noticed() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        refused(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello"), ANY);
    }
}

#[test]
fn forbidden_framing_is_noticed() {
    refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", HTTP10);
    refused("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", ANY);
    refused("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", ANY);
    refused("HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n", ANY);
}

#[test]
fn bad_chunks_are_noticed() {
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "\r\n",
        "FFFFFFFFFFFFFFFFF\r\n",
        "0\r\nContent-Length: 1\r\n\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nA: b\n\r\n\r\n",
    ] {
        refused(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"), ANY);
    }
}

#[test]
fn what_does_not_end_is_not_read_for_ever() {
    let head = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(MAX_HEAD));
    assert!(parse(head.as_bytes(), false, ANY).is_err());
    let size = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", "0".repeat(MAX_LINE + 1));
    assert!(parse(size.as_bytes(), false, ANY).is_err());
}
