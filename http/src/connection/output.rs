//! From responses to bytes, and when they are sent. Mirrors `_storeHeader`, `_writeRaw` and `_flushOutput`.
//!
//! While a turn of input lasts, output is collected in one buffer of the server and sent at its end: pipelined responses
//! leave together, and a head with its body. Outside of a turn a response is sent at once.

use super::Connection;
use super::calls::{CLOSE, Call};
use super::exchange::{Exchange, Phase};
use super::state::Closing;
use crate::proto::{EncodeError, Encoder, RequestFacts, recycle};
use crate::{Error, Result};
use async_wrap::AsyncContext;
use async_wrap::task::TaskHandle;
use bytes::Bytes;
use std::io::IoSlice;

/// Collected output that is sent before the turn is over: enough to make a send worth while.
const FLUSH_AT: usize = 64 * 1024;

/// Body data below this size is copied behind its head; the rest is sent from where it is.
pub(super) const COPIED_BODY: usize = 16 * 1024;

/// A buffer larger than this is not kept.
const KEPT_CAPACITY: usize = 256 * 1024;

/// What became of a part of a response.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    MoreIsWelcome,
    /// It is written, and an `on_drain` tells when more is welcome.
    Enough,
    /// It is written, and was the last one of a body that is shorter than its length promised.
    Short,
}

impl Connection {
    /// Writes some of a response, its head first if that is still to come; with `last` the rest of it. Returns whether
    /// more is welcome.
    pub(crate) fn write_response(&self, number: u32, data: &[u8], last: bool) -> Result<bool> {
        if self.is_over() {
            return Err(Error::Closed);
        }
        #[cfg(feature = "codings")]
        if let Some(coded) = self.code(number, data, last)? {
            return self.write_uncoded(number, &coded, last);
        }
        self.write_uncoded(number, data, last)
    }

    /// The same with bytes that are sent as they are.
    pub(super) fn write_uncoded(&self, number: u32, data: &[u8], last: bool) -> Result<bool> {
        let written = self.pipeline.with(number, |exchange, is_oldest| {
            self.write_part(exchange, is_oldest, data, last).map(|written| (written, is_oldest))
        });
        let (written, is_oldest) = written.unwrap_or(Err(Error::Closed))?;
        if is_oldest && last {
            self.advance();
        }
        match written {
            Written::Short => Err(EncodeError::BodyTooShort.into()),
            written => Ok(written == Written::MoreIsWelcome),
        }
    }

    /// Writes some of a response, which waits without a copy if the client is slow.
    pub(crate) fn write_shared(&self, number: u32, data: Bytes) -> Result<bool> {
        #[cfg(feature = "codings")]
        if self.core.options.codings.is_some() {
            return self.write_response(number, &data, false);
        }
        let shares = self.pipeline.with(number, |exchange, is_oldest| {
            // What is small leaves with the rest of the turn, unless it would have to wait.
            let is_copied =
                self.state.get().in_turn && data.len() < COPIED_BODY && self.socket.buffered() == 0;
            is_oldest && !is_copied && exchange.phase != Phase::Ended && !data.is_empty()
        });
        if shares != Some(true) || self.is_over() {
            return self.write_response(number, &data, false);
        }
        let written = self.pipeline.with(number, |exchange, is_oldest| {
            let (is_head_due, is_sent) = self.begin_part(exchange, data.len(), false)?;
            let data = if is_sent { data } else { Bytes::new() };
            let (len, encoder) = (data.len(), exchange.extra().encoder);
            let back = encoder.map_or(&[][..], |encoder| encoder.back(len));
            self.send_front(
                |out| self.put_front(exchange, is_head_due, len, out),
                |front| self.socket.write_shared(front, data, back),
            );
            Ok(self.ask_for_more(exchange, is_oldest))
        });
        written.unwrap_or(Err(Error::Closed))
    }

