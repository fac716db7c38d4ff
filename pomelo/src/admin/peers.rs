//! The master's side of one connection: the messages that a peer may send before and after its registration, and how many
//! ahead of the answers. Mirrors pomelo-admin's `MasterSocket`.
//!
//! Unlike in Node, a breach of the protocol (bytes that are no packet, an unknown topic, a payload that is no message, a
//! second registration) closes the connection instead of dropping the packet.

use crate::admin::auth::User;
use crate::admin::link::Link;
use crate::admin::master_agent::{Admitted, MasterAgent};
use crate::admin::message::{self, Message, Topic, answer_packet};
use crate::admin::mqtt::{self, Decoder, Packet};
use crate::admin::registration::{Invalid, Login, Registration, ServerClaim};
use crate::admin::rejections::{Kind, shown};
use crate::admin::reply::{Reply, Ticket};
use crate::{Completion, Failure};
use async_wrap::Timeout;
use net::Socket;
use net::upcall::SocketHandler;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::rc::Rc;

/// The most pings of a peer that does not read the answers. An answer of two bytes takes a hundred while it waits, so the
/// bound on queued bytes is reached late. A client sends one ping a minute.
const MAX_UNREAD_PONGS: u32 = 1000;

/// The most requests of one user that wait for their answers; while there are as many the connection is not read. A
/// command line sends one request.
const MAX_UNANSWERED: usize = 8;

/// The most requests of one server that wait for their answers; more close the connection. A server is always read: its
/// responses must not wait for its requests.
const MAX_UNANSWERED_OF_SERVER: usize = 1024;

/// pomelo's words.
const WRONG_PASSWORD: &str = "client auth failed with username or password error";
const WRONG_TOKEN: &str = "server auth failed";

/// The stage of a peer.
#[derive(Clone)]
enum Stage {
    /// It has sent nothing.
    New,
    /// It has sent its CONNECT.
    Connected,
    /// The authority decides on its registration.
    Deciding,
    Client(Rc<Session>),
    /// A server, by its id.
    Server(Rc<str>),
    /// It left or was sent a DISCONNECT.
    Left,
}

/// A user's connection, as modules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The id that the client chose.
    pub id: String,
    /// The user.
    pub user: User,
}

/// A connection to the master.
#[derive(Clone)]
pub(crate) struct Peer(Rc<PeerInner>);

struct PeerInner {
    agent: MasterAgent,
    link: Link,
    /// Tells connections apart.
    key: u64,
    stage: RefCell<Stage>,
    deadline: RefCell<Option<Timeout>>,
    socket: Socket,
    unread_pongs: Cell<u32>,
    /// Requests that are not answered yet.
    unanswered: Cell<usize>,
    is_over: Cell<bool>,
}

/// The handler of the socket.
struct PeerTower {
    peer: Peer,
    decoder: Decoder,
}

