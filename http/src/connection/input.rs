//! From bytes to requests: the connection's turn at its input. Mirrors `onParserExecute`, `parserOnIncoming`,
//! `parserOnBody`, `parserOnMessageComplete` and `socketOnError`.

use crate::connection::deferred::{Call, Over};
use crate::connection::exchange::{Exchange, Phase};
use crate::connection::{
    BODY_HELD, BODY_PAUSED, CORKED, Connection, ENDING, IN_MESSAGE, LAST, RECEIVING, SERVED, STALLED,
    TRAILING, UPGRADED,
};
use crate::proto::{
    Decoder, Encoder, Event, Expect, FieldTable, Fields, Framing, ParseError, RequestFacts, RequestHead,
    Version,
};
use crate::upcall::BodyHandler;
use crate::{Body, LAYER, Request, Response};
use async_wrap::layer::trace::Facts;
use async_wrap::{AsyncContext, Provider};
use std::rc::Rc;

/// What follows a turn of input that a handler's panic ended. The decoder went down with it, so no further request is
/// found; and the table, of which there will be a new one.
struct Panicked<'a>(&'a Rc<Connection>);

impl Drop for Panicked<'_> {
    #[cold]
    fn drop(&mut self) {
        self.0.note_receiving(false);
        self.0.give_up();
        self.0.end_turn();
    }
}

impl Connection {
    /// Takes input; returns how many of the last bytes were not used, because the connection stalled.
    #[inline(always)]
    pub(crate) fn feed(self: &Rc<Self>, mut input: &[u8]) -> usize {
        self.in_turn(|decoder, table| {
            loop {
                if self.decode_usual(decoder, table, &mut input) {
                    return 0;
                }
                if let Some(unused) = self.decode_next(decoder, table, &mut input) {
                    return unused;
                }
            }
        })
    }

    /// The same for input that was left over, which few connections have: without the shorter way, which is there once.
    #[inline(never)]
    pub(crate) fn feed_again(self: &Rc<Self>, mut input: &[u8]) -> usize {
        self.in_turn(|decoder, table| {
            loop {
                if let Some(unused) = self.decode_next(decoder, table, &mut input) {
                    return unused;
                }
            }
        })
    }

    /// The client ended its side.
    pub(crate) fn end_of_input(self: &Rc<Self>) {
        let decoder = self.decoder.take();
        let result = decoder.finish();
        self.decoder.set(decoder);
        if let Err(error) = result {
            // In a turn, so that the answer and the end go together.
            self.in_turn(|_, _| self.refuse(error));
        }
    }

    /// One upcall's worth of input. At its end, also by a panic, what was answered is sent.
    #[inline(always)]
    fn in_turn<R>(self: &Rc<Self>, decode: impl FnOnce(&mut Decoder, &mut FieldTable) -> R) -> R {
        self.set(CORKED);
        let mut decoder = self.decoder.take();
        let mut table = self.core.field_table.take().unwrap_or_default();
        let panicked = Panicked(self);
        let result = decode(&mut decoder, &mut table);
        std::mem::forget(panicked);
        self.note_receiving(decoder.has_started());
        self.decoder.set(decoder);
        self.core.field_table.set(Some(table));
        self.end_turn();
        result
    }

    #[inline(always)]
    fn end_turn(&self) {
        self.flush();
        self.clear(CORKED);
        if self.has(ENDING) {
            self.end_now();
        }
    }

    /// Decodes requests like most that are answered at once. Returns whether the input is used up: the usual end of a turn.
    #[inline(always)]
    fn decode_usual(self: &Rc<Self>, decoder: &mut Decoder, table: &FieldTable, input: &mut &[u8]) -> bool {
        let limits = &self.core.options().limits;
        if !self.is_plain(0) {
            return false;
        }
        loop {
            if input.is_empty() && decoder.holds_nothing() {
                return true;
            }
            if self.socket.is_destroyed() {
                return false;
            }
            let Some(head) = decoder.decode_repeated(input, table, limits) else { return false };
            self.on_usual_head(&head);
            // Of a request that was answered there is nothing to tell at its end.
            if !self.is_plain(IN_MESSAGE) {
                return false;
            }
            decoder.take_end();
            self.end_message();
            self.since.set(self.core.now());
        }
    }

