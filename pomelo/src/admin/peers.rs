//! The master's side of one connection: what a peer may say before and after it has registered. Mirrors pomelo-admin's
//! `MasterSocket`.
//!
//! Unlike Node's, a peer that breaks a rule loses its connection, not only a packet: bytes that are no packet of the
//! protocol, an unknown topic, a payload that is no message, a second registration.

use crate::admin::auth::User;
use crate::admin::link::Link;
use crate::admin::master_agent::{Admitted, MasterAgent};
use crate::admin::message::{self, Message, Topic, answer_packet};
use crate::admin::mqtt::{self, Decoder, Packet};
use crate::admin::registration::{Invalid, Login, Registration, ServerClaim};
use crate::admin::reply::Reply;
use crate::{Done, Failure};
use async_wrap::Timeout;
use net::Socket;
use net::upcall::SocketHandler;
use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;

/// Pings that a peer may send while it does not read the answers. Each answer of two bytes costs a hundred while it
/// waits, so the bound on waiting bytes comes late; clients send a ping once in a minute.
const MAX_UNREAD_PONGS: u32 = 1000;

/// How far a peer is.
#[derive(Clone)]
enum Stage {
    /// It has sent nothing.
    New,
    /// It has sent its CONNECT.
    Connected,
    /// It is being decided whether it is admitted.
    Deciding,
    Client(Rc<Session>),
    /// A server, by its id.
    Server(Rc<str>),
    /// It left or was sent away.
    Gone,
}

/// A user's connection, as modules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The id that the client chose.
    pub id: String,
    /// Who it is.
    pub user: User,
}

/// A connection to the master.
#[derive(Clone)]
pub(crate) struct Peer(Rc<PeerState>);

struct PeerState {
    agent: MasterAgent,
    link: Link,
    /// Tells connections apart.
    key: u64,
    stage: RefCell<Stage>,
    deadline: RefCell<Option<Timeout>>,
    socket: Socket,
    unread_pongs: Cell<u32>,
    is_over: Cell<bool>,
}

/// What the socket calls.
struct PeerTower {
    peer: Peer,
    decoder: Decoder,
}

impl Peer {
    /// Takes a connection over.
    pub(crate) fn serve(agent: &MasterAgent, key: u64, socket: &Socket) -> Self {
        let link = Link::new(socket.clone());
        let peer = Self(Rc::new(PeerState {
            agent: agent.clone(),
            link: link.clone(),
            key,
            stage: RefCell::new(Stage::New),
            deadline: RefCell::default(),
            socket: socket.clone(),
            unread_pongs: Cell::new(0),
            is_over: Cell::new(false),
        }));
        let deadline = agent.environment().set_timeout(agent.times().register_within, move || {
            log::warn!(target: "pomelo", "{}: not registered in time; closed", link.peer());
            link.cut();
        });
        peer.0.deadline.replace(Some(deadline));
        socket.set_handler(PeerTower { peer: peer.clone(), decoder: Decoder::default() });
        peer
    }

    pub(crate) fn key(&self) -> u64 {
        self.0.key
    }

    pub(crate) fn link(&self) -> &Link {
        &self.0.link
    }

    /// Sends the peer away with a DISCONNECT.
    pub(crate) fn dismiss(&self) {
        self.leave_agent();
        self.0.link.leave();
    }

    /// A peer broke a rule.
    fn reject(&self, reason: impl std::fmt::Display) {
        log::warn!(target: "pomelo", "{}: {reason}; closed", self.0.link.peer());
        self.dismiss();
    }

