//! The end of a server in the middle of everything: what began in time is answered, and then all of it is closed.

use super::plan::{Dice, Exchange, Form, Intake, Start};
use super::program::{self, Program, Told};
use super::wire::Stream;
use super::{is_prompt, options, text};
use ::http::Server;
use ::net::ListenOptions;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use testing::{Peer, World};

/// After this time without a request a connection of a server that shuts down is closed.
const DRAIN_IDLE: Duration = Duration::from_millis(500);

/// Turns take some time.
const SLACK: Duration = Duration::from_millis(50);

/// How the server ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Shutdown(Duration),
    Close,
    CloseAll,
    CloseTwice,
}

/// A client with a pipeline of requests.
struct Client {
    peer: Peer,
    exchanges: Vec<Rc<Exchange>>,
    /// When it sends its requests.
    sends_at: Duration,
    has_sent: Cell<bool>,
    /// What it receives on a server that stays, and on a server that shuts down before its first answer, its second, and so
    /// on.
    streams: Vec<Stream>,
}

/// What was on its way when the server ended.
struct Begun {
    at: Duration,
    /// By client, whether everything was sent.
    sent: Vec<bool>,
    /// By client, how many requests the handler had got.
    handled: Vec<usize>,
}

pub(crate) fn endings(world: &World) -> Result<(), String> {
    let dice = Dice(world);
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let server = Server::new(&env, options(world).allow_half_open(dice.one_in(2))).map_err(text)?;
    let pipeline = |client| {
        let count = 1 + if dice.one_in(2) { dice.below(4) } else { 0 };
        (0..count).map(|number| Rc::new(exchange(dice, client, number))).collect::<Vec<_>>()
    };
    let exchanges: Rc<Vec<_>> = Rc::new((0..=dice.below(4)).map(pipeline).collect());
    let told = Rc::new(Told::default());
    let path = world.path();
    let program = Program { env: env.clone(), exchanges: Rc::clone(&exchanges), told: Rc::clone(&told) };
    if server.listen(ListenOptions::path(&path), program).is_err() {
        return Ok(());
    }
    drop(env);
    let clients = connect(world, &path, &exchanges);
    let ends_at = world.now() + dice.pause();
    play(world, &clients, ends_at)?;
    let end = match dice.below(6) {
        0 => End::Close,
        1 => End::CloseAll,
        2 => End::CloseTwice,
        _ => End::Shutdown(dice.pick(&[0, 300, 1_000, 5_000].map(Duration::from_millis))),
    };
    let begun = Begun::now(world, &clients);
    let ended = finish(&server, end);
    if ended.is_ok() && world.peer(&path).is_ok() {
        return Err("a server that was closed can be connected to".to_owned());
    }
    let grace = if let End::Shutdown(grace) = end { grace } else { Duration::ZERO };
    play(world, &clients, begun.at + DRAIN_IDLE.min(grace) + SLACK)?;
    let were_idle: Vec<_> = clients.iter().filter(|client| !client.has_sent.get()).collect();
    let is_idle_left = were_idle.iter().any(|client| !client.peer.is_ended());
    if is_idle_left && matches!(end, End::Shutdown(_)) && ended.is_ok() && is_prompt(world) {
        return Err("an idle connection outlasts the half second of a shutdown".to_owned());
    }
    play(world, &clients, begun.at + Duration::from_secs(20))?;
    match end {
        _ if ended.is_err() || !is_prompt(world) => {}
        End::Shutdown(grace) => check_shutdown(&clients, &begun, &server, grace)?,
        End::Close | End::CloseTwice => check_close(&clients, &begun)?,
        End::CloseAll => {}
    }
    // An idle connection may stay for as long as the client was told.
    clients.iter().for_each(|client| client.peer.finish());
    world.run()?;
    if told.closed.get() != 1 && ended.is_ok() {
        return Err(format!("on_close of the server was called {} times", told.closed.get()));
    }
    clients.iter().try_for_each(|client| client.check().map(drop))?;
    exchanges.iter().flatten().try_for_each(|exchange| program::check_events(exchange))
}

/// A request that another may follow, and its answer.
fn exchange(dice: Dice<'_>, client: usize, number: usize) -> Exchange {
    let mut exchange = dice.exchange(client, number);
    exchange.expects = super::plan::Expects::No;
    if exchange.answer.form != Form::Whole {
        exchange.answer.pieces.truncate(3);
    }
    exchange
}

fn connect(world: &World, path: &std::path::Path, exchanges: &[Vec<Rc<Exchange>>]) -> Vec<Client> {
    let dice = Dice(world);
    let client = |exchanges: &Vec<Rc<Exchange>>| {
        let peer = world.peer(path).ok()?;
        peer.hurry();
        let closing = (1..=exchanges.len()).map(|last| Stream::closing(exchanges, last));
        Some(Client {
            peer,
            exchanges: exchanges.clone(),
            sends_at: world.now() + dice.pause(),
            has_sent: Cell::new(false),
            streams: std::iter::once(Stream::new(exchanges, None)).chain(closing).collect(),
        })
    };
    exchanges.iter().map_while(client).collect()
}

