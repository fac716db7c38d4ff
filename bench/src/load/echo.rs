//! The dialogues of raw streams: a message comes back byte for byte, or is answered by so many bytes of any content.

use super::engine::{Dialogue, Failure, Round, Step};

/// A message of `size` bytes in which neighbouring positions differ, so that a shifted echo is noticed.
pub(crate) fn message(size: usize) -> Vec<u8> {
    (0..=250u8).cycle().take(size).collect()
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer<'a> {
    Same(&'a [u8]),
    Length(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Again,
    /// The end of the connection, and another one at once.
    Close,
    /// The end of the connection; another one when the server has closed it too.
    Finish,
}

/// One connection's view of its answers.
pub(crate) struct Echo<'a> {
    answer: Answer<'a>,
    then: Then,
    received: usize,
    /// Whether the server is to close now.
    finished: bool,
}

impl<'a> Echo<'a> {
    pub(crate) fn new(answer: Answer<'a>, then: Then) -> Self {
        Self { answer, then, received: 0, finished: false }
    }

    /// Takes a piece of the answer. Whether it is complete now.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let wanted = match self.answer {
            Answer::Same(message) if !message[self.received..].starts_with(bytes) => {
                return Err(Failure("body", format!("the echo differs after byte {}", self.received)));
            }
            Answer::Same(message) => message.len(),
            Answer::Length(length) => length,
        };
        self.received += bytes.len();
        if self.received > wanted {
            return Err(Failure("body", format!("{} bytes came, {wanted} were wanted", self.received)));
        }
        Ok(self.received == wanted)
    }
}

impl Dialogue for Echo<'_> {
    fn begin(&mut self) {
        self.received = 0;
    }

    fn receive(&mut self, bytes: &[u8], round: &mut Round<'_>) -> Result<Step, Failure> {
        if !self.take(bytes)? {
            return Ok(Step::Wait);
        }
        round.tally.answered(round.latency);
        self.finished = self.then == Then::Finish;
        Ok(match self.then {
            Then::Again => Step::Next,
            Then::Close => Step::Reopen,
            Then::Finish => Step::Finish,
        })
    }

    fn end(&mut self, _round: &mut Round<'_>) -> Result<Step, Failure> {
        if self.finished {
            return Ok(Step::Reopen);
        }
        Err(Failure("closed", format!("the server closed after {} bytes of the answer", self.received)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Echo, Then, message};

    #[test]
    fn an_echo_is_compared_and_any_other_answer_counted() {
        let sent = message(600);
        let mut echo = Echo::new(Answer::Same(&sent), Then::Again);
        assert!(matches!(echo.take(&sent[..599]), Ok(false)));
        assert!(echo.take(b"?").is_err());
        assert!(matches!(echo.take(&sent[599..]), Ok(true)));
        let mut counted = Echo::new(Answer::Length(3), Then::Again);
        assert!(matches!(counted.take(b"ab"), Ok(false)));
        assert!(counted.take(b"cd").is_err());
    }
}
