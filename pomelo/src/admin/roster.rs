//! The peers that are connected to a master, and the servers that were. Mirrors the maps of pomelo-admin's `MasterAgent`: `sockets`, `clients`,
//! `idMap`, `slaveMap`.

use crate::admin::lobby::Lobby;
use crate::admin::owner::has_connection;
use crate::admin::peers::Peer;
use crate::admin::registration::ServerClaim;
use crate::starter::is_own;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The most servers whose ids are remembered. A later server cannot reconnect without a token.
const MAX_KNOWN: usize = 10_000;

/// The most servers that wait for the id of another server: its next process, and some to spare.
const MAX_WAITING: usize = 4;

/// The most connections of one user; the oldest is closed for a new one. A command line has one, for a moment.
const MAX_SESSIONS: usize = 32;

/// A registered server.
pub(crate) struct Server {
    pub(crate) claim: ServerClaim,
    pub(crate) peer: Peer,
}

/// A user's connection.
struct Client {
    username: String,
    peer: Peer,
}

/// A server that this master has admitted, to which its id is tied.
struct Known {
    server_type: String,
    pid: i32,
    address: Option<IpAddr>,
    /// Whether it has shown a token: then no other process is given its id without one.
    has_token: bool,
}

#[derive(Default)]
pub(crate) struct Roster {
    /// All connections, registered or not.
    peers: BTreeMap<u64, Peer>,
    lobby: Lobby,
    clients: BTreeMap<String, Client>,
    servers: BTreeMap<String, Server>,
    /// Servers whose id another server has, in the order in which they registered.
    waiting: Vec<Server>,
    known: BTreeMap<String, Known>,
}

impl Known {
    fn new(claim: &ServerClaim, peer: &Peer) -> Self {
        let has_token = claim.token.is_some();
        let address = peer.link().peer_ip();
        Self { server_type: claim.server_type.clone(), pid: claim.pid, address, has_token }
    }

    /// Whether a peer is this very process. On this host the system tells which process has a connection; on other hosts
    /// only the peer itself does.
    fn is(&self, claim: &ServerClaim, peer: &Peer) -> bool {
        let same = self.server_type == claim.server_type && self.pid == claim.pid;
        let is_here = self.address.is_some_and(is_own);
        same && self.address == peer.link().peer_ip()
            && (!is_here
                || peer
                    .link()
                    .ends()
                    .is_some_and(|[own, peer]: [SocketAddr; 2]| has_connection(self.pid, peer, own)))
    }
}

impl Roster {
    /// Adds a connection. Returns the connection to close for it, if there are too many.
    pub(crate) fn connected(&mut self, peer: Peer) -> Option<Peer> {
        self.peers.insert(peer.key(), peer.clone());
        self.lobby.enter(peer)
    }

    /// Removes a connection that the agent is done with. If it never registered, it keeps its place in the lobby until it
    /// is closed.
    pub(crate) fn disconnected(&mut self, key: u64) {
        self.peers.remove(&key);
    }

    /// Frees the place in the lobby of a connection that has registered or is closed.
    pub(crate) fn leave_lobby(&mut self, key: u64) {
        self.lobby.leave(key);
    }

    pub(crate) fn take_all(&mut self) -> Vec<Peer> {
        self.lobby.clear();
        std::mem::take(&mut self.peers).into_values().collect()
    }

    pub(crate) fn client(&self, id: &str) -> Option<&Peer> {
        self.clients.get(id).map(|client| &client.peer)
    }

    /// Adds a user's connection. Returns the user's oldest connection if there are too many.
    pub(crate) fn add_client(&mut self, id: String, username: &str, peer: Peer) -> Option<Peer> {
        self.clients.insert(id, Client { username: username.to_owned(), peer });
        let same = || self.clients.values().filter(|client| client.username == username);
        if same().count() <= MAX_SESSIONS {
            return None;
        }
        same().map(|client| &client.peer).min_by_key(|peer| peer.key()).cloned()
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

    /// Adds a server that was admitted. Returns whether it has its id; else it waits for it.
    pub(crate) fn add_server(&mut self, server: Server) -> bool {
        let id = server.claim.id.clone();
        if self.servers.contains_key(&id) {
            self.waiting.push(server);
            return false;
        }
        if self.known.len() < MAX_KNOWN || self.known.contains_key(&id) {
            self.known.insert(id.clone(), Known::new(&server.claim, &server.peer));
        }
        self.servers.insert(id, server);
        true
    }

    /// Refuses an id that a server of another type has, or had, and an id for which too many servers wait.
    pub(crate) fn check_id(&self, claim: &ServerClaim) -> Result<(), String> {
        let id = &claim.id;
        if let Some(known) = self.known.get(id).filter(|known| known.server_type != claim.server_type) {
            return Err(format!("id {id} is one of type {}", known.server_type));
        }
        if self.waiting.iter().filter(|server| server.claim.id == *id).count() >= MAX_WAITING {
            return Err(format!("id has been registered. id:{id}"));
        }
        Ok(())
    }

    /// Whether a server may reconnect without a token, where that is allowed at all: an unknown server may, and a server
    /// that has never shown a token; a server that has shown one may in the same process.
    pub(crate) fn may_return(&self, claim: &ServerClaim, peer: &Peer) -> Result<(), &'static str> {
        match self.known.get(&claim.id) {
            None if self.known.len() >= MAX_KNOWN => Err("the master remembers no more servers"),
            Some(known) if known.has_token && !known.is(claim, peer) => {
                Err("the server of this id showed a token, and this is another process without a token")
            }
            _ => Ok(()),
        }
    }

    /// Removes the server of a connection. Returns nothing for a server that waits for its id.
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
