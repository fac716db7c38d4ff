//! Connections that have not registered: few in all and few of one address. The oldest gives way to a new one, so that
//! those who say nothing shut nobody out: a server or a user that registers at once is here for a moment. One that was
//! refused stays here until it is closed: it takes its time to read why, and others like it would fill the master.

use crate::admin::peers::Peer;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most of them: each may hold [`MAX_UNREGISTERED`](crate::admin::mqtt::MAX_UNREGISTERED) bytes.
const MAX_WAITING: usize = 512;

/// The most of one address. More than the servers that one host has, so that all of them can come back at a time.
const MAX_OF_ADDRESS: usize = 256;

/// Those who wait, by the order in which they came.
#[derive(Default)]
pub(crate) struct Lobby(BTreeMap<u64, (Option<IpAddr>, Peer)>);

impl Lobby {
    /// A connection has come; returns the one that gives way, if it is one too many.
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
        let gone = oldest.and_then(|key| self.0.remove(&key));
        self.0.insert(peer.key(), (address, peer));
        gone.map(|(_, peer)| peer)
    }

    /// A connection has registered, or is closed.
    pub(crate) fn leave(&mut self, key: u64) {
        self.0.remove(&key);
    }

    /// The agent is closed, and lets nobody in any more.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