    fn on_packet(&self, packet: Packet<'_>) {
        let is_new = matches!(self.stage(), Stage::New);
        match packet {
            Packet::Connect if is_new => {
                self.0.stage.replace(Stage::Connected);
                self.0.link.send_raw(mqtt::ACCEPTED);
            }
            _ if is_new => self.reject("a first packet that is no CONNECT"),
            Packet::PingReq => self.pong(),
            Packet::Publish { topic, payload } => match Topic::parse(topic) {
                Some(topic) => self.on_publish(topic, payload),
                None => self.reject(format_args!("a message on the topic {topic:?}")),
            },
            // At once, without waiting for the connection's end.
            Packet::Disconnect => {
                self.leave_agent();
                self.0.link.leave();
            }
            Packet::Connect | Packet::ConnAck { .. } | Packet::PingResp => {
                self.reject("a packet out of place");
            }
        }
    }

    fn pong(&self) {
        let unread = if self.0.link.is_drained() { 0 } else { self.0.unread_pongs.get() + 1 };
        self.0.unread_pongs.set(unread);
        if unread > MAX_UNREAD_PONGS {
            return self.reject("pings, and does not read the answers");
        }
        self.0.link.send_raw(mqtt::PONG);
    }

    fn on_publish(&self, topic: Topic, payload: &[u8]) {
        match (topic, self.stage()) {
            (Topic::Register | Topic::Reconnect, Stage::Connected) => self.on_registration(topic, payload),
            (Topic::Client, Stage::Client(client)) => self.on_client(&client, payload),
            (Topic::Monitor, Stage::Server(id)) => self.on_monitor(&id, payload),
            (_, Stage::Client(_) | Stage::Server(_)) => {
                self.reject("a message on a topic that is not for it")
            }
            _ => self.reject("a message before it has registered"),
        }
    }

    fn stage(&self) -> Stage {
        self.0.stage.borrow().clone()
    }

    fn on_registration(&self, topic: Topic, payload: &[u8]) {
        let message = match message::parse_json(payload) {
            Ok(message) => message,
            Err(error) => return self.reject(error),
        };
        match Registration::parse(message) {
            Ok(Registration::User(login)) if topic == Topic::Register => self.decide_user(login),
            Ok(Registration::Server(claim)) => self.decide_server(topic, claim),
            Ok(Registration::User(_)) => self.refuse(Topic::ReconnectOk, None),
            Err(Invalid(reason)) => self.refuse(answer_topic(topic), reason),
        }
    }

    /// Says no and closes.
    fn refuse(&self, topic: Topic, reason: Option<&str>) {
        if let Some(reason) = reason {
            self.0.link.send(answer_packet(topic, Err(reason)));
        }
        self.reject(format_args!(
            "registration refused: {}",
            reason.unwrap_or("no id, or none that may reconnect")
        ));
    }

    fn decide_user(&self, login: Login) {
        self.0.stage.replace(Stage::Deciding);
        let (peer, claim) = (self.clone(), login.clone());
        let decided = Done::new(self.0.agent.environment(), move |user: Result<User, Failure>| {
            if !peer.is_deciding() {
                return;
            }
            let admitted = match user {
                Ok(user) => peer.0.agent.admit_client(&claim, user, &peer),
                Err(_) => Err("client auth failed with username or password error".to_owned()),
            };
            match admitted {
                Ok(client) => peer.admit(Stage::Client(Rc::new(client)), Topic::Register),
                Err(reason) => peer.refuse(Topic::Register, Some(&reason)),
            }
        });
        self.0.agent.authorize_user(&login, decided);
    }

    fn decide_server(&self, topic: Topic, claim: ServerClaim) {
        self.0.stage.replace(Stage::Deciding);
        let (peer, asked) = (self.clone(), claim.clone());
        let decided = Done::new(self.0.agent.environment(), move |result: Result<(), Failure>| {
            if !peer.is_deciding() {
                return;
            }
            let answer = answer_topic(topic);
            match result {
                Ok(()) => match peer.0.agent.check_id(topic, &claim) {
                    Ok(()) => {
                        peer.admit(Stage::Server(claim.id.as_str().into()), answer);
                        peer.0.agent.admit_server(topic, claim, &peer);
                    }
                    Err(reason) => peer.refuse(answer, Some(&reason)),
                },
                Err(_) => peer.refuse(answer, Some("server auth failed")),
            }
        });
        self.0.agent.authorize_server(topic, &asked, self, decided);
    }

