//! What a socket of datagrams does, for people who ask what keeps a loop alive. libuv has no counterpart.

use super::flags::{CONNECTED, RECEIVING};
use super::inner::UdpInner;
use crate::sys;
use crate::why::{About, counted};
use std::net::SocketAddr;

impl UdpInner {
    pub(super) fn describe(&self) -> About {
        let mut parts = Vec::new();
        if self.has(RECEIVING) {
            let on = self.own_addr().map(|addr| format!(" on {addr}")).unwrap_or_default();
            parts.push(format!("receives{on}"));
        }
        parts.extend(self.peer().map(|peer| format!("peer {peer}")));
        let (queued, bytes) = self.queue_size();
        if queued > 0 {
            parts.push(counted(queued, "datagram", &format!(" of {bytes} bytes in the queue")));
        }
        let done = self.results();
        if done > 0 {
            parts.push(counted(done, "datagram", " not reported"));
        }
        About { text: parts.join(", "), requests: queued + done }
    }

    fn own_addr(&self) -> Option<SocketAddr> {
        sys::socket::local_addr(self.fd.get()?).ok()?.as_inet()
    }

    /// The peer, if the socket has one: a system call, for errors and people.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        let fd = self.fd.get().filter(|_| self.has(CONNECTED))?;
        sys::socket::peer_addr(fd).ok()?.as_inet()
    }
}
