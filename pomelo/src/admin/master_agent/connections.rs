//! The calls of connections to a master's agent: registrations, messages and ends. Mirrors the listeners that
//! pomelo-admin's `MasterAgent` has on its sockets.

use super::{Admitted, MasterAgent};
use crate::Completion;
use crate::admin::auth::{User, same};
use crate::admin::message::{Command, Response, Topic, command_packet};
use crate::admin::peers::{Peer, Session};
use crate::admin::registration::{Login, ServerClaim};
use crate::admin::rejections::{Kind, shown};
use crate::admin::reply::Reply;
use crate::admin::roster::Server;
use crate::upcall::{Authority, MasterHandler};
use serde_json::Value;

impl MasterAgent {
    fn call_handler(&self, call: impl FnOnce(&mut Box<dyn MasterHandler>)) {
        self.0.handler.call(call);
        self.release_if_closed();
    }

    fn call_authority(&self, call: impl FnOnce(&mut Box<dyn Authority>)) {
        self.0.authority.call(call);
        self.release_if_closed();
    }

    pub(crate) fn authorize_user(&self, login: &Login, done: Completion<User>) {
        self.call_authority(|authority| authority.on_login(login, done));
    }

    /// Decides on a server. A server of type `master` must be this process's own monitor; in Node any peer may claim the
    /// type.
    pub(crate) fn authorize_server(&self, topic: Topic, claim: &ServerClaim, peer: &Peer, done: Completion) {
        if claim.is_master() {
            let is_own = claim.token.as_deref().is_some_and(|token| same(token, &self.0.secret));
            return if is_own { done.ok(()) } else { done.fail("not this master's own monitor") };
        }
        if topic == Topic::Reconnect && claim.token.is_none() {
            return match self.may_return(claim, peer) {
                Ok(()) => done.ok(()),
                Err(reason) => done.fail(format_args!("server {:?}: {reason}", claim.id)),
            };
        }
        self.call_authority(|authority| authority.on_server(claim, done));
    }

    fn may_return(&self, claim: &ServerClaim, peer: &Peer) -> Result<(), &'static str> {
        if !self.0.admits_any_reconnect {
            return Err(
                "it reconnects without a token; servers of Node's pomelo do, and the setting reconnectWithoutToken admits them",
            );
        }
        self.0.roster.borrow().may_return(claim, peer)
    }

    pub(crate) fn admit_client(&self, login: &Login, user: User, peer: &Peer) -> Result<Session, String> {
        let mut roster = self.0.roster.borrow_mut();
        if roster.client(&login.id).is_some() {
            return Err(format!("id has been registered. id:{}", login.id));
        }
        log::info!(target: "pomelo", "client user : {} login to master", user.username);
        let oldest = roster.add_client(login.id.clone(), &user.username, peer.clone());
        drop(roster);
        if let Some(oldest) = oldest {
            log::warn!(target: "pomelo", "user {:?} has too many connections; the oldest is closed", user.username);
            oldest.dismiss();
        }
        Ok(Session { id: login.id.clone(), user })
    }

    /// Whether a server may have its id. A second server of the same id waits until the first has left, as Node's slaves
    /// do; a server that reconnects does not.
    pub(crate) fn check_id(&self, topic: Topic, claim: &ServerClaim) -> Result<(), String> {
        if topic == Topic::Reconnect && self.has_server(&claim.id) {
            return Err(format!("id has been registered. id:{}", claim.id));
        }
        if claim.is_master() {
            return Ok(());
        }
        let mut allowed = Ok(());
        self.call_handler(|handler| {
            allowed = handler.on_admit(self, claim).map_err(|failure| failure.to_string())
        });
        allowed.and_then(|()| self.0.roster.borrow().check_id(claim))
    }

    /// A connection has registered or is closed.
    pub(crate) fn leave_lobby(&self, key: u64) {
        self.0.roster.borrow_mut().leave_lobby(key);
    }

    pub(crate) fn admit_server(&self, topic: Topic, claim: ServerClaim, peer: &Peer) {
        let server = Server { claim: claim.clone(), peer: peer.clone() };
        let is_first = self.0.roster.borrow_mut().add_server(server);
        if !is_first {
            let line = format_args!("a second server {:?} waits until the first has left", claim.id);
            return self.rejections().tell(Kind::Registration, line);
        }
        self.0.requests.repeat(&claim.id, peer.link());
        self.call_handler(|handler| match topic {
            Topic::Reconnect => handler.on_reconnect(self, &claim),
            _ => handler.on_register(self, &claim),
        });
    }

    /// Removes a peer whose connection is closed or was sent a DISCONNECT.
    pub(crate) fn left(&self, key: u64, admitted: Option<Admitted>) {
        let mut roster = self.0.roster.borrow_mut();
        roster.disconnected(key);
        match admitted {
            None => {}
            Some(Admitted::Client(id)) => {
                roster.remove_client(&id);
                log::info!(target: "pomelo", "client {id:?} left");
            }
            Some(Admitted::Server(id)) => {
                let left = roster.remove_server(&id, key);
                drop(roster);
                if let Some(claim) = left {
                    self.server_left(&claim);
                }
            }
        }
    }

    fn server_left(&self, claim: &ServerClaim) {
        if self.0.is_closed.get() {
            return;
        }
        self.0.requests.left(&claim.id);
        self.call_handler(|handler| handler.on_disconnect(self, claim));
        let successor = self.0.roster.borrow_mut().promote(&claim.id);
        if let Some(Server { claim, peer }) = successor {
            self.0.requests.repeat(&claim.id, peer.link());
            self.call_handler(|handler| handler.on_register(self, &claim));
        }
    }

    /// Hands over a response, unless it is of a server that waits for its id and was not asked.
    pub(crate) fn answered(&self, server: &str, key: u64, request: u64, response: Response) {
        let is_asked = |asked: &Server| asked.peer.key() == key;
        if self.0.roster.borrow().server(server).is_some_and(is_asked) {
            self.0.requests.answer(request, server, response);
        }
    }

    pub(crate) fn call_master(&self, module: &str, body: Value, reply: Reply) {
        self.0.console.call(module, reply, |module, reply| module.on_master(self, Some(body), reply));
    }

    pub(crate) fn call_client(&self, client: &Session, module: &str, body: Value, reply: Reply) {
        log::info!(target: "pomelo::admin", "{} calls {}: {}", client.user.username, shown(module), shown(&body.to_string()));
        self.0.console.call(module, reply, |module, reply| module.on_client(self, client, body, reply));
    }

    /// Obeys a command to the console itself. Servers are told to enable or disable the module too, without the client's
    /// id: Node's servers would look it up in a table that they do not have, and break.
    pub(crate) fn command(&self, client: &Session, mut command: Command, reply: Reply) {
        let username = &client.user.username;
        let (name, module) = (shown(&command.name), shown(&command.module));
        if let Err(reason) = client.user.check_level() {
            self.rejections().tell(Kind::Permission, format_args!("{username}: {name} {module}: {reason}"));
            return reply.fail(reason);
        }
        log::info!(target: "pomelo::admin", "{username}: {name} {module}");
        let response = self.0.console.command(&command.name, &command.module);
        if matches!(&*command.name, "enable" | "disable") && response.body == Some(1.into()) {
            if let Some(fields) = command.body.as_object_mut() {
                fields.retain(|key, _| key != "clientId" && key != "username");
            }
            let packet = command_packet(Topic::Monitor, &Value::Null, &command);
            for server in self.0.roster.borrow().servers() {
                server.peer.link().send(packet.clone());
            }
        }
        reply.send(response);
    }
}
