//! From bytes to requests: the connection's turn at its input. Mirrors `onParserExecute`, `parserOnIncoming`,
//! `parserOnBody`, `parserOnMessageComplete` and `socketOnError`.

use super::exchange::{Exchange, Phase};
use super::state::Closing;
use super::{Connection, calls, fast_path};
use crate::proto::{
    Decoder, Event, Expect, FieldTable, Fields, Framing, ParseError, RequestFacts, RequestHead, Version,
};
use crate::trace::{up, up_within};
use crate::{Body, Request, Response};
use async_wrap::layer::trace::Facts;
use async_wrap::layer::{OnDrop, OnUnwind};
use async_wrap::{AsyncContext, Provider};
use std::rc::Rc;

/// The input's view of its connection.
struct Input<'a> {
    connection: &'a Rc<Connection>,
}

/// Takes input; returns how many of its last bytes were not used, because decoding is stalled.
#[inline]
pub(super) fn feed(connection: &Rc<Connection>, mut input: &[u8]) -> usize {
    in_turn(connection, |turn, decoder, table| {
        loop {
            if fast_path::serve(connection, decoder, table, &mut input) {
                return 0;
            }
            if let Some(unused) = turn.step(decoder, table, &mut input) {
                return unused;
            }
        }
    })
}

/// The same for input that was stashed, which few connections have: without the fast path, which is there once.
#[inline(never)]
pub(super) fn feed_stashed(connection: &Rc<Connection>, mut input: &[u8]) -> usize {
    in_turn(connection, |turn, decoder, table| {
        loop {
            if let Some(unused) = turn.step(decoder, table, &mut input) {
                return unused;
            }
        }
    })
}

/// The client ended its side.
pub(super) fn end(connection: &Rc<Connection>) {
    if let Err(error) = connection.with_decoder(|decoder| decoder.finish()) {
        // In a turn, so that the response and the end go together.
        in_turn(connection, |turn, _, _| turn.refuse(error));
    }
}