impl Peer {
    /// Serves a connection.
    pub(crate) fn serve(agent: &MasterAgent, key: u64, socket: &Socket) -> Self {
        let link = Link::new(socket.clone());
        let peer = Self(Rc::new(PeerInner {
            agent: agent.clone(),
            link: link.clone(),
            key,
            stage: RefCell::new(Stage::New),
            deadline: RefCell::default(),
            socket: socket.clone(),
            unread_pongs: Cell::new(0),
            unanswered: Cell::new(0),
            is_over: Cell::new(false),
        }));
        let rejections = agent.rejections().clone();
        let deadline = agent.environment().set_deadline(agent.times().register_within, move |_| {
            rejections
                .tell(Kind::Unregistered, format_args!("{}: not registered in time; closed", link.peer()));
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

    /// Closes the connection with a DISCONNECT.
    pub(crate) fn dismiss(&self) {
        self.leave_agent();
        self.0.link.leave();
    }

    /// Closes a connection that has not registered, to make room.
    pub(crate) fn give_way(&self) {
        if !self.0.is_over.get() {
            self.tell(Kind::Unregistered, "not registered, and too many connections; closed");
        }
        self.0.link.cut();
    }

    /// Closes the connection of a peer that has broken the protocol.
    fn reject(&self, reason: impl Display) {
        self.tell(Kind::Protocol, format_args!("{reason}; closed"));
        self.dismiss();
    }

    fn tell(&self, kind: Kind, what: impl Display) {
        self.0.agent.rejections().tell(kind, format_args!("{}: {what}", self.0.link.peer()));
    }

    fn on_packet(&self, packet: Packet<'_>) {
        let is_new = matches!(self.stage(), Stage::New);
        match packet {
            Packet::Connect if is_new => {
                self.0.stage.replace(Stage::Connected);
                self.0.link.send_raw(mqtt::ACCEPTED);
            }
            _ if is_new => self.reject("the first packet is no CONNECT"),
            Packet::PingReq => self.pong(),
            Packet::Publish { topic, payload } => match Topic::parse(topic) {
                Some(topic) => self.on_publish(topic, payload),
                None => self.reject(format_args!("a message on the topic {}", shown(topic))),
            },
            // The agent forgets the peer before the connection is closed.
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
            Ok(Registration::User(_)) => self.refuse(Topic::ReconnectOk, None, "users do not come back"),
            Err(Invalid(answer, reason)) => self.refuse(answer_topic(topic), answer, reason),
        }
    }

    /// Refuses a registration and closes the connection. The peer is sent `answer`; the reason is logged.
    fn refuse(&self, topic: Topic, answer: Option<&str>, reason: impl Display) {
        if let Some(answer) = answer {
            self.0.link.send(answer_packet(topic, Err(answer)));
        }
        self.tell(Kind::Registration, format_args!("registration refused: {reason}; closed"));
        self.dismiss();
    }

    /// Refuses a registration after a pause, which slows guessing and holds up no other peer.
    fn refuse_later(&self, topic: Topic, answer: &'static str, reason: Failure) {
        let peer = self.clone();
        let timer = self.0.agent.environment().set_timeout(self.0.agent.times().refuse_after, move || {
            if peer.is_deciding() {
                peer.refuse(topic, Some(answer), reason);
            }
        });
        // The connection keeps the loop alive.
        timer.unref();
    }

    /// The completion of the authority's decision. `admit` follows an acceptance, and may refuse the peer with a reason.
    fn decision<T>(
        &self,
        answer: Topic,
        wrong: &'static str,
        admit: impl FnOnce(&Self, T) -> Result<(), String> + 'static,
    ) -> Completion<T> {
        self.0.stage.replace(Stage::Deciding);
        let peer = self.clone();
        Completion::new(self.0.agent.environment(), move |decided: Result<T, Failure>| {
            if !peer.is_deciding() {
                return;
            }
            match decided.map(|decided| admit(&peer, decided)) {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => peer.refuse(answer, Some(&reason), shown(&reason)),
                Err(failure) => peer.refuse_later(answer, wrong, failure),
            }
        })
    }

    fn decide_user(&self, login: Login) {
        let asked = login.clone();
        let decision = self.decision(Topic::Register, WRONG_PASSWORD, move |peer, user: User| {
            let client = peer.0.agent.admit_client(&login, user, peer)?;
            peer.admit(Stage::Client(Rc::new(client)), Topic::Register);
            Ok(())
        });
        self.0.agent.authorize_user(&asked, decision);
    }

    fn decide_server(&self, topic: Topic, claim: ServerClaim) {
        let answer = answer_topic(topic);
        if topic == Topic::Reconnect && claim.token.is_none() && self.0.agent.has_server(&claim.id) {
            let reason = format!("id has been registered. id:{}", claim.id);
            return self.refuse(answer, Some(&reason), shown(&reason));
        }
        let asked = claim.clone();
        let decision = self.decision(answer, WRONG_TOKEN, move |peer, ()| {
            peer.0.agent.check_id(topic, &claim)?;
            peer.admit(Stage::Server(claim.id.as_str().into()), answer);
            peer.0.agent.admit_server(topic, claim, peer);
            Ok(())
        });
        self.0.agent.authorize_server(topic, &asked, self, decision);
    }

    fn is_deciding(&self) -> bool {
        matches!(self.stage(), Stage::Deciding)
    }

    fn admit(&self, stage: Stage, answer: Topic) {
        if let Some(deadline) = self.0.deadline.take() {
            deadline.clear();
        }
        self.0.agent.leave_lobby(self.0.key);
        self.0.socket.set_timeout(self.0.agent.times().silence);
        self.0.stage.replace(stage);
        self.0.link.send(answer_packet(answer, Ok(())));
    }

    fn on_client(&self, client: &Session, payload: &[u8]) {
        let agent = &self.0.agent;
        match Message::parse(payload) {
            Ok(Message::Command { id, command }) => {
                let reply =
                    Reply::to_request(&self.0.link, Topic::Client, id, &command.module, self.ticket());
                agent.command(client, command, reply);
            }
            Ok(Message::Request { id, module, body }) => {
                let reply = Reply::to_request(&self.0.link, Topic::Client, id, &module, self.ticket());
                agent.call_client(client, &module, body, reply);
            }
            Ok(Message::Notice { module, body }) => {
                agent.call_client(client, &module, body, Reply::unwanted(&module));
            }
            // The master sends clients no requests.
            Ok(Message::Response { .. }) => self.reject("a response to no request"),
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
                if self.0.unanswered.get() >= MAX_UNANSWERED_OF_SERVER {
                    return self
                        .reject(format_args!("{MAX_UNANSWERED_OF_SERVER} requests wait for an answer"));
                }
                let reply = Reply::to_request(&self.0.link, Topic::Monitor, id, &module, self.ticket());
                agent.call_master(&module, body, reply);
            }
            Ok(Message::Notice { module, body }) => {
                agent.call_master(&module, body, Reply::unwanted(&module));
            }
            Ok(Message::Command { .. }) => self.reject("a command from a server"),
            Err(error) => self.reject(error),
        }
    }

    /// Counts a request until its reply is used or dropped.
    fn ticket(&self) -> Ticket {
        self.0.unanswered.set(self.0.unanswered.get() + 1);
        let peer = Rc::downgrade(&self.0);
        Ticket::new(move || {
            let Some(state) = peer.upgrade() else { return };
            let unanswered = state.unanswered.get() - 1;
            state.unanswered.set(unanswered);
            // The connection may have been paused for this answer.
            if unanswered + 1 == MAX_UNANSWERED && state.socket.is_paused() {
                state.socket.notify();
            }
        })
    }

    /// Whether to read on: not from a peer that does not read its answers, and not from a user with many open requests.
    fn is_read(&self) -> bool {
        let has_read = || self.0.socket.buffered() < self.0.socket.high_water_mark();
        match &*self.0.stage.borrow() {
            Stage::Client(_) => self.0.unanswered.get() < MAX_UNANSWERED && has_read(),
            Stage::Server(_) => has_read(),
            _ => true,
        }
    }

    /// The longest packet that the peer may send in its stage.
    fn limit(&self) -> usize {
        match &*self.0.stage.borrow() {
            Stage::New => mqtt::MAX_CONNECT,
            Stage::Client(_) => mqtt::MAX_CLIENT,
            Stage::Server(_) => mqtt::MAX_REGISTERED,
            Stage::Connected | Stage::Deciding | Stage::Left => mqtt::MAX_UNREGISTERED,
        }
    }

    /// Removes the peer from the agent, once.
    fn leave_agent(&self) {
        if self.0.is_over.replace(true) {
            return;
        }
        if let Some(deadline) = self.0.deadline.take() {
            deadline.clear();
        }
        let admitted = match self.0.stage.replace(Stage::Left) {
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

impl PeerTower {
    /// Handles the packets that have been read, until the peer is paused. The size of one read bounds the work.
    fn take_packets(&mut self) {
        let peer = &self.peer;
        while !peer.0.is_over.get() {
            if !peer.is_read() {
                return peer.0.socket.pause();
            }
            match self.decoder.next(peer.limit()) {
                Ok(Some(packet)) => peer.on_packet(packet),
                Ok(None) => return,
                Err(error) => peer.reject(error),
            }
        }
        // The peer has left: the rest is discarded.
        self.decoder.clear();
    }

    fn go_on(&mut self) {
        if self.peer.0.socket.is_paused() && self.peer.is_read() {
            self.peer.0.socket.resume();
            self.take_packets();
        }
    }
}

impl SocketHandler for PeerTower {
    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        if !self.peer.0.is_over.get() {
            self.decoder.push(data);
            self.take_packets();
        }
    }

    /// The peer has read its answers.
    fn on_drain(&mut self, _: &Socket) {
        self.go_on();
    }

    /// A request was answered.
    fn on_notify(&mut self, _: &Socket) {
        self.go_on();
    }

    fn on_timeout(&mut self, _: &Socket) {
        self.peer.tell(Kind::Silent, "silent for too long; closed");
        self.peer.0.link.cut();
    }

    fn on_error(&mut self, _: &Socket, error: net::Error) {
        log::debug!(target: "pomelo", "{}: {error}", self.peer.0.link.peer());
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.peer.leave_agent();
        self.peer.0.agent.leave_lobby(self.peer.0.key);
    }
}
