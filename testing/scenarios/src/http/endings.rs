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

/// A client with one request.
struct Client {
    peer: Peer,
    exchange: Rc<Exchange>,
    /// When it sends its request.
    sends_at: Duration,
    has_sent: Cell<bool>,
    kept: Stream,
    closed: Stream,
}

pub(crate) fn endings(world: &World) -> Result<(), String> {
    let dice = Dice(world);
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let server = Server::new(&env, options(world).allow_half_open(dice.one_in(2))).map_err(text)?;
    let exchanges: Vec<_> = (0..=dice.below(4)).map(|client| vec![Rc::new(exchange(dice, client))]).collect();
    let exchanges = Rc::new(exchanges);
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
    let sent: Vec<bool> =
        clients.iter().map(|client| client.has_sent.get() && client.peer.has_sent()).collect();
    let began = world.now();
    let ended = finish(&server, end);
    if ended.is_ok() && world.peer(&path).is_ok() {
        return Err("a server that was closed can be connected to".to_owned());
    }
    play(world, &clients, began + Duration::from_secs(20))?;
    if let End::Shutdown(grace) = end
        && ended.is_ok()
        && is_prompt(world)
    {
        check_shutdown(&clients, &sent, &server, began, grace)?;
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
fn exchange(dice: Dice<'_>, client: usize) -> Exchange {
    let mut exchange = dice.exchange(client, 0);
    exchange.expects = super::plan::Expects::No;
    if exchange.answer.form != Form::Whole {
        exchange.answer.pieces.truncate(3);
    }
    exchange
}

fn connect(world: &World, path: &std::path::Path, exchanges: &[Vec<Rc<Exchange>>]) -> Vec<Client> {
    let dice = Dice(world);
    let client = |exchange: &Rc<Exchange>| {
        let peer = world.peer(path).ok()?;
        peer.hurry();
        let one = [Rc::clone(exchange)];
        Some(Client {
            peer,
            exchange: Rc::clone(exchange),
            sends_at: world.now() + dice.pause(),
            has_sent: Cell::new(false),
            kept: Stream::new(&one, None),
            closed: Stream::closing(&one),
        })
    };
    exchanges.iter().map_while(|exchanges| client(&exchanges[0])).collect()
}

/// Lets the clients do their part until a time.
fn play(world: &World, clients: &[Client], until: Duration) -> Result<(), String> {
    let mut times: Vec<_> = clients.iter().filter(|client| !client.has_sent.get()).collect();
    times.retain(|client| client.sends_at <= until);
    times.sort_by_key(|client| client.sends_at);
    for client in times {
        world.run_for(client.sends_at.saturating_sub(world.now()))?;
        let (head, body) = super::wire::request(&client.exchange);
        client.peer.send([head, body].concat());
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

/// What was on its way when the server shut down is answered if the answer came in time, and then all is closed.
fn check_shutdown(
    clients: &[Client],
    sent: &[bool],
    server: &Server,
    began: Duration,
    grace: Duration,
) -> Result<(), String> {
    for (client, sent) in clients.iter().zip(sent) {
        let place = client.check()?;
        let name = format!("/{}/0", client.exchange.client);
        let takes = longest(&client.exchange).saturating_sub(began.saturating_sub(client.sends_at));
        let is_in_time = *sent && takes + SLACK < grace && DRAIN_IDLE > SLACK;
        if is_in_time && !client.kept.is_broken && place < client.kept.segments.len() {
            return Err(format!("{name} was on its way at the shutdown, and is not answered"));
        }
        if !client.peer.is_ended() {
            return Err(format!("{name}: the connection lasts longer than the grace of a shutdown"));
        }
    }
    match server.connections() {
        0 => Ok(()),
        count => Err(format!("{count} connections last longer than the grace of a shutdown")),
    }
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
    /// Compares what it received with the answer that keeps the connection, and with the answer that does not. Returns how
    /// many parts there are.
    fn check(&self) -> Result<usize, String> {
        let received = self.peer.received();
        let either = self.kept.follow(&received).or_else(|_| self.closed.follow(&received));
        either.map_err(|fault| format!("client {}: {fault}", self.exchange.client))
    }
}
