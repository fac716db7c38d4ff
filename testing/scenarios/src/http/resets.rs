//! Clients over TCP that reset their connections in the middle of everything: what they had got is right, their handlers are
//! told, and no other client notices.

use super::plan::{Dice, Exchange, Expects, Form};
use super::program::{self, Program, Told};
use super::wire::{self, Stream};
use super::{is_harmless, is_prompt, options, text};
use ::http::Server;
use ::net::upcall::SocketHandler;
use ::net::{ConnectOptions, ListenOptions, Socket};
use async_wrap::Environment;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use testing::{Peer, World};

/// Every answer is complete long before.
const LONGEST: Duration = Duration::from_secs(60);

/// After this time every handler is told of a reset: some take their bodies late.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// A client that resets.
struct Client {
    socket: Socket,
    stream: Stream,
    received: Rc<RefCell<Vec<u8>>>,
    resets_at: Duration,
}

/// Keeps what it receives.
struct Keep(Rc<RefCell<Vec<u8>>>);

impl SocketHandler for Keep {
    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        self.0.borrow_mut().extend_from_slice(data);
    }
}

pub(crate) fn resets(world: &World) -> Result<(), String> {
    let dice = Dice(world);
    let (Ok(env), Ok(other)) = (world.environment("server"), world.environment("clients")) else {
        return Ok(());
    };
    let server = Server::new(&env, options(world)).map_err(text)?;
    let exchanges: Rc<Vec<_>> = Rc::new((0..2 + dice.below(4)).map(|client| script(dice, client)).collect());
    let told = Rc::new(Told::default());
    let program = Program { env: env.clone(), exchanges: Rc::clone(&exchanges), told: Rc::clone(&told) };
    if server.listen(ListenOptions::addr((world.loopback(), 0).into()), program).is_err() {
        return Ok(());
    }
    let address = server.net().address().and_then(|address| address.as_tcp());
    let Some(address) = address else {
        assert!(world.has_met(|fault| fault.call == "getsockname(2)"), "the server has no address");
        server.close().map_err(text)?;
        return world.run();
    };
    drop(env);
    let patient = world.tcp_peer(address).ok();
    if let Some(peer) = &patient {
        exchanges[0].iter().for_each(|exchange| peer.send(bytes(exchange)));
    }
    let connect = |exchanges: &Vec<Rc<Exchange>>| Client::new(world, &other, address, exchanges);
    let clients: Vec<_> = exchanges[1..].iter().filter_map(connect).collect();
    reset_all(world, &clients)?;
    world.run_for(TOLD_WITHIN)?;
    if is_prompt(world) {
        exchanges[1..].iter().flatten().try_for_each(|exchange| program::check_events(exchange))?;
    }
    if let Some(peer) = patient {
        check_patient(world, &peer, &exchanges[0])?;
    }
    // Fails if the listening socket has failed.
    let _ = server.shutdown(Duration::from_secs(120));
    drop(other);
    world.run()?;
    for client in &clients {
        client.stream.follow(&client.received.borrow())?;
    }
    exchanges.iter().flatten().try_for_each(|exchange| program::check_events(exchange))?;
    match told.closed.get() {
        1 => Ok(()),
        count => Err(format!("on_close of the server was called {count} times")),
    }
}

/// The requests of a client.
fn script(dice: Dice<'_>, client: usize) -> Vec<Rc<Exchange>> {
    let one = |number| {
        let mut exchange = dice.exchange(client, number);
        exchange.expects = Expects::No;
        if exchange.answer.form != Form::Whole {
            exchange.answer.pieces.truncate(3);
        }
        Rc::new(exchange)
    };
    (0..1 + dice.below(4)).map(one).collect()
}

fn bytes(exchange: &Rc<Exchange>) -> Vec<u8> {
    let (head, body) = wire::request(exchange);
    [head, body].concat()
}

impl Client {
    /// A client that sends a part of its requests, or all. `None` if a fault keeps it from connecting.
    fn new(
        world: &World,
        env: &Environment,
        address: SocketAddr,
        exchanges: &[Rc<Exchange>],
    ) -> Option<Self> {
        let dice = Dice(world);
        let received = Rc::<RefCell<Vec<u8>>>::default();
        let socket = Socket::connect(env, ConnectOptions::addr(address), Keep(Rc::clone(&received))).ok()?;
        let all: Vec<u8> = exchanges.iter().flat_map(bytes).collect();
        let len = if dice.one_in(2) { all.len() } else { dice.below(all.len() + 1) };
        // Fails by a fault, which is an end like others.
        let _ = socket.write(&all[..len]);
        let stream = Stream::new(exchanges, None);
        Some(Self { socket, stream, received, resets_at: world.now() + dice.pause() })
    }
}

/// Lets each client reset its connection when it is time.
fn reset_all(world: &World, clients: &[Client]) -> Result<(), String> {
    let mut all: Vec<_> = clients.iter().collect();
    all.sort_by_key(|client| client.resets_at);
    for client in all {
        world.run_for(client.resets_at.saturating_sub(world.now()))?;
        // Fails if it is closed already.
        let _ = client.socket.reset_and_destroy();
    }
    Ok(())
}

/// A client that stays gets everything.
fn check_patient(world: &World, peer: &Peer, exchanges: &[Rc<Exchange>]) -> Result<(), String> {
    let (stream, until) = (Stream::new(exchanges, None), world.now() + LONGEST);
    let place = || stream.follow(&peer.received());
    let is_there = || place().is_ok_and(|place| place == stream.segments.len());
    world.run_until(|| is_there() || peer.is_ended() || world.now() > until || !is_harmless(world))?;
    peer.finish();
    let place = place()?;
    if place < stream.segments.len() && !stream.is_broken && is_harmless(world) {
        return Err(format!("{place} of {} answers came, and nothing failed", stream.segments.len()));
    }
    Ok(())
}
