//! AsyncWrap: async ids, hooks, callback scopes, ticks and microtasks.
//!
//! What this layer adds to `tcp-wrap`: every upcall runs inside a *callback scope*, which knows which resource it
//! belongs to, tells async hooks of it, and at its end runs what the callback queued with
//! [`next_tick`](Environment::next_tick) or [`queue_microtask`](Environment::queue_microtask). Futures are polled there
//! too ([`spawn_local`](Environment::spawn_local)). Mirrors Node's `src/async_wrap.cc`, `src/api/callback.cc` and
//! `lib/internal/process/task_queues.js`.
//!
//! ```
//! use async_wrap::{Environment, Loop, RunMode};
//! use std::cell::RefCell;
//! use std::rc::Rc;
//! use std::time::Duration;
//!
//! let event_loop = Loop::new()?;
//! let env = Environment::new(&event_loop);
//! let order = Rc::new(RefCell::new(Vec::new()));
//! let note = |what| {
//!     let order = Rc::clone(&order);
//!     move || order.borrow_mut().push(what)
//! };
//! env.set_timeout(Duration::ZERO, note("timeout"));
//! env.queue_microtask(note("microtask"));
//! env.next_tick(note("tick"));
//! assert!(!env.run(RunMode::Default)?, "nothing is left alive");
//! assert_eq!(*order.borrow(), ["tick", "microtask", "timeout"]);
//! # Ok::<(), async_wrap::Error>(())
//! ```
//!
//! An [`Environment`] belongs to a loop and lives in it. Nothing here costs anything to speak of until it is used:
//! without hooks an event is the test of one flag, and a callback scope with nothing queued a few loads and stores.
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

pub use environment::Environment;
pub use hooks::Hook;
pub use ids::{AsyncContext, AsyncId};
pub use immediate::Immediate;
pub use provider::Provider;
pub use resource::AsyncResource;
pub use stream::AsyncStream;
pub use tcp_wrap::{
    BindOptions, Errno, Error, KeepAlive, PipeName, PipeWrap, Received, Result, StreamWrap, TcpWrap, Written,
};
pub use timers::{Heard, Timeout};
pub use upcall::AsyncHook;
pub use uv_core::layer;
pub use uv_core::{Loop, LoopHandle, RunMode};
pub use {tcp_wrap, uv_core};

/// The source of this layer's records: see [`layer::trace`].
pub(crate) const LAYER: layer::trace::Layer = layer::trace::Layer::new("async_wrap");
