//! From bytes to requests: the connection's turn at its input. Mirrors `onParserExecute`, `parserOnIncoming`,
//! `parserOnBody`, `parserOnMessageComplete` and `socketOnError`.

use super::exchange::{Exchange, Phase};
use super::state::Closing;
use super::{Connection, calls, fast_path};
use crate::proto::{
    Decoder, Event, Expect, FieldTable, Fields, Framing, ParseError, RequestFacts, RequestHead, Version,
};
use crate::server::Core;
use crate::trace::{up, up_within};
use crate::upcall::RequestHandler;
use crate::{Body, Request, Response};
use async_wrap::layer::trace::Facts;
use async_wrap::layer::{OnDrop, OnUnwind};
use async_wrap::{AsyncContext, Environment};
use std::rc::Rc;

pub(super) const ON_REQUEST: &str = "RequestHandler::on_request";

/// Takes input; returns how many of its last bytes were not used, because decoding is stalled.
pub(super) fn feed(connection: &Rc<Connection>, mut input: &[u8]) -> usize {
    let work = || while !fast_path::serve(connection, &mut input) && decode(connection, &mut input) {};
    in_turn(connection, work);
    if connection.state.is_stalled() { input.len() } else { 0 }
}

/// The client ended its side.
pub(super) fn end(connection: &Rc<Connection>) {
    if let Err(error) = connection.with_decoder(|decoder| decoder.finish()) {
        // In a turn, so that the response and the end go together.
        in_turn(connection, || refuse(connection, error));
    }
}

/// One upcall's worth of input. At its end, also by a panic, what was collected is sent.
#[inline]
fn in_turn(connection: &Connection, work: impl FnOnce()) {
    connection.state.set_in_turn(true);
    let panicked = OnUnwind::new(|| after_panic(connection));
    work();
    panicked.disarm();
    end_turn(connection);
}

#[inline]
fn end_turn(connection: &Connection) {
    connection.flush(0);
    connection.state.set_in_turn(false);
    if connection.state.is_ending() {
        connection.end_now();
    }
}

/// A handler's panic ended the turn. Where it was called from [`decode`] it dropped the decoder, so that no further request
/// is found, and the table, which will be made anew. In a turn only the newest request's handlers are called.
#[cold]
fn after_panic(connection: &Connection) {
    if connection.state.is_raw() {
        connection.socket.destroy_unless_handled();
    } else if !connection.state.is_deaf() {
        connection.fail(500, true);
    }
    end_turn(connection);
}

/// Decodes up to the end of a message. Returns whether there may be more in `input`.
#[inline(never)]
fn decode(connection: &Rc<Connection>, input: &mut &[u8]) -> bool {
    let Connection { core, state, .. } = &**connection;
    let mut decoder = connection.decoder.take();
    let mut table = core.table.take().unwrap_or_default();
    let is_more = loop {
        let is_more = step(connection, &mut decoder, &mut table, input);
        if !is_more || !state.is_in_message() {
            break is_more;
        }
    };
    if decoder.has_started() && state.head_started() {
        connection.restart_clock();
    }
    connection.decoder.set(decoder);
    core.table.set(Some(table));
    is_more
}

/// Decodes up to the next event. Returns whether there was one.
fn step(
    connection: &Rc<Connection>,
    decoder: &mut Decoder,
    table: &mut FieldTable,
    input: &mut &[u8],
) -> bool {
    let Connection { core, state, socket, .. } = &**connection;
    // The message at hand is received to its end even if it is the last one.
    if state.is_deaf() || socket.is_destroyed() {
        return skip(connection, input);
    }
    // The end of a message takes no input: it must not wait until a slow client has fetched its response.
    if !state.is_body_stopped() && decoder.take_end() {
        on_message_end(connection, &Fields::default());
        return true;
    }
    if connection.must_stall() {
        state.set_stalled(true);
        connection.restart_clock();
        socket.pause();
        return false;
    }
    if input.is_empty() && decoder.buffered() == 0 {
        return false;
    }
    match decoder.decode(input, table, &core.options.limits) {
        Ok(Event::NeedMore) => return false,
        Ok(Event::Head(head)) => {
            on_head(connection, &head, input);
            return !state.is_raw();
        }
        Ok(Event::Body(data)) => calls::call_on_data(connection, data),
        Ok(Event::End(trailers)) => on_message_end(connection, &trailers),
        Ok(Event::Done) => return skip(connection, input),
        Err(error) => {
            refuse(connection, error);
            return skip(connection, input);
        }
    }
    true
}

fn skip(connection: &Connection, rest: &[u8]) -> bool {
    if !rest.is_empty() {
        connection.state.bytes_skipped();
    }
    false
}

