//! Everything that this layer calls upward: requests, their bodies, and what becomes of responses.

use crate::proto::{Fields, ParseError};
use crate::{Request, Response};
use net::{Dropped, Socket};

/// A server. Mirrors the events of `http.Server`.
pub trait RequestHandler {
    /// A request's head is complete ('request'). Its body, if it has one, comes to the handler given to
    /// [`Request::body`]; it is thrown away if that is not asked for.
    fn on_request(&mut self, request: &Request<'_>, response: Response);

    /// Whether to take the connection over instead of answering (`shouldUpgradeCallback`): asked for requests that
    /// offer an `Upgrade` and have no body, and for `CONNECT`, if no answer is due to an earlier request. Without a
    /// yes an offer is ignored, as RFC 9110, 7.8 allows, and `CONNECT` is answered with 501.
    fn accepts_upgrade(&mut self, request: &Request<'_>) -> bool {
        let _ = request;
        false
    }

    /// The connection leaves HTTP ('upgrade' and 'connect'): answer on the socket, and give it a handler.
    /// `head` is what the client sent after the request already. A socket that has none and is not held
    /// anywhere any more is destroyed.
    fn on_upgrade(&mut self, request: &Request<'_>, socket: Socket, head: &[u8]) {
        let _ = (request, socket, head);
    }

    /// A client sent something that is not HTTP, or too much of it, or ended in the middle ('clientError'); it is
    /// answered and disconnected, once the answers due are sent.
    /// `socket` is for addresses and counters.
    fn on_client_error(&mut self, error: ParseError, socket: &Socket) {
        let _ = (error, socket);
    }

    /// The server listens ('listening').
    fn on_listening(&mut self) {}

    /// A connection above the limit was accepted and closed ('drop').
    fn on_drop(&mut self, dropped: Dropped) {
        let _ = dropped;
    }

    /// Listening or accepting failed later than `listen` could say ('error'): see [`net::Error::phase`]. A server that cannot
    /// accept goes on, and tries again after a pause; that is said once for each trouble.
    fn on_error(&mut self, error: net::Error) {
        log::error!(target: "http", "{error}");
    }

    /// The server and all of its connections are closed ('close'); this is its last call.
    fn on_close(&mut self) {}
}

/// A closure hears of requests only; errors go to `log`, where they are lost unless the program has set up a logger.
impl<F: FnMut(&Request<'_>, Response)> RequestHandler for F {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        self(request, response);
    }
}

/// A request's body. Mirrors the readable side of `http.IncomingMessage`.
pub trait BodyHandler {
    /// Some of the body ('data'), without transfer coding; lent for the call.
    fn on_data(&mut self, data: &[u8]);

    /// The body is complete ('end'). `trailers` are the fields that followed a chunked one.
    fn on_end(&mut self, trailers: &Fields<'_>);

    /// The connection was lost, or ended by the answer, or the client broke the protocol, before the body was complete
    /// ('aborted').
    fn on_abort(&mut self) {}
}

/// What becomes of a response. Mirrors the events of `http.ServerResponse`.
pub trait ResponseHandler {
    /// More is welcome, after a write that returned `false` ('drain').
    fn on_drain(&mut self) {}

    /// The response was ended and is with the kernel, or queued for it ('finish').
    fn on_finish(&mut self) {}

    /// The client has finished sending, and the response has not ended: it may be gone, or wait for the response. Called
    /// once, where `on_close` is not: with [`allow_half_open`](crate::ServerOptions::allow_half_open), for a response that
    /// has begun, or while the client's end lies behind a paused body or behind output that it does not fetch.
    fn on_client_end(&mut self) {}

    /// The connection was lost, or the client ended its side
    /// (unless [`allow_half_open`](crate::ServerOptions::allow_half_open) is set), or the request turned out broken or too
    /// slow, before the response ended ('close' without 'finish').
    fn on_close(&mut self) {}
}
