#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! The root has the loop and its handles; modules have what fewer programs need: [`udp`] sockets of datagrams, [`names`]
//! look-ups of hosts and addresses, [`mod@file`] files and folders, [`process`] child processes, [`poll`] descriptors of other
//! libraries, [`tty`] terminals, [`metrics`] how busy the loop is, [`threads`] ways from other threads and to them, [`socket`],
//! [`os`], [`failure`]. [`guide`] explains how to build on the loop, [`upcall`] has the traits that the loop calls,
//! [`layer`] what a layer above builds on, and [`differences`] the differences from libuv.
//!
//! A handle belongs to its loop until it is closed: as in libuv, dropping a clone of it closes nothing. Dropping the
//! [`Loop`] drops every handle's tower and closes every descriptor without an upcall. A handle created for a dropped
//! loop is closed from the start.
//!
//! # Tracing
//!
//! With the feature `trace` the loop logs through the crate `log`, at level trace, with the target `uv_core`:
//! readiness, system calls, upcalls, and the downcalls to streams. See [`layer::trace`] for the format and the cost.

mod alarm;
pub mod differences;
mod ending;
mod environment;
mod errno;
mod error;
mod event_loop;
pub mod failure;
#[cfg(upcall_faults)]
pub mod faults;
pub mod file;
pub mod guide;
pub mod handle;
mod handle_table;
mod heap;
mod key;
pub mod layer;
mod lent;
mod members;
pub mod metrics;
#[cfg(upcall_models)]
mod models;
pub mod names;
mod now;
mod paused;
mod phases;
mod pipe;
pub mod poll;
mod poller;
mod pool;
pub mod process;
mod queue;
#[cfg(test)]
#[path = "../../tests/shared/seeds.rs"]
mod seeds;
mod signal;
mod socket_file;
mod socket_name;
mod spool;
mod stream;
mod sync;
mod sys;
mod tcp;
mod timer;
mod traced;
pub mod tty;
pub mod udp;
pub mod upcall;
mod wake;
mod watcher;
mod why;
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

/// The process rather than a loop: its id, the path of its program, its environment variables, its standard output and error.
pub mod os {
    pub use crate::environment::{exe_path, pid, program_path, standard_input, unset_variable, variable};
    pub use crate::spool::Spool;
}

/// Types that methods of [`Tcp`] and [`Pipe`] take and return.
pub mod socket {
    pub use crate::pipe::PipeName;
    pub use crate::socket_name::SocketName;
    pub use crate::stream::Received;
    pub use crate::tcp::KeepAlive;
}

/// Other threads: ways from them into a loop, and work that a loop gives to them.
pub mod threads {
    pub use crate::wake::{AsyncSender, Remote};
    pub use crate::work::Work;
}

/// The target of this layer's log records: see [`layer::trace`].
pub(crate) const LAYER: layer::trace::Layer = layer::trace::Layer::new("uv_core");
