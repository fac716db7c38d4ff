#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! The module [`upcall`] has the traits that this layer calls. A wrap owns its handler and drops it when it has closed.
//!
//! # Tracing
//!
//! With the feature `trace` the layer logs its upcalls and the downcalls to its streams through the crate `log`, at
//! level trace, with the target `tcp_wrap` and the number of the loop's handle: see [`uv_core::layer::trace`].

#![forbid(unsafe_code)]

mod pipe_wrap;
mod stream_wrap;
mod tcp_wrap;
mod tower;
mod udp_wrap;
pub mod upcall;

pub use pipe_wrap::PipeWrap;
pub use stream_wrap::{StreamWrap, Written};
pub use tcp_wrap::TcpWrap;
pub use udp_wrap::UdpWrap;
pub use uv_core;

/// The target of this layer's log records: see [`uv_core::layer::trace`].
pub(crate) const LAYER: uv_core::layer::trace::Layer = uv_core::layer::trace::Layer::new("tcp_wrap");
