#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! The root has the loop and its handles; what fewer programs need stands in modules: [`process`], [`socket`],
//! [`threads`], [`os`], [`failure`]. [`guide`] explains how to build on the loop, [`upcall`] has the traits that the loop calls, [`layer`] what a layer above builds on,
//! and [`differences`] what libuv does otherwise.
//!
//! A handle belongs to its loop until it is closed: dropping a clone of it closes nothing (as in libuv). Dropping the
//! [`Loop`] drops every handle's tower and closes every descriptor, without calling back. A handle that is made for a
//! dropped loop is closed from the start.
//!
//! # Tracing
//!
//! With the feature `trace` the loop says to the `log` crate, at level trace, under the target `uv_core`, what it does:
//! readiness, system calls, the upcalls, and the calls of streams. See [`layer::trace`] for the format and for what it costs.

pub mod differences;
mod ending;
mod environment;
mod errno;
mod error;
mod event_loop;
pub mod failure;
pub mod guide;
pub mod handle;
mod key;
pub mod layer;
mod paused;
mod phases;
mod pipe;
mod poller;
mod pool;
pub mod process;
mod queue;
mod signal;
mod socket_file;
mod spool;
mod stream;
mod sys;
mod tcp;
mod timer;
pub mod upcall;
mod wake;
mod watcher;
mod work;

pub use errno::Errno;
pub use error::{Error, Result};
pub use event_loop::{Loop, LoopHandle, RunMode};
pub use pipe::Pipe;
pub use signal::Signal;
pub use stream::Stream;
pub use tcp::{BindOptions, Tcp};
pub use timer::Timer;
pub use wake::Async;
pub use watcher::{Check, Idle, Prepare};

/// What belongs to the process and to no loop: the program's path, its variables, its standard outputs.
pub mod os {
    pub use crate::environment::{exe_path, program_path, unset_variable};
    pub use crate::spool::Spool;
}

/// What calls of [`Tcp`] and [`Pipe`] take and return beside bytes and addresses.
pub mod socket {
    pub use crate::pipe::PipeName;
    pub use crate::stream::Received;
    pub use crate::tcp::KeepAlive;
}

/// Other threads: ways from them into a loop, and work that a loop gives to them.
pub mod threads {
    pub use crate::wake::{AsyncSender, Remote};
    pub use crate::work::Work;
}

/// The source of this layer's records: see [`layer::trace`].
pub(crate) const LAYER: layer::trace::Layer = layer::trace::Layer::new("uv_core");
