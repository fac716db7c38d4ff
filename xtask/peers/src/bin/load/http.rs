//! The HTTP dialogue: a batch of requests on a lasting connection, or one request on a connection of its own.

use std::net::SocketAddr;

use crate::decode::{Decoder, Done, Malformed};
use crate::engine::{Dialogue, Failure, Round, Step};
use crate::expect::Expect;

/// How connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// So many requests at once, again and again.
    KeepAlive { pipeline: usize },
    /// One request with `Connection: close`; the answer ends with the end of the connection.
    Once,
}

/// What a round sends.
pub(crate) fn message(addr: SocketAddr, path: &str, usage: Use) -> Vec<u8> {
    match usage {
        Use::KeepAlive { pipeline } => {
            format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n").repeat(pipeline).into_bytes()
        }
        Use::Once => format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").into_bytes(),
    }
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
pub(crate) fn count(done: Done, round: &mut Round<'_>) {
    if done.status != 200 {
        round.tally.error("status", done.status);
    } else if !done.body_matches {
        round.tally.error("body", "not the expected one");
    } else {
        round.tally.answered(round.latency);
    }
}

impl Dialogue for Http<'_> {
    fn opened(&mut self) {
        self.decoder = Decoder::new();
        self.done = None;
    }

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