    fn is_deciding(&self) -> bool {
        matches!(self.stage(), Stage::Deciding)
    }

    fn admit(&self, stage: Stage, answer: Topic) {
        if let Some(deadline) = self.0.deadline.take() {
            deadline.clear();
        }
        self.0.socket.set_timeout(self.0.agent.times().silence);
        self.0.stage.replace(stage);
        self.0.link.send(answer_packet(answer, Ok(())));
    }

    fn on_client(&self, client: &Session, payload: &[u8]) {
        let agent = &self.0.agent;
        match Message::parse(payload) {
            Ok(Message::Command { id, command, module, body }) => {
                let reply = Reply::to_request(&self.0.link, Topic::Client, id, &module);
                agent.command(client, &command, &module, body, reply);
            }
            Ok(Message::Request { id, module, body }) => {
                let reply = Reply::to_request(&self.0.link, Topic::Client, id, &module);
                agent.call_client(client, &module, body, reply);
            }
            Ok(Message::Notice { module, body }) => {
                agent.call_client(client, &module, body, Reply::unwanted(&module));
            }
            // The master asks clients for nothing.
            Ok(Message::Response { .. }) => self.reject("a response to nothing"),
            Err(error) => self.reject(error),
        }
    }

    fn on_monitor(&self, id: &str, payload: &[u8]) {
        let agent = &self.0.agent;
        match Message::parse(payload) {
            Ok(Message::Response { id: request, response }) => {
                agent.answered(id, self.0.key, request, response)
            }
            Ok(Message::Request { id, module, body }) => {
                let reply = Reply::to_request(&self.0.link, Topic::Monitor, id, &module);
                agent.call_master(&module, body, reply);
            }
            Ok(Message::Notice { module, body }) => {
                agent.call_master(&module, body, Reply::unwanted(&module));
            }
            Ok(Message::Command { .. }) => self.reject("a command from a server"),
            Err(error) => self.reject(error),
        }
    }

    /// The peer is gone for the agent, once.
    fn leave_agent(&self) {
        if self.0.is_over.replace(true) {
            return;
        }
        if let Some(deadline) = self.0.deadline.take() {
            deadline.clear();
        }
        let admitted = match self.0.stage.replace(Stage::Gone) {
            Stage::Client(client) => Some(Admitted::Client(client.id.clone())),
            Stage::Server(id) => Some(Admitted::Server(id.to_string())),
            _ => None,
        };
        self.0.agent.left(self.0.key, admitted);
    }
}

const fn answer_topic(topic: Topic) -> Topic {
    match topic {
        Topic::Reconnect => Topic::ReconnectOk,
        _ => Topic::Register,
    }
}

impl SocketHandler for PeerTower {
    fn on_data(&mut self, data: &[u8]) {
        let peer = &self.peer;
        let limit = match peer.stage() {
            Stage::Gone => return,
            Stage::Client(_) | Stage::Server(_) => mqtt::MAX_REGISTERED,
            Stage::New | Stage::Connected | Stage::Deciding => mqtt::MAX_UNREGISTERED,
        };
        let read = self.decoder.read(data, limit, |packet| {
            peer.on_packet(packet);
            if peer.0.is_over.get() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Err(error) = read {
            peer.reject(error);
        }
    }

    fn on_timeout(&mut self) {
        log::warn!(target: "pomelo", "{}: silent for too long; closed", self.peer.0.link.peer());
        self.peer.0.link.cut();
    }

    fn on_error(&mut self, error: net::Error) {
        log::debug!(target: "pomelo", "{}: {error}", self.peer.0.link.peer());
    }

    fn on_close(&mut self, _: bool) {
        self.peer.leave_agent();
    }
}
