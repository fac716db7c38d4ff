//! Malformed requests: random mutations of well-formed ones, in any pieces, get the verdict of a decoder that is fed with the
//! whole at once. The connection is closed behind it, and nothing is served after it.

use super::plan::{Dice, letters};
use super::wire::{Segment, Stream, head};
use super::{is_harmless, options, text};
use ::http::proto::Fields;
use ::http::proto::{Decoder, Event, Expect, FieldTable, Limits, ParseError};
use ::http::upcall::{BodyHandler, RequestHandler};
use ::http::{Body, Request, Response, Server};
use ::net::{ListenOptions, Socket};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use testing::World;

/// What is inserted: what matters to a decoder.
const PARTS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\x7f",
    b"\xff",
    b",",
    b";",
    b"\"",
    b"0",
    b"-1",
    b"99999999999999999999",
    b"Content-Length: 3\r\n",
    b"Content-Length: x\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Host: b\r\n",
    b"Connection: close\r\n",
    b"X: y\r\n",
    b" folded\r\n",
    b"HTTP/1.1",
    b"HTTP/2.0",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"0\r\n\r\n",
    b"\r\n\r\n",
    b"ffffffffffffffff1\r\n",
];

/// A request as the decoder or the server sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    line: String,
    body: Vec<u8>,
    is_complete: bool,
}

/// What the decoder says about all of the bytes.
struct Verdict {
    requests: Vec<Seen>,
    fault: Option<ParseError>,
    stream: Stream,
}

#[derive(Default)]
struct Record {
    requests: RefCell<Vec<Seen>>,
    faults: RefCell<Vec<ParseError>>,
}

/// Answers at once, or behind the body.
struct Program(Rc<Record>, bool);
struct Collect(Rc<Record>, usize, Option<Response>);

pub(crate) fn malformed(world: &World) -> Result<(), String> {
    let dice = Dice(world);
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let limits = if dice.one_in(3) {
        Limits::default().max_header_size(100).max_headers(3).max_trailer_size(30).max_chunk_extensions(20)
    } else {
        Limits::default()
    };
    let is_early = dice.one_in(3);
    let options = options(world).limits(limits.clone()).allow_half_open(dice.one_in(2));
    let server = Server::new(&env, options).map_err(text)?;
    let record = Rc::new(Record::default());
    let path = world.path();
    if server.listen(ListenOptions::path(&path), Program(Rc::clone(&record), is_early)).is_err() {
        return Ok(());
    }
    let bytes = mutated(dice, well_formed(dice));
    let verdict = verdict(&bytes, &limits, is_early);
    if let Ok(peer) = world.peer(&path) {
        peer.send(&bytes);
        // Otherwise the server has to close by itself.
        if verdict.fault.is_none_or(|fault| fault == ParseError::UnexpectedEof) || dice.one_in(2) {
            peer.finish();
        }
        world.run_until(|| peer.is_ended() || !server.net().is_listening())?;
        let place = verdict.stream.follow(&peer.received()).map_err(|fault| explain(&fault, &bytes))?;
        if is_harmless(world) {
            if place < verdict.stream.segments.len() {
                return Err(explain("an answer is missing", &bytes));
            }
            check_whole(&record, &verdict, is_early).map_err(|fault| explain(&fault, &bytes))?;
        }
        check_prefix(&record, &verdict).map_err(|fault| explain(&fault, &bytes))?;
    }
    // Fails if the listening socket has failed.
    let _ = server.shutdown(Duration::from_secs(1));
    world.run()
}

fn explain(fault: &str, bytes: &[u8]) -> String {
    format!("{fault}; the client had sent {}", bytes.escape_ascii())
}

/// Some requests, with bodies of each kind.
fn well_formed(dice: Dice<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..=dice.below(3) {
        let len = dice.below(30);
        let body = String::from_utf8_lossy(&letters(number, len)).into_owned();
        let text = match dice.below(4) {
            0 => format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{body}"),
            1 => format!(
                "PUT /{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{len:x};a=\"b\"\r\n{body}{}X-T: 1\r\n\r\n",
                if len == 0 { "" } else { "\r\n0\r\n" }
            ),
            2 => format!("GET http://a/{number}?q HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n"),
            _ => format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
        };
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// Up to four mutations.
fn mutated(dice: Dice<'_>, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..dice.below(5) {
        let at = dice.below(bytes.len().max(1)).min(bytes.len());
        let end = (at + 1 + dice.below(12)).min(bytes.len());
        match dice.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 if dice.one_in(4) => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, PARTS[dice.below(PARTS.len())].iter().copied())),
        }
    }
    bytes
}

