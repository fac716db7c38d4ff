//! From bytes to requests: the connection's turn at its input. Mirrors `onParserExecute`, `parserOnIncoming`,
//! `parserOnBody`, `parserOnMessageComplete` and `socketOnError`.

use crate::connection::{
    BODY_PAUSED, CORKED, Connection, IN_MESSAGE, LAST, LINGERING, RECEIVING, SERVED, TRAILING, UPGRADED,
};
use crate::exchange::Phase;
use crate::proto::{
    CONTINUE, Decoder, Event, Expect, Fields, Framing, ParseError, RequestFacts, RequestHead, Scratch,
    Version, closing_answer,
};
use crate::upcall::BodyHandler;
use crate::{Request, Response};
use async_wrap::Provider;
use std::rc::Rc;

/// One upcall's worth of input. Ending it, also by a panic, sends what was answered and puts everything back.
struct Turn<'a> {
    connection: &'a Rc<Connection>,
    decoder: Decoder,
    scratch: Scratch,
}

impl<'a> Turn<'a> {
    fn begin(connection: &'a Rc<Connection>) -> Self {
        connection.set(CORKED);
        Self { connection, decoder: connection.decoder.take(), scratch: connection.core.scratch.take() }
    }

    /// Decodes until the input is used up, or the connection wants no more of it.
    fn run(&mut self, mut input: &[u8]) {
        let connection = self.connection;
        let limits = &connection.core.options().limits;
        loop {
            if connection.must_stall() {
                return connection.stall(input);
            }
            match self.decoder.decode(&mut input, &mut self.scratch, limits) {
                Ok(Event::NeedMore) => return,
                Ok(Event::Head(head)) => {
                    connection.on_head(&head, input);
                    if connection.has(UPGRADED) {
                        return;
                    }
                }
                Ok(Event::Body(data)) => {
                    connection.call_body_handler(|handler| handler.on_data(data));
                }
                Ok(Event::End(trailers)) => connection.on_message_end(&trailers),
                Ok(Event::Done) => break,
                Err(error) => return connection.refuse(error),
            }
            // The message at hand is received to its end even if it is the last one.
            if connection.has(LAST) && !connection.has(IN_MESSAGE) || connection.socket.is_destroyed() {
                break;
            }
        }
        if !input.is_empty() {
            connection.set(TRAILING);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let connection = self.connection;
        if self.decoder.has_started() {
            if !connection.has(RECEIVING) {
                connection.set(RECEIVING);
                connection.since.set(connection.core.now());
            }
        } else {
            connection.clear(RECEIVING);
        }
        connection.decoder.set(std::mem::take(&mut self.decoder));
        connection.core.scratch.set(std::mem::take(&mut self.scratch));
        connection.flush();
        connection.clear(CORKED);
        connection.end_now();
    }
}

impl Connection {
    /// Takes input from the socket.
    pub(crate) fn feed(self: &Rc<Self>, data: &[u8]) {
        if !self.has(LINGERING) {
            Turn::begin(self).run(data);
        }
    }

    /// The client ended its side.
    pub(crate) fn end_of_input(self: &Rc<Self>) {
        let decoder = self.decoder.take();
        let result = decoder.finish();
        self.decoder.set(decoder);
        if let Err(error) = result {
            // In a turn, so that the answer and the end go together.
            let turn = Turn::begin(self);
            self.refuse(error);
            drop(turn);
        }
    }

    fn on_head(self: &Rc<Self>, head: &RequestHead<'_>, rest: &[u8]) {
        if self.has(LAST) {
            // RFC 9112, 9.6: nothing is processed after the request whose answer says close.
            return;
        }
        self.set(IN_MESSAGE | SERVED);
        self.clear(RECEIVING);
        let has_body = head.framing != Framing::None;
        let mut exchange = self.core.pool.take();
        let is_last = self.core.is_last_request(self.newest.get().wrapping_add(1));
        exchange.request = RequestFacts {
            is_head: head.is_head(),
            is_connect: head.is_connect(),
            version: head.version,
            keep_alive: head.keep_alive && !is_last,
        };
        exchange.client_closes = !head.keep_alive;
        exchange.received = !has_body;
        // Some of the body is here already: the client did not wait.
        exchange.awaits_continue = head.expect == Expect::Continue && has_body && rest.is_empty();
        exchange.context = self.core.env().new_context(Provider::HttpIncomingMessage);
        let context = exchange.context;
        self.push(exchange);
        if is_last {
            self.set(LAST);
        }
        let number = self.newest.get();
        let request = Request::new(head, self, number);
        if (head.upgrade && !has_body) || head.is_connect() {
            let mut accepted = false;
            let asked = &mut accepted;
            if self.outstanding.get() == 1 {
                let ask = || self.core.handler.call(|handler| *asked = handler.accepts_upgrade(&request));
                self.core.env().make_callback(context, ask);
            }
            if accepted {
                return self.hand_over(&request, rest);
            }
        }
        let response = Response::new(self, number);
        if head.expect == Expect::Other {
            let _ = response.set_status(417).and_then(|response| response.end(b""));
        } else if head.is_connect() {
            let _ = response.set_status(501).and_then(|response| response.end(b""));
        } else {
            let call = || self.core.handler.call(|handler| handler.on_request(&request, response));
            self.core.env().make_callback(context, call);
        }
        self.send_continue(number);
    }

