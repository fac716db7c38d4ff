//! Primary and workers: one program in several processes that listen together. Mirrors Node's `cluster`.
//!
//! A [`Primary`] forks workers, which run the same program: [`Worker::from_env`] tells them apart. A server of a worker
//! gets its listening handle from the primary, by [`Worker::source`]; workers that listen on the same address share a
//! socket. A [`Policy`] decides which worker gets a connection: the primary hands them out in turn, or as a policy of the
//! program chooses, or the workers accept from a shared socket. With [`Settings::respawn`] the primary replaces workers
//! that died.
//!
//! ```no_run
//! use async_wrap::{Environment, Loop, RunMode};
//! use cluster::upcall::PrimaryHandler;
//! use cluster::{Backoff, Primary, Settings, Worker};
//! use net::{ListenOptions, Server, ServerOptions};
//!
//! struct Quiet;
//! impl PrimaryHandler for Quiet {}
//!
//! let event_loop = Loop::new()?;
//! let env = Environment::new(&event_loop);
//! if let Some(worker) = Worker::from_env(&env)? {
//!     let server = Server::with_source(&env, ServerOptions::default(), worker.source());
//!     server.listen_with(ListenOptions::port(8000), |_, socket| {
//!         // A handler of yours.
//! #       drop(socket);
//!     })?;
//! } else {
//!     let settings = Settings::default().keep_listening(true).respawn(Backoff::default());
//!     let primary = Primary::new(&env, settings, Quiet);
//!     for _ in 0..std::thread::available_parallelism()?.get() {
//!         primary.fork()?;
//!     }
//! }
//! env.run(RunMode::Default)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `trace` the layer logs the messages between the processes, and the connections with them, at level
//! trace under the target `cluster`: see [`async_wrap::layer::trace`].

#![forbid(unsafe_code)]

mod channel;
pub mod differences;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod guide;
mod primary;
pub mod scheduling;
mod settings;
pub mod upcall;
mod worker;

pub use channel::message::ProtocolError;
pub use error::{Error, InvitationError, Result};
pub use primary::{Backoff, Counters, Output, Primary, WorkerHandle};
pub use scheduling::Policy;
pub use settings::Settings;
pub use worker::Worker;

/// The source of this layer's records: see [`async_wrap::layer::trace`].
pub(crate) const LAYER: async_wrap::layer::trace::Layer = async_wrap::layer::trace::Layer::new("cluster");
