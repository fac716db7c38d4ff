//! What a client's end does to the responses that are due. Mirrors `socketOnEnd`, `abortIncoming` and `httpAllowHalfOpen`.
//!
//! A client that ends its side has left, or it waits for its response: a FIN does not tell which. As in Node it is taken to
//! have left unless [`allow_half_open`](crate::ServerOptions::allow_half_open) is set, and handlers hear `on_close`. Unlike
//! Node, which cuts the connection there and then, it still gets the responses that have begun, as RFC 9112, 9.6 has it,
//! and those that come all the same; but only for a short time while nothing but handlers is waited for.
//!
//! A connection that is stalled does not come to the FIN, which lies behind what is unread. The socket tells of it all the
//! same. Where only other responses are waited for it then counts as read, as Node would have read it. Where a handler
//! does not want the body yet it does not, since the body may be there to its last byte: but a handler that never goes on
//! would keep a connection whose client has left, so it is told, and has the same time.

use super::Connection;
use super::calls::{CLIENT_END, CLOSE, Call};
use super::exchange::Phase;
use super::state::Closing;
use std::rc::Rc;

/// The client has ended its side, and all that it sent was read.
pub(super) fn on_end(connection: &Rc<Connection>) {
    let state = &connection.state;
    state.client_ended(false);
    if state.is_lingering() {
        // The socket closes itself when both sides have ended.
        return;
    }
    if !state.is_deaf() {
        super::input::end(connection);
    }
    if state.is_ending() {
        // It ended inside of a request, and nothing was due before.
    } else if !connection.pipeline.is_empty() {
        connection.restart_clock();
        tell_handlers(connection);
    } else if state.is_open() {
        connection.end(Closing::ForClient);
    }
}

/// Tells the handlers of all responses that are due of a client's end, each once: where the end counts, that they are too
/// late unless they have begun.
pub(super) fn tell_handlers(connection: &Rc<Connection>) {
    let state = &connection.state;
    if state.is_lingering() || state.is_raw() || !(state.has_client_ended() || state.has_ended_unread()) {
        return;
    }
    // Some of a body may be unread because its handler does not want it now.
    let is_held_back = || state.is_body_stopped() && !connection.with_decoder(|decoder| decoder.is_at_end());
    let counts = state.has_client_ended() || (!state.get().socket_full && !is_held_back());
    let counts = counts && !connection.core.options.allow_half_open;
    for number in connection.pipeline.numbers() {
        let call = connection.pipeline.with(number, |exchange, _| match exchange.phase {
            Phase::Ended => None,
            Phase::Head if counts => {
                connection.defer(Call::of_last(exchange, CLOSE));
                None
            }
            _ => {
                let call = Call::of_response(exchange, CLIENT_END)?;
                (!std::mem::replace(&mut exchange.extra_mut().knows_end, true)).then_some(call)
            }
        });
        if let Some(call) = call.flatten() {
            call.make(connection);
        }
    }
}
