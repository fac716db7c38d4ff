#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! [`guide`] explains how to build on the server, and [`calling`] how to call other services; [`serve`] has requests that async functions handle, [`upcall`] has the handlers of requests, bodies and responses, [`proto`] the protocol without sockets, and
//! [`differences`] what Node does otherwise. The layers beneath are exported as modules, so that a program depends on
//! this crate alone: [`net`] for addresses and sockets, [`async_wrap`] for the environment and its timers, [`uv_core`] for
//! the loop, signals and processes.
//!
//! # Tracing
//!
//! With the feature `trace` the layer says to `log`, at level trace, under the target `http`, which handlers it calls,
//! in the context of which request, and how responses are written: see [`async_wrap::layer::trace`].

#![forbid(unsafe_code)]

pub mod agent;
mod body;
#[doc = include_str!("../docs/calling.md")]
pub mod calling {}
pub mod client;
#[cfg(feature = "codings")]
pub mod codings;
mod connection;
#[doc = include_str!("../docs/differences.md")]
pub mod differences {}
mod error;
pub mod files;
#[doc = include_str!("../docs/guide.md")]
pub mod guide {}
mod pieces;
mod pour;
pub mod proto;
pub mod proxy;
mod request;
mod response;
pub mod serve;
mod server;
mod trace;
pub mod upcall;

pub use agent::{Agent, AgentOptions};
pub use async_wrap::uv_core;
pub use body::Body;
pub use error::{Error, Result};
pub use request::Request;
pub use response::Response;
pub use server::{Server, ServerOptions};
pub use {async_wrap, net};
