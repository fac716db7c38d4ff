//! Responses that are coded: which, how, and when their bytes come.

use crate::harness::{Answer, Client, Count, Kept, Site};
use http::codings::{Coding, Codings};
use http::upcall::ResponseHandler;
use http::{Request, Response, ServerOptions};
use std::cell::RefCell;
use std::io::Read;
use std::net::SocketAddr;
use std::rc::Rc;

fn options(codings: Codings) -> ServerOptions {
    ServerOptions::default().codings(Some(codings))
}

fn serve<T: Send + 'static>(
    codings: Codings,
    handler: impl FnMut(&Request<'_>, Response) + 'static,
    client: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> T {
    Site::new(options(codings)).run(handler, client)
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| b"the quick brown fox jumps over the lazy dog\n"[at % 44]).collect()
}

/// Bytes that do not become shorter.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let byte = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(byte).collect()
}

fn reader<'a>(coding: Option<&str>, body: &'a [u8]) -> Box<dyn Read + 'a> {
    match coding {
        Some("gzip") => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Some("deflate") => Box::new(flate2::read::ZlibDecoder::new(body)),
        Some("br") => Box::new(brotli::Decompressor::new(body, 4096)),
        _ => Box::new(body),
    }
}

fn decoded(answer: &Answer) -> Vec<u8> {
    let mut all = Vec::new();
    reader(answer.field("Content-Encoding"), &answer.body).read_to_end(&mut all).expect("a coded body");
    all
}

/// What of a body that goes on can be decoded.
fn decoded_so_far(coding: &str, body: &[u8]) -> Vec<u8> {
    let (mut all, mut reader, mut byte) = (Vec::new(), reader(Some(coding), body), [0]);
    while let Ok(1) = reader.read(&mut byte) {
        all.push(byte[0]);
    }
    all
}

fn request(method: &str, path: &str, accepted: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: {accepted}\r\n\r\n")
}

fn ask(client: &mut Client, path: &str, accepted: &str) -> Answer {
    client.send(request("GET", path, accepted));
    client.answer()
}

/// Answers with so many bytes of text as the path says, with the fields that the query has.
fn respond(request: &Request<'_>, response: Response) {
    let len = request.path().trim_start_matches('/').parse().expect("a length");
    response.set_header("Content-Type", "text/plain; charset=utf-8").expect("to set");
    for field in request.query().unwrap_or_default().split('&').filter_map(|field| field.split_once('=')) {
        match field {
            ("status", status) => response.set_status(status.parse().expect("a status")).map(drop),
            ("coded", coded) => response.set_coded(coded == "true").map(drop),
            (name, value) => response.set_header(name, value).map(drop),
        }
        .expect("to set");
    }
    let _ = response.end(&text(len));
}

// RFC 9110, 8.4 and 12.5.3; compression: test/compression.js
#[test]
fn text_is_coded_as_its_client_likes_best() {
    serve(Codings::default(), respond, |address| {
        let mut client = Client::connect(address);
        for (accepted, coding) in [
            ("gzip", Some("gzip")),
            ("deflate", Some("deflate")),
            ("br, gzip", Some("br")),
            ("br;q=0.1, gzip", Some("gzip")),
            ("identity, gzip;q=0.5", None),
            ("gzip;q=0", None),
            ("zstd", None),
            // The same again, whose head was seen before.
            ("zstd", None),
            ("gzip", Some("gzip")),
        ] {
            let answer = ask(&mut client, "/5000?ETag=\"a\"&Accept-Ranges=bytes", accepted);
            assert_eq!((answer.status, answer.field("Content-Encoding")), (200, coding), "{accepted}");
            assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
            assert_eq!(answer.field("ETag"), Some(if coding.is_some() { "W/\"a\"" } else { "\"a\"" }));
            assert_eq!(answer.field("Accept-Ranges").is_some(), coding.is_none());
            assert_eq!(answer.field("Content-Length"), Some(answer.body.len().to_string().as_str()));
            assert_eq!(answer.body.len() < 1000, coding.is_some());
            assert_eq!(decoded(&answer), text(5000));
        }
        // Who says nothing gets no coding.
        let answer = client.ask("/5000");
        assert_eq!((answer.field("Content-Encoding"), answer.field("Vary")), (None, Some("Accept-Encoding")));
    });
}

