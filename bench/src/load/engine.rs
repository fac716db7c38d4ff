//! The clients of a closed loop: each sends its message, waits for the answer, and goes on until the time is over, or
//! until the rounds that were asked for are done.
//!
//! A [`Dialogue`] knows what an answer is; the engine knows sockets, rounds and the clock. At the deadline no new round
//! begins, and those under way are waited for, so that every message is answered or counted as an error. Connections that
//! last then rest until the next run of the same clients, or until the end of the load that holds them.

mod pace;

use super::tally::Tally;
use crate::poller::{EventFlags, Poller};
use crate::sockets::{self, Address};
use rustix::fd::OwnedFd;
use rustix::net::sockopt::{set_socket_linger, socket_error};
use rustix::net::{Shutdown, shutdown};
use std::io;
use std::time::{Duration, Instant};

/// Bytes asked for by one receive; a pipeline of 16 answers fits many times.
const READ_BUFFER: usize = 256 * 1024;

/// Connections from one source address; the kernel's usual range has 28 000 ports.
const PER_SOURCE: usize = 20_000;

/// How long answers may take after the deadline.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// The server has ended the connection.
const ENDED: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

/// What a client does next.
pub(crate) enum Step {
    /// Waits for more bytes.
    Wait,
    /// The round is over: sends the message again.
    Next,
    /// The connection has done its part: closes it and opens another.
    Reopen,
    /// Like `Reopen`, but waits until the server has closed its side too.
    Finish,
}

/// What ended a connection: the kind for the count, the detail for the eye.
pub(crate) struct Failure(pub(crate) &'static str, pub(crate) String);

/// A round as a dialogue sees it.
pub(crate) struct Round<'a> {
    pub(crate) tally: &'a mut Tally,
    /// Time since the message was sent, or since the connect began if this is the connection's first round.
    pub(crate) latency: Duration,
}

/// The protocol of one connection.
pub(crate) trait Dialogue {
    fn begin(&mut self);
    fn receive(&mut self, bytes: &[u8], round: &mut Round<'_>) -> Result<Step, Failure>;
    fn end(&mut self, round: &mut Round<'_>) -> Result<Step, Failure>;
}

pub(crate) struct Plan<'a> {
    pub(crate) addr: &'a Address,
    pub(crate) connections: usize,
    /// Connections outlive a run, for the next one; otherwise each is closed after its last round.
    pub(crate) lasting: bool,
    /// Connections are opened one after the other, have one round each, and stay open.
    pub(crate) holding: bool,
    /// Rounds of all clients together, after which the run ends before its time.
    pub(crate) rounds: Option<u64>,
    /// What every round sends.
    pub(crate) message: &'a [u8],
}

/// A client's connection.
struct Connection<D> {
    socket: OwnedFd,
    is_made: bool,
    /// Between two runs: nothing is under way.
    is_resting: bool,
    /// Bytes of the message that were sent.
    sent: usize,
    round_began: Instant,
    dialogue: D,
}

pub(crate) struct Engine<'a, D, N> {
    plan: &'a Plan<'a>,
    /// Makes the dialogue of a new connection.
    new: N,
    poller: Poller,
    /// For each client the connection that it has.
    clients: Vec<Option<Connection<D>>>,
    buffer: Vec<u8>,
    tally: Tally,
    /// Clients with a round under way.
    busy: usize,
    /// Clients whose first round of this run has begun.
    begun: usize,
    /// Rounds that may still begin.
    rounds_left: u64,
    stopping: bool,
}

impl<'a, D: Dialogue, N: Fn() -> D> Engine<'a, D, N> {
    pub(crate) fn new(plan: &'a Plan<'a>, new: N) -> crate::Result<Self> {
        Ok(Self {
            plan,
            new,
            poller: Poller::new()?,
            clients: (0..plan.connections).map(|_| None).collect(),
            buffer: vec![0; READ_BUFFER],
            tally: Tally::new()?,
            busy: 0,
            begun: 0,
            rounds_left: plan.rounds.unwrap_or(u64::MAX),
            stopping: false,
        })
    }

