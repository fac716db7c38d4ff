//! From responses to bytes, and when they are sent. Mirrors `_storeHeader`, `_writeRaw` and `_flushOutput`.
//!
//! While a turn of input lasts, everything answered is collected in one buffer of the server and sent at its end:
//! pipelined responses leave together, and a head with its body. Outside of a turn a response is sent at once.

use super::Connection;
use super::calls::{Call, ResponseEvent};
use super::exchange::{Exchange, Phase};
use super::state::Closing;
use crate::proto::{EncodeError, Encoder, RequestFacts};
use crate::{Error, Result};
use async_wrap::AsyncContext;
use std::cell::RefCell;
use std::io::IoSlice;

/// Collected output that is sent before the turn is over: enough to make a send worth while.
const FLUSH_AT: usize = 64 * 1024;

/// Body data below this size is copied behind its head; the rest is sent from where it is.
pub(super) const COPIED_BODY: usize = 16 * 1024;

/// A buffer larger than this is not kept.
const KEPT_CAPACITY: usize = 256 * 1024;

/// Where the output of a server's connections is collected.
#[derive(Default)]
pub(crate) struct Buffers {
    /// Output of the turn that is going on.
    turn: RefCell<Vec<u8>>,
    /// Output outside of turns, which may be written to one connection during the turn of another.
    spare: RefCell<Vec<u8>>,
}

impl Buffers {
    #[inline]
    fn get(&self, in_turn: bool) -> &RefCell<Vec<u8>> {
        if in_turn { &self.turn } else { &self.spare }
    }
}

impl Connection {
    /// Writes some of a response, its head first if that is still to come; with `last` the rest of it. Returns whether
    /// more is welcome.
    pub(crate) fn write_response(&self, number: u32, data: &[u8], last: bool) -> Result<bool> {
        if self.is_over() {
            return Err(Error::Closed);
        }
        let written = self.pipeline.with(number, |exchange, is_oldest| {
            if exchange.phase == Phase::Ended {
                return Err(Error::Closed);
            }
            let is_short = self.write_part(exchange, is_oldest, data, last)?;
            let is_welcome = last || self.is_more_welcome(exchange, is_oldest);
            let extra = exchange.extra_mut();
            // What `yield_now` asked for is still due.
            extra.needs_drain = !last && (!is_welcome || extra.needs_drain);
            extra.closes |= is_short;
            Ok((is_welcome, is_oldest, is_short))
        });
        let (is_welcome, is_oldest, is_short) = written.unwrap_or(Err(Error::Closed))?;
        if is_oldest && last {
            self.advance();
        }
        if is_short { Err(EncodeError::BodyTooShort.into()) } else { Ok(is_welcome) }
    }

