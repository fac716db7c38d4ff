#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! The traits that the layer calls are in [`upcall`]. A wrap owns its handler, and drops it at close.
//!
//! # Tracing
//!
//! With the feature `trace` the layer says to `log`, at level trace, under the target `tcp_wrap`, what it calls upward
//! and how its streams are called, with the number of the loop's handle: see [`uv_core::layer::trace`].

#![forbid(unsafe_code)]

mod pipe_wrap;
mod stream_wrap;
mod tcp_wrap;
mod tower;
pub mod upcall;

pub use pipe_wrap::PipeWrap;
pub use stream_wrap::{StreamWrap, Written};
pub use tcp_wrap::TcpWrap;
pub use uv_core;
pub use uv_core::socket::{KeepAlive, PipeName, Received};
pub use uv_core::{BindOptions, Errno, Error, LoopHandle, Result};

/// The source of this layer's records: see [`uv_core::layer::trace`].
pub(crate) const LAYER: uv_core::layer::trace::Layer = uv_core::layer::trace::Layer::new("tcp_wrap");
