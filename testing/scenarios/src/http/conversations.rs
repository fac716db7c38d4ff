//! Conversations: several clients, each with a pipeline of requests, served as the plan says.
//!
//! A client receives a prefix of the right bytes, and all of them if nothing failed and it stayed to receive them. Each
//! request comes to the handler once, in order, with the right body, and each handler gets its last event once.

use super::plan::{Dice, Exchange, Expects, Form, Intake, Start};
use super::program::{self, Program, Told};
use super::wire::{self, Stream};
use super::{is_harmless, options, text};
use ::http::Server;
use ::http::proto::ParseError;
use ::net::ListenOptions;
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;
use testing::{Peer, World};

/// Every conversation is over long before.
const LONGEST: Duration = Duration::from_secs(250);

/// How a client leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    /// It ends its side when it has everything.
    WithAll,
    /// It ends its side behind its last request.
    BehindRequests,
    /// It closes at this time, wherever it is.
    At(Duration),
}

/// A client and how far it is.
struct Client {
    peer: Peer,
    exchanges: Vec<Rc<Exchange>>,
    stream: Stream,
    leaving: Leaving,
    /// It sends a request only when it has the answer to the one before.
    is_polite: bool,
    /// It reads nothing before.
    reads_at: Duration,
    /// The parts that it has still to send, the next one last: the exchange, and whether it is its head.
    to_send: RefCell<Vec<(usize, bool)>>,
    /// The bytes received when its place in the stream was last looked for, and that place.
    place: Cell<(usize, usize)>,
}

/// With a handler of callbacks.
pub(crate) fn conversations(world: &World) -> Result<(), String> {
    converse(world, |_, _| {}, |server, options, program| server.listen(options, program))
}

