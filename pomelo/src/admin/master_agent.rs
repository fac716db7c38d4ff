//! The master's side of the admin protocol: the connected peers, and messages to them. Mirrors pomelo-admin's
//! `MasterAgent`.

mod connections;

use crate::admin::Times;
use crate::admin::agent::WeakAgent;
use crate::admin::auth::new_secret;
use crate::admin::console::Console;
use crate::admin::message::{Response, Topic, notice_packet};
use crate::admin::peers::Peer;
use crate::admin::registration::ServerClaim;
use crate::admin::rejections::Rejections;
use crate::admin::requests::{Outgoing, Request, RequestError, Requests};
use crate::admin::roster::{Roster, Server};
use crate::upcall::{Authority, MasterHandler};
use async_wrap::Environment;
use async_wrap::layer::HandlerCell;
use net::{Address, ListenOptions, ServerOptions, Socket};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::{Rc, Weak};

/// The most connections at a time; more are closed. Enough for thousands of servers, within a usual limit of
/// descriptors.
const MAX_CONNECTIONS: usize = 8192;

/// The agent of a master. A cheap clone, with the methods of [`Console`].
///
/// It lives until [`close`](Self::close): its connections and its modules hold it.
#[derive(Clone)]
pub struct MasterAgent(pub(super) Rc<MasterAgentInner>);

pub(crate) struct MasterAgentInner {
    console: Console,
    server: net::Server,
    authority: HandlerCell<Box<dyn Authority>>,
    handler: HandlerCell<Box<dyn MasterHandler>>,
    admits_any_reconnect: bool,
    times: Times,
    /// What the master's own monitor shows as its token.
    secret: String,
    roster: RefCell<Roster>,
    requests: Requests,
    rejections: Rejections,
    last_key: Cell<u64>,
    is_closed: Cell<bool>,
}

/// The options of [`MasterAgent::new`].
pub struct MasterOptions {
    authority: Box<dyn Authority>,
    admits_any_reconnect: bool,
    times: Times,
}

impl MasterOptions {
    /// A master whose `authority` decides who may register.
    pub fn new(authority: impl Authority + 'static) -> Self {
        Self::boxed(Box::new(authority))
    }

    pub(crate) fn boxed(authority: Box<dyn Authority>) -> Self {
        Self { authority, admits_any_reconnect: false, times: Times::default() }
    }

    /// Whether servers may reconnect without a token, as in Node; in an application the setting `reconnectWithoutToken`.
    /// Default: `false`, a server shows its token again, as those of this crate do.
    ///
    /// Servers of Node's pomelo need it. What it gives up: a program that can reach the port can join as any server that
    /// this master has not met, also one whose token was refused before. An id whose server is connected, or has shown a
    /// token to this master, is still given to that server's own process only. The system tells which process of this
    /// host has a connection; on other hosts type, process id and address decide, which a program there can imitate.
    #[must_use]
    pub fn admits_any_reconnect(mut self, admits: bool) -> Self {
        self.admits_any_reconnect = admits;
        self
    }

    /// The time limits. Default: those of [`Times::default`].
    #[must_use]
    pub fn times(mut self, times: Times) -> Self {
        self.times = times;
        self
    }
}

impl fmt::Debug for MasterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterOptions")
            .field("admits_any_reconnect", &self.admits_any_reconnect)
            .finish_non_exhaustive()
    }
}

/// The user or server of a closed connection, by its id.
pub(crate) enum Admitted {
    Client(String),
    Server(String),
}

impl MasterAgent {
    /// An agent that does not listen yet. `handler` is told which servers come and leave.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for a time limit of 0; [`Error::System`](crate::Error::System) if the
    /// system has no randomness for the secret of the master's own monitor.
    pub fn new(
        env: &Environment,
        options: MasterOptions,
        handler: impl MasterHandler + 'static,
    ) -> crate::Result<Self> {
        options.times.check()?;
        let limits = ServerOptions::default().max_connections(Some(MAX_CONNECTIONS));
        let (rejections, secret) = (Rejections::new(env), new_secret()?);
        let agent = Self(Rc::new_cyclic(|this| MasterAgentInner {
            console: Console::new(env, WeakAgent::Master(Weak::clone(this))),
            server: net::Server::new(env, limits),
            authority: HandlerCell::empty(),
            handler: HandlerCell::empty(),
            admits_any_reconnect: options.admits_any_reconnect,
            times: options.times,
            secret,
            roster: RefCell::default(),
            requests: Requests::new(env, Topic::Monitor, rejections.clone()),
            rejections,
            last_key: Cell::new(0),
            is_closed: Cell::new(false),
        }));
        agent.0.authority.set(options.authority);
        agent.0.handler.set(Box::new(handler));
        Ok(agent)
    }

