//! The upcalls of this layer: the events of servers and sockets.

use crate::udp::{Envelope, UdpSocket};
use crate::{Dropped, Error, Result, Server, Socket};
use std::net::SocketAddr;

/// The handler of a listening server. Mirrors the events of `net.Server`.
pub trait ServerHandler {
    /// A connection was accepted ('connection'). It is read once it has a handler: see [`Socket::set_handler`]. It is
    /// destroyed if it has no handler and the program keeps no handle.
    fn on_connection(&mut self, server: &Server, socket: Socket);

    /// The server listens ('listening').
    fn on_listening(&mut self, server: &Server) {
        let _ = server;
    }

    /// A connection was accepted and closed, because of a limit or because it was not admitted ('drop').
    fn on_drop(&mut self, server: &Server, dropped: Dropped) {
        let _ = (server, dropped);
    }

    /// Listening or accepting failed after `listen` had returned ('error'): see [`Error::phase`].
    ///
    /// A server that cannot accept continues to listen and retries after a pause; each trouble is reported once. A
    /// server that never listened may listen again; its handler is dropped after this call.
    fn on_error(&mut self, server: &Server, error: Error) {
        let _ = server;
        log::error!(target: "net", "{error}");
    }

    /// The server and all of its connections are closed ('close'). No call follows.
    fn on_close(&mut self, server: &Server) {
        let _ = server;
    }
}

/// A closure gets only connections. Errors are logged with `log`; without a logger they are lost.
impl<F: FnMut(&Server, Socket)> ServerHandler for F {
    fn on_connection(&mut self, server: &Server, socket: Socket) {
        self(server, socket);
    }
}

/// The handler of a connection. Mirrors the events of `net.Socket`.
pub trait SocketHandler {
    /// Bytes arrived ('data'). `data` is valid only during the call.
    fn on_data(&mut self, socket: &Socket, data: &[u8]);

    /// There is input, the end or a failure, which [`Socket::try_read`] gets, on a socket that is pulled ('readable'): see
    /// [`Socket::set_pulled`]. Called once in each turn of the loop as long as there is.
    fn on_readable(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// The look-up of a host's name has ended ('lookup'): with the addresses, or with an error, which destroys the socket.
    fn on_lookup(&mut self, socket: &Socket, host: &str, found: Result<&[SocketAddr], &Error>) {
        let _ = (socket, host, found);
    }

    /// The socket is about to connect to an address of its host ('connectionAttempt').
    fn on_connection_attempt(&mut self, socket: &Socket, addr: SocketAddr) {
        let _ = (socket, addr);
    }

    /// The connect to this address has failed ('connectionAttemptFailed'). The next address is tried, or `on_error`
    /// reports all of them.
    fn on_connection_attempt_failed(&mut self, socket: &Socket, addr: SocketAddr, error: &Error) {
        let _ = (socket, addr, error);
    }

    /// The connect to this address takes longer than [`attempt_timeout`](crate::ConnectOptions::attempt_timeout)
    /// ('connectionAttemptTimeout'): the next address is tried beside it.
    fn on_connection_attempt_timeout(&mut self, socket: &Socket, addr: SocketAddr) {
        let _ = (socket, addr);
    }

    /// The connection is established ('connect').
    fn on_connect(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// The peer has sent its FIN ('end'). Afterwards this side ends too, unless the socket allows half-open
    /// connections.
    fn on_end(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// The peer of a paused socket has sent its FIN. Its earlier data is still unread, and `on_end` follows that data
    /// after [`Socket::resume`]. Node does not report this.
    fn on_unread_end(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// The kernel has taken all queued data, after a write that returned `false` ('drain').
    fn on_drain(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// Queued output could not be written, on a socket that
    /// [reads on](crate::ConnectOptions#structfield.read_after_failed_write). What the peer has sent before follows, and then
    /// `on_end` or `on_error`. Node has no such event.
    fn on_write_failed(&mut self, socket: &Socket, error: &Error) {
        let _ = (socket, error);
    }

    /// The kernel has taken everything written before `end`, and the FIN ('finish').
    fn on_finish(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// Nothing was read or written for the time set by [`Socket::set_timeout`] ('timeout'). The socket stays open.
    fn on_timeout(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// The answer to [`Socket::notify`].
    fn on_notify(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// The connection failed ('error'). `on_close` follows.
    fn on_error(&mut self, socket: &Socket, error: Error) {
        let _ = (socket, error);
    }

    /// The socket is closed ('close'). No call follows.
    fn on_close(&mut self, socket: &Socket, had_error: bool) {
        let _ = (socket, had_error);
    }
}

/// The handler of a socket of datagrams. Mirrors the events of `dgram.Socket`.
pub trait UdpHandler {
    /// A datagram arrived ('message'). `data` is valid only during the call; the envelope has what Node calls `rinfo`.
    fn on_message(&mut self, socket: &UdpSocket, data: &[u8], envelope: &Envelope);

    /// The socket is bound and receives ('listening').
    fn on_listening(&mut self, socket: &UdpSocket) {
        let _ = socket;
    }

    /// The socket has its peer ('connect').
    fn on_connect(&mut self, socket: &UdpSocket) {
        let _ = socket;
    }

    /// An earlier datagram did not arrive, or receiving failed ('error'). The socket works on.
    fn on_error(&mut self, socket: &UdpSocket, error: Error) {
        let _ = (socket, error);
    }

    /// The socket is closed ('close'). No call follows.
    fn on_close(&mut self, socket: &UdpSocket) {
        let _ = socket;
    }
}

impl<F: FnMut(&UdpSocket, &[u8], &Envelope)> UdpHandler for F {
    fn on_message(&mut self, socket: &UdpSocket, data: &[u8], envelope: &Envelope) {
        self(socket, data, envelope);
    }
}