/// What a decoder says that is fed with the whole at once, and what follows for the client.
fn verdict(bytes: &[u8], limits: &Limits, is_early: bool) -> Verdict {
    let (mut decoder, mut table, mut input) = (Decoder::new(), FieldTable::new(), bytes);
    let mut requests: Vec<Seen> = Vec::new();
    let mut stream = Stream::default();
    let (mut stays, mut answers) = (true, Vec::new());
    let fault = loop {
        match decoder.decode(&mut input, &mut table, limits) {
            Ok(Event::NeedMore) => break decoder.finish().err(),
            Ok(Event::Done) => break None,
            Ok(Event::Head(head)) => {
                let line = format!("{} {}", head.method, head.target);
                stays = head.keep_alive;
                answers.push((head.expect == Expect::Other, stays, head.is_head()));
                requests.push(Seen { line, ..Seen::default() });
            }
            Ok(Event::Body(data)) => {
                requests.iter_mut().last().into_iter().for_each(|one| one.body.extend_from_slice(data))
            }
            Ok(Event::End(_)) => {
                requests.iter_mut().last().into_iter().for_each(|one| one.is_complete = true)
            }
            Err(fault) => break Some(fault),
        }
    };
    for (request, (is_refused, stays, is_head)) in requests.iter().zip(answers) {
        let is_answered = request.is_complete || is_early || is_refused;
        let mut out = Vec::new();
        let connection = if stays {
            "Connection: keep-alive\r\nKeep-Alive: timeout=65\r\n"
        } else {
            "Connection: close\r\n"
        };
        if is_refused {
            head(&mut out, 417, connection, "", (!is_head).then_some(0));
        } else if is_answered {
            head(&mut out, 200, connection, "", Some(request.line.len()));
            out.extend_from_slice(if is_head { b"" } else { request.line.as_bytes() });
        }
        stream.segments.push(Segment { exchange: stream.segments.len(), bytes: out, is_optional: false });
    }
    // A request that is not complete is answered with the error, unless its answer has begun.
    let is_between = requests.last().is_none_or(|one| one.is_complete);
    if let Some(fault) = fault
        && (is_between && stays
            || !is_between && stream.segments.last().is_some_and(|last| last.bytes.is_empty()))
    {
        let mut out = Vec::new();
        head(&mut out, fault.status(), "Connection: close\r\n", "", Some(0));
        stream.segments.push(Segment { exchange: stream.segments.len(), bytes: out, is_optional: false });
    }
    Verdict { requests, fault, stream }
}

/// What the server's handler saw when the connection was closed, and nothing failed.
fn check_whole(record: &Record, verdict: &Verdict, is_early: bool) -> Result<(), String> {
    let (seen, faults) = (record.requests.borrow(), record.faults.borrow());
    let is_late = is_early && verdict.requests.last().is_some_and(|one| !one.is_complete);
    let is_same = |seen: &Seen, right: &Seen| seen == right || is_early && seen.line == right.line;
    if seen.len() != verdict.requests.len()
        || !seen.iter().zip(&verdict.requests).all(|(seen, right)| is_same(seen, right))
    {
        return Err(format!("the handler saw {seen:?}, and the decoder {:?}", verdict.requests));
    }
    let expected: Vec<_> = verdict.fault.into_iter().collect();
    // Behind an answer that ends the connection a fault may be overlooked.
    if *faults != expected && !(is_late && faults.is_empty()) {
        return Err(format!("on_client_error got {faults:?}, and the decoder {expected:?}"));
    }
    Ok(())
}

/// What the server's handler saw in any case.
fn check_prefix(record: &Record, verdict: &Verdict) -> Result<(), String> {
    let seen = record.requests.borrow();
    let is_prefix = seen.len() <= verdict.requests.len()
        && seen.iter().zip(&verdict.requests).all(|(seen, right)| {
            seen.line == right.line
                && right.body.starts_with(&seen.body)
                && (right.is_complete || !seen.is_complete)
        });
    if is_prefix {
        Ok(())
    } else {
        Err(format!("the handler saw {seen:?}, and the decoder {:?}", verdict.requests))
    }
}

impl RequestHandler for Program {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        let Self(record, is_early) = self;
        let line = format!("{} {}", request.method, request.target);
        let place = record.requests.borrow().len();
        record.requests.borrow_mut().push(Seen { line: line.clone(), ..Seen::default() });
        let mut response = Some(response);
        if *is_early && let Some(response) = response.take() {
            // An error means that the client has closed the connection.
            let _ = response.end(line.as_bytes());
        }
        request.body().set_handler(Collect(Rc::clone(record), place, response));
    }

    /// What is malformed in a method makes another method of it, most often.
    fn accepts_method(&mut self, _: &str) -> bool {
        true
    }

    fn on_client_error(&mut self, error: ParseError, _: &Socket) {
        self.0.faults.borrow_mut().push(error);
    }

    fn on_error(&mut self, _: &Server, _: ::net::Error) {}
}

impl BodyHandler for Collect {
    fn on_data(&mut self, _: &Body, data: &[u8]) {
        self.0.requests.borrow_mut()[self.1].body.extend_from_slice(data);
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        self.0.requests.borrow_mut()[self.1].is_complete = true;
        let line = self.0.requests.borrow()[self.1].line.clone();
        if let Some(response) = &self.2 {
            // An error means that the client has closed the connection.
            let _ = response.end(line.as_bytes());
        }
    }
}
