//! How answers are framed, and what a handler may do in what order.

use crate::harness::{Client, Count, Kept, Log, serve};
use http::proto::EncodeError;
use http::{Error, Request, Response};

fn text(body: &'static str) -> impl FnMut(&Request<'_>, Response) {
    move |_: &Request<'_>, response: Response| response.end(body.as_bytes()).expect("to end")
}

// Node: test-http-content-length, test-http-automatic-headers
#[test]
fn a_body_known_at_once_has_a_length() {
    let answer = serve(text("hello"), |address| Client::connect(address).ask("/"));
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    assert_eq!(answer.field("Content-Length"), Some("5"));
    assert_eq!(answer.field("Transfer-Encoding"), None);
}

// Node: test-http-automatic-headers
#[test]
fn a_body_in_pieces_is_chunked() {
    let handler = |_: &Request<'_>, response: Response| {
        assert_eq!(response.write(b"one "), Ok(true));
        // An empty write is no last chunk.
        assert_eq!(response.write(b""), Ok(true));
        response.end(b"two").expect("to end");
    };
    let answer = serve(handler, |address| Client::connect(address).ask("/"));
    assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(answer.field("Content-Length"), None);
    assert_eq!(answer.text(), "one two");
}

#[test]
fn large_writes_are_whole_in_every_framing() {
    let handler = |request: &Request<'_>, response: Response| {
        let part = [b'x'; 20_000];
        if request.path() == "/length" {
            response.set_header("Content-Length", "40000").expect("to set");
        }
        response.write(&part).expect("to write");
        response.end(&part).expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        for path in ["/length", "/chunked"] {
            let answer = client.ask(path);
            assert!(answer.body.len() == 40_000 && answer.body.iter().all(|byte| *byte == b'x'));
        }
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.answer().body.len(), 40_000);
        client.expect_end();
    });
}

// Node: test-http-head-response-has-no-body, test-http-head-request
#[test]
fn head_has_the_length_and_no_body() {
    serve(text("hello"), |address| {
        let mut client = Client::connect(address);
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.head().field("Content-Length"), Some("5"));
        assert_eq!(client.ask("/").text(), "hello");
    });
}

// RFC 9110, 9.3.2 and 15.3.6
#[test]
fn head_of_a_reset_content_says_what_get_does() {
    let handler = |_: &Request<'_>, response: Response| {
        response.set_status(205).and_then(|response| response.end(b"dropped")).expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        let answer = client.ask("/");
        assert_eq!((answer.status, answer.field("Content-Length"), answer.text()), (205, Some("0"), ""));
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.head().field("Content-Length"), Some("0"));
        assert_eq!(client.ask("/").status, 205);
    });
}

// Node: test-http-chunked-304, test-http-allow-req-after-204-res
#[test]
fn no_content_has_no_body_and_no_length() {
    let handler = |request: &Request<'_>, response: Response| {
        let status = if request.path() == "/204" { 204 } else { 304 };
        response.set_status(status).and_then(|response| response.end(b"dropped")).expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        for (path, status) in [("/204", 204), ("/304", 304)] {
            let answer = client.ask(path);
            assert_eq!(answer.status, status);
            assert_eq!((answer.field("Content-Length"), answer.field("Transfer-Encoding")), (None, None));
        }
    });
}

// Node: test-http-1.0, test-http-1.0-keep-alive
#[test]
fn http_1_0_closes_unless_asked_otherwise_and_is_never_chunked() {
    let handler = |request: &Request<'_>, response: Response| {
        if request.path() == "/stream" {
            response.write(b"by and by").expect("to write");
        }
        response.end(b"").expect("to end");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.answer().field("Connection"), Some("keep-alive"));
        client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.answer();
        assert!(answer.closes() && answer.field("Transfer-Encoding").is_none());
        assert_eq!(answer.text(), "by and by");
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert!(client.answer().closes());
        client.expect_end();
    });
}

// Node: test-http-response-statuscode; Node: test-http-res-write-after-end; Node:
// test-http-response-add-header-after-sent; Node: test-http-response-splitting
#[test]
fn mistakes_are_errors_and_change_nothing() {
    let handler = |_: &Request<'_>, response: Response| {
        for status in [0, 99, 100, 101, 103, 199, 1000, u16::MAX] {
            let refused = Err(Error::Encode(EncodeError::InvalidStatus(status)));
            assert_eq!(response.set_status(status).map(drop), refused);
        }
        assert!(response.write_head(101, &[("Upgrade", "x")]).is_err());
        let invalid = |name: &str, value: &str| response.set_header(name, value).map(drop);
        assert_eq!(invalid("a b", ""), Err(Error::Encode(EncodeError::InvalidFieldName)));
        assert_eq!(invalid("", ""), Err(Error::Encode(EncodeError::InvalidFieldName)));
        assert_eq!(invalid("a", "b\r\nSet-Cookie: c"), Err(Error::Encode(EncodeError::InvalidFieldValue)));
        assert_eq!(invalid("Connection", "a\nb"), Err(Error::Encode(EncodeError::InvalidFieldValue)));
        assert_eq!(response.set_reason("a\r\nb").map(drop), Err(Error::Encode(EncodeError::InvalidReason)));
        assert_eq!(invalid("Content-Length", "five"), Err(Error::Encode(EncodeError::InvalidFraming)));
        assert_eq!(
            invalid("Content-Length", "18446744073709551616"),
            Err(Error::Encode(EncodeError::InvalidFraming))
        );
        assert_eq!(invalid("Transfer-Encoding", ""), Err(Error::Encode(EncodeError::InvalidFraming)));
        response.write(b"he").expect("to write");
        assert_eq!(response.set_status(404).map(drop), Err(Error::HeadersSent));
        assert_eq!(invalid("a", "b"), Err(Error::HeadersSent));
        assert!(response.is_head_sent() && !response.is_ended());
        response.end(b"llo").expect("to end");
        assert_eq!(response.write(b"more"), Err(Error::Closed));
        assert_eq!(response.end(b"more"), Err(Error::Closed));
        assert_eq!(invalid("a", "b"), Err(Error::Closed));
        assert!(response.is_ended());
    };
    let answer = serve(handler, |address| Client::connect(address).ask("/"));
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    assert_eq!(answer.field("a"), None);
}

