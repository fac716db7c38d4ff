//! The echo dialogue: the message comes back, byte for byte.

use crate::engine::{Dialogue, Failure, Round, Step};

/// A message of `size` bytes in which neighbouring positions differ, so that a shifted echo is noticed.
pub(crate) fn message(size: usize) -> Vec<u8> {
    (0..=250u8).cycle().take(size).collect()
}

/// One connection's view of its echo.
pub(crate) struct Echo<'a> {
    message: &'a [u8],
    received: usize,
}

impl<'a> Echo<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { message, received: 0 }
    }
}

impl Dialogue for Echo<'_> {
    fn opened(&mut self) {}

    fn begin(&mut self) {
        self.received = 0;
    }

    fn receive(&mut self, bytes: &[u8], round: &mut Round<'_>) -> Result<Step, Failure> {
        if !self.message[self.received..].starts_with(bytes) {
            return Err(Failure("body", format!("the echo differs after byte {}", self.received)));
        }
        self.received += bytes.len();
        if self.received < self.message.len() {
            return Ok(Step::Wait);
        }
        round.tally.answered(round.latency);
        Ok(Step::Next)
    }

    fn end(&mut self, _round: &mut Round<'_>) -> Result<Step, Failure> {
        Err(Failure("closed", format!("the server closed after {} bytes of echo", self.received)))
    }
}
