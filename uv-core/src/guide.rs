//! How to build on the loop: who owns what, the life of a connection, back-pressure, and panics.
//!
//! # Ownership
//!
//! The loop owns every handle that is not closed, with its *tower*: the program's closure or handler. A handle in the program
//! is a cheap clone: dropping it closes nothing, and [`close`](crate::handle::Handle::close) does. A handle is given to its
//! handler in each call, so a handler needs no clone of its own handle, which would be a reference cycle until the close.
//! After `on_close`, the last call, the loop drops the tower, and with it all that the tower owns. Dropping the
//! [`Loop`](crate::Loop) drops all towers and closes all descriptors, without a call.
//!
//! # The life of a connection
//!
//! ```text
//!   Tcp::listen ──▶ on_connection ──▶ accept ──▶ set_upcall, read_start
//!                                                      │
//!   Tcp::connect ──▶ on_connect ──▶ read_start ────────┤
//!                                                      ▼
//!        ┌────────────────────── open ──────────────────────┐
//!        │  input:  on_read … on_read, then on_end (FIN)    │
//!        │  output: write … write, each with its on_write   │
//!        │          shutdown (FIN), with its on_shutdown    │
//!        └────────┬─────────────────────────────┬───────────┘
//!                 │ close                       │ on_read_error
//!                 ▼                             ▼
//!      pending requests end          close, by the program
//!      with ECANCELED                           │
//!                 │◀────────────────────────────┘
//!                 ▼
//!             on_close, and the tower is dropped
//! ```
//!
//! A method never calls a handler: whatever `write`, `shutdown` or `close` cause comes later, from the loop. Nothing closes a
//! stream by itself, not even its peer's end: the program does.
//!
//! # Back-pressure
//!
//! A write never blocks and is never refused for its size: the kernel takes what it has room for, and the rest waits in the
//! stream's queue. So a producer has to look: [`write_queue_size`](crate::Stream::write_queue_size) is the number of bytes
//! that wait, and `on_write` comes when a write is with the kernel. A program that copies from one stream to another calls
//! [`read_stop`](crate::Stream::read_stop) on the source while the queue of the sink is long, and
//! [`read_start`](crate::Stream::read_start) when it is short again; unread bytes then stay in the kernel, whose window makes
//! the peer wait.
//!
//! # Panics
//!
//! A panic in a callback unwinds out of [`run`](crate::LoopHandle::run). No event is lost by it, the handle stays open with
//! its tower, and the program may call `run` again. What a handler was about to do is its own affair: a handler that needs to
//! clean up has a guard for it, such as [`OnUnwind`](crate::layer::OnUnwind).
