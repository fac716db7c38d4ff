//! The idle load: many connections that each had one answer and are then held open, for memory per
//! connection.

use std::io::{self, Read};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::sockets::{self, Address, Transfer};
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_socket_linger;

use super::ask;
use super::decode::Decoder;
use super::echo::{Answer, Echo, Then};
use super::engine::{Failure, Round};
use super::expect::Expect;
use super::http;
use super::tally::Tally;

/// Connections from one source address; the kernel's usual range has 28 000 ports.
const PER_SOURCE: usize = 20_000;

/// What each connection asks, and what has to come back.
pub(crate) enum Question<'a> {
    /// The message is an HTTP request.
    Http(&'a Expect),
    /// The message comes back.
    Echo,
}

/// The connections of an idle load.
pub(crate) struct Held(Vec<OwnedFd>);

/// Opens the connections one after the other; each sends `message` and waits for its answer.
pub(crate) fn open(
    addr: &Address,
    connections: usize,
    message: &[u8],
    question: &Question<'_>,
    tally: &mut Tally,
) -> Held {
    let mut held = Vec::with_capacity(connections);
    for index in 0..connections {
        if tally.is_hopeless() {
            break;
        }
        match ask_once(addr, addr.source(index, PER_SOURCE), message, question, tally) {
            Ok(socket) => held.push(socket),
            Err(error) => tally.error("idle", format_args!("connection {index}: {error}")),
        }
    }
    Held(held)
}

fn ask_once(
    addr: &Address,
    source: Option<IpAddr>,
    message: &[u8],
    question: &Question<'_>,
    tally: &mut Tally,
) -> io::Result<OwnedFd> {
    let began = Instant::now();
    let socket = ask::open(addr, source, message)?;
    // Closing resets: no port is left in TIME_WAIT, or the next load would find none.
    set_socket_linger(&socket, Some(Duration::ZERO))?;
    let (mut decoder, mut echo) = (Decoder::new(), Echo::new(Answer::Same(message), Then::Close));
    let mut buffer = [0; 4096];
    loop {
        ask::wait(&socket, PollFlags::IN)?;
        let Transfer::Bytes(count) = sockets::recv(&socket, &mut buffer)? else { continue };
        tally.received(count);
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = &buffer[..count];
        match question {
            Question::Http(expect) => {
                let answer = decoder.step(&mut bytes, expect);
                if let Some(done) = answer.map_err(|malformed| io::Error::other(malformed.0))? {
                    http::count(done, &mut Round { tally, latency: began.elapsed() });
                    return Ok(socket);
                }
            }
            Question::Echo => {
                if echo.take(bytes).map_err(|Failure(_, detail)| io::Error::other(detail))? {
                    tally.answered(began.elapsed());
                    return Ok(socket);
                }
            }
        }
    }
}

impl Held {
    /// Waits for the end of standard input, then returns how many connections the server had ended by then.
    pub(crate) fn hold(&self) -> io::Result<usize> {
        io::stdin().read_to_end(&mut Vec::new())?;
        let open = |socket: &&OwnedFd| matches!(sockets::recv(socket, &mut [0]), Ok(Transfer::NotReady));
        Ok(self.0.len() - self.0.iter().filter(open).count())
    }
}
