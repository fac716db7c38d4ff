//! Whether a request that has lost its connection is sent once more. Node leaves that to the program (`req.reusedSocket`).
//!
//! A server may close an idle connection at the moment at which a request is sent on it, and the client cannot tell that from a
//! server that has died of the request. RFC 9112, 9.3.1 lets a client repeat a request then, if repeating it does no harm.

use crate::client::Exchange;

/// Whether it is sent again. Not a byte of a response has come, or the caller would not ask.
///
/// - The connection had served another request: with a new one the request itself may be the cause, and every further connection
///   may end in the same way.
/// - It is the first time: the second attempt has a new connection, so this follows, but a bound does not rest on what follows.
/// - The method is idempotent, or the server is told by an `Idempotency-Key` which request it is.
/// - What was sent is there still.
pub(super) fn is_safe(exchange: &Exchange) -> bool {
    let facts = exchange.facts();
    facts.is_reused && !facts.was_retried && exchange.is_idempotent() && exchange.is_replayable()
}
