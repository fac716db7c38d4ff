//! The sending half of an admin connection, for both sides: packets within a bound, and the DISCONNECT. Mirrors `mqtt-connection` on a `net.Socket`.

use crate::admin::mqtt;
use bytes::Bytes;
use net::Socket;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The most bytes that are queued for a peer that does not read: twice the longest message. More close the connection.
const MAX_QUEUED: usize = 2 * mqtt::MAX_REGISTERED;

/// The time that a peer may take to close its side after a DISCONNECT. To close at once could lose the packets before
/// it, as unread input makes the kernel reset a connection.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// The sending side of a connection. A cheap clone.
#[derive(Clone, Debug)]
pub(crate) struct Link(Socket);

impl Link {
    pub(crate) fn new(socket: Socket) -> Self {
        // Refused only by a socket that is no longer connected.
        let _ = socket.set_no_delay(true);
        Self(socket)
    }

    /// Sends a packet that several peers share. Returns whether the connection takes it.
    pub(crate) fn send(&self, packet: Bytes) -> bool {
        let sent = self.0.write_bytes(packet).is_ok();
        self.check_queue();
        sent
    }

    /// Sends one of the short packets.
    pub(crate) fn send_raw(&self, packet: &[u8]) {
        // A connection that refuses it is being closed.
        let _ = self.0.write(packet);
        self.check_queue();
    }

    /// Whether the kernel has taken everything that was sent.
    pub(crate) fn is_drained(&self) -> bool {
        self.0.buffered() == 0
    }

    fn check_queue(&self) {
        if self.0.buffered() > MAX_QUEUED {
            log::warn!(target: "pomelo", "{}: more than {MAX_QUEUED} bytes are queued and not read; closed", self.peer());
            self.0.destroy();
        }
    }

    /// Sends DISCONNECT, then closes the connection soon.
    pub(crate) fn leave(&self) {
        if self.0.is_destroyed() {
            return;
        }
        self.send_raw(mqtt::LEAVE);
        self.0.end();
        let socket = self.0.clone();
        let timeout = self.0.environment().set_deadline(CLOSE_GRACE, move |_| {
            // What the kernel has taken still reaches a slow peer, within the limits of `destroy_soon`.
            if socket.buffered() == 0 { socket.destroy_soon() } else { socket.destroy() }
        });
        // The connection keeps the loop alive.
        timeout.unref();
    }

    /// Whether the connection is closed.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_destroyed()
    }

    /// Closes at once.
    pub(crate) fn cut(&self) {
        self.0.destroy();
    }

    /// The peer's address, for messages.
    pub(crate) fn peer(&self) -> String {
        self.0.remote_address().map_or_else(|| "a disconnected peer".into(), |address| address.to_string())
    }

    /// The peer's address without its port.
    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        self.0.remote_address()?.as_tcp().map(|address| address.ip().to_canonical())
    }

    /// This side's address and the peer's.
    pub(crate) fn ends(&self) -> Option<[SocketAddr; 2]> {
        Some([self.0.local_address()?.as_tcp()?, self.0.remote_address()?.as_tcp()?])
    }
}
