//! Where this crate differs from libuv, on purpose.
//!
//! - An error is a [`Result`](crate::Result) with the operation, its target and the system's number. The end of a stream is
//!   a call of its own ([`StreamUpcall::on_end`](crate::upcall::StreamUpcall::on_end)) instead of a negative length.
//! - A stream that is not read reports its peer's reset, and a FIN behind input that is unread. libuv reports neither
//!   before reading starts again.
//! - Child processes are watched through a descriptor each (pidfd), not through SIGCHLD. Where this process ignores SIGHUP,
//!   as under `nohup`, its children do too.
//! - Wake-ups from threads are queued by handle; the loop does not scan all its async handles.
//! - A panic in a callback unwinds out of [`run`](crate::LoopHandle::run), and what was ready, ended or closing is kept for
//!   the next run.
//! - The mode of an open file stays as it is. libuv makes what it adopts non-blocking, and what a child inherits blocking,
//!   for every process that shares the file. Here sockets are told not to wait in each call, and pipes and terminals are
//!   opened a second time.
//! - A lack of descriptors or memory is waited for, with growing pauses. libuv opens and closes a spare descriptor in every
//!   turn, and spins without one.
//! - A forked child finds its parent's loops refusing to run, and makes its own. libuv asks it to call `uv_loop_fork`.
//! - Handles outlive their loop: they are closed, and their methods return errors.
//!
//! Not here: UDP, name look-ups, file system requests and terminals.