    /// Whether nothing can be sent any more.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.state.is_ending() || self.socket.is_destroyed()
    }

    /// Whether more is welcome behind what an exchange wrote; if not, an `on_drain` will tell.
    pub(crate) fn ask_for_more(&self, exchange: &mut Exchange, is_oldest: bool) -> bool {
        let is_welcome =
            self.is_room(if is_oldest { self.socket.buffered() } else { exchange.extra().held.len() });
        exchange.extra_mut().needs_drain |= !is_welcome;
        is_welcome
    }

    /// Whether more output is welcome while so many bytes wait.
    pub(super) fn is_room(&self, waiting: usize) -> bool {
        waiting == 0 || waiting < self.socket.high_water_mark()
    }

    fn write_part(
        &self,
        exchange: &mut Exchange,
        is_oldest: bool,
        data: &[u8],
        last: bool,
    ) -> Result<Written> {
        let (is_head_due, is_sent) = self.begin_part(exchange, data.len(), last)?;
        let data = if is_sent { data } else { &[] };
        if is_oldest && data.len() >= COPIED_BODY {
            self.put_large(exchange, is_head_due, data, last);
        } else {
            self.put(exchange, is_oldest, |exchange, out| {
                let Some(encoder) = &exchange.extra().encoder else { return };
                if is_head_due {
                    self.put_head(exchange, encoder, out);
                }
                encoder.put_part(data, out);
                if last {
                    encoder.put_end(&exchange.head, out);
                }
            });
        }
        if !last {
            let is_welcome = self.ask_for_more(exchange, is_oldest);
            return Ok(if is_welcome { Written::MoreIsWelcome } else { Written::Enough });
        }
        let is_short = exchange.extra().encoder.is_some_and(|encoder| encoder.is_short());
        let extra = exchange.extra_mut();
        extra.closes |= is_short;
        extra.needs_drain = false;
        Ok(if is_short { Written::Short } else { Written::MoreIsWelcome })
    }

    /// Counts a part of the body that is to be written. Returns whether the head is due before it, and whether it is to be sent.
    fn begin_part(&self, exchange: &mut Exchange, len: usize, last: bool) -> Result<(bool, bool)> {
        let is_head_due = match exchange.phase {
            Phase::Head => {
                let encoder = self.begin_response(exchange, len as u64, last)?;
                exchange.extra_mut().encoder = Some(encoder);
                true
            }
            Phase::Body => false,
            Phase::Ended => return Err(Error::Closed),
        };
        let is_sent = exchange.count_body(len)?;
        exchange.phase = if last { Phase::Ended } else { Phase::Body };
        Ok((is_head_due, is_sent))
    }

    pub(super) fn put_head(&self, exchange: &Exchange, encoder: &Encoder, out: &mut Vec<u8>) {
        encoder.put_head(&exchange.head, &self.core.heads.at(self.core.now()), out);
    }

    /// Sends a part of the body of the oldest exchange from where it is.
    fn put_large(&self, exchange: &Exchange, is_head_due: bool, data: &[u8], last: bool) {
        let Some(encoder) = &exchange.extra().encoder else { return };
        let front = |out: &mut Vec<u8>| self.put_front(exchange, is_head_due, data.len(), out);
        let back = |out: &mut Vec<u8>| {
            out.extend_from_slice(encoder.back(data.len()));
            if last {
                encoder.put_end(&exchange.head, out);
            }
        };
        self.send_large(front, data, back);
    }

    /// Writes what stands before a part of the body.
    fn put_front(&self, exchange: &Exchange, is_head_due: bool, len: usize, out: &mut Vec<u8>) {
        let Some(encoder) = &exchange.extra().encoder else { return };
        if is_head_due {
            self.put_head(exchange, encoder, out);
        }
        encoder.put_front(len, out);
    }

    /// Decides how a response is delimited that begins, or with `last` ends, with so many bytes.
    pub(super) fn begin_response(&self, exchange: &mut Exchange, len: u64, last: bool) -> Result<Encoder> {
        let mut request = exchange.request;
        // A body that was never asked for may still come, or not: where the next request begins is unknown.
        request.keep_alive &= !exchange.extra().awaits_continue;
        request.keep_alive &=
            !self.core.draining.get() || exchange.next.is_some() || exchange.extra().is_followed;
        let encoder = Encoder::begin(&request, &exchange.head, len, last)?;
        if !encoder.keep_alive() {
            // RFC 9112, 9.6: nothing is processed after the request whose response says close.
            exchange.extra_mut().closes = true;
            self.state.close(Closing::LastRequest);
        }
        Ok(encoder)
    }

    /// Tells a client that waits for it to send its body, unless the response has begun. If the body is held, the client is
    /// told when it is claimed.
    pub(crate) fn send_continue(&self, number: u32) {
        let is_held = self.state.get().body_held;
        self.pipeline.with(number, |exchange, is_oldest| {
            if !exchange.extra().awaits_continue || exchange.phase != Phase::Head || self.is_over() {
                return;
            }
            let extra = exchange.extra_mut();
            (extra.continue_at_claim, extra.awaits_continue) = (is_held, is_held);
            if !is_held {
                // 100 is an informational status.
                self.put(exchange, is_oldest, |_, out| _ = Encoder::informational(100, [], out));
            }
        });
    }

    /// The last handle of a response was dropped before its end.
    pub(crate) fn abandon(&self, number: u32) {
        let has_begun = self.pipeline.with(number, |exchange, _| {
            let has_begun = exchange.phase == Phase::Body;
            if has_begun {
                // Its end is missing, which the client sees by the end of the connection.
                exchange.cut();
                self.defer(Call::of_last(exchange, CLOSE));
            } else {
                exchange.head.clear();
                let _ = exchange.head.set_status(500);
                exchange.request.keep_alive = false;
            }
            has_begun
        });
        if has_begun == Some(true) {
            self.advance();
        } else {
            let _ = self.write_response(number, b"", true);
        }
    }

    /// Ends the connection with an error, once the responses due are sent. With `is_newest` the error is that of the newest
    /// request, whose response it is unless that has begun; else that of something behind it that is no request.
    pub(crate) fn fail(&self, status: u16, is_newest: bool) {
        self.state.refused();
        let newest = self.pipeline.newest();
        if !is_newest || self.pipeline.with(newest, |_, _| ()).is_none() {
            let mut exchange = self.core.pool.take(AsyncContext::NONE, RequestFacts::default());
            if is_newest {
                // Its response is sent, and has left.
                exchange.phase = Phase::Ended;
            }
            self.pipeline.push(exchange);
        }
        let task = self.pipeline.with(self.pipeline.newest(), |exchange, _| {
            let task = exchange.take_task();
            if exchange.phase == Phase::Head {
                // Only a status outside of the range of errors is refused, and none of those is used.
                let heads = self.core.heads.at(self.core.now());
                self.pipeline.hold(exchange, |_, out| _ = Encoder::closing(status, Some(&heads), out));
            }
            if exchange.phase != Phase::Ended {
                self.defer(Call::of_last(exchange, CLOSE));
            }
            exchange.cut();
            exchange.extra_mut().client_closes = false;
            task
        });
        self.advance();
        // The future has nothing left to answer.
        task.flatten().iter().for_each(TaskHandle::abort);
    }

    /// Writes output of an exchange, which is held until it is the oldest.
    pub(crate) fn put(
        &self,
        exchange: &mut Exchange,
        is_oldest: bool,
        write: impl FnOnce(&Exchange, &mut Vec<u8>),
    ) {
        if is_oldest {
            self.send(|out| write(exchange, out));
        } else {
            self.pipeline.hold(exchange, write);
        }
    }

    /// Sends output, or collects it while a turn lasts.
    #[inline]
    pub(super) fn send(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = self.core.output.borrow_mut();
        let start = self.start_of_output(&out);
        write(&mut out);
        let is_much = out.len() >= FLUSH_AT;
        drop(out);
        if is_much || !self.state.get().in_turn {
            self.flush(start);
        }
    }

    /// Where this connection's output begins: outside of a turn it may be written in that of another connection.
    #[inline]
    fn start_of_output(&self, out: &[u8]) -> usize {
        if self.state.get().in_turn { 0 } else { out.len() }
    }

    /// Sends bytes that were written before.
    pub(super) fn send_data(&self, data: &[u8]) {
        if data.len() < COPIED_BODY {
            self.send(|out| out.extend_from_slice(data));
        } else {
            self.send_large(|_| {}, data, |_| {});
        }
    }

    /// Sends everything collected, what `front` writes, `data` and what `back` writes in one system call, without copying
    /// `data`.
    fn send_large(&self, front: impl FnOnce(&mut Vec<u8>), data: &[u8], back: impl FnOnce(&mut Vec<u8>)) {
        let mut out = self.core.output.borrow_mut();
        let start = self.start_of_output(&out);
        front(&mut out);
        let front_end = out.len();
        back(&mut out);
        let (front, back) = (&out[start..front_end], &out[front_end..]);
        self.note_sent(self.socket.writev(&[IoSlice::new(front), IoSlice::new(data), IoSlice::new(back)]));
        recycle(&mut out, start, KEPT_CAPACITY);
    }

    /// Sends everything collected and what `write` writes, which a file follows at once.
    pub(super) fn send_before_file(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.send_front(write, |front| self.socket.write_more(front));
    }

    /// Has everything collected and what `write` writes sent by `send`.
    fn send_front(&self, write: impl FnOnce(&mut Vec<u8>), send: impl FnOnce(&[u8]) -> net::Result<bool>) {
        let mut out = self.core.output.borrow_mut();
        let start = self.start_of_output(&out);
        write(&mut out);
        self.note_sent(send(&out[start..]));
        recycle(&mut out, start, KEPT_CAPACITY);
    }

    /// Sends what was written from `start` on. That calls no handler, so nothing is written meanwhile.
    #[inline(never)]
    pub(super) fn flush(&self, start: usize) {
        let mut out = self.core.output.borrow_mut();
        if let Some(written @ [_, ..]) = out.get(start..) {
            self.note_sent(self.socket.write(written));
            recycle(&mut out, start, KEPT_CAPACITY);
        }
    }

    /// Notes what came of sending. A refusal destroys the socket, whose `on_close` tells the handlers.
    pub(super) fn note_sent(&self, sent: net::Result<bool>) {
        if let Ok(false) = sent {
            self.state.set_socket_full(true);
        }
    }
}
