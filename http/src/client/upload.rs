//! A request as it is written: its head, how its body is delimited, and what waits to be sent. Mirrors the output side of Node's
//! `OutgoingMessage`.

use crate::proto::{EncodeError, KEPT_CAPACITY, OutgoingRequest, RequestEncoder, ResponseTo, recycle};
use bytes::Bytes;

/// The request of an exchange. It knows no socket: [`Connection`](super::Connection) sends what it writes.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) head: OutgoingRequest,
    /// Made when it is known how the body begins.
    encoder: Option<RequestEncoder>,
    /// The body, if it was given whole: it can be sent again.
    pub(crate) body: Bytes,
    is_whole: bool,
    /// Written output that waits: for a connection, or for `100 Continue`. Chunks are framed.
    held: Vec<u8>,
    is_head_sent: bool,
    /// The head is to be sent although no body is there yet.
    is_flushed: bool,
    is_ended: bool,
    awaits_continue: bool,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            head: OutgoingRequest::blank(),
            encoder: None,
            body: Bytes::new(),
            is_whole: false,
            held: Vec::new(),
            is_head_sent: false,
            is_flushed: false,
            is_ended: false,
            awaits_continue: false,
        }
    }
}

impl Upload {
    /// Forgets everything, and keeps the buffers.
    pub(crate) fn clear(&mut self) {
        self.body = Bytes::new();
        recycle(&mut self.held, 0, KEPT_CAPACITY);
        (self.encoder, self.is_whole, self.is_head_sent) = (None, false, false);
        (self.is_flushed, self.is_ended, self.awaits_continue) = (false, false, false);
    }

    /// The body was given whole. Decides how it is delimited.
    pub(crate) fn conclude(&mut self, keep_alive: bool) -> Result<(), EncodeError> {
        let mut encoder = RequestEncoder::begin(&self.head, self.body.len() as u64, true, keep_alive)?;
        encoder.count(self.body.len())?;
        (self.encoder, self.is_whole, self.is_ended) = (Some(encoder), true, true);
        self.awaits_continue = self.head.expects_continue() && !self.body.is_empty();
        Ok(())
    }

    /// Counts some of the body, with `last` the rest, before it is written. The first call decides how the body is delimited.
    pub(crate) fn count(&mut self, len: usize, last: bool, keep_alive: bool) -> Result<(), EncodeError> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            None => {
                let encoder = RequestEncoder::begin(&self.head, len as u64, last, keep_alive)?;
                self.awaits_continue = self.head.expects_continue() && (!last || len > 0);
                self.encoder.insert(encoder)
            }
        };
        encoder.count(len)?;
        if last && encoder.missing() > 0 {
            return Err(EncodeError::BodyTooShort);
        }
        self.is_ended = last;
        Ok(())
    }

    /// Wants the head sent.
    pub(crate) fn flush(&mut self, keep_alive: bool) -> Result<(), EncodeError> {
        if self.encoder.is_none() {
            self.count(0, false, keep_alive)?;
        }
        self.is_flushed = true;
        Ok(())
    }

    /// Whether the head is due, or some of the body.
    pub(crate) fn is_due(&self) -> bool {
        self.encoder.is_some()
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    pub(crate) fn is_head_sent(&self) -> bool {
        self.is_head_sent
    }

    pub(crate) fn awaits_continue(&self) -> bool {
        self.awaits_continue
    }

    /// The body need not wait any more. Returns whether it did.
    pub(crate) fn release(&mut self) -> bool {
        std::mem::take(&mut self.awaits_continue)
    }

    /// Whether all of the request can be written once more.
    pub(crate) fn is_replayable(&self) -> bool {
        self.is_whole || self.encoder.is_none()
    }

    /// Begins anew, for another connection.
    pub(crate) fn rewind(&mut self) {
        if !self.is_head_sent {
            // Nothing has left: all that waits is still due, and some of it may be nowhere else.
            return;
        }
        self.is_head_sent = false;
        self.held.clear();
        self.awaits_continue = self.head.expects_continue() && !self.body.is_empty();
    }

    /// What the response depends on.
    pub(crate) fn response_to(&self) -> ResponseTo {
        self.encoder.map(|encoder| encoder.response_to()).unwrap_or_default()
    }

    /// Whether another request may follow on the connection, as far as this one goes.
    pub(crate) fn keep_alive(&self) -> bool {
        self.encoder.is_some_and(|encoder| encoder.keep_alive())
    }

    /// Bytes that wait here.
    pub(crate) fn waiting(&self) -> usize {
        self.held.len()
    }

    /// Adds a trailer.
    pub(crate) fn add_trailer(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        match &self.encoder {
            Some(encoder) if !encoder.is_chunked() => Err(EncodeError::TrailerWithoutChunked),
            _ => self.head.add_trailer(name, value),
        }
    }

    /// Has a part of the body, which was counted, wait here.
    pub(crate) fn hold(&mut self, data: &[u8], last: bool) {
        let mut held = std::mem::take(&mut self.held);
        self.put_body(data, last, &mut held);
        self.held = held;
    }

    /// Writes what is due before a part of the body: the head, and what waits.
    pub(crate) fn put_due(&mut self, out: &mut Vec<u8>) {
        let Some(encoder) = &self.encoder else { return };
        if !self.is_head_sent {
            encoder.put_head(&self.head, out);
            self.is_head_sent = true;
        }
        if !self.awaits_continue {
            out.extend_from_slice(&self.held);
            recycle(&mut self.held, 0, KEPT_CAPACITY);
        }
    }

    /// The body that was given whole, if it is to be sent now.
    pub(crate) fn whole(&self) -> Bytes {
        if self.is_whole && !self.awaits_continue { self.body.clone() } else { Bytes::new() }
    }

    /// Writes a part of the body with what stands around it.
    pub(crate) fn put_body(&self, data: &[u8], last: bool, out: &mut Vec<u8>) {
        self.put_front(data.len(), out);
        out.extend_from_slice(data);
        self.put_back(data.len(), last, out);
    }

    /// Writes what stands before a part of the body.
    pub(crate) fn put_front(&self, len: usize, out: &mut Vec<u8>) {
        if let Some(encoder) = &self.encoder {
            encoder.put_front(len, out);
        }
    }

    /// Writes what stands behind a part of the body.
    pub(crate) fn put_back(&self, len: usize, last: bool, out: &mut Vec<u8>) {
        let Some(encoder) = &self.encoder else { return };
        out.extend_from_slice(encoder.back(len));
        if last {
            // It was counted whole.
            let _ = encoder.end(&self.head, out);
        }
    }
}