/// With a handler that `listen` makes of the program, and requests that `adapt` has changed for it.
pub(super) fn converse(
    world: &World,
    adapt: fn(Dice<'_>, &mut Exchange),
    listen: fn(&Server, ListenOptions, Program) -> ::http::Result<()>,
) -> Result<(), String> {
    let dice = Dice(world);
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let limit = dice.one_in(6).then(|| 1 + dice.below(4));
    let is_half_open = dice.one_in(2);
    let options = options(world).allow_half_open(is_half_open);
    let options = options.max_requests_per_socket(limit.unwrap_or(0) as u32);
    let server = Server::new(&env, options).map_err(text)?;
    let leavings: Vec<_> = (0..=dice.below(3)).map(|_| Leaving::choose(world)).collect();
    let script = |(client, leaving): (usize, &Leaving)| {
        let counts_as_closed = *leaving == Leaving::BehindRequests && !is_half_open;
        script(dice, client, counts_as_closed, adapt)
    };
    let exchanges: Rc<Vec<_>> = Rc::new(leavings.iter().enumerate().map(script).collect());
    let told = Rc::new(Told::default());
    let program = Program { env: env.clone(), exchanges: Rc::clone(&exchanges), told: Rc::clone(&told) };
    let path = world.path();
    if listen(&server, ListenOptions::path(&path), program).is_err() {
        return Ok(());
    }
    let clients = exchanges.iter().zip(leavings);
    let clients =
        clients.map_while(|(exchanges, leaving)| Client::new(world, &path, exchanges, leaving, limit));
    let clients: Vec<Client> = clients.collect();
    clients.iter().for_each(|client| client.wake(world, &env));
    drop(env);
    let began = world.now();
    world.run_until(|| {
        clients.iter().for_each(|client| client.go_on(world));
        let is_over = clients.iter().all(|client| client.peer.is_ended()) || !server.net().is_listening();
        is_over || world.now() > began + LONGEST
    })?;
    if let Some(panic) = told.panic.take() {
        resume_unwind(panic);
    }
    clients.iter().try_for_each(|client| client.follow().map(drop))?;
    if world.now() > began + LONGEST && is_harmless(world) {
        let states: Vec<_> = clients.iter().map(Client::state).collect();
        return Err(format!("a conversation stands still: {}", states.join("; ")));
    }
    // Fails if the listening socket has failed.
    let _ = server.shutdown(Duration::from_secs(120));
    world.run_until(|| told.closed.get() > 0)?;
    if told.tasks.get() > 0 {
        return Err(format!("{} handlers are left behind their connections", told.tasks.get()));
    }
    world.run()?;
    if let Some(panic) = told.panic.take() {
        resume_unwind(panic);
    }
    if told.dropped.get() > 0 {
        return Err(format!("{} handlers were dropped although they are detached", told.dropped.get()));
    }
    for client in &clients {
        client.check(world, is_half_open, &told)?;
    }
    exchanges.iter().flatten().try_for_each(|exchange| program::check_events(exchange))?;
    if told.closed.get() != 1 {
        return Err(format!("on_close of the server was called {} times", told.closed.get()));
    }
    Ok(())
}

/// The requests of a client.
fn script(
    dice: Dice<'_>,
    client: usize,
    counts_as_closed: bool,
    adapt: fn(Dice<'_>, &mut Exchange),
) -> Vec<Rc<Exchange>> {
    let count = if dice.one_in(32) { 70 + dice.below(60) } else { 1 + dice.below(6) };
    let mut all: Vec<Rc<Exchange>> = Vec::new();
    for number in 0..count {
        let mut exchange = dice.exchange(client, number);
        if count > 6 {
            // A long pipeline, whose requests are answered fast or wait together.
            (exchange.intake, exchange.answer.is_watched) = (Intake::Ignored, true);
            exchange.answer.start = Start::After(dice.pause() / 10);
            exchange.answer.form = Form::Whole;
            exchange.answer.pieces.truncate(1);
            exchange.expects = Expects::No;
        }
        if counts_as_closed && matches!(exchange.answer.form, Form::Drained | Form::Yielded) {
            // Such an answer ends with its handler, which is told that the client has left.
            exchange.answer.form = Form::Burst;
            exchange.answer.sets_close |= exchange.expects != Expects::No && exchange.is_immediate();
        }
        adapt(dice, &mut exchange);
        all.push(Rc::new(exchange));
    }
    all
}

impl Leaving {
    fn choose(world: &World) -> Self {
        let dice = Dice(world);
        match dice.below(6) {
            0 => Self::At(world.now() + dice.pause() * 2),
            1 => Self::BehindRequests,
            _ => Self::WithAll,
        }
    }
}

impl Client {
    fn new(
        world: &World,
        path: &std::path::Path,
        exchanges: &[Rc<Exchange>],
        leaving: Leaving,
        limit: Option<usize>,
    ) -> Option<Self> {
        let dice = Dice(world);
        let peer = world.peer(path).ok()?;
        let reads_at = if dice.one_in(6) { world.now() + dice.pause() * 8 } else { Duration::ZERO };
        let to_send = (0..exchanges.len()).rev().flat_map(|index| [(index, false), (index, true)]).collect();
        Some(Self {
            peer,
            exchanges: exchanges.to_vec(),
            stream: Stream::new(exchanges, limit),
            leaving,
            is_polite: dice.one_in(3),
            reads_at,
            to_send: RefCell::new(to_send),
            place: Cell::default(),
        })
    }

    /// Has something happen at the times at which the client does something.
    fn wake(&self, world: &World, env: &Environment) {
        let leaves_at = if let Leaving::At(time) = self.leaving { time } else { Duration::ZERO };
        for time in [self.reads_at, leaves_at].into_iter().filter(|time| *time > world.now()) {
            env.set_timeout(time - world.now(), || {});
        }
    }

    /// Sends what may be sent, and leaves when it is time.
    fn go_on(&self, world: &World) {
        let now = world.now();
        self.peer.set_reading(now >= self.reads_at);
        if self.peer.is_ended() {
            return self.peer.finish();
        }
        match self.leaving {
            Leaving::At(time) if now >= time => return self.peer.close(),
            Leaving::WithAll if self.has_all() => return self.peer.finish(),
            _ => {}
        }
        while let Some((index, is_head)) = self.next_to_send() {
            let (head, body) = wire::request(&self.exchanges[index]);
            if is_head && self.exchanges[index].number % 5 == 3 {
                // An empty line before a request is skipped.
                self.peer.send(b"\r\n");
            }
            self.peer.send(if is_head { head } else { body });
        }
        if self.to_send.borrow().is_empty() && self.leaving == Leaving::BehindRequests {
            self.peer.finish();
        }
    }

    fn next_to_send(&self) -> Option<(usize, bool)> {
        let (index, is_head) = *self.to_send.borrow().last()?;
        let place = self.place();
        let before = self.stream.segments.iter().take_while(|segment| segment.exchange < index).count();
        let waits = if is_head {
            self.is_polite && place.0 < before
        } else {
            self.exchanges[index].expects == Expects::Waits && place <= (before, 0)
        };
        if waits { None } else { self.to_send.borrow_mut().pop() }
    }

    /// The segments that were received as a whole, and 1 if some of another was.
    fn place(&self) -> (usize, usize) {
        let (len, place) = self.place.get();
        let now = self.peer.received_len();
        if now == len {
            return (place >> 1, place & 1);
        }
        let received = self.peer.received();
        match self.stream.follow(&received) {
            Ok(place) => {
                let whole: usize =
                    self.stream.segments[..place].iter().map(|segment| segment.bytes.len()).sum();
                self.place.set((now, place << 1 | usize::from(received.len() > whole)));
            }
            // Reported at the end.
            Err(_) => {
                self.place.set((now, place));
            }
        }
        self.place()
    }

    fn follow(&self) -> Result<usize, String> {
        let client = self.exchanges[0].client;
        self.stream.follow(&self.peer.received()).map_err(|fault| format!("client {client}: {fault}"))
    }

    /// What it waits for.
    fn state(&self) -> String {
        let (place, all) = (self.place(), self.stream.segments.len());
        let (left, received) = (self.to_send.borrow().len(), self.peer.received_len());
        format!(
            "it received {received} bytes, {place:?} of {all} parts, and has {left} to send: {:?}",
            self.peer
        )
    }

    fn has_all(&self) -> bool {
        self.place().0 == self.stream.segments.len()
    }

    fn check(&self, world: &World, is_half_open: bool, told: &Told) -> Result<(), String> {
        let client = self.exchanges[0].client;
        self.follow()?;
        let handled = self.exchanges.iter().filter(|exchange| exchange.seen.requests.get() > 0).count();
        if handled > self.stream.taken {
            return Err(format!("client {client}: the request {} was served", self.stream.taken));
        }
        let answers = &self.exchanges[..self.stream.answered];
        let gets_all = match self.leaving {
            Leaving::WithAll => true,
            Leaving::BehindRequests => {
                is_half_open || answers.iter().all(|exchange| program::is_prompt(exchange))
            }
            Leaving::At(_) => return Ok(()),
        };
        if !gets_all || self.stream.is_broken || !is_harmless(world) {
            return Ok(());
        }
        if let Some(error) =
            told.client_errors.borrow().iter().find(|error| **error != ParseError::UnexpectedEof)
        {
            return Err(format!("on_client_error: {error}"));
        }
        if !self.has_all() {
            let (there, all) = (self.place().0, self.stream.segments.len());
            return Err(format!("client {client} received {there} of {all} parts, and nothing failed"));
        }
        answers.iter().try_for_each(|exchange| check_complete(exchange))
    }
}

/// Checks the handlers of a request to which the client has got the answer.
fn check_complete(exchange: &Exchange) -> Result<(), String> {
    let seen = &exchange.seen;
    let name = format!("/{}/{}", exchange.client, exchange.number);
    if seen.requests.get() != 1 {
        return Err(format!("{name} was answered and not handed to the handler"));
    }
    if !wire::may_cut_body(exchange) && seen.body_ended.get() != 1 {
        return Err(format!("the body of {name} did not end"));
    }
    Ok(())
}
