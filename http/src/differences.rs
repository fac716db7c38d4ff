//! Where the server differs from Node's, on purpose.
//!
//! Where an RFC demands something else, the RFC wins; the files of [`proto`](crate::proto) name the sections. Beyond that:
//!
//! - `100 Continue` is sent once the handler has returned without an answer, so that a handler that refuses a request
//!   spares the client its body; another expectation is answered with 417, without a call to the handler;
//! - answers due are sent before the answer to a broken request that follows them, before a close, and, if they come
//!   within 3 s, to a client that has ended its side (Node cuts them off); see
//!   [`ServerOptions::allow_half_open`](crate::ServerOptions::allow_half_open);
//! - a reset is told at once, also while a body is paused, and so is that the client has ended behind one
//!   ([`ResponseHandler::on_client_end`](crate::upcall::ResponseHandler::on_client_end)), where Node says nothing before it
//!   reads on;
//! - a broken request is always answered by the server: `on_client_error` is told of it, and not of timeouts;
//! - requests that follow `Connection: close`, or the last that `max_requests_per_socket` allows, are ignored (Node
//!   answers 503), and so is an `Upgrade` that the handler does not accept; a `CONNECT` is then answered with 501;
//! - an `Upgrade` is offered to the handler only if no earlier request waits for its answer;
//! - no more than 64 requests of a connection wait for their answers; the rest stays undecoded;
//! - an answer may be followed by the rest of its request's body, which goes to its handler if it has one, as in Node;
//!   but an answer that says close cuts it;
//! - after an end of its own the server reads on for two seconds, so that no reset destroys the answer;
//! - a response dropped without an end becomes a 500, or ends the connection if it has begun;
//! - a connection is idle from when its client has the whole answer, not from when the answer was written;
//! - a client that fetches nothing of its answer for as long as a request may take (`request_timeout`) is cut off;
//! - limits and timeouts are looked at once a second, where Node looks every thirty; there is no timeout of the socket's
//!   own (`server.timeout`) beside them;
//! - [`Server::shutdown`](crate::Server::shutdown) ends in an orderly way, which [`Server::close`](crate::Server::close) as in Node does
//!   not.
