//! A response whose body is coded: what its head says of that, and which bytes it has in place of those that are written. Mirrors
//! what the package `compression` does to Node's `write` and `end`.
//!
//! It is decided when the head is written, from what is known then. What a compressor holds back of a body that comes in pieces is
//! sent when the loop has called back once more: so what was written together is coded together, and nothing waits for the next
//! write. Events of a server (`text/event-stream`) are sent at once.

use super::Connection;
use super::exchange::{Exchange, Phase};
use crate::codings::{Coding, Codings, Flush, Stream};
use crate::proto::{RequestHead, ResponseHead};
use crate::{Error, Result};

/// What is known of a response's coding.
#[derive(Default)]
pub(crate) struct BodyCoding {
    /// What its client likes best.
    accepted: Option<Coding>,
    /// Whether the program wants it; `None` if it does not say.
    pub(crate) wanted: Option<bool>,
    /// The compressor of a body that has begun.
    stream: Option<Stream>,
    /// Each write is flushed.
    is_of_events: bool,
}

impl Connection {
    /// Notes what a request's client accepts.
    pub(super) fn note_accepted(&self, exchange: &mut Exchange, head: &RequestHead<'_>) {
        if let Some(options) = &self.core.options.codings {
            exchange.extra_mut().coding.accepted = options.preferred(head);
        }
    }

    /// What is to be written in place of `data`; `None` for `data` itself.
    pub(super) fn code(&self, number: u32, data: &[u8], last: bool) -> Result<Option<Vec<u8>>> {
        let Some(options) = &self.core.options.codings else { return Ok(None) };
        let coded = self.pipeline.with(number, |exchange, _| {
            if exchange.phase == Phase::Head {
                let whole = last.then_some(data);
                if let Some(coded) = self.begin_coding(exchange, options, whole) {
                    return Ok(Some(coded));
                }
            }
            self.code_piece(exchange, data, last)
        });
        let coded = coded.unwrap_or(Ok(None));
        if coded.is_err() {
            // What the client has is no body.
            self.break_off();
        }
        coded
    }

    /// Decides how a response is coded whose head is to be written. Returns the whole of its body, if that is known and coded.
    fn begin_coding(
        &self,
        exchange: &mut Exchange,
        options: &Codings,
        whole: Option<&[u8]>,
    ) -> Option<Vec<u8>> {
        let BodyCoding { accepted, wanted, .. } = exchange.extra().coding;
        if !wanted.unwrap_or(options.by_default) {
            return None;
        }
        let (head, is_head) = (&mut exchange.head, exchange.request.is_head);
        let declared = head.content_length();
        // To HEAD a program may say how long the body is that it does not write.
        let whole = whole.filter(|data| !(is_head && data.is_empty()));
        let len = whole.map(|data| data.len() as u64);
        if head.status() == 304 {
            // It stands for the response that was coded (RFC 9110, 15.4.5).
            if accepted.is_some() {
                weaken_etag(head);
            }
            vary(head);
            return None;
        }
        if !options.are_for(head, len.or(declared))
            || (len.is_some() && declared.is_some_and(|it| Some(it) != len))
        {
            return None;
        }
        vary(head);
        let coding = accepted?;
        match whole {
            Some(data) => {
                let is_short = data.len() <= options.max_len;
                let coded = is_short.then(|| self.core.coders.code(coding, data, options)).flatten()?;
                describe(head, coding);
                if declared.is_some() {
                    let _ = head.set("Content-Length", coded.len().to_string().as_bytes());
                }
                Some(coded)
            }
            None if is_head => {
                describe(head, coding);
                head.remove("Content-Length");
                None
            }
            None => {
                let is_of_events = is_of_events(head);
                let stream = self.core.coders.stream(coding, options)?;
                describe(head, coding);
                head.remove("Content-Length");
                let coding = &mut exchange.extra_mut().coding;
                (coding.stream, coding.is_of_events) = (Some(stream), is_of_events);
                None
            }
        }
    }

    /// Codes a piece of a body that has a compressor.
    fn code_piece(&self, exchange: &mut Exchange, data: &[u8], last: bool) -> Result<Option<Vec<u8>>> {
        if exchange.extra().coding.stream.is_none() {
            return Ok(None);
        }
        let coding = &mut exchange.extra_mut().coding;
        let Some(stream) = &mut coding.stream else { return Ok(None) };
        let flush = match last {
            true => Flush::End,
            false if coding.is_of_events => Flush::All,
            false => Flush::None,
        };
        let mut out = Vec::new();
        if !data.is_empty() || last {
            stream.coder.put(data, flush, &mut out).map_err(|_| Error::Closed)?;
        }
        if last {
            coding.stream = None;
        } else if flush == Flush::None && !data.is_empty() {
            stream.is_behind = true;
            self.socket.notify();
        }
        Ok(Some(out))
    }

    /// Sends what compressors hold back.
    pub(super) fn flush_coders(&self) {
        if self.core.options.codings.is_none() {
            return;
        }
        for number in self.pipeline.numbers() {
            let flushed = self.pipeline.with(number, |exchange, _| {
                let stream = exchange.extra().coding.stream.as_ref()?;
                if !stream.is_behind {
                    return None;
                }
                let stream = exchange.extra_mut().coding.stream.as_mut()?;
                stream.is_behind = false;
                let mut out = Vec::new();
                Some(stream.coder.put(b"", Flush::All, &mut out).map(|()| out))
            });
            match flushed.flatten() {
                // Refused only if the connection is closed.
                Some(Ok(out)) => _ = self.write_uncoded(number, &out, false),
                Some(Err(_)) => self.break_off(),
                None => {}
            }
        }
    }

    /// Whether a response has begun with a compressor: what is sent past that would be no part of the body.
    pub(super) fn is_coding(exchange: &Exchange) -> bool {
        exchange.extra().coding.stream.is_some()
    }
}

/// Says how the body is coded. None of the values can be refused.
fn describe(head: &mut ResponseHead, coding: Coding) {
    let _ = head.set("Content-Encoding", coding.name().as_bytes());
    weaken_etag(head);
    // A range would be one of the body that is not coded.
    head.remove("Accept-Ranges");
}

/// Two codings of a representation are not the same bytes (RFC 9110, 8.8.3.3).
fn weaken_etag(head: &mut ResponseHead) {
    let strong = head.get_all("etag").next().filter(|etag| etag.starts_with(b"\""));
    if let Some(weak) = strong.map(|strong| [b"W/", strong].concat()) {
        let _ = head.set("ETag", &weak);
    }
}

/// Says that another client may get another coding.
fn vary(head: &mut ResponseHead) {
    let is_it = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding");
    let is_said = |line: &[u8]| line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(is_it);
    if !head.get_all("vary").any(is_said) {
        let _ = head.append("Vary", b"Accept-Encoding");
    }
}

fn is_of_events(head: &ResponseHead) -> bool {
    let media_type = head.get_all("content-type").next().unwrap_or_default();
    media_type.to_ascii_lowercase().starts_with(b"text/event-stream")
}