    /// What the last run has counted.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Runs the clients until the time is over or all is lost.
    pub(crate) fn run(&mut self, duration: Duration) -> crate::Result<()> {
        self.count_ended()?;
        self.tally.restart();
        (self.stopping, self.begun) = (false, 0);
        let mut limit = Instant::now() + duration;
        loop {
            while self.begun < self.clients.len() && (self.busy == 0 || !self.plan.holding) {
                self.begin(self.begun);
                self.begun += 1;
            }
            if self.busy == 0 {
                return Ok(());
            }
            let now = Instant::now();
            if now >= limit && self.stopping {
                self.give_up();
                return Ok(());
            }
            if !self.stopping && (now >= limit || self.tally.is_hopeless()) {
                self.stopping = true;
                limit = now + GRACE;
            }
            for index in 0..self.poller.wait(Some(limit - now.min(limit)))? {
                let (slot, ready) = self.poller.event(index);
                self.on_ready(slot as usize, ready);
            }
        }
    }

    /// Closes the connections that the server has closed since the last run, which it may. Returns how many.
    pub(crate) fn count_ended(&mut self) -> io::Result<usize> {
        let mut ended = 0;
        loop {
            let events = self.poller.wait(Some(Duration::ZERO))?;
            if events == 0 {
                return Ok(ended);
            }
            for index in 0..events {
                let (slot, ready) = self.poller.event(index);
                if ready.intersects(ENDED) {
                    ended += usize::from(self.clients[slot as usize].take().is_some());
                }
            }
        }
    }

    /// Begins the client's first round of a run, on the connection that it has or on a new one.
    fn begin(&mut self, slot: usize) {
        self.begin_due(slot, Instant::now());
    }

    /// The same with a round that was due at this time.
    fn begin_due(&mut self, slot: usize, due: Instant) {
        let Some(connection) = &mut self.clients[slot] else { return self.connect(slot) };
        if !claim(&mut self.rounds_left, self.stopping) {
            return;
        }
        self.busy += 1;
        connection.is_resting = false;
        if let Err(Failure(kind, detail)) = connection.begin_round(due, self.plan.message) {
            self.tally.error(kind, detail);
            self.reopen(slot);
        }
    }

    /// Closes the connections that still wait for an answer.
    fn give_up(&mut self) {
        for client in &mut self.clients {
            if client.take_if(|connection| !connection.is_resting).is_some() {
                self.tally.error("unanswered", format_args!("no answer {GRACE:?} after the deadline"));
            }
        }
        self.busy = 0;
    }

    /// Opens the client's connection for a round, unless the run is over. A connect that fails at once is tried again
    /// until the error limit of the tally is reached.
    fn connect(&mut self, slot: usize) {
        while !self.tally.is_hopeless() && claim(&mut self.rounds_left, self.stopping) {
            match self.try_connect(slot) {
                Ok(()) => return,
                Err(error) => self.tally.error("connect", error),
            }
        }
    }

    fn try_connect(&mut self, slot: usize) -> io::Result<()> {
        let began = Instant::now();
        let socket = sockets::connect(self.plan.addr, self.plan.addr.source(slot, PER_SOURCE))?;
        if self.plan.holding {
            // Closing resets: no port is left in TIME_WAIT, or the next load would find none.
            set_socket_linger(&socket, Some(Duration::ZERO))?;
        }
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        self.poller.add(&socket, slot as u64, interest)?;
        self.clients[slot] = Some(Connection {
            socket,
            is_made: false,
            is_resting: false,
            sent: 0,
            round_began: began,
            dialogue: (self.new)(),
        });
        self.busy += 1;
        Ok(())
    }

    fn on_ready(&mut self, slot: usize, ready: EventFlags) {
        match self.advance(slot, ready) {
            Ok(Step::Wait | Step::Next | Step::Finish) => return,
            Ok(Step::Reopen) => {}
            Err(Failure(kind, detail)) => self.tally.error(kind, detail),
        }
        self.reopen(slot);
    }

