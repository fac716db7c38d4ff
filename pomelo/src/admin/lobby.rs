//! Connections that have not registered: few in all and few of one address. The oldest is closed for a new one, so that
//! silent connections keep no server or user out: a peer that registers at once is here for a moment. A refused peer
//! stays here until it is closed: it takes its time to read the reason, and many such peers would fill the master.

use crate::admin::peers::Peer;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most connections: each may hold [`MAX_UNREGISTERED`](crate::admin::mqtt::MAX_UNREGISTERED) bytes.
const MAX_WAITING: usize = 512;

/// The most connections of one address: more than one host has servers, so that all of them can reconnect at once.
const MAX_OF_ADDRESS: usize = 256;

/// The connections, in the order in which they came.
#[derive(Default)]
pub(crate) struct Lobby(BTreeMap<u64, (Option<IpAddr>, Peer)>);

impl Lobby {
    /// Adds a connection. Returns the connection to close for it, if there are too many.
    pub(crate) fn enter(&mut self, peer: Peer) -> Option<Peer> {
        let address = peer.link().peer_ip();
        let of_address = |(_, (other, _)): &(&u64, &(Option<IpAddr>, Peer))| *other == address;
        let oldest = if self.0.iter().filter(of_address).count() >= MAX_OF_ADDRESS {
            self.0.iter().find(of_address).map(|(key, _)| *key)
        } else if self.0.len() >= MAX_WAITING {
            self.0.keys().next().copied()
        } else {
            None
        };
        let closed = oldest.and_then(|key| self.0.remove(&key));
        self.0.insert(peer.key(), (address, peer));
        closed.map(|(_, peer)| peer)
    }

    /// Removes a connection that has registered or is closed.
    pub(crate) fn leave(&mut self, key: u64) {
        self.0.remove(&key);
    }

    /// Removes all connections: the agent is closed.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
