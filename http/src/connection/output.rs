//! From answers to bytes: heads, bodies, and when they are sent. Mirrors `_storeHeader`, `_writeRaw` and `_flushOutput`.
//!
//! While a turn of input lasts, everything answered is collected in one buffer of the server and sent at its end:
//! pipelined answers leave together, and a head with its body. Outside of a turn an answer is sent at once.

use crate::connection::exchange::{Exchange, Phase};
use crate::connection::{BLOCKED, CORKED, Connection, LAST};
use crate::proto::{EncodeError, Encoder, SimpleHead};
use crate::{Error, Result};
use std::cell::RefCell;
use std::io::IoSlice;
use std::rc::Rc;

/// Collected output that is sent before the turn is over: enough to make a send worth while.
const FLUSH_AT: usize = 64 * 1024;

/// Body data from this size on is sent from where it is instead of being copied behind the head.
const TOO_LARGE_TO_COPY: usize = 16 * 1024;

/// A buffer larger than this is not kept.
const KEPT_CAPACITY: usize = 256 * 1024;

impl Connection {
    /// Writes some of a response, its head first if that is still to come; with `last` the rest of it. Returns whether
    /// more is welcome.
    pub(crate) fn respond(self: &Rc<Self>, number: u32, data: &[u8], last: bool) -> Result<bool> {
        if self.is_gone() {
            return Err(Error::Closed);
        }
        let answered = self.with_exchange(number, |exchange, first| {
            if exchange.phase == Phase::Ended {
                return Err(Error::Closed);
            }
            self.write_part(exchange, first, data, last)?;
            let more = last || self.is_more_welcome(exchange, first);
            // One that was asked for with `yield_now` is still owed.
            exchange.needs_drain = !last && (!more || exchange.needs_drain);
            let cut_short = last && exchange.encoder.is_some_and(|encoder| encoder.is_short());
            exchange.keep_alive &= !cut_short;
            Ok((more, first, cut_short))
        });
        let (more, first, cut_short) = answered.unwrap_or(Err(Error::Closed))?;
        if first && last {
            self.advance();
        }
        if cut_short { Err(EncodeError::BodyTooShort.into()) } else { Ok(more) }
    }

    /// Writes the rest of a response and ends it.
    #[inline(always)]
    pub(crate) fn respond_last(self: &Rc<Self>, number: u32, data: &[u8]) -> Result<()> {
        if !self.is_gone() && self.end_ordinary(number, data) {
            return Ok(());
        }
        self.respond(number, data, true).map(drop)
    }

    /// Writes the usual answer: whole, small, and now its turn. Returns whether this was one; the rest of this file would
    /// find that out as well, with ten times the work.
    #[inline(always)]
    fn end_ordinary(self: &Rc<Self>, number: u32, data: &[u8]) -> bool {
        if data.len() >= TOO_LARGE_TO_COPY || self.core.is_draining() {
            return false;
        }
        let Some(mut first) = self.exchanges.take() else { return false };
        let keep_alive = first.request.keep_alive;
        let is_first = first.number == number;
        let Some((status, lines)) = first.ordinary().filter(|_| is_first) else {
            self.exchanges.set(Some(first));
            return false;
        };
        let head = SimpleHead { status, keep_alive, lines, length: data.len() as u64 };
        let is_turn = self.has(CORKED);
        let buffer = self.buffer(is_turn);
        let len = {
            let mut out = buffer.borrow_mut();
            self.core.with_heads(|heads| heads.put_simple(head, &mut out));
            out.extend_from_slice(data);
            out.len()
        };
        self.send_if_due(is_turn, buffer, len);
        if keep_alive && first.is_bare && self.outstanding.get() == 1 {
            self.leave_ordinary(first);
        } else {
            first.phase = Phase::Ended;
            first.needs_drain = false;
            self.end_unlike_most(first);
        }
        true
    }

    #[inline(never)]
    fn end_unlike_most(self: &Rc<Self>, mut first: Box<Exchange>) {
        if !first.request.keep_alive {
            first.keep_alive = false;
            first.is_bare = false;
            self.set(LAST);
        }
        self.advance_from(first);
    }

    /// Whether more is welcome behind what was written beside the answer; if not, an `on_drain` will tell.
    pub(crate) fn ask_for_more(&self, number: u32) -> Result<bool> {
        let more = self.with_exchange(number, |exchange, first| {
            let more = self.is_more_welcome(exchange, first);
            exchange.needs_drain |= !more;
            exchange.is_bare &= more;
            more
        });
        more.ok_or(Error::Closed)
    }

    fn is_more_welcome(&self, exchange: &Exchange, first: bool) -> bool {
        self.is_room(if first { self.socket.buffered() } else { exchange.waiting.len() })
    }

    /// Whether more output is welcome while so many bytes wait.
    pub(crate) fn is_room(&self, waiting: usize) -> bool {
        waiting == 0 || waiting < self.socket.high_water_mark()
    }