/// One upcall's worth of input. At its end, also by a panic, what was answered is sent.
#[inline]
fn in_turn<R>(
    connection: &Rc<Connection>,
    decode: impl FnOnce(&Input<'_>, &mut Decoder, &mut FieldTable) -> R,
) -> R {
    connection.state.set_in_turn(true);
    let mut decoder = connection.decoder.take();
    let mut table = connection.core.take_table();
    let panicked = OnUnwind::new(|| after_panic(connection));
    let result = decode(&Input { connection }, &mut decoder, &mut table);
    panicked.disarm();
    if decoder.has_started() && connection.state.head_started() {
        connection.restart_clock();
    }
    connection.decoder.set(decoder);
    connection.core.return_table(table);
    end_turn(connection);
    result
}

#[inline]
fn end_turn(connection: &Connection) {
    connection.flush();
    connection.state.set_in_turn(false);
    if connection.state.is_ending() {
        connection.end_now();
    }
}

/// A handler's panic ended the turn, and dropped the decoder, so that no further request is found, and the table, which will
/// be made anew.
#[cold]
fn after_panic(connection: &Connection) {
    if connection.state.is_raw() {
        connection.socket.destroy_unless_handled();
    } else if !connection.state.is_deaf() {
        connection.answer_panic_and_end();
    }
    end_turn(connection);
}

impl Input<'_> {
    /// Decodes up to the next event. Returns how many bytes were not used if there is none for now.
    #[inline(never)]
    fn step(&self, decoder: &mut Decoder, table: &mut FieldTable, input: &mut &[u8]) -> Option<usize> {
        let Connection { core, state, socket, .. } = &**self.connection;
        // The message at hand is received to its end even if it is the last one.
        if state.is_deaf() || socket.is_destroyed() {
            return self.skip(input);
        }
        // The end of a message takes no input: it must not wait until a slow client has fetched its response.
        if !state.is_body_stopped() && decoder.take_end() {
            self.on_message_end(&Fields::default());
            return None;
        }
        if self.connection.must_stall() {
            self.connection.stall();
            return Some(input.len());
        }
        if input.is_empty() && decoder.holds_nothing() {
            return Some(0);
        }
        match decoder.decode(input, table, &core.options().limits) {
            Ok(Event::NeedMore) => return Some(0),
            Ok(Event::Head(head)) => {
                self.on_head(&head, input);
                return state.is_raw().then_some(0);
            }
            Ok(Event::Body(data)) => calls::call_on_data(self.connection, data),
            Ok(Event::End(trailers)) => self.on_message_end(&trailers),
            Ok(Event::Done) => return self.skip(input),
            Err(error) => {
                self.refuse(error);
                return self.skip(input);
            }
        }
        None
    }

    /// Ignores the rest of the input.
    fn skip(&self, rest: &[u8]) -> Option<usize> {
        if !rest.is_empty() {
            self.connection.state.bytes_skipped();
        }
        Some(0)
    }

    fn on_head(&self, head: &RequestHead<'_>, rest: &[u8]) {
        let Connection { core, state, pipeline, .. } = &**self.connection;
        if state.head_completed() {
            self.connection.restart_clock();
        }
        let mut facts = RequestFacts::from(head);
        if core.is_last_request(pipeline.next_number()) {
            facts.keep_alive = false;
            state.close(Closing::LastRequest);
        }
        let context = core.env().new_context(Provider::HttpIncomingMessage);
        let mut exchange = core.pool.take(context, facts);
        note_wishes(&mut exchange, head, rest);
        let number = pipeline.push(exchange);
        let request = Request::new(head, self.connection, number);
        if self.is_settled(&request, context, rest) {
            return;
        }
        let response = Response::first(self.connection, number);
        core.env().make_callback(context, || call_request_handler(self.connection, &request, response));
        if head.expect == Expect::Continue {
            self.connection.send_continue(number);
        }
    }

    /// Deals with requests that `on_request` does not see: an accepted upgrade, and what the server does not do. Returns
    /// whether it was such a request.
    fn is_settled(&self, request: &Request<'_>, context: AsyncContext, rest: &[u8]) -> bool {
        if self.is_upgrade_accepted(request, context) {
            self.hand_over(request, context, rest);
        } else if request.expect == Expect::Other {
            self.answer_shortly(417);
        } else if request.is_connect() {
            self.answer_shortly(501);
        } else {
            return false;
        }
        true
    }

    /// Answers the newest request with nothing but a status.
    fn answer_shortly(&self, status: u16) {
        let response = Response::first(self.connection, self.connection.pipeline.newest());
        let _ = response.set_status(status).and_then(|response| response.end(b""));
    }

    fn is_upgrade_accepted(&self, request: &Request<'_>, context: AsyncContext) -> bool {
        let Connection { core, pipeline, handler, .. } = &**self.connection;
        let is_offered = request.is_connect() || (request.upgrade && !has_body(request));
        if !is_offered || pipeline.oldest_number() != Some(pipeline.newest()) {
            return false;
        }
        let mut accepted = false;
        up(core.env(), context, "RequestHandler::accepts_upgrade", || {
            handler.call(|handler| accepted = handler.accepts_upgrade(request));
        });
        accepted && !self.connection.socket.is_destroyed()
    }

    /// The connection leaves HTTP: everything answered so far is sent, and the handler gets the socket.
    fn hand_over(&self, request: &Request<'_>, context: AsyncContext, rest: &[u8]) {
        let connection = &**self.connection;
        let env = connection.core.env();
        connection.flush();
        connection.state.upgraded();
        if let Some(exchange) = connection.pipeline.pop() {
            connection.core.pool.give(exchange);
        }
        connection.deferred.run(self.connection);
        let socket = connection.socket.clone();
        socket.release();
        // It was paused if the request was stashed while decoding stood still.
        socket.resume();
        let _over = OnDrop::new(|| env.emit_destroy(context.async_id()));
        up(env, context, "RequestHandler::on_upgrade", || {
            connection.handler.call(|handler| handler.on_upgrade(request, socket, rest));
        });
        // This connection has one handle, and its tower another.
        connection.socket.destroy_unless_held(2);
    }

    fn on_message_end(&self, trailers: &Fields<'_>) {
        let Connection { core, state, pipeline, .. } = &**self.connection;
        state.message_ended();
        let number = pipeline.newest();
        let taken = pipeline.with(number, |exchange, _| {
            exchange.extra().body_handler.as_ref()?;
            Some((exchange.extra_mut().body_handler.take()?, exchange.context))
        });
        if let Some((handler, context)) = taken.flatten() {
            let body = Body::counted(self.connection, number);
            up(core.env(), context, "BodyHandler::on_end", || {
                handler.call(&mut |handler| handler.on_end(&body, trailers));
            });
            drop((body, handler));
            // The response may have been written long ago.
            if pipeline.with(number, |exchange, _| exchange.phase) == Some(Phase::Ended) {
                self.connection.advance();
            }
        }
        if pipeline.is_empty() && state.is_open() {
            self.connection.become_idle();
        }
    }

    /// The client broke the protocol.
    fn refuse(&self, error: ParseError) {
        self.connection.answer_and_end(error.status());
        let facts = || Facts::saying(error);
        up_within("RequestHandler::on_client_error", facts, || {
            self.connection.handler.call(|handler| handler.on_client_error(error, &self.connection.socket));
        });
    }
}

/// Calls the server's handler, within the context of the request.
#[inline]
pub(super) fn call_request_handler(connection: &Connection, request: &Request<'_>, response: Response) {
    let facts = || {
        let env = connection.core.env();
        Facts::within(env.execution_async_id().get(), env.trigger_async_id().get())
            .info(format_args!("{} {}", request.method, request.target))
    };
    up_within("RequestHandler::on_request", facts, || {
        connection.handler.call(|handler| handler.on_request(request, response));
    });
}

/// Notes what few requests ask for: that the connection ends, and a `100 Continue` before their body.
fn note_wishes(exchange: &mut Exchange, head: &RequestHead<'_>, rest: &[u8]) {
    // What follows a CONNECT may be meant for the tunnel, and come although there is none. Old clients send a line end
    // behind a body (RFC 9112, 2.2).
    let has_more = head.is_connect() || head.version != Version::Http11 || has_body(head);
    if !head.keep_alive && !has_more {
        exchange.extra_mut().client_closes = true;
    }
    // If some of the body is here already the client did not wait.
    if head.expect == Expect::Continue && has_body(head) && rest.is_empty() {
        exchange.extra_mut().awaits_continue = true;
    }
}

fn has_body(head: &RequestHead<'_>) -> bool {
    !matches!(head.framing, Framing::None | Framing::Length(0))
}