    /// Decodes up to the next event, whatever it is. Returns how many bytes were not used if there is none for now.
    #[inline(never)]
    fn decode_next(
        self: &Rc<Self>,
        decoder: &mut Decoder,
        table: &mut FieldTable,
        input: &mut &[u8],
    ) -> Option<usize> {
        let limits = &self.core.options().limits;
        // The message at hand is received to its end even if it is the last one.
        if self.is_deaf() || self.socket.is_destroyed() {
            return self.leave_rest(input);
        }
        // The end of a message takes no input: it must not wait until a slow client has fetched its answer.
        if !self.has(BODY_PAUSED | BODY_HELD) && decoder.take_end() {
            self.on_message_end(&Fields::default());
            return None;
        }
        if self.must_stall() {
            self.set(STALLED);
            self.since.set(self.core.now());
            self.socket.pause();
            return Some(input.len());
        }
        if input.is_empty() && decoder.holds_nothing() {
            return Some(0);
        }
        match decoder.decode(input, table, limits) {
            Ok(Event::NeedMore) => return Some(0),
            Ok(Event::Head(head)) => {
                self.on_head(&head, input);
                return self.has(UPGRADED).then_some(0);
            }
            Ok(Event::Body(data)) => {
                let facts = || Facts::default().bytes(data.len());
                self.call_body_handler("BodyHandler::on_data", facts, |handler, body| {
                    handler.on_data(body, data);
                });
            }
            Ok(Event::End(trailers)) => self.on_message_end(&trailers),
            Ok(Event::Done) => return self.leave_rest(input),
            Err(error) => {
                self.refuse(error);
                return self.leave_rest(input);
            }
        }
        None
    }

    /// Keeps `since` at the first byte of the message at hand; of a first request, at the connection's start.
    #[inline]
    fn note_receiving(&self, has_started: bool) {
        if !has_started {
            self.clear(RECEIVING);
        } else if !self.has(RECEIVING) {
            self.set(RECEIVING);
            if self.has(SERVED) {
                self.since.set(self.core.now());
            }
        }
    }

    /// A handler panicked. The rest of the input went down with it, so no further request can be found.
    fn give_up(self: &Rc<Self>) {
        if self.has(UPGRADED) {
            self.socket.destroy_unless_handled();
        } else if !self.is_deaf() {
            self.answer_and_end(500);
        }
    }

    /// Input that will not be looked at any more.
    fn leave_rest(&self, rest: &[u8]) -> Option<usize> {
        if !rest.is_empty() {
            self.set(TRAILING);
        }
        Some(0)
    }

    #[inline(always)]
    fn on_usual_head(self: &Rc<Self>, head: &RequestHead<'_>) {
        if self.core.is_last_request(self.newest.get().wrapping_add(1)) {
            return self.on_head(head, &[]);
        }
        self.set(IN_MESSAGE);
        let (mut exchange, context) = self.begin_exchange();
        exchange.is_usual = true;
        exchange.request = RequestFacts::SIMPLE;
        (exchange.client_closes, exchange.awaits_continue) = (false, false);
        let number = self.push_first(exchange);
        let (request, response) = (Request::new(head, self, number), Response::first(self, number));
        self.core.env().make_callback(context, || self.call_handler(&request, response));
    }

    #[inline(never)]
    fn on_head(self: &Rc<Self>, head: &RequestHead<'_>, rest: &[u8]) {
        self.set(IN_MESSAGE);
        let (mut exchange, context) = self.begin_exchange();
        self.describe(&mut exchange, head, rest);
        let number = self.push(exchange);
        let request = Request::new(head, self, number);
        let is_special = head.upgrade || head.is_connect() || head.expect != Expect::None;
        if is_special && self.is_settled(&request, number, rest) {
            return;
        }
        let response = Response::first(self, number);
        self.core.env().make_callback(context, || self.call_handler(&request, response));
        if is_special {
            self.send_continue(number);
        }
    }

    #[inline(always)]
    fn begin_exchange(&self) -> (Box<Exchange>, AsyncContext) {
        let context = self.core.env().new_context(Provider::HttpIncomingMessage);
        let mut exchange = self.core.pool.take();
        exchange.context = context;
        exchange.handles = 1;
        (exchange, context)
    }