// RFC 9110, 9.3.2; compression: "should skip HEAD" there
#[test]
fn head_gets_the_fields_of_get() {
    let handler = |request: &Request<'_>, response: Response| match request.path() {
        "/pieces" => {
            response.set_header("Content-Type", "text/html").expect("to set");
            response.write(&text(3000)).expect("to write");
            response.end(&text(10)).expect("to end");
        }
        // Says how long the body would be.
        "/told" if request.is_head() => {
            response
                .write_head(200, &[("Content-Type", "text/html"), ("Content-Length", "3000")])
                .expect("to set");
            response.end(b"").expect("to end");
        }
        "/told" => {
            response
                .write_head(200, &[("Content-Type", "text/html"), ("Content-Length", "3000")])
                .expect("to set");
            response.end(&text(3000)).expect("to end");
        }
        _ => respond(request, response),
    };
    serve(Codings::default(), handler, |address| {
        for path in ["/5000?ETag=\"a\"", "/10", "/5000?Content-Type=image/png", "/pieces", "/told"] {
            let mut client = Client::connect(address);
            client.send(request("HEAD", path, "gzip"));
            let head = client.head();
            let get = ask(&mut client, path, "gzip");
            for name in ["Content-Encoding", "Vary", "ETag", "Content-Type"] {
                assert_eq!(head.field(name), get.field(name), "{path} {name}");
            }
            // A length may be left out, but not be another one.
            let length = head.field("Content-Length");
            assert!(length.is_none() || length == get.field("Content-Length"), "{path}");
            assert_eq!(length.is_none(), matches!(path, "/pieces" | "/told"), "{path}");
        }
    });
}

#[test]
fn what_must_not_be_coded_or_is_not_worth_it_stays_as_it_is() {
    serve(Codings::default().max_len(10_000), respond, |address| {
        let mut client = Client::connect(address);
        for (path, varies) in [
            ("/1023", false),
            ("/10001", true),
            ("/5000?Content-Type=image/png", false),
            ("/5000?Content-Type=", false),
            ("/5000?Content-Encoding=identity", false),
            ("/5000?Content-Range=bytes%200-1/2&status=206", false),
            ("/5000?status=206", false),
            ("/5000?Cache-Control=private,no-transform", false),
            ("/5000?Repr-Digest=x", false),
            ("/5000?coded=false", false),
        ] {
            let answer = ask(&mut client, path, "gzip");
            assert_eq!(answer.field("Vary").is_some(), varies, "{path}");
            assert_ne!(answer.field("Content-Encoding"), Some("gzip"), "{path}");
            assert!(text(20_000).starts_with(&answer.body) && answer.body.len() > 1000, "{path}");
        }
        for (path, status) in [("/5000?status=204", 204), ("/0?status=304&ETag=\"a\"", 304)] {
            let answer = ask(&mut client, path, "gzip");
            assert_eq!((answer.status, answer.field("Content-Encoding")), (status, None));
            // What the client has is the coded one (RFC 9110, 15.4.5).
            assert_eq!(answer.field("ETag"), (status == 304).then_some("W/\"a\""));
        }
        let answer = ask(&mut client, "/5000?Vary=Origin&ETag=W/\"b\"&status=404", "gzip");
        assert_eq!((answer.status, answer.field("Content-Encoding")), (404, Some("gzip")));
        assert_eq!(answer.field("ETag"), Some("W/\"b\""));
        assert!(
            answer.head.contains("Vary: Origin\r\n") && answer.head.contains("Vary: Accept-Encoding\r\n")
        );
    });
}

