//! The handlers that this layer calls: of servers with their requests, of bodies, of responses; of clients with theirs.

use crate::client::{self, ClientRequest};
use crate::proto::{Fields, IncomingResponse, ParseError};
use crate::{Body, Request, Response, Server};
use net::{Dropped, Socket};

/// Handles the events of a server. Mirrors the events of `http.Server`.
///
/// ```
/// use http::upcall::RequestHandler;
/// use http::{Request, Response};
///
/// /// Counts the requests of a server.
/// struct Counter(u64);
///
/// impl RequestHandler for Counter {
///     fn on_request(&mut self, _: &Request<'_>, response: Response) {
///         self.0 += 1;
///         // An error means that the client has closed the connection.
///         let _ = response.end(self.0.to_string().as_bytes());
///     }
/// }
/// ```
#[expect(unused_variables, reason = "the names document what a default ignores")]
pub trait RequestHandler {
    /// Called with each request whose head is complete ('request'). Its body, if it has one, goes to the handler that is
    /// given to [`Request::body`]; without one it is discarded.
    fn on_request(&mut self, request: &Request<'_>, response: Response);

    /// Whether to take the connection over instead of responding (`shouldUpgradeCallback`). Called for requests that offer an
    /// `Upgrade` and have no body, and for `CONNECT`, if no response to an earlier request is due. After `false` an offer
    /// is ignored, as RFC 9110, 7.8 allows, and the response to a `CONNECT` is 501.
    fn accepts_upgrade(&mut self, request: &Request<'_>) -> bool {
        false
    }

    /// Whether a method that no specification defines is one of this program's own. Called for those only; after `false` the
    /// response is 501 (RFC 9110, 9.1), without a call of `on_request`. Node answers all but a fixed set with 400.
    fn accepts_method(&mut self, method: &str) -> bool {
        false
    }

    /// Whether to serve a request although there is too much to do: a health check, say. Called while
    /// [`max_requests_in_flight`](crate::ServerOptions#structfield.max_requests_in_flight) or
    /// [`max_loop_lag`](crate::ServerOptions#structfield.max_loop_lag) is exceeded; after `false` the response is 503.
    fn accepts_overload(&mut self, request: &Request<'_>) -> bool {
        false
    }

    /// Whether a connection stays open on which nothing was received or fetched for
    /// [`timeout`](crate::ServerOptions#structfield.timeout) ('timeout'). After `false` it is broken off; after `true` this is
    /// called again when as much time has passed. `socket` is for addresses and counters.
    fn accepts_silence(&mut self, socket: &Socket) -> bool {
        false
    }

    /// Called when the connection leaves HTTP ('upgrade' and 'connect'): write the response to the socket, and give it a
    /// handler. `head` is what the client has sent behind the request. A socket without a handler that is not held anywhere
    /// is destroyed.
    fn on_upgrade(&mut self, request: &Request<'_>, socket: Socket, head: &[u8]) {}

    /// Called when a client has sent something that is not HTTP, or more than the limits allow, or has ended inside a
    /// request ('clientError'). The server responds with an error and disconnects it, behind the responses that are due.
    /// `socket` is for addresses and counters.
    fn on_client_error(&mut self, error: ParseError, socket: &Socket) {}

    /// Called when the server listens ('listening').
    fn on_listening(&mut self, server: &Server) {}

    /// Called when a connection above the limit was accepted and closed ('drop').
    fn on_drop(&mut self, server: &Server, dropped: Dropped) {}

    /// Called when listening or accepting failed after `listen` returned ('error'): see [`net::Error::phase`]. A server that
    /// cannot accept tries again after a pause; it reports each trouble once.
    fn on_error(&mut self, server: &Server, error: net::Error) {
        let _ = server;
        log::error!(target: "http", "{error}");
    }

    /// Called when the server and all of its connections are closed ('close'); the last call.
    fn on_close(&mut self, server: &Server) {}
}

/// A closure gets requests only; errors go to `log`, where they are lost unless the program has set up a logger.
impl<F: FnMut(&Request<'_>, Response)> RequestHandler for F {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        self(request, response);
    }
}

/// Handles a request's body: see the example of [`Body`]. Mirrors the readable side of `http.IncomingMessage`.
#[expect(unused_variables, reason = "the names document what a default ignores")]
pub trait BodyHandler {
    /// Called with some of the body ('data'), without transfer coding; lent for the call.
    fn on_data(&mut self, body: &Body, data: &[u8]);

