//! From a request to bytes, and when they are sent. Mirrors `_storeHeader`, `_send` and `_flush` of Node's `OutgoingMessage`.
//!
//! The head leaves with the first piece of the body, in one system call. Small pieces are copied behind it, large ones are sent
//! from where they are.

use super::{Connection, Stage};
use crate::client::Exchange;
use crate::client::options::Phase;
use crate::client::upload::Upload;
use crate::proto::recycle;
use crate::uv_core::Errno;
use bytes::Bytes;
use std::io::IoSlice;
use std::rc::Rc;

/// Body data below this size is copied behind its head; the rest is sent from where it is.
const COPIED_BODY: usize = 16 * 1024;

/// A buffer larger than this is not kept.
const KEPT_CAPACITY: usize = 64 * 1024;

impl Exchange {
    /// The connection takes no more of the request.
    pub(super) fn refuse_body(&self, error: net::Error) {
        self.change(|facts| facts.is_refused = true);
        self.rare(|rare| _ = rare.cause.get_or_insert(error));
    }

    /// Whether the end of the connection is an orderly one. After a failed write the kernel reports any end as such; EPIPE tells
    /// that the server's FIN had come before the connection broke.
    pub(super) fn is_end_orderly(&self) -> bool {
        self.peek_rare(|rare| rare.cause.as_ref().map(net::Error::errno))
            .is_none_or(|errno| errno == Some(Errno::EPIPE))
    }
}

impl Connection {
    /// Begins with the request that the connection has: what was written of it so far is sent.
    pub(super) fn start(self: &Rc<Self>) {
        let Some(exchange) = self.exchange() else { return };
        self.stage.set(Stage::Serving);
        exchange.enter(Phase::Send);
        if exchange.facts().is_paused {
            self.socket.pause();
        }
        let mut upload = exchange.upload.borrow_mut();
        if upload.is_due() {
            self.send_whole(&exchange, &mut upload);
        }
        drop(upload);
        self.request_written(&exchange);
        self.report(&exchange);
    }

    /// Sends what waits in the request, and its body, if that was given whole.
    pub(super) fn send_whole(&self, exchange: &Exchange, upload: &mut Upload) {
        let body = upload.whole();
        let is_last = upload.is_ended() && !upload.awaits_continue() && upload.is_whole();
        if body.len() < COPIED_BODY {
            self.send(exchange, upload, &body, is_last);
        } else {
            self.send_shared(exchange, upload, body, is_last);
        }
    }

    /// Sends what is due of the request, and then some of its body.
    pub(crate) fn send(&self, exchange: &Exchange, upload: &mut Upload, data: &[u8], last: bool) {
        self.expect_response(exchange, upload);
        let mut out = self.core.shared.output.borrow_mut();
        out.clear();
        upload.put_due(&mut out);
        if upload.awaits_continue() {
            upload.hold(data, last);
        } else if data.len() < COPIED_BODY {
            upload.put_body(data, last, &mut out);
        } else {
            upload.put_front(data.len(), &mut out);
            let front = out.len();
            upload.put_back(data.len(), last, &mut out);
            let parts = [IoSlice::new(&out[..front]), IoSlice::new(data), IoSlice::new(&out[front..])];
            self.note_sent(exchange, self.socket.writev(&parts));
            out.clear();
        }
        if !out.is_empty() {
            self.note_sent(exchange, self.socket.write(&out));
        }
        recycle(&mut out, 0, KEPT_CAPACITY);
    }

    /// The same with a buffer that is shared.
    pub(crate) fn send_shared(&self, exchange: &Exchange, upload: &mut Upload, data: Bytes, last: bool) {
        if data.len() < COPIED_BODY || upload.awaits_continue() {
            return self.send(exchange, upload, &data, last);
        }
        self.expect_response(exchange, upload);
        let mut out = self.core.shared.output.borrow_mut();
        out.clear();
        upload.put_due(&mut out);
        upload.put_front(data.len(), &mut out);
        let (front, len) = (out.len(), data.len());
        upload.put_back(len, last, &mut out);
        self.note_sent(exchange, self.socket.write_shared(&out[..front], data, &out[front..]));
        recycle(&mut out, 0, KEPT_CAPACITY);
    }

    /// Before the first byte of a request: from here on there may be bytes of a response.
    fn expect_response(&self, exchange: &Exchange, upload: &Upload) {
        if !upload.is_head_sent() {
            let mut decoder = exchange.decoder.take();
            // A record begins with a new decoder, which expects any response.
            let _ = decoder.begin(upload.response_to());
            exchange.decoder.set(decoder);
        }
    }

    /// Notes what came of sending. After a failure the response may still come: the end of the input ends the request.
    fn note_sent(&self, exchange: &Exchange, sent: net::Result<bool>) {
        match sent {
            Ok(is_welcome) => exchange.change(|facts| facts.needs_drain |= !is_welcome),
            Err(error) => exchange.refuse_body(error),
        }
    }

    /// The program has ended the body.
    pub(crate) fn request_ended(&self, exchange: &Rc<Exchange>) {
        self.request_written(exchange);
        self.socket.notify();
    }

    /// Moves on to the next phase, if all of the request that can be sent is sent.
    pub(crate) fn request_written(&self, exchange: &Rc<Exchange>) {
        let upload = exchange.upload.borrow();
        let (facts, phase) = (exchange.facts(), exchange.clock.phase());
        if !upload.is_head_sent() || facts.is_refused {
            return;
        }
        let is_sent = upload.is_ended() && !upload.awaits_continue();
        if is_sent && !facts.is_finished {
            exchange.change(|facts| (facts.is_finished, facts.finish_due) = (true, true));
        }
        // From the head of the response on the phase is that of its body.
        if facts.has_response {
            return;
        }
        if upload.awaits_continue() && phase != Some(Phase::AwaitContinue) {
            exchange.enter(Phase::AwaitContinue);
        } else if is_sent && phase != Some(Phase::Head) {
            match self.socket.buffered() {
                0 => exchange.enter(Phase::Head),
                _ => self.socket.request_drain(),
            }
        }
    }

    /// Sends the body that has waited for `100 Continue`.
    pub(crate) fn release(&self, exchange: &Rc<Exchange>) {
        let mut upload = exchange.upload.borrow_mut();
        if !upload.release() {
            return;
        }
        exchange.enter(Phase::Send);
        self.send_whole(exchange, &mut upload);
        drop(upload);
        self.request_written(exchange);
        self.socket.notify();
    }

    /// Tells the handler what it waits for: that the request has ended, and that more is welcome.
    pub(super) fn report(self: &Rc<Self>, exchange: &Rc<Exchange>) {
        let facts = exchange.facts();
        if facts.finish_due && self.serves(exchange) {
            exchange.change(|facts| facts.finish_due = false);
            exchange.call("ClientHandler::on_finish", |handler, request| handler.on_finish(request));
        }
        let is_waiting = facts.needs_drain && !exchange.upload.borrow().is_ended() && self.serves(exchange);
        if is_waiting && !exchange.is_full(exchange.upload.borrow().waiting()) {
            exchange.change(|facts| facts.needs_drain = false);
            exchange.call("ClientHandler::on_drain", |handler, request| handler.on_drain(request));
        }
    }
}
