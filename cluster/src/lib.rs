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
//! With the feature `trace` the layer says to `log`, at level trace, under the target `cluster`, which messages pass
//! between the processes, and which connections with them: see [`async_wrap::layer::trace`].

#![forbid(unsafe_code)]

mod channel;
pub mod differences;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod guide;
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
