//! Servers and clients of two environments: limits, pauses, half-open connections, every way to end, and shutdowns of the server.

use super::hooks::Ledger;
use super::side::Sides;
use crate::core::{dice, one_in};
use crate::is_passing;
use ::net::upcall::ServerHandler;
use ::net::{ConnectOptions, Dropped, Error, ErrorCode, ListenOptions, Server, ServerOptions, Socket};
use async_wrap::Environment;
use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use testing::{Fault, Kind, World};
use uv_core::Errno;

/// Where the server listens.
enum Place {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// What the server's handler has seen.
#[derive(Default)]
struct Seen {
    accepted: Cell<usize>,
    dropped: Cell<usize>,
    /// Connections without a handler.
    unheard: Cell<usize>,
    /// Connections whose handler comes later, perhaps after they have closed.
    held: Cell<usize>,
    is_listening: Cell<bool>,
    closes: Cell<usize>,
    limit: Cell<Option<usize>>,
    had_limit: Cell<bool>,
}

struct Connections {
    seen: Rc<Seen>,
    sides: Rc<Sides>,
    is_half_open: bool,
    begins_paused: bool,
}

/// Over Unix sockets.
pub(crate) fn unix(world: &World) -> Result<(), String> {
    let path = world.path();
    converse(world, ListenOptions::path(&path), |_| Some(Place::Unix(path.clone())))
}

/// Over TCP.
pub(crate) fn tcp(world: &World) -> Result<(), String> {
    let options = ListenOptions::addr((world.loopback(), 0).into());
    converse(world, options, |server| server.address()?.as_tcp().map(Place::Tcp))
}

fn converse(
    world: &World,
    listen: ListenOptions,
    place: impl Fn(&Server) -> Option<Place>,
) -> Result<(), String> {
    let (Ok(server_env), Ok(client_env)) = (world.environment("server"), world.environment("client")) else {
        return Ok(());
    };
    let ledgers: Vec<_> = match one_in(2) {
        true => vec![Ledger::open(&server_env), Ledger::open(&client_env)],
        false => Vec::new(),
    };
    let limit = one_in(3).then(|| dice(3) as usize);
    let options = ServerOptions::default()
        .allow_half_open(one_in(2))
        .pause_on_connect(one_in(4))
        .no_delay(one_in(2))
        .accept_batch(1 + dice(4) as u32)
        .high_water_mark(1 + dice(20_000) as usize)
        .max_connections(limit);
    let (seen, sides) = (Rc::new(Seen::default()), Rc::new(Sides::default()));
    seen.set_limit(limit);
    let handler = Connections {
        seen: Rc::clone(&seen),
        sides: Rc::clone(&sides),
        is_half_open: options.allow_half_open,
        begins_paused: options.pause_on_connect,
    };
    let server = Server::new(&server_env, options);
    assert_eq!(server.close().map_err(|error| error.code()), Err(ErrorCode::ServerNotRunning));
    if server.listen(listen, handler).is_err() {
        return Ok(());
    }
    let again = server.listen_with(ListenOptions::port(0), |_, _| {});
    assert_eq!(again.map_err(|error| error.code()), Err(ErrorCode::ServerAlreadyListen));
    let Some(place) = place(&server) else {
        assert!(world.has_met(|fault| fault.call == "getsockname(2)"), "the server has no address");
        return server.close().map_err(|error| error.to_string());
    };
    let mut closes = Closes::default();
    for _ in 0..dice(60) {
        match dice(12) {
            0..3 => connect(&client_env, &place, &sides),
            3 if one_in(8) => closes.close(&server, &sides),
            4 if one_in(8) => {
                let limit = one_in(2).then(|| dice(4) as usize);
                seen.set_limit(limit);
                server.set_max_connections(limit);
            }
            _ => sides.any().iter().for_each(|side| side.act()),
        }
        if one_in(3) {
            world.run_for(Duration::from_micros(1 + dice(3_000)))?;
            if !world.has_stalled() {
                sides.took_turn();
            }
        }
        seen.check(&server, &sides);
    }
    finish(world, &server, &sides, closes, &seen)?;
    ledgers.iter().try_for_each(Ledger::check)
}

/// How often the server was asked to close, and was heard to be.
#[derive(Default)]
struct Closes {
    asked: usize,
    told: Rc<Cell<usize>>,
    /// The clients that were connected when the server began to shut down: none of them is lost.
    promised: usize,
}

impl Closes {
    fn close(&mut self, server: &Server, sides: &Sides) {
        let told = Rc::clone(&self.told);
        let tell = move || told.set(told.get() + 1);
        let (was_listening, clients) = (server.is_listening(), sides.connected_clients());
        let (closed, is_waiting, is_drained) = match dice(4) {
            0 => (server.close(), false, false),
            1 => (server.shutdown(), false, true),
            2 => (server.close_with(tell), true, false),
            _ => (server.shutdown_with(tell), true, true),
        };
        assert!(closed.is_ok() || !was_listening, "a server that listens does not close");
        if closed.is_ok() {
            self.asked += usize::from(is_waiting);
            self.promised = match (is_drained, was_listening) {
                (true, true) => clients,
                (true, false) => self.promised,
                // This cuts a shutdown short.
                (false, _) => 0,
            };
        }
    }
}

fn connect(env: &Environment, place: &Place, sides: &Rc<Sides>) {
    let options = match place {
        Place::Unix(path) => ConnectOptions::path(path),
        Place::Tcp(addr) => ConnectOptions::addr(*addr),
    };
    let is_half_open = one_in(2);
    let (side, handler) = sides.add(true, is_half_open);
    let options = options.allow_half_open(is_half_open).high_water_mark(1 + dice(20_000) as usize);
    match Socket::connect(env, options, handler) {
        Ok(socket) => {
            side.set(&socket);
            if one_in(2) {
                side.act();
            }
        }
        Err(_) => side.give_up(),
    }
}

/// Everything comes to its end: clients first, then the server.
fn finish(
    world: &World,
    server: &Server,
    sides: &Rc<Sides>,
    mut closes: Closes,
    seen: &Seen,
) -> Result<(), String> {
    sides.finish();
    // Otherwise those in the queue are closed with the server.
    let are_awaited = one_in(2);
    let is_excused = || world.has_met(|fault| !is_passing(fault));
    let have_come = || seen.accepted.get() + seen.dropped.get() >= sides.connected_clients();
    // The first call of each is before the first turn.
    let has_turned = Cell::new(false);
    world.run_until(|| {
        if !server.is_listening() {
            sides.refuse();
        }
        if has_turned.replace(true) && !world.has_stalled() {
            sides.took_turn();
        }
        sides.finish();
        let is_awaited = are_awaited && server.is_listening() && !have_come() && !is_excused();
        sides.have_connected() && !is_awaited
    })?;
    let are_known = server.is_listening() && have_come() && seen.dropped.get() == 0;
    while server.is_listening() {
        closes.close(server, sides);
    }
    has_turned.set(false);
    world.run_until(|| {
        if has_turned.replace(true) && !world.has_stalled() {
            sides.took_turn();
        }
        sides.finish();
        sides.are_closed() && seen.closes.get() > 0
    })?;
    world.run()?;
    assert_eq!(server.connections(), 0, "connections are counted that are closed");
    assert_eq!(seen.closes.get(), 1, "on_close of the server");
    assert_eq!(closes.told.get(), closes.asked, "calls of those who waited for the close");
    assert_eq!(server.close().map_err(|error| error.code()), Err(ErrorCode::ServerNotRunning));
    // A lack of memory is over before the shutdown gives up. But an EAGAIN of accept4(2), which the kernel has only if nothing
    // waits, is found out by poll(2) alone: where that is refused, the shutdown believes it.
    let cannot_ask = world.has_met(|fault| fault.call == "poll(2)");
    let is_believed = |fault: &Fault| cannot_ask && fault.kind == Kind::Refused(Errno::EAGAIN);
    let may_lose = |fault: &Fault| fault.call == "accept4(2)" && (!is_passing(fault) || is_believed(fault));
    if !world.has_met(may_lose) {
        let taken = seen.accepted.get() + seen.dropped.get();
        assert!(taken >= closes.promised, "{taken} of {} connections were taken", closes.promised);
    }
    // A broken connection whose break only the shutdown has met, and no read: no handler hears of it.
    if !world.has_met(|fault| fault.call == "shutdown(2)") {
        sides.check();
    }
    sides.check_completions(are_known, is_excused());
    sides.clear();
    Ok(())
}

impl Seen {
    fn set_limit(&self, limit: Option<usize>) {
        self.limit.set(limit);
        self.had_limit.set(self.had_limit.get() || limit.is_some());
    }

