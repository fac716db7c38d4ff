#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! The traits that the layer calls are in [`upcall`]; [`layer`] has what a layer above builds on.
//!
//! # Tracing
//!
//! With the feature `trace` the layer says to `log`, at level trace, under the target `async_wrap`, which resources are
//! made, what runs in which context, and when ticks and microtasks run, with async ids and trigger ids: see
//! [`layer::trace`].

#![forbid(unsafe_code)]

mod destroyed;
mod driver;
mod environment;
mod hooks;
mod ids;
mod immediate;
mod provider;
mod resource;
mod scope;
mod scoped;
mod stream;
mod task;
mod ticks;
mod timers;
pub mod upcall;

pub use environment::{Environment, OwnedEnvironment};
pub use hooks::Hook;
pub use ids::{AsyncContext, AsyncId};
pub use immediate::Immediate;
pub use provider::Provider;
pub use resource::AsyncResource;
pub use stream::AsyncStream;
pub use tcp_wrap::{
    BindOptions, Errno, Error, KeepAlive, PipeName, PipeWrap, Result, StreamWrap, TcpWrap, Written,
};
pub use timers::{Heard, Timeout};
pub use upcall::AsyncHook;
pub use uv_core::layer;
pub use uv_core::{Loop, LoopHandle, RunMode};
pub use {tcp_wrap, uv_core};

/// The source of this layer's records: see [`layer::trace`].
pub(crate) const LAYER: layer::trace::Layer = layer::trace::Layer::new("async_wrap");