fn on_head(connection: &Rc<Connection>, head: &RequestHead<'_>, rest: &[u8]) {
    let Connection { core, state, pipeline, .. } = &**connection;
    if state.head_completed() {
        connection.restart_clock();
    }
    let mut facts = RequestFacts::from(head);
    let limit = core.options.max_requests_per_socket;
    if limit > 0 && pipeline.next_number() >= limit {
        facts.keep_alive = false;
        state.close(Closing::LastRequest);
    }
    let context = connection.new_request_context();
    let mut exchange = core.pool.take(context, facts);
    note_wishes(&mut exchange, head, rest);
    #[cfg(feature = "codings")]
    connection.note_accepted(&mut exchange, head);
    if core.draining.get() && !rest.is_empty() && !has_body(head) {
        exchange.extra_mut().is_followed = true;
    }
    let number = pipeline.push(exchange);
    let request = Request::new(head, connection, number);
    let refusal = refusal(connection, &request, context);
    if refusal.is_none() && is_upgrade_accepted(connection, &request, context) {
        return hand_over(connection, &request, context, rest);
    }
    // What the server does not do, `on_request` does not see.
    let refusal = refusal.or_else(|| match head.expect {
        Expect::Other => Some(417),
        _ => head.is_connect().then_some(501),
    });
    let response = Response::first(connection, number);
    if let Some(status) = refusal {
        return refuse_request(&response, status, core);
    }
    let call = || connection.handler.call(|handler| handler.on_request(&request, response));
    core.env.make_callback(context, || up_within(ON_REQUEST, || request_facts(&core.env, &request), call));
    core.count_in(connection, number);
    if head.expect == Expect::Continue {
        connection.send_continue(number);
    }
}

/// Why a request is not served, whatever it is for: its method is unknown, or there is too much to do.
fn refusal(connection: &Connection, request: &Request<'_>, context: AsyncContext) -> Option<u16> {
    let Connection { core, handler, .. } = connection;
    let asks = |name, ask: &mut dyn FnMut(&mut dyn RequestHandler) -> bool| {
        let mut accepted = false;
        up(&core.env, context, name, || handler.call(|handler| accepted = ask(&mut **handler)));
        accepted
    };
    if !request.has_known_method()
        && !asks("RequestHandler::accepts_method", &mut |handler| handler.accepts_method(request.method))
    {
        return Some(501);
    }
    if core.overload.is_there()
        && !asks("RequestHandler::accepts_overload", &mut |handler| handler.accepts_overload(request))
    {
        core.overload.note_shed();
        return Some(503);
    }
    None
}

#[cold]
fn refuse_request(response: &Response, status: u16, core: &Core) {
    if status == 503 {
        let seconds = core.options.retry_after.as_secs().to_string();
        let _ = response.set_header("Retry-After", seconds);
    }
    let _ = response.set_status(status).and_then(|response| response.end(b""));
}

fn is_upgrade_accepted(connection: &Connection, request: &Request<'_>, context: AsyncContext) -> bool {
    let Connection { core, pipeline, handler, socket, .. } = connection;
    let is_offered = request.is_connect() || (request.upgrade && !has_body(request));
    if !is_offered || pipeline.oldest_number() != Some(pipeline.newest()) {
        return false;
    }
    let mut accepted = false;
    up(&core.env, context, "RequestHandler::accepts_upgrade", || {
        handler.call(|handler| accepted = handler.accepts_upgrade(request));
    });
    accepted && !socket.is_destroyed()
}

/// The connection leaves HTTP: everything collected so far is sent, and the handler gets the socket.
fn hand_over(connection: &Rc<Connection>, request: &Request<'_>, context: AsyncContext, rest: &[u8]) {
    let env = &connection.core.env;
    connection.flush(0);
    connection.state.upgraded();
    if let Some(exchange) = connection.pipeline.pop() {
        connection.core.pool.give(exchange);
    }
    connection.deferred.run(connection);
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

fn on_message_end(connection: &Rc<Connection>, trailers: &Fields<'_>) {
    let Connection { core, state, pipeline, .. } = &**connection;
    state.message_ended();
    let number = pipeline.newest();
    let taken = pipeline.with(number, |exchange, _| {
        exchange.extra().body_handler.as_ref()?;
        Some((exchange.extra_mut().body_handler.take()?, exchange.context))
    });
    if let Some((handler, context)) = taken.flatten() {
        let body = Body::counted(connection, number);
        up(&core.env, context, "BodyHandler::on_end", || {
            handler(&mut |handler| handler.on_end(&body, trailers));
        });
        drop((body, handler));
        // The response may have been written long ago.
        if pipeline.with(number, |exchange, _| exchange.phase) == Some(Phase::Ended) {
            connection.advance();
        }
    }
    connection.look_around();
}

/// The client broke the protocol.
fn refuse(connection: &Connection, error: ParseError) {
    connection.fail(error.status(), connection.state.is_in_message());
    up_within(
        "RequestHandler::on_client_error",
        || Facts::saying(error),
        || {
            connection.handler.call(|handler| handler.on_client_error(error, &connection.socket));
        },
    );
}

/// What a trace tells of a request within whose context it is.
#[cold]
pub(super) fn request_facts(env: &Environment, request: &Request<'_>) -> Facts {
    Facts::within(env.execution_async_id().get(), env.trigger_async_id().get())
        .info(format_args!("{} {}", request.method, request.target))
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
