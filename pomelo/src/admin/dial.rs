//! A connection to a master: opened within a time limit, kept alive by pings, reported lost once. Mirrors
//! pomelo-admin's `MqttClient`, without its reconnecting.

use crate::admin::link::Link;
use crate::admin::message::Topic;
use crate::admin::mqtt::{self, Decoder, Packet};
use crate::admin::resolve::resolve;
use async_wrap::layer::HandlerCell;
use async_wrap::{Environment, Timeout};
use net::upcall::SocketHandler;
use net::{ConnectOptions, Socket};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Pings that may go unanswered.
const MAX_UNANSWERED: u32 = 2;

/// Where a master is, and how long what may take.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its host: an address or a name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The time until it has accepted the connection; pomelo's 5 s at first. Twice as long, again, it may take to answer
    /// the registration, for which Node waits for ever.
    pub connect_within: Duration,
    /// The time between pings, two of which may go unanswered; pomelo's 60 s at first. A master of this crate closes
    /// connections that are silent for 180 s.
    pub ping_every: Duration,
}

impl Target {
    /// The master at a host and port.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let (connect_within, ping_every) = (Duration::from_secs(5), Duration::from_secs(60));
        Self { host: host.into(), port, connect_within, ping_every }
    }
}

/// Who uses a connection to a master.
pub(crate) trait DialHandler {
    /// The master has accepted the connection.
    fn on_open(&mut self, link: &Link);

    /// A message; an error closes the connection.
    fn on_message(&mut self, topic: Topic, payload: &[u8]) -> Result<(), String>;

    /// It could not be opened, or is over; the last call. Not told of one's own `hang_up`.
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
    /// The deadline of the opening, that of the first answer, then the next ping.
    timer: RefCell<Option<Timeout>>,
    is_open: Cell<bool>,
    is_answered: Cell<bool>,
    unanswered: Cell<u32>,
    is_over: Cell<bool>,
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
        }));
        dial.0.handler.set(Box::new(handler));
        dial.expect_within(dial.0.target.connect_within, "no answer");
        let found = dial.clone();
        resolve(env, &dial.0.target.host, dial.0.target.port, move |addresses| match addresses {
            Ok(addresses) => found.connect(addresses.into_iter(), "the host has no address".into()),
            Err(error) => found.lost_later(error),
        });
        dial
    }

    /// Tries the next address; `reason` says why there is one to try.
    fn connect(&self, mut addresses: std::vec::IntoIter<SocketAddr>, reason: String) {
        if self.0.is_over.get() {
            return;
        }
        let Some(address) = addresses.next() else { return self.lost_later(reason) };
        let tower =
            DialTower { dial: self.clone(), decoder: Decoder::default(), others: Some(addresses.clone()) };
        match Socket::connect(&self.0.env, ConnectOptions::addr(address), tower) {
            Ok(socket) => drop(self.0.link.replace(Some(Link::new(socket)))),
            Err(error) => self.connect(addresses, error.to_string()),
        }
    }

    /// Says DISCONNECT and forgets the handler, which hears of nothing any more. Idempotent.
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
                let link = self.0.link.borrow().clone();
                if let Some(link) = link {
                    self.0.handler.call(|handler| handler.on_open(&link));
                }
            }
            Packet::ConnAck { code } => self.lost(format!("the master refused the connection: code {code}")),
            Packet::PingResp => self.0.unanswered.set(0),
            Packet::Disconnect => self.lost("the master said DISCONNECT".into()),
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
        let late = self.clone();
        let give_up = move |_| late.lost(format!("{what} within {limit:?}"));
        self.set_timer(self.0.env.set_deadline(limit, give_up));
    }

    fn ping_later(&self) {
        let dial = self.clone();
        let timer = self.0.env.set_deadline(self.0.target.ping_every, move |_| dial.ping());
        // The connection keeps the loop alive, as long as its user likes.
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

/// What the socket calls.
struct DialTower {
    dial: Dial,
    decoder: Decoder,
    /// Until the connection stands: what else to try.
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
