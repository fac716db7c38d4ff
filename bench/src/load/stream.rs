//! The slow reader: takes a long body at a set rate and checks every byte; a server that ignores
//! back-pressure swells.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::sockets::{self, Address, Transfer};
use rustix::fd::OwnedFd;

use super::ask;
use super::decode::Decoder;
use super::engine::Round;
use super::expect::Expect;
use super::http;
use super::tally::Tally;

/// How often the readers take their share.
const TICK: Duration = Duration::from_millis(10);

/// Bytes asked for by one receive.
const READ_BUFFER: usize = 64 * 1024;

/// What to read.
pub(crate) struct Plan<'a> {
    pub(crate) addr: &'a Address,
    pub(crate) connections: usize,
    /// Readers that are not done by then are stopped, which is no error.
    pub(crate) duration: Duration,
    pub(crate) message: &'a [u8],
    pub(crate) expect: &'a Expect,
    /// Bytes per second and connection.
    pub(crate) rate: u64,
}

struct Reader {
    socket: OwnedFd,
    decoder: Decoder,
    taken: u64,
}

/// Reads until every body is complete or the time is over; the rest of an unfinished body is not an error.
pub(crate) fn run(plan: &Plan<'_>, tally: &mut Tally) {
    let began = Instant::now();
    let mut readers = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        match ask::open(plan.addr, None, plan.message) {
            Ok(socket) => readers.push(Reader { socket, decoder: Decoder::new(), taken: 0 }),
            Err(error) => tally.error("connect", error),
        }
    }
    let mut buffer = vec![0; READ_BUFFER];
    while !readers.is_empty() && began.elapsed() < plan.duration {
        let due = (plan.rate as f64 * began.elapsed().as_secs_f64()) as u64;
        readers.retain_mut(|reader| match reader.take(due, &mut buffer, plan.expect, began, tally) {
            Ok(goes_on) => goes_on,
            Err(error) => {
                tally.error("stream", error);
                false
            }
        });
        thread::sleep(TICK);
    }
}

impl Reader {
    /// Takes what is there, up to `due` bytes since the start. False when the body is complete.
    fn take(
        &mut self,
        due: u64,
        buffer: &mut [u8],
        expect: &Expect,
        began: Instant,
        tally: &mut Tally,
    ) -> io::Result<bool> {
        while self.taken < due {
            let share =
                usize::try_from(due - self.taken).map_or(buffer.len(), |share| share.min(buffer.len()));
            let Transfer::Bytes(count) = sockets::recv(&self.socket, &mut buffer[..share])? else { break };
            self.taken += count as u64;
            tally.received(count);
            let mut bytes = &buffer[..count];
            let answer = match count {
                0 => self.decoder.end(expect),
                _ => self.decoder.step(&mut bytes, expect),
            };
            if let Some(done) = answer.map_err(|malformed| io::Error::other(malformed.0))? {
                http::count(done, &mut Round { tally, latency: began.elapsed() });
                return Ok(false);
            }
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(true)
    }
}
