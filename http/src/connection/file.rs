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
            let is_short = self.put_file(exchange, is_oldest, file)?;
            let extra = exchange.extra_mut();
            extra.closes |= is_short;
            extra.needs_drain = false;
            let sent = if is_oldest { self.release_file(exchange) } else { Ok(()) };
            let result = if is_short { Err(EncodeError::BodyTooShort.into()) } else { sent };
            Ok((result, is_oldest))
        });
        let (result, is_oldest) = sent.unwrap_or(Err(Error::Closed))?;
        if is_oldest {
            self.advance();
        }
        result
    }

    /// Writes what stands before the file, and keeps the file. Returns whether the body is shorter than was promised.
    fn put_file(&self, exchange: &mut Exchange, is_oldest: bool, file: FileRange) -> Result<bool> {
        let len = usize::try_from(file.len()).map_err(|_| EncodeError::BodyTooLong)?;
        let (mut encoder, is_head_due) = self.encoder_of(exchange, len as u64, true)?;
        // The body of a response to HEAD, and of one without content, is not sent.
        let len = if encoder.count(len)? { len } else { 0 };
        exchange.extra_mut().encoder = Some(encoder);
        exchange.phase = Phase::Ended;
        let mut end = encoder.back(len).to_vec();
        encoder.put_end(&exchange.head, &mut end);
        self.put(exchange, is_oldest, |exchange, out| {
            if is_head_due {
                encoder.put_head(&exchange.head, &self.core.heads.at(self.core.now()), out);
            }
            encoder.put_front(len, out);
            if len == 0 {
                out.extend_from_slice(&end);
            }
        });
        if len > 0 {
            exchange.extra_mut().file = Some(Box::new(LastFile::Held(file, end)));
        }
        Ok(encoder.is_short())
    }

    /// Gives the file of the oldest exchange to the socket, which a failure destroys.
    pub(super) fn release_file(&self, oldest: &mut Exchange) -> Result<()> {
        let Some(LastFile::Held(file, end)) = oldest.extra_mut().file.take().map(|file| *file) else {
            return Ok(());
        };
        if self.state.get().in_turn {
            self.flush(0);
        }
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
