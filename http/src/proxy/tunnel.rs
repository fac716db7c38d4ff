//! Two connections that have left HTTP: what one side sends, the other gets, at its own pace.

use super::Core;
use super::upstreams::Outcome;
use net::Socket;
use net::upcall::SocketHandler;
use std::rc::Rc;
use std::time::Duration;

/// The idle time after which the kernel asks whether a peer is still there: the proxy has no limit of its own, since protocols
/// such as WebSocket are silent as long as they like.
const PROBED_AFTER: Duration = Duration::from_secs(60);

/// The handler of one side.
pub(super) struct Tunnel {
    /// The other side. Each side holds the other, until one is closed.
    peer: Socket,
    /// That of the upstream counts as a request there.
    _use: Option<Use>,
}

/// A use of an upstream, until it is dropped.
pub(super) struct Use {
    pub(super) core: Rc<Core>,
    pub(super) upstream: usize,
}

impl Drop for Use {
    fn drop(&mut self) {
        self.core.choice.borrow_mut().release(self.upstream, Outcome::Unknown, self.core.now());
    }
}

impl Tunnel {
    /// Makes one connection of two.
    pub(super) fn join(client: &Socket, upstream: &Socket, used: Use) {
        let mut used = Some(used);
        for (socket, peer) in [(upstream, client), (client, upstream)] {
            // Refused by Unix sockets, which have no need of it.
            let _ = socket.set_keep_alive(Some(PROBED_AFTER));
            socket.set_handler(Self { peer: peer.clone(), _use: used.take() });
            socket.resume();
        }
    }
}

impl SocketHandler for Tunnel {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        // An error is the other side's end, which its own handler is told.
        if let Ok(false) = self.peer.write(data) {
            socket.pause();
        }
    }

    fn on_drain(&mut self, _: &Socket) {
        self.peer.resume();
    }

    fn on_end(&mut self, _: &Socket) {
        self.peer.end();
    }

    fn on_close(&mut self, _: &Socket, had_error: bool) {
        if had_error {
            // Only TCP has a reset.
            if self.peer.reset_and_destroy().is_err() {
                self.peer.destroy();
            }
        } else {
            self.peer.destroy_soon();
        }
    }
}