    /// Calls the handler in the context of its request.
    #[inline(always)]
    fn call_handler(&self, request: &Request<'_>, response: Response) {
        let what = || {
            let env = self.core.env();
            Facts::within(env.execution_async_id().get(), env.trigger_async_id().get())
                .info(format_args!("{} {}", request.method, request.target))
        };
        let _up = LAYER.up("RequestHandler::on_request", what);
        self.handler.call(|handler| handler.on_request(request, response));
    }

    /// Enters what the answer has to know of the request.
    fn describe(&self, exchange: &mut Exchange, head: &RequestHead<'_>, rest: &[u8]) {
        let is_last = self.core.is_last_request(self.newest.get().wrapping_add(1));
        if is_last {
            self.set(LAST);
        }
        exchange.request = RequestFacts::from(head);
        exchange.request.keep_alive &= !is_last;
        // What follows a CONNECT may be meant for the tunnel, and come although there is none. Old clients send a line end
        // behind a body (RFC 9112, 2.2).
        let has_more = head.is_connect() || head.version != Version::Http11 || has_body(head);
        exchange.client_closes = !head.keep_alive && !has_more;
        // Some of the body is here already: the client did not wait.
        exchange.awaits_continue = head.expect == Expect::Continue && has_body(head) && rest.is_empty();
        exchange.is_usual = head.version == Version::Http11
            && !head.is_head()
            && !head.is_connect()
            && !exchange.awaits_continue;
    }

    /// Whether a request is one that its handler does not see: an upgrade, or something that cannot be.
    #[inline(never)]
    fn is_settled(self: &Rc<Self>, request: &Request<'_>, number: u32, rest: &[u8]) -> bool {
        // Asked for here, so that the usual request need not hand it over.
        let context =
            self.with_exchange(number, |exchange, _| exchange.context).unwrap_or(AsyncContext::NONE);
        if self.is_upgrade_accepted(request, context) {
            self.hand_over(request, context, rest);
        } else if request.expect == Expect::Other {
            self.answer_shortly(number, 417);
        } else if request.is_connect() {
            self.answer_shortly(number, 501);
        } else {
            return false;
        }
        true
    }

    /// Answers with nothing but a status.
    fn answer_shortly(self: &Rc<Self>, number: u32, status: u16) {
        let response = Response::first(self, number);
        let _ = response.set_status(status).and_then(|response| response.end(b""));
    }

    fn is_upgrade_accepted(&self, request: &Request<'_>, context: AsyncContext) -> bool {
        let is_offered = request.is_connect() || (request.upgrade && !has_body(request));
        if !is_offered || self.outstanding.get() > 1 {
            return false;
        }
        let mut accepted = false;
        let asked = &mut accepted;
        self.core.env().make_callback(context, || {
            let _up = LAYER.up("RequestHandler::accepts_upgrade", || context.facts());
            self.handler.call(|handler| *asked = handler.accepts_upgrade(request));
        });
        accepted && !self.socket.is_destroyed()
    }

    /// Tells a client that waits for it to send its body, unless it is answered already. One whose body is held is told
    /// when that is claimed.
    pub(crate) fn send_continue(&self, number: u32) {
        let is_held = self.has(BODY_HELD);
        let wanted = self.with_exchange(number, |exchange, first| {
            exchange.continue_is_owed = is_held;
            if is_held || !exchange.awaits_continue || exchange.phase != Phase::Head {
                return false;
            }
            exchange.awaits_continue = false;
            if !first {
                self.hold(exchange, |_, out| put_continue(out));
            }
            first
        });
        if wanted == Some(true) {
            self.send(put_continue);
        }
    }

    /// The connection leaves HTTP: everything answered so far is sent, and the socket is somebody else's.
    fn hand_over(self: &Rc<Self>, request: &Request<'_>, context: AsyncContext, rest: &[u8]) {
        self.flush();
        self.set(UPGRADED | LAST);
        if let Some(exchange) = self.exchanges.take() {
            self.outstanding.set(0);
            self.core.pool.give(exchange);
        }
        self.tell_notices();
        let socket = self.socket.clone();
        socket.release();
        // It was paused if the request was left over from a time at which decoding stood still.
        socket.resume();
        let _over = Over { env: self.core.env(), context };
        self.core.env().make_callback(context, || {
            let _up = LAYER.up("RequestHandler::on_upgrade", || context.facts());
            self.handler.call(|handler| handler.on_upgrade(request, socket, rest));
        });
        // This connection has one handle, and its tower another.
        self.socket.destroy_unless_held(2);
    }

