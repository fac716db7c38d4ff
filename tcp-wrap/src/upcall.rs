//! The upcalls of this layer: accepted connections, the events of a stream, and those of a socket of datagrams.

use crate::{StreamWrap, UdpWrap};
use std::net::SocketAddr;
use uv_core::udp::Envelope;
use uv_core::{Error, Result};

/// The handler of a listening wrap. Mirrors `ConnectionWrap::OnConnection`.
pub trait OnConnection {
    /// A connection is waiting: decides whether it becomes a wrap, or is closed before there is one.
    /// [`StreamWrap::with_announced`] lends its descriptor.
    fn accepts_connection(&mut self, listener: &StreamWrap) -> bool {
        let _ = listener;
        true
    }

    /// A connection was accepted, or accepting failed.
    fn on_connection(&mut self, listener: &StreamWrap, connection: Result<StreamWrap>);

    /// The answer to [`StreamWrap::drain`]: no connection waits.
    fn on_drained(&mut self, listener: &StreamWrap) {
        let _ = listener;
    }

    /// The listener is closed. No call follows.
    fn on_close(&mut self, listener: &StreamWrap) {
        let _ = listener;
    }
}

impl<F: FnMut(&StreamWrap, Result<StreamWrap>)> OnConnection for F {
    fn on_connection(&mut self, listener: &StreamWrap, connection: Result<StreamWrap>) {
        self(listener, connection);
    }
}

/// The handler of a connection. Mirrors `StreamListener` and the `oncomplete` of Node's request wraps.
pub trait OnStream {
    /// Bytes arrived (`OnUvRead`). `data` is valid only during the call.
    fn on_read(&mut self, stream: &StreamWrap, data: &[u8]);

    /// The peer has sent its FIN; reading has stopped.
    fn on_end(&mut self, stream: &StreamWrap);

    /// Reading failed; the stream is no longer readable or writable.
    fn on_error(&mut self, stream: &StreamWrap, error: Error);

    /// There is input, the end or a failure, which [`StreamWrap::try_read`] gets: the answer to
    /// [`StreamWrap::readable_start`].
    fn on_readable(&mut self, stream: &StreamWrap) {
        let _ = stream;
    }

    /// The peer has sent its FIN while the stream is not reading. `on_end` follows once the program has read up to it.
    fn on_unread_end(&mut self, stream: &StreamWrap) {
        let _ = stream;
    }

    /// The connect has completed or failed (`ConnectWrap.oncomplete`).
    fn on_connect(&mut self, stream: &StreamWrap, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The queued part of a write has been written or has failed (`WriteWrap.oncomplete`). Called in order, once for
    /// each [`Written::later`](crate::Written::later) that was not zero.
    fn on_write(&mut self, stream: &StreamWrap, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The shutdown has completed or failed (`ShutdownWrap.oncomplete`).
    fn on_shutdown(&mut self, stream: &StreamWrap, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The answer to [`StreamWrap::notify`].
    fn on_notify(&mut self, stream: &StreamWrap) {
        let _ = stream;
    }

    /// The wrap is closed. No call follows.
    fn on_close(&mut self, stream: &StreamWrap) {
        let _ = stream;
    }
}

/// The handler of a socket of datagrams. Mirrors `UDPListener`, and the `onmessage`, `onerror` and `oncomplete` of Node's
/// wraps.
pub trait OnUdp {
    /// A datagram arrived (`OnRecv`). `data` is valid only during the call.
    fn on_receive(&mut self, udp: &UdpWrap, data: &[u8], envelope: &Envelope);

    /// The oldest unreported datagram was sent, or not (`SendWrap.oncomplete`). Called once for each send, in order.
    fn on_send(&mut self, udp: &UdpWrap, result: Result<()>) {
        let _ = (udp, result);
    }

    /// An earlier datagram did not arrive, or receiving failed: see [`UdpUpcall::on_error`].
    ///
    /// [`UdpUpcall::on_error`]: uv_core::upcall::UdpUpcall::on_error
    fn on_error(&mut self, udp: &UdpWrap, error: Error, to: Option<SocketAddr>) {
        let _ = (udp, error, to);
    }

    /// The answer to [`UdpWrap::notify`].
    fn on_notify(&mut self, udp: &UdpWrap) {
        let _ = udp;
    }

    /// The wrap is closed. No call follows.
    fn on_close(&mut self, udp: &UdpWrap) {
        let _ = udp;
    }
}
