//! TCPWrap and PipeWrap: the loop's streams as Node's native layer wraps them.
//!
//! What this layer adds to `uv-core`: connections arrive as finished wraps, a write says how much went out at once and
//! completes only the rest later, and every wrap counts its bytes. Mirrors Node's `src/tcp_wrap.cc`,
//! `src/pipe_wrap.cc`, `src/connection_wrap.cc` and `src/stream_base.cc`.
//!
//! [`TcpWrap`] and [`PipeWrap`] dereference to [`StreamWrap`], which has what both share. Upcalls go to the traits in
//! [`upcall`]; the layer owns its handler and drops it at close.
//!
//! ```
//! use tcp_wrap::upcall::OnStream;
//! use tcp_wrap::{BindOptions, Error, StreamWrap, TcpWrap};
//! use uv_core::{Loop, RunMode};
//!
//! struct Shout;
//!
//! impl OnStream for Shout {
//!     fn on_read(&mut self, stream: &StreamWrap, data: &[u8]) {
//!         // What the kernel takes at once is sent already; `on_write` comes only for a rest.
//!         if stream.write(&data.to_ascii_uppercase()).is_err() {
//!             stream.close();
//!         }
//!     }
//!     fn on_end(&mut self, stream: &StreamWrap) {
//!         stream.close();
//!     }
//!     fn on_error(&mut self, stream: &StreamWrap, _: Error) {
//!         stream.close();
//!     }
//! }
//!
//! let event_loop = Loop::new()?;
//! let server = TcpWrap::new(&event_loop);
//! server.bind("127.0.0.1:0".parse().expect("an address"), BindOptions::default())?;
//! server.listen(511, |_: &StreamWrap, connection: Result<StreamWrap, Error>| {
//!     if let Ok(connection) = connection {
//!         connection.set_handler(Shout);
//!         connection.read_start().expect("a fresh connection can be read");
//!     }
//! })?;
//! # server.close();
//! event_loop.run(RunMode::Default)?;
//! # Ok::<(), Error>(())
//! ```
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
pub use uv_core::socket::{KeepAlive, PipeName, Received};
pub use uv_core::{BindOptions, Errno, Error, LoopHandle, Result};

/// The source of this layer's records: see [`uv_core::layer::trace`].
pub(crate) const LAYER: uv_core::layer::trace::Layer = uv_core::layer::trace::Layer::new("tcp_wrap");
