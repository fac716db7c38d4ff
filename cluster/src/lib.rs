#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! [`guide`] follows a connection through the processes and says what a worker may do; [`upcall`] has the handlers of
//! primary and workers, [`scheduling`] the policies; [`differences`] has what Node does otherwise. The layers beneath are
//! exported as modules: [`net`] for servers, [`async_wrap`] for the environment, [`uv_core`] for signals and the status of
//! a worker's end.
//!
//! # Tracing
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
#[cfg(test)]
#[path = "../../tests/shared/seeds.rs"]
mod seeds;
mod settings;
pub mod upcall;
mod worker;

pub use channel::message::ProtocolError;
pub use error::{Error, InvitationError, Result};
pub use primary::{Backoff, Counters, Output, Primary, WorkerHandle};
pub use scheduling::Policy;
pub use settings::Settings;
pub use worker::Worker;
pub use {async_wrap, net, uv_core};

/// The source of this layer's records: see [`async_wrap::layer::trace`].
pub(crate) const LAYER: async_wrap::layer::trace::Layer = async_wrap::layer::trace::Layer::new("cluster");
