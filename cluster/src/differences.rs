//! Where this crate differs from Node's `cluster`, on purpose.
//!
//! - The primary hands connections out in strict rotation, with several in flight for each worker. Node has one in flight
//!   for each worker, and gives the next connection to the worker that answered first.
//! - Connections that a worker refused, or had not acknowledged when it died, go to another worker; in Node the latter are
//!   lost.
//! - A worker gets connections once it listens; in Node, as soon as it has asked for the socket.
//! - The channel comes through a worker's standard input, where Node passes the descriptor's number in a variable. A process
//!   that was forked as a worker becomes one or fails.
//! - A worker that cannot listen reports it to its server's handler; in Node an unhandled error ends the worker.
//! - What a worker makes the primary hold has a bound: [`Settings::max_listeners`](crate::Settings::max_listeners). The
//!   primary may refuse an address: [`PrimaryHandler::accepts_listen`](crate::upcall::PrimaryHandler::accepts_listen).
//! - [`Settings::respawn`](crate::Settings::respawn) replaces workers that died; Node leaves that to the program.
//!
//! Not here: UDP sockets, and ports for debuggers.