    /// Called when the body is complete ('end'). `trailers` are the fields behind a chunked one.
    fn on_end(&mut self, body: &Body, trailers: &Fields<'_>);

    /// Called when the body will not be completed ('aborted'): the connection was lost or ended by the response, the client
    /// broke the protocol, or the body was discarded.
    fn on_abort(&mut self, body: &Body) {}
}

/// Handles what becomes of a response. Mirrors the events of `http.ServerResponse`.
#[expect(unused_variables, reason = "the names document what a default ignores")]
pub trait ResponseHandler {
    /// Called when more is welcome, after a write that returned `false` ('drain').
    fn on_drain(&mut self, response: &Response) {}

    /// Called when the response has ended and is with the kernel, or queued for it ('finish').
    fn on_finish(&mut self, response: &Response) {}

    /// Called once when the client has ended its side while the response may still reach it. Node has no such event.
    ///
    /// That is so with [`allow_half_open`](crate::ServerOptions#structfield.allow_half_open), for a response that has begun,
    /// and while the client's end lies behind a paused body or behind output that it does not read; else `on_close` is
    /// called.
    fn on_client_end(&mut self, response: &Response) {}

    /// Called when the response can no longer be completed ('close' without 'finish'): the connection was lost, the client
    /// ended its side without [`allow_half_open`](crate::ServerOptions#structfield.allow_half_open), or the request is
    /// broken or too slow.
    fn on_close(&mut self, response: &Response) {}
}

/// Handles what comes of a client's request: see the example of [`client`]. Mirrors the events of `http.ClientRequest` and of its
/// `http.IncomingMessage`.
///
/// Exactly one of `on_end`, `on_upgrade` and `on_error` ends a request, and `on_close` follows as the last call. All calls run in
/// the async context of the request (`HTTPCLIENTREQUEST`). A handler that panics gets no further call.
#[expect(unused_variables, reason = "the names document what a default ignores")]
pub trait ClientHandler {
    /// Called when the server wants the body of a request with `Expect: 100-continue` ('continue'); what was written of it is
    /// sent by itself. The same 100 to another request goes to `on_information`.
    fn on_continue(&mut self, request: &ClientRequest) {}

    /// Called with each informational response before the final one, such as 103 ('information').
    fn on_information(&mut self, request: &ClientRequest, response: &IncomingResponse<'_>) {}

    /// Called with the head of the final response ('response').
    fn on_response(&mut self, request: &ClientRequest, response: &IncomingResponse<'_>);

    /// Called with some of the response's body ('data'), without transfer coding; lent for the call.
    fn on_data(&mut self, request: &ClientRequest, data: &[u8]) {}

    /// Called when the response is complete ('end'). `trailers` are the fields behind a chunked body.
    fn on_end(&mut self, request: &ClientRequest, trailers: &Fields<'_>) {}

    /// Called when the connection leaves HTTP ('upgrade' and 'connect'), behind the `on_response` of a 101 or of a 2xx to
    /// `CONNECT`. Give the socket a handler. `head` is what the server has sent behind the response. A socket without a handler
    /// that is not held anywhere is destroyed.
    fn on_upgrade(&mut self, request: &ClientRequest, socket: Socket, head: &[u8]) {}

    /// Called when more of the request's body is welcome, after a write that returned `false` ('drain').
    fn on_drain(&mut self, request: &ClientRequest) {}

    /// Called when the request has ended and is with the kernel, or queued for it ('finish').
    fn on_finish(&mut self, request: &ClientRequest) {}

    /// Called when the request has failed ('error', and 'aborted' of a response that had begun).
    fn on_error(&mut self, request: &ClientRequest, error: client::Error);

    /// Called when the request is over ('close'); the last call.
    fn on_close(&mut self, request: &ClientRequest) {}
}
