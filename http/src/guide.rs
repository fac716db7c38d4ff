//! How to build on the server: who owns what, the life of a connection, back-pressure, and panics.
//!
//! # Ownership
//!
//! The loop owns a listening server, with the program's handler, until the server and all of its connections are closed. A
//! [`Request`](crate::Request) is borrowed for the call of the handler, since it points into the bytes that were read; copy
//! what is needed longer. A [`Response`](crate::Response) is a handle that the program owns: answer at once, or carry it
//! into a timer, a future or another connection's callback. Dropping its last clone without an end answers 500. A
//! [`Body`](crate::Body) is a handle too: its bytes stay in the kernel while there is a handle and no handler, and are
//! discarded if there is neither.
//!
//! # The life of a connection
//!
//! ```text
//!   accept ──▶ idle ──first byte──▶ head ──complete──▶ on_request ──▶ body ──▶ end of message
//!               ▲                    │                     │            │            │
//!               │                    │ malformed, too      │            │ BodyHandler│
//!               │                    │ large, too slow     ▼            ▼            ▼
//!               │                    │                  Response: end, now or later
//!               │                    ▼                     │
//!               │               4xx, and the end           │  in the order of the requests
//!               │                                          ▼
//!               └───────── keep-alive ──────────── response is written
//!                                                          │  close, or the last request
//!                                                          ▼
//!                                   FIN ──▶ wait for the client's acknowledgement ──▶ closed
//! ```
//!
//! A client may send further requests before the first one is answered. Their handlers are called at once, up to a bound,
//! and their responses wait for those before them. What a turn of input answers is sent together at its end.
//!
//! # Back-pressure
//!
//! A slow client slows its own response down, and nothing else. [`Response::write`](crate::Response::write) returns `false`
//! when much output waits; the program then stops producing until
//! [`on_drain`](crate::upcall::ResponseHandler::on_drain). Meanwhile the server reads no further requests of that
//! client. In the other direction [`Body::pause`](crate::Body::pause) leaves the rest of a body in the kernel until
//! [`Body::resume`](crate::Body::resume).
//!
//! # Panics
//!
//! A panic in a handler unwinds out of [`Environment::run`](async_wrap::Environment::run) and ends at most its connection:
//! the request is answered with 500 if its response has not begun, the connection is closed, and all others go on when
//! `run` is called again.
