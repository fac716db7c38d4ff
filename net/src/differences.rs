//! Where this crate differs from Node's `net`, on purpose.
//!
//! - A failure of `listen` that is known at once is returned at once. Only what is learned later, such as a primary's
//!   answer, comes to [`ServerHandler::on_error`](crate::upcall::ServerHandler::on_error).
//! - Bytes that the kernel has taken do not count towards a socket's high-water mark.
//! - A connection of which `on_connection` leaves no handle is destroyed; in Node it stays open. A socket without a handler
//!   is not read, and is destroyed with its last handle.
//! - A paused socket reports its peer's reset, and a FIN behind input that is unread
//!   ([`SocketHandler::on_unread_end`](crate::upcall::SocketHandler::on_unread_end)).
//! - [`Linger`](crate::Linger) waits for the peer's acknowledgement before a close, so that no reset cuts what the peer has
//!   not fetched.
//! - A timeout judges a peer's silence behind one poll phase: input that waits in the kernel of a late loop counts. In Node
//!   the timer fires first.
//! - [`Server::shutdown`](crate::Server::shutdown) takes the connections that the kernel has completed before it closes the
//!   listener; [`Server::close`](crate::Server::close) resets them, as in Node.
