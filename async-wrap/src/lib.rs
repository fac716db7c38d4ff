#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! The module [`upcall`] has the traits that this layer calls; [`layer`] has what a layer above builds on.
//! [`differences`] has where the order is not Node's.
//!
//! # Tracing
//!
//! With the feature `trace` the layer logs through the crate `log`, at level trace, with the target `async_wrap`: which
//! resources are created, what runs in which context, and when ticks and microtasks run, with async ids and trigger
//! ids. See [`layer::trace`].

#![forbid(unsafe_code)]

mod awaited;
mod destroyed;
pub mod differences;
mod driver;
mod environment;
pub mod file;
mod frame;
mod hooks;
mod ids;
mod immediate;
mod join;
mod keep_alive;
mod lookup;
mod provider;
mod resource;
mod scope;
mod scoped;
mod signal;
mod sleep;
pub mod storage;
mod stream;
mod sync;
pub mod task;
mod ticks;
mod timers;
mod udp;
pub mod upcall;
mod waiter;
mod waiters;
mod wakers;
mod work;

pub use environment::{Environment, OwnedEnvironment};
pub use hooks::Hook;
pub use ids::{AsyncContext, AsyncId};
pub use immediate::Immediate;
pub use lookup::AsyncLookup;
pub use provider::Provider;
pub use resource::AsyncResource;
pub use stream::AsyncStream;
pub use timers::{Heard, Timeout};
pub use udp::AsyncUdp;
pub use upcall::AsyncHook;
pub use uv_core::layer;
pub use {tcp_wrap, uv_core};

/// The target of this layer's log records: see [`layer::trace`].
pub(crate) const LAYER: layer::trace::Layer = layer::trace::Layer::new("async_wrap");