/// Lets the clients do their part until a time.
fn play(world: &World, clients: &[Client], until: Duration) -> Result<(), String> {
    let mut times: Vec<_> = clients.iter().filter(|client| !client.has_sent.get()).collect();
    times.retain(|client| client.sends_at <= until);
    times.sort_by_key(|client| client.sends_at);
    for client in times {
        world.run_for(client.sends_at.saturating_sub(world.now()))?;
        for exchange in &client.exchanges {
            let (head, body) = super::wire::request(exchange);
            client.peer.send([head, body].concat());
        }
        client.has_sent.set(true);
    }
    world.run_for(until.saturating_sub(world.now()))
}

fn finish(server: &Server, end: End) -> ::http::Result<()> {
    match end {
        End::Shutdown(grace) => server.shutdown(grace),
        End::Close => server.close(),
        End::CloseAll => {
            let closed = server.close();
            server.close_all_connections();
            closed
        }
        End::CloseTwice => {
            let closed = server.close();
            assert!(server.close().is_err(), "a server was closed twice");
            closed
        }
    }
}

impl Begun {
    fn now(world: &World, clients: &[Client]) -> Self {
        let has_sent = |client: &Client| client.has_sent.get() && client.peer.has_sent();
        let handled = |client: &Client| {
            client.exchanges.iter().filter(|exchange| exchange.seen.requests.get() > 0).count()
        };
        Self {
            at: world.now(),
            sent: clients.iter().map(has_sent).collect(),
            handled: clients.iter().map(handled).collect(),
        }
    }
}

/// What was on its way when the server shut down is answered if the answer came in time, up to the first answer that says that
/// it is the last one; and then all is closed.
fn check_shutdown(clients: &[Client], begun: &Begun, server: &Server, grace: Duration) -> Result<(), String> {
    for (client, sent) in clients.iter().zip(&begun.sent) {
        let name = client.exchanges[0].client;
        let is_whole = client.check()?.1;
        let takes: Duration = client.exchanges.iter().map(|exchange| longest(exchange)).sum();
        let takes = takes.saturating_sub(begun.at.saturating_sub(client.sends_at));
        if *sent && takes + SLACK < grace && !is_whole && !client.streams[0].is_broken {
            return Err(format!("client {name} was served at the shutdown, and has no last answer"));
        }
        if !client.peer.is_ended() {
            return Err(format!("client {name}: the connection lasts longer than the grace of a shutdown"));
        }
    }
    match server.connections() {
        0 => Ok(()),
        count => Err(format!("{count} connections last longer than the grace of a shutdown")),
    }
}

/// What the handler had got when the server closed is answered.
fn check_close(clients: &[Client], begun: &Begun) -> Result<(), String> {
    for (client, handled) in clients.iter().zip(&begun.handled) {
        let (answered, stream) = (client.check()?.0, &client.streams[0]);
        // Behind an answer that ends the connection there is no other.
        let handled = stream.segments.len().min(*handled);
        if answered < handled && !stream.is_broken {
            let name = client.exchanges[0].client;
            return Err(format!("client {name}: {handled} requests were handled, and {answered} answered"));
        }
    }
    Ok(())
}

/// The longest time that an answer takes.
fn longest(exchange: &Exchange) -> Duration {
    let start = match exchange.answer.start {
        Start::AtOnce => Duration::ZERO,
        Start::After(time) | Start::AfterBody(time) => time,
    };
    let intake = match exchange.intake {
        Intake::Held(time) => time,
        Intake::Paused(time) => time * (exchange.body.len() as u32 + 1),
        Intake::Ignored | Intake::Read => Duration::ZERO,
    };
    let pieces = match exchange.answer.form {
        Form::Timed(pause) => pause * (exchange.answer.pieces.len() as u32 + 1),
        _ => Duration::ZERO,
    };
    start + intake + pieces
}

impl Client {
    /// Compares what it received with what it may receive. Returns how many answers are there, and whether the last one of a
    /// stream is.
    fn check(&self) -> Result<(usize, bool), String> {
        let received = self.peer.received();
        let mut best = Err(String::new());
        for stream in &self.streams {
            match stream.follow(&received) {
                Ok(place) => {
                    let before = best.unwrap_or((0, false));
                    best = Ok((before.0.max(place), before.1 || place == stream.segments.len()));
                }
                Err(fault) if matches!(&best, Err(before) if before.is_empty()) => best = Err(fault),
                Err(_) => {}
            }
        }
        best.map_err(|fault| format!("client {}: {fault}", self.exchanges[0].client))
    }
}