    fn on_message_end(self: &Rc<Self>, trailers: &Fields<'_>) {
        self.end_message();
        let number = self.newest.get();
        let taken =
            self.with_exchange(number, |exchange, _| (exchange.body_handler.take(), exchange.context));
        if let Some((Some(mut handler), context)) = taken {
            self.core.env().make_callback(context, || {
                let _up = LAYER.up("BodyHandler::on_end", || context.facts());
                handler.on_end(&Body::counted(self, number), trailers);
            });
            drop(handler);
            // The answer may have been written long ago.
            if self.with_exchange(number, |exchange, _| exchange.phase) == Some(Phase::Ended) {
                self.advance();
            }
        }
        if self.outstanding.get() == 0 && !self.has(LAST) {
            self.become_idle();
        }
    }

    fn call_body_handler(
        self: &Rc<Self>,
        name: &'static str,
        facts: impl FnOnce() -> Facts,
        call: impl FnOnce(&mut dyn BodyHandler, &Body),
    ) {
        let number = self.newest.get();
        let taken = self.with_exchange(number, |exchange, _| {
            // Without a handler nothing is begun: a record that is bare would keep that for another request.
            exchange.body_begun |= exchange.body_handler.is_some();
            exchange.bodies += u32::from(exchange.body_handler.is_some());
            (exchange.body_handler.take(), exchange.context)
        });
        let Some((Some(mut handler), context)) = taken else { return };
        let body = Body::first(self, number);
        self.core.env().make_callback(context, || {
            let _up = LAYER.up(name, facts);
            call(&mut *handler, &body);
        });
        let mut handler = Some(handler);
        self.with_exchange(number, |exchange, _| {
            if exchange.body_handler.is_none() {
                exchange.body_handler = handler.take();
            }
        });
    }

    /// The client broke the protocol.
    fn refuse(self: &Rc<Self>, error: ParseError) {
        self.answer_and_end(error.status());
        let _up = LAYER.up("RequestHandler::on_client_error", || Facts::saying(error));
        self.handler.call(|handler| handler.on_client_error(error, &self.socket));
    }

    /// Ends the connection with an error, once the answers due are sent. The error gets an answer of its own unless
    /// its request was answered already, or is being answered.
    pub(crate) fn answer_and_end(self: &Rc<Self>, status: u16) {
        self.set(LAST);
        let mut answer = Vec::new();
        // Only a status outside of the range of errors is refused, and none such is used.
        let _ = self.core.with_heads(|heads| Encoder::closing(status, Some(heads), &mut answer));
        let number = self.newest.get();
        let in_message = self.has(IN_MESSAGE);
        self.clear(IN_MESSAGE | RECEIVING);
        let cut = |exchange: &mut Exchange, answer: &[u8]| {
            self.hold(exchange, |_, out| out.extend_from_slice(answer));
            exchange.cut();
            exchange.client_closes = false;
        };
        let replaced = in_message.then(|| {
            self.with_exchange(number, |exchange, _| {
                if let Some(handler) = exchange.handler.take_if(|_| exchange.phase != Phase::Ended) {
                    self.owe(exchange.context, exchange.number, Call::Close(handler));
                }
                cut(exchange, if exchange.phase == Phase::Head { &answer } else { &[] });
            })
        });
        if replaced.flatten().is_none() {
            let mut exchange = self.core.pool.take();
            exchange.context = AsyncContext::NONE;
            cut(&mut exchange, if in_message { &[] } else { &answer });
            self.push(exchange);
        }
        self.advance();
    }
}

fn has_body(head: &RequestHead<'_>) -> bool {
    !matches!(head.framing, Framing::None | Framing::Length(0))
}

fn put_continue(out: &mut Vec<u8>) {
    // 100 is an informational status.
    let _ = Encoder::informational(100, [], out);
}
