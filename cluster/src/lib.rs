//! Primary and workers: one program in several processes that listen together.

#![forbid(unsafe_code)]

mod bind;
mod bootstrap;
mod channel;
mod conversation;
mod distributor;
mod error;
mod faux_handle;
mod handles;
mod listeners;
mod message;
mod primary;
mod scheduling;
mod settings;
mod shared_handle;
mod source;
mod supervisor;
pub mod upcall;
mod window;
mod wire;
mod worker;
mod worker_handle;

pub use error::{Error, Result};
pub use message::ProtocolError;
pub use primary::Primary;
pub use scheduling::{Candidate, Policy, RoundRobin, SchedulingPolicy};
pub use settings::Settings;
pub use supervisor::{Backoff, Supervised};
pub use worker::Worker;
pub use worker_handle::{Counters, WorkerHandle};