    fn write_part(&self, exchange: &mut Exchange, first: bool, data: &[u8], last: bool) -> Result<()> {
        exchange.is_bare = false;
        let (mut encoder, head_due) = match exchange.encoder {
            Some(encoder) => (encoder, false),
            None => (self.decide(exchange, data.len() as u64, last)?, true),
        };
        let data = if encoder.count(data.len())? { data } else { &[] };
        exchange.encoder = Some(encoder);
        exchange.phase = if last { Phase::Ended } else { Phase::Body };
        let write_front = |exchange: &Exchange, out: &mut Vec<u8>| {
            if head_due {
                self.core.with_heads(|heads| encoder.put_head(&exchange.head, heads, out));
            }
            encoder.put_front(data.len(), out);
        };
        let back = encoder.back(data.len());
        if !first || data.len() < TOO_LARGE_TO_COPY {
            let write = |exchange: &Exchange, out: &mut Vec<u8>| {
                write_front(exchange, out);
                out.extend_from_slice(data);
                out.extend_from_slice(back);
                if last {
                    encoder.put_end(&exchange.head, out);
                }
            };
            if first { self.send(|out| write(exchange, out)) } else { self.hold(exchange, write) }
        } else if last && encoder.is_chunked() {
            let mut end = back.to_vec();
            encoder.put_end(&exchange.head, &mut end);
            self.send_large(data, &end, |out| write_front(exchange, out));
        } else {
            self.send_large(data, back, |out| write_front(exchange, out));
        }
        Ok(())
    }

    /// Decides how a response is delimited that begins, or with `last` ends, with so many bytes. From here on its head
    /// is settled; with an error nothing is.
    fn decide(&self, exchange: &mut Exchange, len: u64, last: bool) -> Result<Encoder> {
        let mut request = exchange.request;
        // A body that was never asked for may still come, or not: nobody can tell where the next request begins.
        request.keep_alive &= !exchange.awaits_continue;
        request.keep_alive &= !(self.core.is_draining() && exchange.next.is_none());
        let encoder = Encoder::begin(&request, &mut exchange.head, len, last)?;
        exchange.keep_alive = encoder.keep_alive();
        if !encoder.keep_alive() {
            // RFC 9112, 9.6: nothing is processed after the request whose answer says close.
            self.set(LAST);
        }
        Ok(encoder)
    }

    /// Sends output, or collects it while a turn lasts.
    pub(crate) fn send(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let is_turn = self.has(CORKED);
        let buffer = self.buffer(is_turn);
        let len = {
            let mut out = buffer.borrow_mut();
            write(&mut out);
            out.len()
        };
        self.send_if_due(is_turn, buffer, len);
    }

    #[inline]
    fn send_if_due(&self, is_turn: bool, buffer: &RefCell<Vec<u8>>, len: usize) {
        if len >= FLUSH_AT || (!is_turn && len > 0) {
            self.send_buffer(buffer);
        }
    }

    /// Where output is collected: that of a turn apart from what is sent at once meanwhile on other connections.
    #[inline]
    fn buffer(&self, is_turn: bool) -> &RefCell<Vec<u8>> {
        if is_turn { &self.core.collected } else { &self.core.spare }
    }

    pub(crate) fn send_waiting(&self, waiting: &mut Vec<u8>) {
        if waiting.len() < TOO_LARGE_TO_COPY {
            self.send(|out| out.extend_from_slice(waiting));
        } else {
            self.send_large(waiting, &[], |_| {});
        }
        waiting.clear();
    }

    /// Sends everything collected, what `write_front` writes, `data` and `back` in one system call, without copying
    /// `data`.
    fn send_large(&self, data: &[u8], back: &[u8], write_front: impl FnOnce(&mut Vec<u8>)) {
        let buffer = self.buffer(self.has(CORKED));
        let mut out = buffer.take();
        write_front(&mut out);
        self.note_sent(self.socket.writev(&[IoSlice::new(&out), IoSlice::new(data), IoSlice::new(back)]));
        buffer.replace(emptied(out));
    }

    /// Sends what the turn collected.
    #[inline(always)]
    pub(crate) fn flush(&self) {
        let out = self.core.collected.take();
        if !out.is_empty() {
            self.note_sent(self.socket.write(&out));
        }
        self.core.collected.replace(emptied(out));
    }

    #[inline(never)]
    fn send_buffer(&self, buffer: &RefCell<Vec<u8>>) {
        let out = buffer.take();
        self.note_sent(self.socket.write(&out));
        buffer.replace(emptied(out));
    }

    /// Notes what came of sending. A refusal destroys the socket, whose `on_close` tells whom it concerns.
    fn note_sent(&self, sent: net::Result<bool>) {
        if let Ok(false) = sent {
            self.set(BLOCKED);
        }
    }
}

fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    if buffer.capacity() > KEPT_CAPACITY { Vec::new() } else { buffer }
}
