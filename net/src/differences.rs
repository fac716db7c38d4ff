//! Deliberate differences from Node's `net`.
//!
//! - Errors of `listen` that are known immediately are returned. Only later errors, such as a primary's answer, are
//!   reported to [`ServerHandler::on_error`](crate::upcall::ServerHandler::on_error).
//! - Data that the kernel has taken does not count towards a socket's high-water mark.
//! - If `on_connection` keeps no handle to a connection, the connection is destroyed; in Node it stays open. A socket
//!   without a handler is not read, and is destroyed with its last handle.
//! - A paused socket reports a reset by its peer, and a FIN behind unread input
//!   ([`SocketHandler::on_unread_end`](crate::upcall::SocketHandler::on_unread_end)).
//! - A socket is read by the loop until [`Socket::set_pulled`](crate::Socket::set_pulled); in Node a listener of 'readable'
//!   changes it. [`Socket::try_read`](crate::Socket::try_read) reads from the kernel into the program's own buffer, where
//!   `socket.read()` takes from the stream's buffer, and it alone tells the end.
//! - [`Linger`](crate::Linger) waits for the peer's acknowledgement before a close, so that a reset does not cut data that
//!   the peer has not read.
//! - A socket with [`read_after_failed_write`](crate::ConnectOptions#structfield.read_after_failed_write) gets what its peer has
//!   sent before a write failed; in Node, and by default, a failed write destroys the socket.
//! - A high-water mark and a keepalive time of zero are refused. A mark of 1 does what Node's mark of 0 does.
//! - An attempt to connect to one of a host's addresses goes on beside the next one after
//!   [`attempt_timeout`](crate::ConnectOptions::attempt_timeout), and the first to connect wins (RFC 8305). Node gives it up,
//!   so that no address connects over a link with a round trip of more than 250 ms but the last one.
//! - [`SocketHandler::on_lookup`](crate::upcall::SocketHandler::on_lookup) gets all addresses in one call. With a wanted
//!   family or a local address all addresses of that family are tried, in Node the first. At most 64 addresses are tried.
//! - The addresses of `localhost` do not depend on the families that other interfaces have (`ADDRCONFIG`).
//! - A timeout for a silent peer fires after one more poll phase: in a late loop, input in the kernel counts. In Node the
//!   timer fires first.
//! - [`UdpSocket`](crate::udp::UdpSocket): errors of `bind` and `connect` are returned, not events, and a bind may be repeated
//!   after one. Datagrams of one phase leave together at its end, and arrive up to 32 in a system call. An address is one of
//!   IPv4 or IPv6; the family of a socket is known before it is bound. Of the calls with
//!   an address only [`send_to_host`](crate::udp::UdpSocket::send_to_host) and
//!   [`connect_to_host`](crate::udp::UdpSocket::connect_to_host) look a host up. The calls to one host keep their order, and a
//!   close tells what waits for that as cancelled, where Node calls nothing.
//! - [`Server::shutdown`](crate::Server::shutdown) accepts the connections that the kernel has completed before it closes
//!   the listener; [`Server::close`](crate::Server::close) resets them, as in Node.
//! - A blocked connection is counted and reported like any other that is dropped, with the reason; Node closes it silently. It
//!   is closed before there is a resource for it.
//! - [`Socket::connect`](crate::Socket::connect) returns the error of a blocked address; Node reports it to the socket. A
//!   list with the loopback address blocks connects to `0.0.0.0` or `::`, too, which lead there.
//! - The rules of a [`BlockList`](crate::admission::BlockList) are listed in the order of their addresses, in their shortest
//!   form. In both IPv4 addresses are the same as their IPv4-mapped form, so `::/0` contains them.
