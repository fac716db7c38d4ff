//! The HTTP dialogue: a batch of requests on a lasting connection, or one request on a connection of its own.

use crate::sockets::Address;

use super::decode::{Decoder, Done, Malformed};
use super::engine::{Dialogue, Failure, Round, Step};
use super::expect::Expect;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// So many requests at once, again and again.
    KeepAlive { pipeline: usize },
    /// One request with `Connection: close`; the answer ends with the end of the connection.
    Once,
}

/// What a round sends: GET, or POST with so many bytes of body.
pub(crate) fn message(addr: &Address, path: &str, usage: Use, body: Option<usize>) -> Vec<u8> {
    let (times, close) = match usage {
        Use::KeepAlive { pipeline } => (pipeline, ""),
        Use::Once => (1, "Connection: close\r\n"),
    };
    let mut one = match body {
        None => format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n{close}\r\n"),
        Some(length) => {
            format!("POST {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {length}\r\n{close}\r\n")
        }
    }
    .into_bytes();
    one.resize(one.len() + body.unwrap_or_default(), b'x');
    one.repeat(times)
}

/// One connection's view of its answers.
pub(crate) struct Http<'a> {
    usage: Use,
    expect: &'a Expect,
    decoder: Decoder,
    /// Answers that this round still wants.
    wanted: usize,
    /// In `Once`: the answer, which counts when the connection ends.
    done: Option<Done>,
}

impl<'a> Http<'a> {
    pub(crate) fn new(usage: Use, expect: &'a Expect) -> Self {
        Self { usage, expect, decoder: Decoder::new(), wanted: 0, done: None }
    }
}

/// Counts an answer as good or as an error; the connection goes on in both cases.
fn count(done: Done, round: &mut Round<'_>) {
    if done.status != 200 {
        round.tally.error("status", done.status);
    } else if !done.body_matches {
        round.tally.error("body", "not the expected one");
    } else {
        round.tally.answered(round.latency);
    }
}

impl Dialogue for Http<'_> {
    fn begin(&mut self) {
        self.wanted = match self.usage {
            Use::KeepAlive { pipeline } => pipeline,
            Use::Once => 1,
        };
    }

    fn receive(&mut self, mut bytes: &[u8], round: &mut Round<'_>) -> Result<Step, Failure> {
        let malformed = |error: Malformed| Failure("malformed", error.0.to_owned());
        while let Some(done) = self.decoder.step(&mut bytes, self.expect).map_err(malformed)? {
            if self.wanted == 0 {
                return Err(Failure("malformed", "more answers than requests".to_owned()));
            }
            self.wanted -= 1;
            if self.usage == Use::Once {
                self.done = Some(done);
                continue;
            }
            count(done, round);
            if done.close {
                return match self.wanted {
                    0 => Ok(Step::Reopen),
                    left => {
                        Err(Failure("closed", format!("the server closed with {left} requests unanswered")))
                    }
                };
            }
        }
        Ok(if self.wanted == 0 && self.usage != Use::Once { Step::Next } else { Step::Wait })
    }

    fn end(&mut self, round: &mut Round<'_>) -> Result<Step, Failure> {
        let last = self.decoder.end(self.expect).map_err(|error| Failure("truncated", error.0.to_owned()))?;
        match last.or_else(|| self.done.take()) {
            Some(done) => {
                count(done, round);
                Ok(Step::Reopen)
            }
            None => Err(Failure("closed", "the server closed before it answered".to_owned())),
        }
    }
}
