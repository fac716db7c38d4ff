//! Primary and workers: one program in several processes that listen together. Mirrors Node's `cluster`.
//!
//! A [`Primary`] forks workers, which are this program again: in them [`Worker::from_env`] finds out. A server of a
//! worker gets its listening handle from the primary, by [`Worker::source`]; workers that listen on the same share a
//! socket. Who gets a connection is a [`Policy`]: the primary hands them out in turn, as a policy of yours says, or the
//! workers accept from a shared socket. A [`Supervised`] primary replaces workers that died.
//!
//! ```no_run
//! use async_wrap::{Environment, Loop, RunMode};
//! use cluster::upcall::PrimaryHandler;
//! use cluster::{Backoff, Primary, Settings, Supervised, Worker};
//! use net::{ListenOptions, Server, ServerOptions, Socket};
//!
//! struct Quiet;
//! impl PrimaryHandler for Quiet {}
//!
//! let lp = Loop::new()?;
//! let env = Environment::new(&lp);
//! if let Some(worker) = Worker::from_env(&env)? {
//!     let server = Server::with_source(&env, ServerOptions::default(), worker.source());
//!     server.listen_with(ListenOptions::port(8000), |_, socket| {
//!         // A handler of yours.
//! #       drop(socket);
//!     })?;
//! } else {
//!     let handler = Supervised::new(Backoff::default(), Quiet);
//!     let primary = Primary::new(&env, Settings::new().keep_listening(true), handler);
//!     for _ in 0..std::thread::available_parallelism()?.get() {
//!         primary.fork()?;
//!     }
//! }
//! env.run(RunMode::Default)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! That a worker cannot listen, for a port in use, say, is told in the worker, by `on_error` of its server's handler
//! ([`net::upcall::ServerHandler`]), and not to the primary. A closure has none: such an error is a record of `log` then,
//! and without a logger the program waits in silence. In Node it ends the worker.
//!
//! # Who is a worker
//!
//! A process that a primary forked has two variables, `UPCALL_UNIQUE_ID` and `UPCALL_STDIN`, and the channel comes to it
//! through its standard input. Such a process becomes a worker or ends: [`Worker::from_env`] is an error if it cannot,
//! and never "no worker", and [`Primary::fork`] is refused to it before. So call `from_env` first of all, and let its
//! error end the program. As in Node the children of a worker are no workers: the variables are removed, unless the
//! process had other threads by then, in which case a child that asks is told of an error.
//!
//! # What a connection goes through
//!
//! The primary accepts it, without a handle for it, when some worker can take it. The connections of one turn of the
//! loop travel to a worker in one message (`SCM_RIGHTS`); the worker says in another which of them it takes, before it
//! serves any; then the primary closes its own copies. Connections that a worker refused, because its server is full or
//! closed, and those that a dead worker never acknowledged go to another: none is lost, and none is served twice.
//!
//! A worker has at most 64 unacknowledged connections, and one that has not acknowledged for 50 milliseconds gets no more
//! before it has: it stands still, or is busy. While that is so of all workers, connections wait in the kernel.
//! Those that a worker holds meanwhile wait until it goes on, or is dead. Acknowledgements overtake what a worker's
//! program has to say, except for what the kernel has already, 64 KiB and one message.
//!
//! Lost are those that a dying worker had acknowledged, and those in the hands of a server when it is closed.
//!
//! # What a worker may do to its primary
//!
//! Workers hear clients, so one of them may be taken over. What it says is checked, and what it makes the primary hold is
//! little and goes with it: [`Settings::max_listeners`] sockets, 16 descriptors and a mebibyte of a message that is not
//! complete. Sockets that are kept for workers to come are those on which a server listened, and no more than one worker
//! may have.
//!
//! The primary binds what workers listen on, files of Unix sockets too, with its own rights, and removes the files. A
//! worker of the same user could do so itself. For one that was started as another user or group the primary makes no
//! file, unless its program says which: [`PrimaryHandler::accepts_listen`](upcall::PrimaryHandler::accepts_listen), where
//! a program says best on which addresses its workers listen at all. That is needed as well where workers give up rights
//! after their start (`chroot`, a sandbox), which a primary does not see.
//!
//! Messages and output of a worker are its own words: show them to people by [`async_wrap::layer::Printable`] or the like, since a
//! terminal obeys what it is shown.
//!
//! # The end
//!
//! [`Primary::disconnect`] lets every worker close its servers, wait for their connections and end, and
//! [`Worker::disconnect`] does that for one; [`Worker::kill`] waits for nothing. A worker that loses its primary stops its
//! loop, unless its handler says otherwise.
//!
//! With the feature `trace` the layer says to `log`, at level trace, under the target `cluster`, which messages pass
//! between the processes, and which connections with them: see [`async_wrap::layer::trace`].

#![forbid(unsafe_code)]

mod channel;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod primary;
mod scheduling;
mod settings;
pub mod upcall;
mod worker;

pub use channel::message::ProtocolError;
pub use error::{Error, InvitationError, Result};
pub use primary::{Backoff, Counters, Output, Primary, Supervised, WorkerHandle};
pub use scheduling::{Candidate, Policy, RoundRobin, SchedulingPolicy};
pub use settings::Settings;
pub use worker::Worker;

/// The source of this layer's records: see [`async_wrap::layer::trace`].
pub(crate) const LAYER: async_wrap::layer::trace::Layer = async_wrap::layer::trace::Layer::new("cluster");
