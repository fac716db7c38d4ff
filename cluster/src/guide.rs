//! How a cluster works: which process is a worker, what a connection goes through, what a worker may do, and the end.
//!
//! # Which process is a worker
//!
//! A process that a primary forked has two variables, `UPCALL_UNIQUE_ID` and `UPCALL_STDIN`, and its channel is its
//! standard input. Such a process becomes a worker or ends: [`Worker::from_env`](crate::Worker::from_env) returns an error
//! if it cannot, and never "no worker", and [`Primary::fork`](crate::Primary::fork) fails before that call. So call
//! `from_env` before anything else, and let its error end the program. As in Node, children of a worker are no workers:
//! `from_env` removes the variables. If the process had other threads by then, the variables stay, and `from_env` returns an
//! error in its children.
//!
//! # What a connection goes through
//!
//! 1. The primary accepts it, without a handle for it, when some worker has room.
//! 2. The connections of one turn of the loop travel to a worker in one message (`SCM_RIGHTS`).
//! 3. The worker acknowledges those that it takes, before it serves any of them.
//! 4. The primary closes its own copies.
//!
//! Connections that a worker refused, because its server is full or closed, and connections that a dead worker never
//! acknowledged go to another worker: none is lost, and none is served twice. What is lost is what a dying worker had
//! acknowledged, and what a server still had to take when it was closed.
//!
//! A worker has at most 64 unacknowledged connections. A worker that has not acknowledged for 50 milliseconds is stopped or
//! busy, and gets no more connections before it has. While all workers are late, connections wait in the kernel. The
//! connections that a late worker holds wait until it continues or dies. Acknowledgements overtake the messages of a
//! worker's program, except for what the kernel has taken already: 64 KiB and one message.
//!
//! # What a worker may do to its primary
//!
//! Workers read what clients send, so one of them may be taken over. The primary checks each message, and what a worker
//! makes it hold is bounded and is closed with the worker: [`Settings::max_listeners`](crate::Settings::max_listeners)
//! sockets, 16 descriptors, and a mebibyte of an incomplete message. Sockets that are kept for later workers are sockets on
//! which a server listened, and no more than one worker may have.
//!
//! The primary binds the sockets of workers with its own rights, files of Unix sockets included, and removes the files. A
//! worker of the same user could do so itself. For a worker of another user or group the primary makes no file, unless
//! [`PrimaryHandler::accepts_listen`](crate::upcall::PrimaryHandler::accepts_listen) allows the path. That method is also
//! the place to say on which addresses workers may listen at all, which is needed where workers give up rights after their
//! start (`chroot`, a sandbox), since a primary does not see that.
//!
//! Messages and output of a worker are bytes of its own: show them to people through
//! [`async_wrap::layer::Printable`] or the like, since a terminal interprets what it is shown.
//!
//! # The end
//!
//! [`Primary::disconnect`](crate::Primary::disconnect) lets every worker close its servers, wait for their connections and
//! end; [`Worker::disconnect`](crate::Worker::disconnect) does that for one worker.
//! [`Worker::kill`](crate::Worker::kill) waits for nothing. A worker that loses its primary stops its loop, unless its
//! handler overrides that.
//!
//! # A worker that cannot listen
//!
//! A port in use, for example, is reported in the worker, to `on_error` of its server's handler
//! ([`net::upcall::ServerHandler`]), and not to the primary. A closure has no such method: the error becomes a record of
//! `log` then, and without a logger the program waits in silence.
