//! Deliberate differences from libuv.
//!
//! - An error is a [`Result`](crate::Result) with the operation, its target and the errno. The end of a stream is an upcall
//!   of its own ([`StreamUpcall::on_end`](crate::upcall::StreamUpcall::on_end)) instead of a negative length.
//! - A stream that is not reading reports a reset by its peer, and a FIN behind unread input. libuv reports neither before
//!   reading starts again.
//! - The loop polls a descriptor of each child process (pidfd) instead of handling SIGCHLD. If this process ignores SIGHUP,
//!   as under `nohup`, so do its children.
//! - A program may pull a stream's input: [`try_read`](crate::Stream::try_read) and
//!   [`on_readable`](crate::upcall::StreamUpcall::on_readable). libuv only pushes.
//! - A [`Poll`](crate::poll::Poll) owns its descriptor, or a share of it, until it has closed, and leaves its mode alone:
//!   libuv is given a number and makes it non-blocking.
//! - [`tty::reset_mode`](crate::tty::reset_mode) forgets the modes that it has reset, so that they can be set again. A mode
//!   is set at once: libuv waits until the terminal's output is sent, which may block the loop.
//! - Idle time costs no further poll, unless the events that have waited are to be counted:
//!   [`metrics::Detail`](crate::metrics::Detail). [`why_alive`](crate::LoopHandle::why_alive) also names requests.
//! - Wake-ups from other threads are queued by handle; the loop does not scan all its async handles.
//! - A panic in a callback unwinds out of [`run`](crate::LoopHandle::run). Events, completions and closes that were not yet
//!   reported are kept for the next run.
//! - The mode of an open file is not changed for other processes. libuv makes descriptors that it adopts non-blocking, and
//!   descriptors that a child inherits blocking, for every process that shares the open file. Here each call on a socket
//!   asks not to block, and pipes and terminals are opened a second time.
//! - A lack of descriptors or memory is waited out, with growing pauses. libuv opens and closes a spare descriptor in every
//!   loop iteration, and spins without one.
//! - In a forked child the parent's loops refuse to run, and the child creates its own. libuv asks the child to call
//!   `uv_loop_fork`.
//! - The kernel keeps a deadline that many waits have in common, in a timerfd; libuv gives each wait a timeout. The clock is
//!   read again before the timers only if one may be due.
//! - Handles outlive their loop: they are closed, and their methods return errors.
//! - A look-up can be cancelled while it runs: its callback does not wait for the C library. An answer has each address
//!   once. A host that is not ASCII is refused; libuv converts it (IDNA).
//! - Datagrams that are sent in one phase leave together at its end, by one `sendmmsg` for up to 64. libuv sends the first
//!   at once, and further ones in later iterations. A close sends what is queued, and cancels what the kernel does not take.
//!   What waits for a peer goes to it, also if the socket has another one by then.
//! - A datagram for which the kernel has no memory (`ENOBUFS`) fails with that error. libuv sends it again as soon as the
//!   socket is writable, which it is, so the loop spins.
//! - A receive asks for up to 32 datagrams, also by default, so that one which comes alone costs no further call. What has been
//!   received when its handler stops waits for the next start. libuv drops the rest of such a batch.
//! - No receive callback says only that nothing is left. An error of an earlier datagram, as an ICMP message reports it, is
//!   an upcall of its own ([`UdpUpcall::on_error`](crate::upcall::UdpUpcall::on_error)), and never fails another datagram.
//! - [`Udp::open`](crate::udp::Udp::open) takes sockets of UDP only, and sets no option of theirs.
//! - What is set of hops and of multicast on a socket of IPv6 holds for the IPv4 that it carries, too; in libuv for IPv6.
//! - Small writes of one callback leave in a few packets instead of one for each:
//!   [`try_write`](crate::Stream::try_write). The kernel has them at once, as in libuv.
//! - A stream sends a part of a file from its write queue, by sendfile(2) on the loop's thread, at the peer's pace.
//!   `uv_fs_sendfile` blocks a thread of the pool.
//!
//! Not supported: file system requests other than those of
//! [`file`](crate::file).
