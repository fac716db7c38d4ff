//! Everything that this layer calls upward: what servers and sockets emit.

use crate::{Dropped, Error, Server, Socket};

/// A listening server. Mirrors the events of `net.Server`.
pub trait ServerHandler {
    /// A connection was accepted ('connection'). Its bytes come once it has a handler: see
    /// [`Socket::set_handler`]. One that has none and is not held anywhere any more is destroyed.
    fn on_connection(&mut self, server: &Server, socket: Socket);

    /// The server listens ('listening').
    fn on_listening(&mut self, server: &Server) {
        let _ = server;
    }

    /// A connection above `max_connections` was accepted and closed ('drop').
    fn on_drop(&mut self, server: &Server, dropped: Dropped) {
        let _ = (server, dropped);
    }

    /// Listening or accepting failed later than `listen` could say ('error'): see [`Error::phase`].
    ///
    /// A server that cannot accept goes on, and tries again after a pause; that is said once for each trouble. One that
    /// never listened may listen again; its handler is dropped after this call.
    fn on_error(&mut self, server: &Server, error: Error) {
        let _ = server;
        log::error!(target: "net", "{error}");
    }

    /// The server and all of its connections are closed ('close'); this is its last call.
    fn on_close(&mut self, server: &Server) {
        let _ = server;
    }
}

/// A closure hears of connections only; errors go to `log`, where they are lost unless the program has set up a logger.
impl<F: FnMut(&Server, Socket)> ServerHandler for F {
    fn on_connection(&mut self, server: &Server, socket: Socket) {
        self(server, socket);
    }
}

/// A connection. Mirrors the events of `net.Socket`.
pub trait SocketHandler {
    /// Bytes arrived ('data'); lent for the call.
    fn on_data(&mut self, socket: &Socket, data: &[u8]);

    /// The connect succeeded ('connect').
    fn on_connect(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// The peer has finished sending ('end'). Unless the socket allows half-open connections it ends itself afterwards.
    fn on_end(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// The peer of a paused socket has finished sending, or is gone: what it sent before still waits, and `on_end` comes
    /// behind that after [`Socket::resume`]. Node does not say so.
    fn on_unread_end(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// Everything that waited to be written is with the kernel, after a write that returned `false` ('drain').
    fn on_drain(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// Everything written before `end` is with the kernel, and so is the FIN ('finish').
    fn on_finish(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// Nothing was read or written for the time set by [`Socket::set_timeout`] ('timeout'). The socket stays open.
    fn on_timeout(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// Somebody called [`Socket::notify`].
    fn on_notify(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// The connection failed ('error'); `on_close` follows.
    fn on_error(&mut self, socket: &Socket, error: Error) {
        let _ = (socket, error);
    }

    /// The socket is closed ('close'); this is its last call.
    fn on_close(&mut self, socket: &Socket, had_error: bool) {
        let _ = (socket, had_error);
    }
}