#[test]
fn a_body_that_becomes_no_shorter_is_sent_as_it_is() {
    let handler = |_: &Request<'_>, response: Response| {
        response.set_header("Content-Type", "text/plain").expect("to set");
        response.end(&noise(5000)).expect("to end");
    };
    serve(Codings::default(), handler, |address| {
        for accepted in ["gzip", "deflate", "br"] {
            let answer = ask(&mut Client::connect(address), "/", accepted);
            assert_eq!((answer.field("Content-Encoding"), &answer.body), (None, &noise(5000)));
        }
    });
}

#[test]
fn a_server_may_leave_it_to_its_responses_and_has_no_codings_by_default() {
    for codings in [None, Some(Codings::default().by_default(false))] {
        let is_offered = codings.is_some();
        Site::new(ServerOptions::default().codings(codings)).run(respond, move |address| {
            let mut client = Client::connect(address);
            let answer = ask(&mut client, "/5000", "gzip");
            assert_eq!((answer.field("Content-Encoding"), answer.field("Vary")), (None, None));
            let answer = ask(&mut client, "/5000?coded=true", "gzip");
            assert_eq!(answer.field("Content-Encoding").is_some(), is_offered);
            assert_eq!(decoded(&answer), text(5000));
        });
    }
}

#[test]
fn pieces_are_coded_by_one_compressor_and_pipelined_responses_keep_their_order() {
    let kept = Kept::default();
    let handler = move |request: &Request<'_>, response: Response| {
        let pieces = |response: &Response| {
            for piece in text(10_000).chunks(700) {
                response.write(piece).expect("to write");
            }
        };
        response.set_header("Content-Type", "text/css").expect("to set");
        match request.path() {
            "/first" => kept.keep(response),
            "/last" => {
                pieces(&response);
                response.end(b"last").expect("to end");
                let first = kept.take_oldest().expect("one is kept");
                pieces(&first);
                first.end(b"first").expect("to end");
            }
            _ => {
                // Its length is that of the body that is not coded.
                response.set_header("Content-Length", "10000").expect("to set");
                pieces(&response);
                response.end(b"").expect("to end");
            }
        }
    };
    serve(Codings::default(), handler, |address| {
        for accepted in ["gzip", "deflate", "br"] {
            let mut client = Client::connect(address);
            let paths = ["/first", "/middle", "/last"];
            client.send(paths.map(|path| request("GET", path, accepted)).concat());
            for end in ["first", "", "last"] {
                let answer = client.answer();
                assert_eq!(answer.field("Content-Encoding"), Some(accepted));
                assert_eq!(
                    (answer.field("Content-Length"), answer.field("Transfer-Encoding")),
                    (None, Some("chunked"))
                );
                assert!(answer.body.len() < 2000, "{}", answer.body.len());
                assert_eq!(decoded(&answer), [&text(10_000)[..], end.as_bytes()].concat());
            }
            // HTTP/1.0 knows no chunks.
            client.send(request("GET", "/", accepted).replace("1.1", "1.0"));
            let answer = client.answer();
            assert!(answer.closes() && answer.field("Transfer-Encoding").is_none());
            assert_eq!(decoded(&answer), text(10_000));
        }
    });
}

// compression: "flush" of the response, which has to be called there
#[test]
fn what_was_written_can_be_decoded_before_more_is_written() {
    for media_type in ["text/event-stream", "application/x-ndjson"] {
        let open = Kept::default();
        let handler = move |request: &Request<'_>, response: Response| match request.path() {
            "/open" => {
                response.set_header("Content-Type", media_type).expect("to set");
                response.flush_headers().expect("to write");
                open.keep(response);
            }
            "/end" => open.take_oldest().expect("it is open").end(b"the end").expect("to end"),
            path => {
                let stream = open.take_oldest().expect("it is open");
                // Together in one turn of the loop.
                stream.write(path.as_bytes()).expect("to write");
                stream.write_bytes(bytes::Bytes::from_static(b"\n\n")).expect("to write");
                open.keep(stream);
                response.end(b"").expect("to end");
            }
        };
        serve(Codings::default(), handler, move |address| {
            for accepted in ["gzip", "deflate", "br"] {
                let (mut stream, mut other) = (Client::connect(address), Client::connect(address));
                stream.send(request("GET", "/open", accepted));
                assert_eq!(stream.head().field("Content-Encoding"), Some(accepted), "at once");
                let (mut body, mut expected) = (Vec::new(), String::new());
                for number in 0..5 {
                    let path = format!("/event-{number}");
                    assert_eq!(other.ask(&path).status, 200);
                    expected += &format!("{path}\n\n");
                    // The harness panics if nothing comes.
                    while decoded_so_far(accepted, &body) != expected.as_bytes() {
                        body.extend(stream.chunk());
                    }
                }
                other.get("/end");
                body.extend(stream.chunks());
                let mut all = Vec::new();
                reader(Some(accepted), &body).read_to_end(&mut all).expect("a coded body");
                assert_eq!(all, [expected.as_bytes(), b"the end"].concat());
            }
        });
    }
}

