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
//! leaves a request to that before it has done anything that would be done otherwise there. The hidden option
//! `ServerOptions::slow_path_only` switches it off: the server's tests and the conformance cases run both ways, and the
//! fuzz target `fast_path` compares the bytes.

use super::Connection;
use super::exchange::{Exchange, Phase};
use super::input::{ON_REQUEST, request_facts};
use super::output::COPIED_BODY;
use super::state::Closing;
use crate::proto::{Decoder, RequestFacts, RequestHead};
use crate::trace::up_within;
use crate::{Request, Response, Result};
use std::rc::Rc;

/// Serves requests from the front of `input`. Returns whether all of it is used, which ends a turn; if not, the slow path
/// goes on.
#[inline]
pub(super) fn serve(connection: &Rc<Connection>, input: &mut &[u8]) -> bool {
    let Connection { core, state, pipeline, socket, .. } = &**connection;
    if !state.is_between_requests() || !pipeline.is_empty() || !connection.with_decoder(Decoder::is_fresh) {
        return false;
    }
    let Some(table) = core.table.take() else { return false };
    let is_used = loop {
        if input.is_empty() {
            break true;
        }
        if socket.is_destroyed() || pipeline.newest() >= core.fast_requests.get() {
            break false;
        }
        let Some(head) = RequestHead::repeated(input, &table, &core.options.limits) else { break false };
        state.head_completed();
        let context = connection.new_request_context();
        let number = pipeline.push(core.pool.take(context, RequestFacts::SIMPLE));
        // The scope in which this input came runs the queues.
        core.env.run_in_context(context, || {
            let request = Request::new(&head, connection, number);
            let response = Response::first(connection, number);
            let call = || connection.handler.call(|handler| handler.on_request(&request, response));
            up_within(ON_REQUEST, || request_facts(&core.env, &request), call);
        });
        // Of a request whose response is written there is nothing to tell at its end.
        if !state.is_serving() || !pipeline.is_empty() {
            core.count_in(connection, number);
            connection.decoder.set(Decoder::at_end());
            break false;
        }
        state.message_ended();
        connection.restart_clock();
    };
    core.table.set(Some(table));
    is_used
}

/// Ends the response of this number with `data`.
#[inline]
pub(crate) fn end(connection: &Rc<Connection>, number: u32, data: &[u8]) -> Result<()> {
    let Connection { core, state, pipeline, .. } = &**connection;
    if data.len() >= COPIED_BODY || number > core.fast_requests.get() || connection.is_over() {
        return end_slowly(connection, number, data);
    }
    let mut is_written = false;
    let left = pipeline.pop_if(|oldest| {
        let Some((head, keep_alive)) = oldest.simple_response(number) else { return false };
        connection.send(|out| {
            core.heads.at(core.now()).put_simple(head, keep_alive, data.len() as u64, out);
            out.extend_from_slice(data);
        });
        is_written = true;
        oldest.leaves_at_once() || {
            end_marked(connection, oldest);
            false
        }
    });
    match left {
        Some(exchange) => {
            // No body was asked for, and no handler set: they would have marked the exchange.
            connection.end_context(&exchange.context);
            core.pool.give(exchange);
            if !state.is_in_message() || state.is_stalled() {
                connection.look_around();
            }
        }
        None if is_written => connection.advance(),
        None => return end_slowly(connection, number, data),
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn end_slowly(connection: &Rc<Connection>, number: u32, data: &[u8]) -> Result<()> {
    connection.write_response(number, data, true).map(drop)
}

/// Ends a response after which there is more to do.
#[inline(never)]
fn end_marked(connection: &Connection, exchange: &mut Exchange) {
    exchange.phase = Phase::Ended;
    if exchange.extra().needs_drain {
        exchange.extra_mut().needs_drain = false;
    }
    if !exchange.request.keep_alive {
        exchange.extra_mut().closes = true;
        connection.state.close(Closing::LastRequest);
    }
}