// Node: test-http-content-length-mismatch
#[test]
fn a_body_that_does_not_fit_its_length_is_an_error() {
    let handler = |request: &Request<'_>, response: Response| {
        response.set_header("Content-Length", "5").expect("to set");
        if request.path() == "/long" {
            // Refused before anything is sent, so that another body is still possible.
            assert_eq!(response.end(b"too long"), Err(Error::Encode(EncodeError::BodyTooLong)));
            assert_eq!(response.write(b"too long"), Err(Error::Encode(EncodeError::BodyTooLong)));
            assert_eq!(response.write(b"he"), Ok(true));
            assert_eq!(response.write(b"llo!"), Err(Error::Encode(EncodeError::BodyTooLong)));
            response.end(b"llo").expect("to end");
        } else {
            assert_eq!(response.end(b"shrt"), Err(Error::Encode(EncodeError::BodyTooShort)));
        }
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/long").text(), "hello");
        client.get("/short");
        assert_eq!(client.head().field("Content-Length"), Some("5"));
        assert_eq!(client.rest(), b"shrt");
    });
}

// Node: test-http-server-capture-rejections
#[test]
fn a_response_that_is_dropped_is_answered_500() {
    let handler = |_: &Request<'_>, response: Response| {
        response.set_status(201).and_then(|response| response.set_header("X-A", "1")).expect("to set");
        // Of several handles the last one counts.
        drop([response.clone(), response]);
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        let answer = client.ask("/");
        assert_eq!((answer.status, answer.field("X-A")), (500, None));
        assert!(answer.closes());
        client.expect_end();
    });
}

// Node: test-http-server-capture-rejections
#[test]
fn a_response_that_is_dropped_half_way_is_cut() {
    let handler = |_: &Request<'_>, response: Response| {
        response.write(b"half").expect("to write");
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.get("/");
        assert_eq!(client.head().status, 200);
        assert_eq!(client.chunk(), b"half");
        client.expect_end();
    });
}

// Node: test-http-response-close
#[test]
fn a_response_finished_later_by_somebody_else_is_sent() {
    let kept = Kept::default();
    let handler = move |request: &Request<'_>, response: Response| match request.path() {
        "/wait" => kept.keep(response),
        _ => {
            let waiting = kept.take_oldest().expect("a response waits");
            assert!(waiting.socket().remote_address() != response.socket().remote_address());
            waiting.end(b"at last").expect("to end");
            response.end(b"done").expect("to end");
        }
    };
    serve(handler, |address| {
        let (mut first, mut second) = (Client::connect(address), Client::connect(address));
        for _ in 0..3 {
            first.get("/wait");
            while second.ask("/").status == 500 {}
            assert_eq!(first.answer().text(), "at last");
        }
    });
}

// Node: test-http-early-hints
#[test]
fn early_hints_come_before_the_answer_and_not_to_http_1_0() {
    let handler = |_: &Request<'_>, response: Response| {
        let hint = |link| response.write_information(103, &[("Link", link)]);
        hint("</a>; rel=preload").expect("to hint");
        hint("</b>; rel=preload").expect("to hint");
        let refused = response.write_information(200, &[]);
        assert_eq!(refused, Err(Error::Encode(EncodeError::InvalidStatus(200))));
        let refused = response.write_information(101, &[]);
        assert_eq!(refused, Err(Error::Encode(EncodeError::InvalidStatus(101))));
        response.end(b"page").expect("to end");
        assert_eq!(hint("late"), Err(Error::Closed));
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        client.get("/");
        assert_eq!(client.head().field("Link"), Some("</a>; rel=preload"));
        assert_eq!(client.head().field("Link"), Some("</b>; rel=preload"));
        assert_eq!(client.answer().text(), "page");
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.answer().status, 200);
    });
}

#[test]
fn a_stale_handle_does_nothing() {
    let (kept, log) = (Kept::default(), Log::default());
    let (seen, count) = (log.clone(), Count::default());
    let handler = move |request: &Request<'_>, response: Response| {
        // The record of the first exchange is used again for the second.
        if let Some(stale) = kept.take_oldest() {
            assert!(stale.is_ended() && stale.is_head_sent());
            assert_eq!(stale.end(b"stale"), Err(Error::Closed));
            assert_eq!(stale.add_trailer("a", "b"), Err(Error::Closed));
            stale.yield_now();
            stale.destroy();
            drop([stale.clone(), stale]);
        }
        count.add(1);
        seen.note(format!("{}{}", request.path(), count.get()));
        response.end(b"fresh").expect("to end");
        kept.keep(response);
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        for _ in 0..3 {
            assert_eq!(client.ask("/").text(), "fresh");
        }
    });
    assert_eq!(log.joined(), "/1 /2 /3");
}
