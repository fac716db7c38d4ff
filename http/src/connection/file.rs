//! A file as the end of a response: sent by the socket, without a copy through this process, at the client's pace. Mirrors
//! `respondWithFD` of Node's `http2`, which its HTTP/1.1 does not have.
//!
//! The response stays the oldest until the kernel has taken the file: what later requests are answered waits meanwhile, so
//! the response's handler is told of the end when the file is sent, and of a close if it cannot be.

use super::Connection;
use super::exchange::{Exchange, LastFile, Phase};
use crate::proto::EncodeError;
use crate::uv_core::file::FileRange;
use crate::{Error, Result};

/// What stands around a file.
struct Around {
    /// What follows it.
    end: Vec<u8>,
    /// Whether it is sent itself.
    is_sent: bool,
    /// The body is shorter than its length promised.
    is_short: bool,
}

impl Connection {
    /// Ends a response with a file, its head first if that is still to come.
    pub(crate) fn send_file(&self, number: u32, file: FileRange) -> Result<()> {
        if self.is_over() {
            return Err(Error::Closed);
        }
        let sent = self.pipeline.with(number, |exchange, is_oldest| {
            if exchange.phase == Phase::Ended {
                return Err(Error::Closed);
            }
            #[cfg(feature = "codings")]
            if Self::is_coding(exchange) {
                return Err(Error::HeadersSent);
            }
            let Around { end, is_sent, is_short } = self.put_front_of_file(exchange, is_oldest, &file)?;
            let extra = exchange.extra_mut();
            extra.closes |= is_short;
            extra.needs_drain = false;
            let sent = match (is_sent, is_oldest) {
                (false, _) => Ok(()),
                (true, true) => self.write_file(exchange, file, end),
                (true, false) => {
                    extra.file = Some(Box::new(LastFile::Held(file, end)));
                    Ok(())
                }
            };
            let result = if is_short { Err(EncodeError::BodyTooShort.into()) } else { sent };
            Ok((result, is_oldest))
        });
        let (result, is_oldest) = sent.unwrap_or(Err(Error::Closed))?;
        if is_oldest {
            self.advance();
        }
        result
    }

    /// Writes what stands before the file; the whole response, if its body is not sent.
    fn put_front_of_file(
        &self,
        exchange: &mut Exchange,
        is_oldest: bool,
        file: &FileRange,
    ) -> Result<Around> {
        let len = usize::try_from(file.len()).map_err(|_| EncodeError::BodyTooLong)?;
        let is_head_due = exchange.phase == Phase::Head;
        let mut encoder = match exchange.extra().encoder {
            Some(encoder) => encoder,
            None => self.begin_response(exchange, len as u64, true)?,
        };
        // The body of a response to HEAD, and of one without content, is not sent.
        let len = if encoder.count(len)? { len } else { 0 };
        exchange.extra_mut().encoder = Some(encoder);
        exchange.phase = Phase::Ended;
        let mut end = encoder.back(len).to_vec();
        encoder.put_end(&exchange.head, &mut end);
        let write = |exchange: &Exchange, out: &mut Vec<u8>| {
            if is_head_due {
                self.put_head(exchange, &encoder, out);
            }
            encoder.put_front(len, out);
            if len == 0 {
                out.extend_from_slice(&end);
            }
        };
        if is_oldest && len > 0 {
            self.send_before_file(|out| write(exchange, out));
        } else {
            self.put(exchange, is_oldest, write);
        }
        Ok(Around { end, is_sent: len > 0, is_short: encoder.is_short() })
    }

    /// Gives the file of the oldest exchange to the socket, if it was held.
    pub(super) fn release_file(&self, oldest: &mut Exchange) {
        if let Some(LastFile::Held(file, end)) = oldest.extra_mut().file.take().map(|file| *file) {
            if self.state.get().in_turn {
                self.flush(0);
            }
            // A failure destroys the socket, whose close tells the handlers.
            let _ = self.write_file(oldest, file, end);
        }
    }

    /// Gives the file of the oldest exchange to the socket, which a failure destroys.
    fn write_file(&self, oldest: &mut Exchange, file: FileRange, end: Vec<u8>) -> Result<()> {
        let sent = self.socket.write_file(file);
        if sent != Ok(true) {
            oldest.extra_mut().file = Some(Box::new(LastFile::Sending));
        }
        self.note_sent(sent.clone());
        if !end.is_empty() {
            self.note_sent(self.socket.write_bytes(end.into()));
        }
        sent.map(drop).map_err(Error::from)
    }

    /// The kernel has taken all output, and so the file of the oldest exchange, if it had one.
    pub(super) fn file_sent(&self) {
        let was_sending = self
            .pipeline
            .with_oldest(|oldest| oldest.extra().file.is_some() && oldest.extra_mut().file.take().is_some());
        if was_sending == Some(true) {
            self.advance();
        }
    }
}