    /// Closes the client's connection, and opens another if the run goes on.
    fn reopen(&mut self, slot: usize) {
        self.clients[slot] = None;
        self.busy -= 1;
        self.connect(slot);
    }

    /// Does what the connection is ready for: reopens it or waits. All else is done here.
    fn advance(&mut self, slot: usize, ready: EventFlags) -> Result<Step, Failure> {
        let Some(connection) = &mut self.clients[slot] else { return Ok(Step::Wait) };
        if connection.is_resting {
            // Nothing is under way: a server may end the connection now, and the next run opens another.
            if ready.intersects(ENDED) {
                self.clients[slot] = None;
            }
            return Ok(Step::Wait);
        }
        if !connection.is_made {
            if ready.intersects(EventFlags::ERR | EventFlags::HUP) {
                let outcome = socket_error(&connection.socket).and_then(|outcome| outcome);
                outcome.map_err(|error| Failure("connect", error.to_string()))?;
            }
            if !ready.contains(EventFlags::OUT) {
                return Ok(Step::Wait);
            }
            connection.is_made = true;
            connection.begin_round(connection.round_began, self.plan.message)?;
        } else if ready.contains(EventFlags::OUT) {
            connection.flush(self.plan.message)?;
        }
        if ready.intersects(ENDED.union(EventFlags::IN)) {
            return self.read(slot, !ready.contains(EventFlags::RDHUP));
        }
        Ok(Step::Wait)
    }

    /// Receives until the socket is drained. The dialogue bounds this: it answers nothing but its own
    /// messages. A short receive is the last one only if no end of stream waits behind it.
    fn read(&mut self, slot: usize, short_is_last: bool) -> Result<Step, Failure> {
        loop {
            let Some(connection) = &mut self.clients[slot] else { return Ok(Step::Wait) };
            let count = match sockets::recv(&connection.socket, &mut self.buffer) {
                Ok(None) => return Ok(Step::Wait),
                Ok(Some(count)) => count,
                Err(error) => return Err(Failure("recv", error.to_string())),
            };
            let now = Instant::now();
            let mut round = Round { tally: &mut self.tally, latency: now - connection.round_began };
            let step = match count {
                0 => connection.dialogue.end(&mut round)?,
                _ => connection.dialogue.receive(&self.buffer[..count], &mut round)?,
            };
            match step {
                Step::Reopen => return Ok(Step::Reopen),
                Step::Next if !self.plan.holding && claim(&mut self.rounds_left, self.stopping) => {
                    connection.begin_round(now, self.plan.message)?;
                }
                // It was the client's last round of this run. A connection that the server has ended cannot last.
                Step::Next if (self.plan.lasting || self.plan.holding) && short_is_last => {
                    connection.is_resting = true;
                    self.busy -= 1;
                    return Ok(Step::Wait);
                }
                Step::Next => return Ok(Step::Reopen),
                // Nothing more comes.
                Step::Finish => shutdown(&connection.socket, Shutdown::Write)
                    .map_err(|error| Failure("shutdown", error.to_string()))?,
                Step::Wait => {}
            }
            if count < self.buffer.len() && short_is_last {
                return Ok(Step::Wait);
            }
        }
    }
}

/// Takes one of the rounds that may begin.
fn claim(rounds_left: &mut u64, stopping: bool) -> bool {
    let is_left = *rounds_left > 0 && !stopping;
    *rounds_left -= u64::from(is_left);
    is_left
}

impl<D: Dialogue> Connection<D> {
    /// Begins a round whose latency counts from `began`.
    fn begin_round(&mut self, began: Instant, message: &[u8]) -> Result<(), Failure> {
        (self.round_began, self.sent) = (began, 0);
        self.dialogue.begin();
        self.flush(message)
    }

    /// Sends what is left of the message, as far as the socket takes it.
    fn flush(&mut self, message: &[u8]) -> Result<(), Failure> {
        while self.sent < message.len() {
            match sockets::send(&self.socket, &message[self.sent..]) {
                Ok(Some(count)) => self.sent += count,
                Ok(None) => break,
                Err(error) => return Err(Failure("send", error.to_string())),
            }
        }
        Ok(())
    }
}