    fn check(&self, server: &Server, sides: &Sides) {
        let (counted, known) = (server.connections(), sides.accepted());
        let least = known.saturating_sub(self.held.get());
        let is_right = (least..=known + self.unheard.get()).contains(&counted);
        assert!(is_right, "{counted} connections are counted, and {known} are open");
    }
}

impl ServerHandler for Connections {
    fn on_connection(&mut self, server: &Server, socket: Socket) {
        let Self { seen, sides, .. } = self;
        assert_eq!(seen.closes.get(), 0, "a connection of a closed server");
        seen.accepted.set(seen.accepted.get() + 1);
        let within = seen.limit.get().is_none_or(|limit| server.connections() <= limit);
        assert!(within, "more connections than the limit");
        let (side, handler) = sides.add(false, self.is_half_open);
        side.set(&socket);
        if self.begins_paused {
            side.begin_paused();
        }
        match dice(8) {
            // A socket without a handler is closed by itself once its last handle is dropped.
            0 => {
                side.give_up();
                seen.unheard.set(seen.unheard.get() + 1);
            }
            1 => {
                seen.held.set(seen.held.get() + 1);
                server.environment().set_timeout(Duration::from_micros(dice(3_000)), move || {
                    side.begin_to_hear();
                    socket.set_handler(handler);
                    side.act();
                });
            }
            _ => {
                side.begin_to_hear();
                socket.set_handler(handler);
                if one_in(2) {
                    side.act();
                }
            }
        }
    }

    fn on_listening(&mut self, _: &Server) {
        assert!(!self.seen.is_listening.replace(true), "on_listening twice");
    }

    fn on_drop(&mut self, _: &Server, _: Dropped) {
        self.seen.dropped.set(self.seen.dropped.get() + 1);
        assert!(self.seen.had_limit.get(), "a connection was dropped without a limit");
    }

    fn on_error(&mut self, _: &Server, _: Error) {
        assert_eq!(self.seen.closes.get(), 0, "an error of a closed server");
    }

    fn on_close(&mut self, _: &Server) {
        self.seen.closes.set(self.seen.closes.get() + 1);
    }
}