    /// Tells a waiting client to send its body, unless it is answered already.
    fn send_continue(&self, number: u32) {
        let wanted = self.with_exchange(number, |exchange, first| {
            if !exchange.awaits_continue || exchange.phase != Phase::Head {
                return false;
            }
            exchange.awaits_continue = false;
            if !first {
                exchange.waiting.extend_from_slice(CONTINUE);
            }
            first
        });
        if wanted == Some(true) {
            self.send(|out| out.extend_from_slice(CONTINUE));
        }
    }

    /// The connection leaves HTTP: everything answered so far is sent, and the socket is somebody else's.
    fn hand_over(self: &Rc<Self>, request: &Request<'_>, rest: &[u8]) {
        self.flush();
        self.set(UPGRADED | LAST);
        let context = self.with_exchange(self.newest.get(), |exchange, _| exchange.context);
        let socket = self.socket.clone();
        socket.release();
        let call = || self.core.handler.call(|handler| handler.on_upgrade(request, socket, rest));
        self.core.env().make_callback(context.unwrap_or(async_wrap::AsyncContext::NONE), call);
        self.socket.destroy_unless_handled();
    }

    fn on_message_end(self: &Rc<Self>, trailers: &Fields<'_>) {
        self.clear(IN_MESSAGE | RECEIVING | BODY_PAUSED);
        let number = self.newest.get();
        self.with_exchange(number, |exchange, _| exchange.received = true);
        self.call_body_handler(|handler| handler.on_end(trailers));
        let done = self.with_exchange(number, |exchange, _| exchange.body_handler.take());
        drop(done);
    }

    fn call_body_handler(&self, call: impl FnOnce(&mut dyn BodyHandler)) {
        let number = self.newest.get();
        let taken =
            self.with_exchange(number, |exchange, _| (exchange.body_handler.take(), exchange.context));
        let Some((Some(mut handler), context)) = taken else { return };
        self.core.env().make_callback(context, || call(&mut *handler));
        let mut handler = Some(handler);
        self.with_exchange(number, |exchange, _| {
            if exchange.body_handler.is_none() {
                exchange.body_handler = handler.take();
            }
        });
    }

    /// The client broke the protocol.
    fn refuse(self: &Rc<Self>, error: ParseError) {
        self.core.handler.call(|handler| handler.on_client_error(error));
        self.answer_and_end(error.status());
    }

    /// Ends the connection with an error, once the answers due are sent. The error gets an answer of its own unless
    /// its request was answered already, or is being answered.
    pub(crate) fn answer_and_end(self: &Rc<Self>, status: u16) {
        self.set(LAST);
        let date = self.core.date();
        let mut answer = Vec::new();
        // Only a status outside of the range of errors is refused, and none such is used.
        let _ = closing_answer(&mut answer, status, Some(&date));
        let number = self.newest.get();
        let in_message = self.has(IN_MESSAGE);
        let replaced = in_message
            && self
                .with_exchange(number, |exchange, _| {
                    if exchange.phase == Phase::Head {
                        exchange.waiting.extend_from_slice(&answer);
                    }
                    exchange.phase = Phase::Ended;
                    exchange.keep_alive = false;
                })
                .is_some();
        if !replaced {
            let mut exchange = self.core.pool.take();
            if !in_message {
                exchange.waiting.extend_from_slice(&answer);
            }
            exchange.phase = Phase::Ended;
            exchange.keep_alive = false;
            exchange.request.version = Version::Http11;
            self.push(exchange);
        }
        self.advance();
    }
}