    /// Whether nothing can be answered any more.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.state.is_ending() || self.socket.is_destroyed()
    }

    /// Whether more is welcome behind what was written beside the response; if not, an `on_drain` will tell.
    pub(crate) fn ask_for_more(&self, number: u32) -> Result<bool> {
        let is_welcome = self.pipeline.with(number, |exchange, is_oldest| {
            let is_welcome = self.is_more_welcome(exchange, is_oldest);
            if !is_welcome {
                exchange.extra_mut().needs_drain = true;
            }
            is_welcome
        });
        is_welcome.ok_or(Error::Closed)
    }

    fn is_more_welcome(&self, exchange: &Exchange, is_oldest: bool) -> bool {
        self.is_room(if is_oldest { self.socket.buffered() } else { exchange.extra().held.len() })
    }

    /// Whether more output is welcome while so many bytes wait.
    pub(super) fn is_room(&self, waiting: usize) -> bool {
        waiting == 0 || waiting < self.socket.high_water_mark()
    }

    /// Returns whether the response was ended with less body than its length promised.
    fn write_part(&self, exchange: &mut Exchange, is_oldest: bool, data: &[u8], last: bool) -> Result<bool> {
        let (mut encoder, is_head_due) = match exchange.extra().encoder {
            Some(encoder) => (encoder, false),
            None => (self.begin_response(exchange, data.len() as u64, last)?, true),
        };
        let data = if encoder.count(data.len())? { data } else { &[] };
        exchange.extra_mut().encoder = Some(encoder);
        exchange.phase = if last { Phase::Ended } else { Phase::Body };
        let put_front = |exchange: &Exchange, out: &mut Vec<u8>| {
            if is_head_due {
                self.core.with_heads(|heads| encoder.put_head(&exchange.head, heads, out));
            }
            encoder.put_front(data.len(), out);
        };
        let back = encoder.back(data.len());
        if !is_oldest || data.len() < COPIED_BODY {
            let put = |exchange: &Exchange, out: &mut Vec<u8>| {
                put_front(exchange, out);
                out.extend_from_slice(data);
                out.extend_from_slice(back);
                if last {
                    encoder.put_end(&exchange.head, out);
                }
            };
            if is_oldest { self.send(|out| put(exchange, out)) } else { self.pipeline.hold(exchange, put) }
        } else if last && encoder.is_chunked() {
            let mut end = back.to_vec();
            encoder.put_end(&exchange.head, &mut end);
            self.send_large(data, &end, |out| put_front(exchange, out));
        } else {
            self.send_large(data, back, |out| put_front(exchange, out));
        }
        Ok(last && encoder.is_short())
    }

    /// Decides how a response is delimited that begins, or with `last` ends, with so many bytes. From here on its head
    /// is settled; with an error nothing is.
    fn begin_response(&self, exchange: &mut Exchange, len: u64, last: bool) -> Result<Encoder> {
        let mut request = exchange.request;
        // A body that was never asked for may still come, or not: where the next request begins is unknown.
        request.keep_alive &= !exchange.extra().awaits_continue;
        request.keep_alive &= !(self.core.is_draining() && exchange.next.is_none());
        let encoder = Encoder::begin(&request, &mut exchange.head, len, last)?;
        if !encoder.keep_alive() {
            // RFC 9112, 9.6: nothing is processed after the request whose response says close.
            exchange.extra_mut().closes = true;
            self.state.close(Closing::LastRequest);
        }
        Ok(encoder)
    }

    /// Tells a client that waits for it to send its body, unless it is answered already. If the body is held, the client is
    /// told when it is claimed.
    pub(crate) fn send_continue(&self, number: u32) {
        let is_held = self.state.get().body_held;
        let is_due = self.pipeline.with(number, |exchange, is_oldest| {
            if !exchange.extra().awaits_continue || exchange.phase != Phase::Head {
                return false;
            }
            let extra = exchange.extra_mut();
            (extra.continue_at_claim, extra.awaits_continue) = (is_held, is_held);
            if !is_held && !is_oldest {
                self.pipeline.hold(exchange, |_, out| put_continue(out));
            }
            !is_held && is_oldest
        });
        if is_due == Some(true) {
            self.send(put_continue);
        }
    }

    /// The last handle of a response was dropped before its end.
    pub(crate) fn abandon(&self, number: u32) {
        let has_begun = self.pipeline.with(number, |exchange, _| {
            let has_begun = exchange.phase == Phase::Body;
            if has_begun {
                // Its end is missing, which the client sees by the end of the connection.
                exchange.cut();
                self.defer(Call::of_response(exchange, ResponseEvent::Close));
            } else {
                exchange.head.clear();
                let _ = exchange.head.set_status(500);
                exchange.request.keep_alive = false;
            }
            has_begun
        });
        match has_begun {
            Some(true) => self.advance(),
            Some(false) => {
                let _ = self.write_response(number, b"", true);
            }
            None => {}
        }
    }

    /// Ends the connection with an error, once the responses due are sent. The error gets a response of its own unless
    /// its request was answered already, or is being answered.
    pub(crate) fn answer_and_end(&self, status: u16) {
        self.answer_newest_and_end(status, self.state.is_in_message());
    }

    /// The same after the panic of a handler in a turn of input, which only the newest request's handlers are called in.
    pub(super) fn answer_panic_and_end(&self) {
        self.answer_newest_and_end(500, true);
    }

    /// With `is_newest` the error is the newest request's; else that of something behind it that is no request.
    fn answer_newest_and_end(&self, status: u16, is_newest: bool) {
        let mut answer = Vec::new();
        // Only a status outside of the range of errors is refused, and none of those is used.
        let _ = self.core.with_heads(|heads| Encoder::closing(status, Some(heads), &mut answer));
        self.state.refused();
        let cut = |exchange: &mut Exchange, answer: &[u8]| {
            self.pipeline.hold(exchange, |_, out| out.extend_from_slice(answer));
            exchange.cut();
            exchange.extra_mut().client_closes = false;
        };
        let answered = self.pipeline.with(self.pipeline.newest(), |exchange, _| {
            if !is_newest {
                return false;
            }
            if exchange.phase != Phase::Ended {
                self.defer(Call::of_response(exchange, ResponseEvent::Close));
            }
            cut(exchange, if exchange.phase == Phase::Head { &answer } else { &[] });
            true
        });
        if answered != Some(true) {
            let mut exchange = self.core.pool.take(AsyncContext::NONE, RequestFacts::default());
            cut(&mut exchange, if is_newest { &[] } else { &answer });
            self.pipeline.push(exchange);
        }
        self.advance();
    }

    /// Sends output, or collects it while a turn lasts.
    #[inline]
    pub(crate) fn send(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let in_turn = self.state.get().in_turn;
        let buffer = self.core.buffers.get(in_turn);
        let len = {
            let mut out = buffer.borrow_mut();
            write(&mut out);
            out.len()
        };
        if len >= FLUSH_AT || (!in_turn && len > 0) {
            self.send_buffer(buffer);
        }
    }

    /// Sends bytes that were written before.
    pub(super) fn send_data(&self, data: &[u8]) {
        if data.len() < COPIED_BODY {
            self.send(|out| out.extend_from_slice(data));
        } else {
            self.send_large(data, &[], |_| {});
        }
    }

    /// Sends everything collected, what `put_front` writes, `data` and `back` in one system call, without copying `data`.
    fn send_large(&self, data: &[u8], back: &[u8], put_front: impl FnOnce(&mut Vec<u8>)) {
        let buffer = self.core.buffers.get(self.state.get().in_turn);
        let mut out = buffer.take();
        put_front(&mut out);
        self.note_sent(self.socket.writev(&[IoSlice::new(&out), IoSlice::new(data), IoSlice::new(back)]));
        buffer.replace(emptied(out));
    }

    /// Sends what the turn collected.
    #[inline]
    pub(super) fn flush(&self) {
        let buffer = self.core.buffers.get(true);
        let out = buffer.take();
        if !out.is_empty() {
            self.note_sent(self.socket.write(&out));
        }
        buffer.replace(emptied(out));
    }

    #[inline(never)]
    fn send_buffer(&self, buffer: &RefCell<Vec<u8>>) {
        let out = buffer.take();
        self.note_sent(self.socket.write(&out));
        buffer.replace(emptied(out));
    }

    /// Notes what came of sending. A refusal destroys the socket, whose `on_close` tells the handlers.
    fn note_sent(&self, sent: net::Result<bool>) {
        if let Ok(false) = sent {
            self.state.set_socket_full(true);
        }
    }
}

fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    if buffer.capacity() > KEPT_CAPACITY { Vec::new() } else { buffer }
}

fn put_continue(out: &mut Vec<u8>) {
    // 100 is an informational status.
    let _ = Encoder::informational(100, [], out);
}
