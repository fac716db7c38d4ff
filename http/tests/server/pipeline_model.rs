//! The pipeline of exchanges against a plain model: random requests, cut anywhere, whose responses are written and ended
//! in random order. The model knows every byte that the client has to get.
//!
//! Everything runs on one thread, so a seed replays.

use crate::harness::Site;
use crate::seeds::{Dice, each_seed};
use http::{Error, Request, Response, ServerOptions};
use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};
use uv_core::RunMode;

/// Requests of one connection: more than may wait for their responses.
const REQUESTS: usize = 90;

/// Without a byte for this long the conversation hangs, on a busy machine too.
const HANG: Duration = Duration::from_secs(30);

/// A response as the model knows it.
struct Known {
    number: usize,
    response: Response,
    is_head: bool,
    /// The bytes before the final head.
    information: String,
    /// The body, in the pieces in which it was written; `None` before the head is sent.
    pieces: Option<Vec<String>>,
}

/// What a client has to get for one request, and whether that is the last.
type Expected = (String, bool);

struct World {
    dice: RefCell<Dice>,
    kept: RefCell<Vec<Known>>,
    /// By the number of the request, once its response has ended.
    expected: RefCell<Vec<Option<Expected>>>,
}

impl World {
    fn roll(&self, sides: usize) -> usize {
        self.dice.borrow_mut().roll(sides)
    }

    fn is_answered(&self) -> bool {
        self.expected.borrow().iter().all(Option::is_some)
    }

    /// One random step of a response that has not ended.
    fn act(&self) {
        let count = self.kept.borrow().len();
        if count == 0 {
            return;
        }
        let mut known = self.kept.borrow_mut().swap_remove(self.roll(count));
        let piece = "x".repeat(self.roll(3) * (1 + self.roll(20)));
        let done = match (self.roll(8), known.pieces.is_some()) {
            (0, false) => {
                known.information += "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
                known.response.write_information(103, &[("Link", "</a>")]).map(|_| false)
            }
            (1, false) => {
                known.pieces = Some(Vec::new());
                known.response.flush_headers().map(|()| false)
            }
            (2, false) => self.end_without_body(&known),
            (0..5, _) => {
                known.pieces.get_or_insert_default().push(piece.clone());
                known.response.write(piece.as_bytes()).map(|_| false)
            }
            _ => self.end(&known, &piece),
        };
        match done {
            Ok(true) => {}
            Ok(false) => self.kept.borrow_mut().push(known),
            // Another response has closed the connection.
            Err(error) => assert!(matches!(error, Error::Closed), "{error}"),
        }
    }

    fn end(&self, known: &Known, piece: &str) -> Result<bool, Error> {
        let closes = known.pieces.is_none() && self.roll(30) == 0;
        if closes {
            known.response.set_header("Connection", "close")?;
        }
        known.response.end(piece.as_bytes())?;
        let wire = match &known.pieces {
            // A length is known only of a body that is there.
            pieces if known.is_head && (pieces.is_some() || piece.is_empty()) => {
                head(known, "200 OK", "", closes) + "\r\n"
            }
            None if known.is_head => {
                format!("{}Content-Length: {}\r\n\r\n", head(known, "200 OK", "", closes), piece.len())
            }
            None => {
                format!("{}Content-Length: {}\r\n\r\n{piece}", head(known, "200 OK", "", closes), piece.len())
            }
            Some(pieces) => {
                let pieces =
                    pieces.iter().map(String::as_str).chain([piece]).filter(|piece| !piece.is_empty());
                let chunks: String =
                    pieces.map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).collect();
                let head = head(known, "200 OK", "Transfer-Encoding: chunked\r\n", closes);
                format!("{head}\r\n{chunks}0\r\n\r\n")
            }
        };
        self.expected.borrow_mut()[known.number] = Some((wire, closes));
        Ok(true)
    }

    fn end_without_body(&self, known: &Known) -> Result<bool, Error> {
        known.response.set_status(204)?.end(b"dropped")?;
        let wire = head(known, "204 No Content", "", false) + "\r\n";
        self.expected.borrow_mut()[known.number] = Some((wire, false));
        Ok(true)
    }
}

