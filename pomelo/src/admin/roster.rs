//! Who is connected to a master. Mirrors the maps of pomelo-admin's `MasterAgent`: `sockets`, `clients`, `idMap`,
//! `slaveMap`.

use crate::admin::peers::Peer;
use crate::admin::registration::ServerClaim;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How many servers that left are remembered, so that they may come back without a token.
const MAX_KNOWN: usize = 10_000;

/// A registered server.
pub(crate) struct Server {
    pub(crate) claim: ServerClaim,
    pub(crate) peer: Peer,
}

/// What a server that comes back without a token must have in common with the one that was admitted.
#[derive(PartialEq, Eq)]
struct Known {
    server_type: String,
    pid: i32,
    address: Option<IpAddr>,
}

#[derive(Default)]
pub(crate) struct Roster {
    /// Everybody, registered or not.
    peers: BTreeMap<u64, Peer>,
    clients: BTreeMap<String, Peer>,
    servers: BTreeMap<String, Server>,
    /// Servers whose id is another's at the moment, in the order in which they came.
    waiting: Vec<Server>,
    known: BTreeMap<String, Known>,
}

impl Known {
    fn new(claim: &ServerClaim, peer: &Peer) -> Self {
        Self { server_type: claim.server_type.clone(), pid: claim.pid, address: peer.link().peer_ip() }
    }
}

impl Roster {
    pub(crate) fn connected(&mut self, peer: Peer) {
        self.peers.insert(peer.key(), peer);
    }

    pub(crate) fn disconnected(&mut self, key: u64) {
        self.peers.remove(&key);
    }

    pub(crate) fn take_all(&mut self) -> Vec<Peer> {
        std::mem::take(&mut self.peers).into_values().collect()
    }

    pub(crate) fn client(&self, id: &str) -> Option<&Peer> {
        self.clients.get(id)
    }

    pub(crate) fn add_client(&mut self, id: String, peer: Peer) {
        self.clients.insert(id, peer);
    }

    pub(crate) fn remove_client(&mut self, id: &str) {
        self.clients.remove(id);
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.values()
    }

    pub(crate) fn server(&self, id: &str) -> Option<&Server> {
        self.servers.get(id)
    }

    /// Adds a server that was admitted; whether it is the first of its id. Others wait.
    pub(crate) fn add_server(&mut self, server: Server) -> bool {
        let id = server.claim.id.clone();
        if self.servers.contains_key(&id) {
            self.waiting.push(server);
            return false;
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.pop_first();
        }
        self.known.insert(id.clone(), Known::new(&server.claim, &server.peer));
        self.servers.insert(id, server);
        true
    }

    /// Whether this master has admitted just this server before.
    pub(crate) fn is_known(&self, claim: &ServerClaim, peer: &Peer) -> bool {
        self.known.get(&claim.id) == Some(&Known::new(claim, peer))
    }

    /// Removes the server of a connection, unless it was one that waits.
    pub(crate) fn remove_server(&mut self, id: &str, key: u64) -> Option<ServerClaim> {
        self.waiting.retain(|server| server.peer.key() != key);
        if self.servers.get(id).is_some_and(|server| server.peer.key() == key) {
            return self.servers.remove(id).map(|server| server.claim);
        }
        None
    }

    /// Gives the id to the server that has waited longest for it.
    pub(crate) fn promote(&mut self, id: &str) -> Option<Server> {
        let at = self.waiting.iter().position(|server| server.claim.id == id)?;
        let Server { claim, peer } = self.waiting.remove(at);
        self.add_server(Server { claim: claim.clone(), peer: peer.clone() });
        Some(Server { claim, peer })
    }
}
