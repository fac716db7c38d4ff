//! A connection to a master: opened within a time limit, kept alive by pings, reported lost once. Mirrors
//! pomelo-admin's `MqttClient`, without its reconnecting.

use crate::admin::link::Link;
use crate::admin::message::Topic;
use crate::admin::mqtt::{self, Decoder, Packet};
use crate::admin::resolve::resolve;
use crate::admin::times::positive;
use async_wrap::layer::{HandlerCell, Place};
use async_wrap::{Environment, Timeout};
use net::upcall::SocketHandler;
use net::{ConnectOptions, Socket};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Pings that may go unanswered.
const MAX_UNANSWERED: u32 = 2;

/// The address of a master, and the time limits of a connection to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Target {
    /// The master's host: an address or a name.
    pub host: String,
    /// The master's port.
    pub port: u16,
    /// The time limit of the connection; the answer to the registration has twice that, where Node waits without limit.
    /// Default: 5 s, as in pomelo.
    pub connect_within: Duration,
    /// The time between pings, two of which may go unanswered. A master of this crate closes connections that are silent
    /// for 180 s. Default: 60 s, as in pomelo.
    pub ping_every: Duration,
}

impl Target {
    /// The master at a host and port.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let (connect_within, ping_every) = (Duration::from_secs(5), Duration::from_secs(60));
        Self { host: host.into(), port, connect_within, ping_every }
    }

    /// Sets [`connect_within`](Self#structfield.connect_within).
    #[must_use]
    pub fn connect_within(mut self, limit: Duration) -> Self {
        self.connect_within = limit;
        self
    }

    /// Sets [`ping_every`](Self#structfield.ping_every).
    #[must_use]
    pub fn ping_every(mut self, interval: Duration) -> Self {
        self.ping_every = interval;
        self
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The user of a connection to a master.
pub(crate) trait DialHandler {
    /// The master has accepted the connection.
    fn on_open(&mut self, link: &Link);

    /// A message has come. An error closes the connection.
    fn on_message(&mut self, topic: Topic, payload: &[u8]) -> Result<(), String>;

    /// The connection could not be opened, or is closed; the last call. Not called after `hang_up`.
    fn on_lost(&mut self, reason: String);
}

/// A connection to a master. A cheap clone.
#[derive(Clone)]
pub(crate) struct Dial(Rc<DialInner>);

struct DialInner {
    env: Environment,
    target: Target,
    handler: HandlerCell<Box<dyn DialHandler>>,
    link: RefCell<Option<Link>>,
    /// The deadline of the connection, then that of the first answer, then the next ping.
    timer: RefCell<Option<Timeout>>,
    is_open: Cell<bool>,
    is_answered: Cell<bool>,
    unanswered: Cell<u32>,
    is_over: Cell<bool>,
    /// Where the program connects.
    place: Place,
}

impl Dial {
    pub(crate) fn start(env: &Environment, target: Target, handler: impl DialHandler + 'static) -> Self {
        let dial = Self(Rc::new(DialInner {
            env: env.clone(),
            target,
            handler: HandlerCell::empty(),
            link: RefCell::default(),
            timer: RefCell::default(),
            is_open: Cell::new(false),
            is_answered: Cell::new(false),
            unanswered: Cell::new(0),
            is_over: Cell::new(false),
            place: Place::marked(),
        }));
        dial.0.handler.set(Box::new(handler));
        if let Err(error) = positive("ping_every", dial.0.target.ping_every) {
            dial.lost_later(error.to_string());
            return dial;
        }
        dial.expect_within(dial.0.target.connect_within, "no answer");
        let found = dial.clone();
        resolve(env, &dial.0.target.host, dial.0.target.port, move |addresses| match addresses {
            Ok(addresses) => found.connect(addresses.into_iter(), "the host has no address".into()),
            Err(error) => found.lost_later(error),
        });
        dial
    }

    /// Tries the next address; without one the connection is lost for this reason.
    fn connect(&self, mut addresses: std::vec::IntoIter<SocketAddr>, reason: String) {
        if self.0.is_over.get() {
            return;
        }
        let Some(address) = addresses.next() else { return self.lost_later(reason) };
        let tower =
            DialTower { dial: self.clone(), decoder: Decoder::default(), others: Some(addresses.clone()) };
        let _place = self.0.place.mark();
        match Socket::connect(&self.0.env, ConnectOptions::addr(address), tower) {
            Ok(socket) => drop(self.0.link.replace(Some(Link::new(socket)))),
            Err(error) => self.connect(addresses, error.to_string()),
        }
    }

    /// The connection, unless it is lost.
    pub(crate) fn link(&self) -> Option<Link> {
        self.0.link.borrow().clone()
    }

    /// Sends DISCONNECT and drops the handler without another call. Idempotent.
    pub(crate) fn hang_up(&self) {
        if self.0.is_over.replace(true) {
            return;
        }
        self.clear_timer();
        if let Some(link) = self.0.link.take() {
            if self.0.is_open.get() { link.leave() } else { link.cut() }
        }
        drop(self.0.handler.take());
    }

    fn lost_later(&self, reason: String) {
        let dial = self.clone();
        self.0.env.next_tick(move || dial.lost(reason));
    }

    fn lost(&self, reason: String) {
        if self.0.is_over.replace(true) {
            return;
        }
        self.clear_timer();
        if let Some(link) = self.0.link.take() {
            link.cut();
        }
        self.0.handler.call(|handler| handler.on_lost(reason));
        drop(self.0.handler.take());
    }

    fn on_packet(&self, packet: Packet<'_>) {
        match packet {
            Packet::ConnAck { code: 0 } if !self.0.is_open.replace(true) => {
                self.expect_within(
                    self.0.target.connect_within.saturating_mul(2),
                    "no answer to the registration",
                );
                if let Some(link) = self.link() {
                    self.0.handler.call(|handler| handler.on_open(&link));
                }
            }
            Packet::ConnAck { code } => self.lost(format!("the master refused the connection: code {code}")),
            Packet::PingResp => self.0.unanswered.set(0),
            Packet::Disconnect => self.lost("the master sent DISCONNECT".into()),
            Packet::Publish { topic, payload } if self.0.is_open.get() => {
                if !self.0.is_answered.replace(true) {
                    self.ping_later();
                }
                let mut taken = Err(format!("a message on the topic {topic:?}"));
                if let Some(topic) = Topic::parse(topic) {
                    self.0.handler.call(|handler| taken = handler.on_message(topic, payload));
                }
                if let Err(reason) = taken {
                    self.lost(reason);
                }
            }
            Packet::Connect | Packet::PingReq | Packet::Publish { .. } => {
                self.lost("a packet out of place".into());
            }
        }
    }

    fn expect_within(&self, limit: Duration, what: &'static str) {
        let (late, _place) = (self.clone(), self.0.place.mark());
        let give_up = move |_| late.lost(format!("{what} within {limit:?}"));
        self.set_timer(self.0.env.set_deadline(limit, give_up));
    }

    fn ping_later(&self) {
        let dial = self.clone();
        let timer = self.0.env.set_deadline(self.0.target.ping_every, move |_| dial.ping());
        // The connection keeps the loop alive until its user closes it.
        timer.unref();
        self.set_timer(timer);
    }

    fn ping(&self) {
        let unanswered = self.0.unanswered.get();
        if unanswered >= MAX_UNANSWERED {
            return self.lost("the master answers no pings".into());
        }
        self.0.unanswered.set(unanswered + 1);
        if let Some(link) = &*self.0.link.borrow() {
            link.send_raw(mqtt::PING);
        }
        self.ping_later();
    }

    fn set_timer(&self, timer: Timeout) {
        if let Some(old) = self.0.timer.replace(Some(timer)) {
            old.clear();
        }
    }

    fn clear_timer(&self) {
        if let Some(timer) = self.0.timer.take() {
            timer.clear();
        }
    }
}

/// The handler of the socket.
struct DialTower {
    dial: Dial,
    decoder: Decoder,
    /// The addresses to try next, until the connection stands.
    others: Option<std::vec::IntoIter<SocketAddr>>,
}

impl SocketHandler for DialTower {
    fn on_connect(&mut self, _: &Socket) {
        self.others = None;
        if let Some(link) = &*self.dial.0.link.borrow() {
            link.send_raw(&mqtt::connect());
        }
    }

    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        let dial = &self.dial;
        if dial.0.is_over.get() {
            return;
        }
        self.decoder.push(data);
        // The work is bounded by what one read brought.
        while !dial.0.is_over.get() {
            match self.decoder.next(mqtt::MAX_REGISTERED) {
                Ok(Some(packet)) => dial.on_packet(packet),
                Ok(None) => return,
                Err(error) => return dial.lost(error.to_string()),
            }
        }
    }

    fn on_error(&mut self, _: &Socket, error: net::Error) {
        match self.others.take() {
            Some(others) => self.dial.connect(others, error.to_string()),
            None => self.dial.lost(error.to_string()),
        }
    }

    fn on_close(&mut self, _: &Socket, had_error: bool) {
        if !had_error {
            self.dial.lost("the master closed the connection".into());
        }
    }
}