/// Writes noise at the client's pace.
struct Pour {
    left: Vec<u8>,
    waits: Count,
    most: Count,
}

impl ResponseHandler for Pour {
    fn on_drain(&mut self, response: &Response) {
        while !self.left.is_empty() {
            let piece: Vec<u8> = self.left.drain(..self.left.len().min(64 * 1024)).collect();
            let is_welcome = response.write(&piece).expect("to write");
            self.most.add(response.socket().buffered().saturating_sub(self.most.get()));
            if !is_welcome {
                return self.waits.add(1);
            }
        }
        response.end(b"").expect("to end");
    }
}

#[test]
fn a_slow_client_slows_the_response_that_is_coded_for_it() {
    const LEN: usize = 12 * 1024 * 1024;
    let (waits, most) = (Count::default(), Count::default());
    let (waited, waiting_most) = (waits.clone(), most.clone());
    let handler = move |request: &Request<'_>, response: Response| {
        if request.path() == "/" {
            return response.end(b"").expect("to end");
        }
        response.set_header("Content-Type", "text/plain").expect("to set");
        let mut pour = Pour { left: noise(LEN), waits: waits.clone(), most: most.clone() };
        pour.on_drain(&response);
        response.set_handler(pour);
    };
    serve(Codings::default().level(1), handler, |address| {
        let mut client = Client::connect(address);
        client.send(request("GET", "/pour", "gzip"));
        assert_eq!(client.head().field("Content-Encoding"), Some("gzip"));
        // Others are served meanwhile.
        assert_eq!(Client::connect(address).ask("/").status, 200);
        let (body, mut all) = (client.chunks(), Vec::new());
        reader(Some("gzip"), &body).read_to_end(&mut all).expect("a coded body");
        assert!(all == noise(LEN));
    });
    assert!(waited.get() > 0, "it had to wait");
    assert!(waiting_most.get() < 512 * 1024, "{} bytes waited", waiting_most.get());
}

#[test]
fn compressors_of_pieces_are_bounded_and_end_with_their_responses() {
    let open: Rc<RefCell<Vec<Response>>> = Rc::default();
    let handler = move |request: &Request<'_>, response: Response| {
        match request.path() {
            "/end" => open.take().iter().for_each(|open| open.end(b"").expect("to end")),
            "/destroy" => open.take().iter().for_each(Response::destroy),
            _ => {
                response.set_header("Content-Type", "text/plain").expect("to set");
                response.write(b"begun").expect("to write");
                return open.borrow_mut().push(response);
            }
        }
        response.end(b"").expect("to end");
    };
    let codings = Codings::default().max_streams(2).offered(vec![Coding::Gzip]);
    serve(codings, handler, move |address| {
        let open = |coding| {
            let mut client = Client::connect(address);
            client.send(request("GET", "/open", "gzip, br"));
            assert_eq!(client.head().field("Content-Encoding"), coding);
            client
        };
        for end in ["/end", "/destroy", "/end"] {
            let clients = [open(Some("gzip")), open(Some("gzip")), open(None)];
            assert_eq!(Client::connect(address).ask(end).status, 200);
            for mut client in clients {
                if end == "/end" { drop(client.chunks()) } else { drop(client.rest()) }
            }
        }
    });
}
