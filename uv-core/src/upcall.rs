//! The upcalls of the loop.
//!
//! Methods are named `on_*` and take `&mut self`. Only the loop's phases call them, so they never nest. Inside an
//! upcall any method of any handle may be called.
//!
//! A handle with a single upcall (a timer, a watcher, a signal, an async, a process) takes a closure instead of a
//! trait, so that the closure's arguments need no type annotations.

use crate::udp::{Envelope, Udp};
use crate::{Error, Result, Stream};
use std::net::SocketAddr;

/// The handler of a listening stream. Mirrors `uv_connection_cb`.
pub trait AcceptUpcall {
    /// A connection is waiting: take it with `accept`. A listener whose connection is not taken stops until it is
    /// taken.
    ///
    /// An error means that accepting failed, and neither the peer nor a temporary lack of descriptors is the reason.
    fn on_connection(&mut self, listener: &Stream, status: Result<()>);

    /// The answer to [`Stream::drain`]: no connection waits.
    fn on_drained(&mut self, listener: &Stream) {
        let _ = listener;
    }

    /// The listener is closed. No call follows.
    fn on_close(&mut self, listener: &Stream) {
        let _ = listener;
    }
}

impl<F: FnMut(&Stream, Result<()>)> AcceptUpcall for F {
    fn on_connection(&mut self, listener: &Stream, status: Result<()>) {
        self(listener, status);
    }
}

/// The handler of a connection. Mirrors `uv_read_cb`, `uv_write_cb`, `uv_connect_cb`, `uv_shutdown_cb` and
/// `uv_close_cb`.
pub trait StreamUpcall {
    /// Bytes arrived. `data` is valid only during the call: the buffer belongs to the loop.
    fn on_read(&mut self, stream: &Stream, data: &[u8]);

    /// The peer has sent its FIN. Reading has stopped; writing has not.
    fn on_end(&mut self, stream: &Stream);

    /// Reading failed; the stream is no longer readable or writable. A reset is reported immediately, even if the
    /// socket is not reading.
    fn on_read_error(&mut self, stream: &Stream, error: Error);

    /// There is input, the end or a failure, which [`Stream::try_read`](crate::Stream::try_read) gets: the answer to
    /// [`Stream::readable_start`](crate::Stream::readable_start). Called once in each turn as long as there is.
    fn on_readable(&mut self, stream: &Stream) {
        let _ = stream;
    }

    /// The peer has sent its FIN while the socket is not reading. Its earlier bytes are still unread, and `on_end`
    /// follows once the program has read them. Called once each time that reading stops.
    fn on_unread_end(&mut self, stream: &Stream) {
        let _ = stream;
    }

    /// The connect has completed or failed.
    fn on_connect(&mut self, stream: &Stream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The oldest unreported write has completed or failed. Called once for each `write`, in order.
    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The shutdown has completed or failed. On success the kernel has taken everything written before, and the FIN.
    fn on_shutdown(&mut self, stream: &Stream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The answer to [`Stream::notify`](crate::Stream::notify).
    fn on_notify(&mut self, stream: &Stream) {
        let _ = stream;
    }

    /// The stream is closed. No call follows.
    fn on_close(&mut self, stream: &Stream) {
        let _ = stream;
    }
}

/// The handler of a socket of datagrams. Mirrors `uv_udp_recv_cb`, `uv_udp_send_cb` and `uv_close_cb`.
pub trait UdpUpcall {
    /// A datagram arrived. `data` is valid only during the call: the buffer belongs to the loop.
    fn on_receive(&mut self, udp: &Udp, data: &[u8], envelope: &Envelope);

    /// The oldest unreported datagram was sent, or not. Called once for each `send`, in order.
    fn on_send(&mut self, udp: &Udp, result: Result<()>) {
        let _ = (udp, result);
    }

    /// Something did not arrive that was sent earlier, as an ICMP message says, or receiving failed. The socket works
    /// on. `to` is the destination of that datagram, which only a socket with
    /// [`error_queue`](crate::udp::UdpOptions#structfield.error_queue) knows.
    fn on_error(&mut self, udp: &Udp, error: Error, to: Option<SocketAddr>) {
        let _ = (udp, error, to);
    }

    /// The answer to [`Udp::notify`](crate::udp::Udp::notify).
    fn on_notify(&mut self, udp: &Udp) {
        let _ = udp;
    }

    /// The socket is closed. No call follows.
    fn on_close(&mut self, udp: &Udp) {
        let _ = udp;
    }
}

impl<F: FnMut(&Udp, &[u8], &Envelope)> UdpUpcall for F {
    fn on_receive(&mut self, udp: &Udp, data: &[u8], envelope: &Envelope) {
        self(udp, data, envelope);
    }
}