    /// Listens, and enables the modules that were registered.
    ///
    /// # Errors
    /// The system's refusal, such as `EADDRINUSE`.
    #[track_caller]
    pub fn listen(&self, options: ListenOptions) -> crate::Result<()> {
        let agent = Rc::downgrade(&self.0);
        self.0.server.listen_with(options, move |_, socket| {
            if let Some(agent) = agent.upgrade().map(Self) {
                agent.connected(&socket);
            }
        })?;
        if let Some(port) = self.address().and_then(|address| address.port()) {
            log::info!(target: "pomelo", "[MqttServer] listen on {port}");
        }
        self.0.console.start();
        Ok(())
    }

    fn connected(&self, socket: &Socket) {
        let key = self.0.last_key.get() + 1;
        self.0.last_key.set(key);
        let peer = Peer::serve(self, key, socket);
        let oldest = self.0.roster.borrow_mut().connected(peer);
        if let Some(oldest) = oldest {
            oldest.give_way();
        }
    }

    /// The address on which the agent listens.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.0.server.address()
    }

    /// Stops listening, sends DISCONNECT to all peers and drops the modules. Idempotent.
    pub fn close(&self) {
        if self.0.is_closed.replace(true) {
            return;
        }
        // Refused only to a server that does not listen.
        let _ = self.0.server.close();
        let peers = self.0.roster.borrow_mut().take_all();
        peers.iter().for_each(Peer::dismiss);
        self.0.requests.fail_all();
        self.0.console.stop();
        self.release_if_closed();
    }

    /// Drops the handler and the authority of a closed agent, which they may hold. Called after each of their calls too: a
    /// handler that closes the agent is out of its cell during the call, and is put back after it.
    fn release_if_closed(&self) {
        if self.0.is_closed.get() {
            drop((self.0.handler.take(), self.0.authority.take()));
        }
    }

    /// The ids of the registered servers, the master's own monitor among them.
    #[must_use]
    pub fn server_ids(&self) -> Vec<String> {
        self.0.roster.borrow().servers().map(|server| server.claim.id.clone()).collect()
    }

    /// What a server has registered with.
    #[must_use]
    pub fn server(&self, id: &str) -> Option<ServerClaim> {
        self.0.roster.borrow().server(id).map(|server| server.claim.clone())
    }

    pub(crate) fn has_server(&self, id: &str) -> bool {
        self.0.roster.borrow().server(id).is_some()
    }

    /// Whether a server is registered with this process id.
    pub(crate) fn has_process(&self, id: &str, pid: i32) -> bool {
        self.0.roster.borrow().server(id).is_some_and(|server| server.claim.pid == pid)
    }

    /// The token of the master's own monitor.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0.secret
    }

    /// Asks a module of a server; the callback is called once, with the response within [`Times::answer_within`]. A server
    /// that loses its connection meanwhile is asked again when it has reconnected.
    pub fn request(
        &self,
        server: &str,
        module: &str,
        body: Value,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        self.request_with(server, Request::new(module, body), callback);
    }

    /// Like [`request`](Self::request), for a request that has its own time limit or shares its body with others.
    pub fn request_with(
        &self,
        server: &str,
        request: Request,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        let link = self.0.roster.borrow().server(server).map(|server| server.peer.link().clone());
        let link = link.ok_or_else(|| RequestError::UnknownServer(server.to_owned()));
        let outgoing = Outgoing::request(request, self.0.times.answer_within).to(server);
        self.0.requests.send(link, outgoing, callback);
    }

    /// Sends a notice to a module of a server. Returns whether a server of this id is registered.
    pub fn notify(&self, server: &str, module: &str, body: &Value) -> bool {
        self.notify_where(module, body, |one| one.claim.id == server) > 0
    }

    /// Sends a notice to all servers of a type. Returns their number.
    pub fn notify_type(&self, server_type: &str, module: &str, body: &Value) -> usize {
        self.notify_where(module, body, |one| one.claim.server_type == server_type)
    }

    /// Sends a notice to all servers. Returns their number.
    pub fn notify_all(&self, module: &str, body: &Value) -> usize {
        self.notify_where(module, body, |_| true)
    }

    fn notify_where(&self, module: &str, body: &Value, is_meant: impl Fn(&Server) -> bool) -> usize {
        let packet = notice_packet(Topic::Monitor, module, body);
        let roster = self.0.roster.borrow();
        let meant = roster.servers().filter(|server| is_meant(server));
        meant.filter(|server| server.peer.link().send(packet.clone())).count()
    }

    /// Sends a notice to a connected client. Returns whether a client of this id is connected.
    pub fn notify_client(&self, client: &str, module: &str, body: &Value) -> bool {
        let packet = notice_packet(Topic::Client, module, body);
        self.0.roster.borrow().client(client).is_some_and(|peer| peer.link().send(packet))
    }

    pub(crate) fn times(&self) -> &Times {
        &self.0.times
    }

    pub(crate) fn rejections(&self) -> &Rejections {
        &self.0.rejections
    }
}

impl Deref for MasterAgent {
    type Target = Console;

    fn deref(&self) -> &Console {
        &self.0.console
    }
}

impl fmt::Debug for MasterAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterAgent")
            .field("address", &self.address())
            .field("servers", &self.server_ids())
            .finish_non_exhaustive()
    }
}