/// The informational responses and the head, up to the program's own field.
fn head(known: &Known, status: &str, framing: &str, closes: bool) -> String {
    let connection = if closes { "close" } else { "keep-alive" };
    let (information, number) = (&known.information, known.number);
    format!("{information}HTTP/1.1 {status}\r\nConnection: {connection}\r\n{framing}X-Number: {number}\r\n")
}

fn request(number: usize, dice: &mut Dice) -> String {
    let body = "b".repeat(dice.roll(30));
    match dice.roll(6) {
        0 => format!("HEAD /{number} HTTP/1.1\r\nHost: h\r\n\r\n"),
        1 => format!("POST /{number} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        2 => format!(
            "POST /{number} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        ),
        _ => format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n"),
    }
}

/// Reads what there is. Returns whether the server has ended.
fn read(client: &mut TcpStream, received: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return true,
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Removes the fields whose values are of the time of the test.
fn without_time(wire: &[u8]) -> String {
    let text = std::str::from_utf8(wire).expect("text");
    let lines = text.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("Date: ") && !line.starts_with("Keep-Alive: ")).collect()
}

#[test]
fn a_client_gets_what_the_model_says() {
    each_seed(100, |mut dice| {
        let requests: String = (0..REQUESTS).map(|number| request(number, &mut dice)).collect();
        let world = Rc::new(World {
            dice: RefCell::new(dice),
            kept: RefCell::default(),
            expected: RefCell::new(vec![None; REQUESTS]),
        });
        let site = Site::new(ServerOptions::default());
        let handling = Rc::clone(&world);
        let address = site.listen(move |request: &Request<'_>, response: Response| {
            let number: usize = request.path()[1..].parse().expect("a number");
            response.set_header("X-Number", number.to_string()).expect("to set");
            let is_head = request.method == "HEAD";
            let known = Known { number, response, is_head, information: String::new(), pieces: None };
            handling.kept.borrow_mut().push(known);
            (0..handling.roll(8)).for_each(|_| handling.act());
        });
        let mut client = TcpStream::connect(address).expect("to connect");
        client.set_nonblocking(true).expect("to set");
        let (mut rest, mut received, mut is_ended) = (requests.as_bytes(), Vec::new(), false);
        let mut silent_since = Instant::now();
        while !(is_ended || world.is_answered() && rest.is_empty()) {
            let piece = rest.len().min(world.roll(400));
            // Refused once the server has closed.
            match client.write(&rest[..piece]) {
                Ok(count) => rest = &rest[count..],
                Err(_) => rest = &[],
            }
            site.env.run(RunMode::NoWait).expect("a turn");
            (0..world.roll(4)).for_each(|_| world.act());
            let before = received.len();
            is_ended = read(&mut client, &mut received);
            if received.len() > before {
                silent_since = Instant::now();
            }
            assert!(silent_since.elapsed() < HANG, "nothing comes any more behind {} bytes", received.len());
        }
        let expected = world.expected.borrow();
        let last = expected
            .iter()
            .position(|one| one.as_ref().is_some_and(|(_, closes)| *closes))
            .map_or(REQUESTS, |last| last + 1);
        let expected: String =
            expected.iter().take(last).map(|one| one.as_ref().map_or("?", |one| &one.0)).collect();
        // TCP may deliver the last bytes late.
        while !is_ended && without_time(&received).len() < expected.len() && silent_since.elapsed() < HANG {
            site.env.run(RunMode::NoWait).expect("a turn");
            is_ended = read(&mut client, &mut received);
        }
        let received = without_time(&received);
        let same = received.bytes().zip(expected.bytes()).take_while(|(one, other)| one == other).count();
        assert_eq!(&received[same..], &expected[same..], "after {} bytes", same);
        site.server.close().expect("to close");
        site.server.close_all_connections();
        drop(world.kept.take());
        assert_eq!(site.env.run(RunMode::Default), Ok(false));
    });
}
