//! The fast path: most requests, from their bytes to their response, in one loop. No other file knows of it but through
//! [`serve`], which `input.rs` calls, and [`end`], which `response.rs` calls.
//!
//! **When.** A `GET` of a path in HTTP/1.1 whose field section equals that of the head before it, byte for byte, and asks
//! for nothing beside; on a connection on which nothing else goes on; with a response that is written at once, as a
//! whole, with less than [`COPIED_BODY`] bytes. [`end`] serves every response of that kind, whatever its request was.
//!
//! **What it skips.** The reading of fields whose meaning is known; the events of a message without body; the decision how
//! a response is delimited, which is its length; the framing of its head, if it equals the last one; and the pipeline's
//! search for what else is due.
//!
//! **The law.** Never another byte on the wire, and never another call of a handler, than on the slow path: each function
//! returns `false` before it has done anything that the slow path would do otherwise. The hidden option
//! `ServerOptions::slow_path_only` switches it off: the server's tests and the conformance cases run both ways, and the
//! fuzz target `fast_path` compares the bytes.

use super::Connection;
use super::exchange::{Exchange, Phase};
use super::input::call_request_handler;
use super::output::COPIED_BODY;
use super::state::Closing;
use crate::proto::{Decoder, FieldTable, RequestFacts, ResponseHead};
use crate::{Request, Response};
use async_wrap::Provider;
use std::rc::Rc;

/// Serves requests from the front of `input`. Returns whether all of it is used, which ends a turn; if not, the slow path
/// goes on.
#[inline]
pub(super) fn serve(
    connection: &Rc<Connection>,
    decoder: &mut Decoder,
    table: &FieldTable,
    input: &mut &[u8],
) -> bool {
    let Connection { core, state, pipeline, socket, .. } = &**connection;
    if !state.is_between_requests() || !pipeline.is_empty() || core.options.slow_path_only {
        return false;
    }
    loop {
        if input.is_empty() && decoder.holds_nothing() {
            return true;
        }
        if socket.is_destroyed() || core.is_last_request(pipeline.next_number()) {
            return false;
        }
        let Some(head) = decoder.decode_repeated(input, table, &core.options.limits) else { return false };
        state.head_completed();
        let context = core.env.new_context(Provider::HttpIncomingMessage);
        let number = pipeline.push(core.pool.take(context, RequestFacts::SIMPLE));
        let (request, response) =
            (Request::new(&head, connection, number), Response::first(connection, number));
        core.env.make_callback(context, || call_request_handler(connection, &request, response));
        // Of a request whose response is written there is nothing to tell at its end.
        if !state.is_serving() || !pipeline.is_empty() {
            decoder.defer_end();
            return false;
        }
        state.message_ended();
        connection.restart_clock();
    }
}

/// Ends the response of this number with `data`. Returns `false` if the slow path has to write it.
#[inline]
pub(crate) fn end(connection: &Rc<Connection>, number: u32, data: &[u8]) -> bool {
    let Connection { core, state, pipeline, .. } = &**connection;
    if data.len() >= COPIED_BODY || connection.is_over() || core.draining.get() || core.options.slow_path_only
    {
        return false;
    }
    let Some(mut exchange) = pipeline.take_oldest(number) else { return false };
    let keep_alive = exchange.request.keep_alive;
    let Some(head) = exchange.simple_response() else {
        pipeline.put_back(exchange);
        return false;
    };
    write(connection, head, keep_alive, data);
    if !keep_alive || !exchange.is_unmarked() || exchange.next.is_some() {
        leave_slowly(connection, exchange);
        return true;
    }
    // No body was asked for, and no handler set: they would have marked the exchange.
    connection.end_context(&exchange.context);
    core.pool.give(exchange);
    if !state.is_in_message() || state.is_stalled() {
        connection.look_around();
    }
    true
}

/// Writes a simple response. Behind the conditions of [`end`] the compiler takes it for rare, and inlines nothing there.
#[inline(never)]
fn write(connection: &Connection, head: &mut ResponseHead, keep_alive: bool, data: &[u8]) {
    let (core, mut out) = (&connection.core, connection.output());
    core.heads.at(core.now()).put_simple(head, keep_alive, data.len() as u64, &mut out);
    out.extend_from_slice(data);
    connection.send_output(out);
}

/// Moves the pipeline on behind a response after which there is more to do.
#[inline(never)]
fn leave_slowly(connection: &Rc<Connection>, mut exchange: Box<Exchange>) {
    exchange.phase = Phase::Ended;
    if exchange.extra().needs_drain {
        exchange.extra_mut().needs_drain = false;
    }
    if !exchange.request.keep_alive {
        exchange.extra_mut().closes = true;
        connection.state.close(Closing::LastRequest);
    }
    connection.pipeline.put_back(exchange);
    connection.advance();
}
