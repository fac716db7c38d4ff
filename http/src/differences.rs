//! Where the server differs from Node's on purpose.
//!
//! Where an RFC demands something else, the RFC wins; the files of [`proto`](crate::proto) name the sections. Beyond that:
//!
//! - `100 Continue` is sent once the handler has returned without a response, so that a handler that refuses a request
//!   spares the client its body; another expectation gets 417, without a call of the handler;
//! - responses that are due are sent before the response to a broken request that follows them, before a close, and, if
//!   they come within 3 s, to a client that has ended its side (Node cuts them off); see
//!   [`ServerOptions::allow_half_open`](crate::ServerOptions::allow_half_open);
//! - a reset is reported at once, also while a body is paused, and so is the client's end behind a paused body
//!   ([`ResponseHandler::on_client_end`](crate::upcall::ResponseHandler::on_client_end)); Node reports neither before it
//!   reads on;
//! - the server itself answers a broken request: `on_client_error` is told of it, and not of timeouts;
//! - requests that follow `Connection: close`, or the last that `max_requests_per_socket` allows, are ignored (Node
//!   answers 503), and so is an `Upgrade` that the handler does not accept; a `CONNECT` is then answered with 501;
//! - an `Upgrade` is offered to the handler only if no earlier request waits for its response;
//! - at most 64 requests of a connection wait for their responses; the rest stays undecoded;
//! - the rest of a request's body that follows the response goes to its handler if it has one, as in Node; but a response
//!   with `Connection: close` cuts it;
//! - after its own end the server reads on for two seconds, so that no reset destroys the response;
//! - a response dropped without an end becomes a 500, or ends the connection if it has begun;
//! - a connection is idle once its client has the whole response, not once the response is written;
//! - a client that fetches nothing of its response for as long as a request may take (`request_timeout`) is cut off;
//! - limits and timeouts are checked once a second, in Node every thirty; there is no timeout of the socket
//!   (`server.timeout`) beside them;
//! - [`Server::shutdown`](crate::Server::shutdown) is graceful; [`Server::close`](crate::Server::close), as in Node, is not.
