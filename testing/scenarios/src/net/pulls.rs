//! Sockets that their programs pull: what was written comes in order and once, whole if nothing broke, and the end is told once,
//! by `try_read` or by `on_end`, whatever the program leaves, pauses, or lets the loop read for a while.

use crate::core::{byte_at, bytes_at, dice, one_in, some_len};
use crate::{is_passing, is_repeated};
use ::net::upcall::SocketHandler;
use ::net::{ConnectOptions, Error, ErrorCode, ListenOptions, Pulled, Server, ServerOptions, Socket};
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use testing::World;

/// All sides of a world, by their numbers.
#[derive(Default)]
struct Sides {
    all: RefCell<Vec<Rc<Side>>>,
    /// Everything is read up to the end.
    is_over: Cell<bool>,
}

#[derive(Default)]
struct Side {
    number: usize,
    socket: RefCell<Option<Socket>>,
    is_half_open: bool,
    is_pulled: Cell<bool>,
    is_paused: Cell<bool>,
    sent: Cell<u64>,
    received: Cell<u64>,
    /// The writer of what was received.
    other: Cell<Option<usize>>,
    has_ended: Cell<bool>,
    /// It was destroyed by its program, or told to end without its input.
    is_cut: Cell<bool>,
    error: RefCell<Option<Error>>,
    is_closed: Cell<bool>,
}

struct Handler(Rc<Sides>, Rc<Side>);

impl Sides {
    fn add(self: &Rc<Self>, is_half_open: bool) -> Handler {
        let number = self.all.borrow().len();
        let side = Rc::new(Side { number, is_half_open, ..Side::default() });
        self.all.borrow_mut().push(Rc::clone(&side));
        Handler(Rc::clone(self), side)
    }

    fn get(&self, number: usize) -> Option<Rc<Side>> {
        self.all.borrow().get(number).map(Rc::clone)
    }

    fn any(&self) -> Option<Rc<Side>> {
        self.get(dice(self.all.borrow().len() as u64) as usize)
    }

    fn are_closed(&self) -> bool {
        self.all.borrow().iter().all(|side| side.is_closed.get())
    }

    fn finish(&self) {
        self.is_over.set(true);
        let all = self.all.borrow().clone();
        all.iter().for_each(|side| side.finish());
    }

    /// When all are closed.
    fn check(&self, is_excused: bool) {
        let all = self.all.borrow();
        for side in all.iter() {
            let heard_of = |other: &&Rc<Side>| other.other.get() == Some(side.number);
            let other = side.other.get().and_then(|other| self.get(other));
            let other = other.or_else(|| all.iter().find(heard_of).map(Rc::clone));
            let is_whole = |side: &Side| !side.is_cut.get() && side.error.borrow().is_none();
            let Some(other) = other else { continue };
            if !is_whole(side) || !is_whole(&other) {
                let is_broken = side.error.borrow().is_some();
                assert!(!is_broken || side.is_cut.get() || other.is_cut.get() || is_excused, "no cause");
                continue;
            }
            let number = side.number;
            assert!(side.has_ended.get() || is_excused, "side {number} was closed before the end");
            if side.has_ended.get() {
                assert_eq!(side.received.get(), other.sent.get(), "side {number} has lost bytes");
            }
        }
    }
}

impl Side {
    fn socket(&self) -> Option<Socket> {
        self.socket.borrow().clone()
    }

    fn set(&self, socket: &Socket) {
        *self.socket.borrow_mut() = Some(socket.clone());
    }

    fn take(&self, sides: &Sides, data: &[u8]) {
        assert!(!self.has_ended.get(), "bytes behind the end");
        let place = self.received.get();
        if place == 0 {
            self.other.set(Some(data[0].into()));
        }
        let number = self.other.get().unwrap_or(usize::MAX);
        let Some(other) = sides.get(number) else { panic!("bytes of side {number}") };
        assert!(place + data.len() as u64 <= other.sent.get(), "more was received than was sent");
        for (place, byte) in (place..).zip(data) {
            assert_eq!(*byte, byte_at(number, place), "the byte at {place} is of another place");
        }
        self.received.set(place + data.len() as u64);
    }

    /// Pulls once. Returns whether there may be more.
    fn pull(&self, sides: &Sides, room: usize) -> bool {
        let Some(socket) = self.socket() else { return false };
        let (was_destroyed, read) = (socket.is_destroyed(), socket.bytes_read());
        let mut buffer = vec![0; room];
        match socket.try_read(&mut buffer) {
            Ok(Pulled::Bytes(count)) => {
                self.take(sides, &buffer[..count]);
                assert_eq!(socket.bytes_read(), read + count as u64, "bytes_read");
                true
            }
            Ok(Pulled::End) => {
                self.has_ended.set(true);
                assert!(socket.is_ended_by_peer(), "an end that the socket does not know");
                let writes = socket.write(b"").is_ok();
                assert!(self.is_half_open || !writes, "the end of the peer does not end this side");
                false
            }
            Ok(Pulled::WouldBlock) => {
                assert!(!self.has_ended.get(), "the end does not stay");
                false
            }
            Err(error) => {
                let system = error.system().map(|error| error.errno());
                match error.code() {
                    ErrorCode::SocketClosed => assert!(was_destroyed || self.is_cut.get(), "{error}"),
                    _ if !self.is_pulled.get() => {
                        assert_eq!(system, Some(uv_core::Errno::EALREADY), "{error}");
                    }
                    _ => {
                        assert!(!system.is_some_and(is_repeated), "{error} reached the program");
                        assert!(socket.is_destroyed(), "a failed read leaves the socket");
                    }
                }
                false
            }
        }
    }

    fn pull_all(&self, sides: &Sides) {
        while self.pull(sides, 1 << 16) {}
    }

    fn write(&self) {
        let Some(socket) = self.socket() else { return };
        let len = some_len().max(1);
        if socket.write(&bytes_at(self.number, self.sent.get(), len)).is_ok() {
            self.sent.set(self.sent.get() + len);
        }
    }

    /// Something that the program does, in a callback or not.
    fn act(&self, sides: &Sides) {
        let Some(socket) = self.socket() else { return };
        match dice(20) {
            0..6 => self.write(),
            6 | 7 => drop(self.pull(sides, 1 + dice(30) as usize)),
            8 => self.pull_all(sides),
            9 | 10 => {
                socket.pause();
                self.is_paused.set(true);
            }
            11..14 => {
                socket.resume();
                self.is_paused.set(false);
            }
            14 => {
                let on = one_in(2);
                socket.set_pulled(on);
                self.is_pulled.set(socket.is_pulled());
                // A socket that only waits for its peer stays as it is.
                assert!(socket.is_pulled() == on || self.is_cut.get(), "set_pulled");
            }
            15 => socket.set_timeout(Duration::from_millis(dice(20))),
            16 if one_in(3) => socket.end(),
            17 if one_in(4) => {
                self.is_cut.set(true);
                socket.destroy_soon();
            }
            18 if one_in(6) => {
                self.is_cut.set(true);
                socket.destroy();
            }
            _ => socket.notify(),
        }
    }

    /// Ends, and reads up to the peer's end.
    fn finish(&self) {
        let Some(socket) = self.socket() else { return };
        socket.resume();
        self.is_paused.set(false);
        socket.end();
    }
}

impl Handler {
    /// Makes the call of a socket that is open, and has not ended unless `may_have_ended`.
    fn check(&self, socket: &Socket, call: &str) {
        assert!(!self.1.is_closed.get() && !socket.is_destroyed(), "{call} of a destroyed socket");
    }

    fn then(&self) {
        if self.0.is_over.get() {
            self.1.finish();
        } else if one_in(3) {
            let other = if one_in(4) { self.0.any() } else { None };
            other.as_ref().unwrap_or(&self.1).act(&self.0);
        }
    }
}

impl SocketHandler for Handler {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        self.check(socket, "on_data");
        assert!(!self.1.is_pulled.get() && !self.1.is_paused.get(), "on_data of a pulled or paused socket");
        self.1.take(&self.0, data);
        self.then();
    }

    fn on_readable(&mut self, socket: &Socket) {
        self.check(socket, "on_readable");
        let side = &self.1;
        assert!(
            side.is_pulled.get() && !side.is_paused.get(),
            "on_readable of a socket that is read or paused"
        );
        assert!(!side.has_ended.get(), "on_readable behind the end");
        match dice(8) {
            _ if self.0.is_over.get() => side.pull_all(&self.0),
            // Left for the next turn.
            0 => {}
            1 | 2 => self.then(),
            _ => drop(side.pull(&self.0, 1 + dice(3_000) as usize)),
        }
    }

    fn on_connect(&mut self, socket: &Socket) {
        self.check(socket, "on_connect");
        self.then();
    }

    fn on_end(&mut self, socket: &Socket) {
        self.check(socket, "on_end");
        assert!(!self.1.is_pulled.get(), "on_end of a pulled socket");
        assert!(!self.1.has_ended.replace(true), "on_end twice");
        self.then();
    }

    fn on_unread_end(&mut self, socket: &Socket) {
        self.check(socket, "on_unread_end");
        assert!(self.1.is_paused.get(), "on_unread_end of a socket that is read or pulled");
        self.then();
    }

    fn on_timeout(&mut self, socket: &Socket) {
        self.check(socket, "on_timeout");
        self.then();
    }

    fn on_notify(&mut self, socket: &Socket) {
        self.check(socket, "on_notify");
        self.then();
    }

    fn on_finish(&mut self, socket: &Socket) {
        self.check(socket, "on_finish");
        self.then();
    }

    fn on_error(&mut self, socket: &Socket, error: Error) {
        assert!(socket.is_destroyed() && !self.1.is_closed.get(), "on_error of an open socket");
        assert!(self.1.error.replace(Some(error)).is_none(), "on_error twice");
    }

    fn on_close(&mut self, _: &Socket, had_error: bool) {
        assert!(!self.1.is_closed.replace(true), "on_close twice");
        assert_eq!(had_error, self.1.error.borrow().is_some(), "had_error is wrong");
        // Refused from here on.
        self.1.pull(&self.0, 8);
        drop(self.1.socket.take());
    }
}

/// Gives a socket its handler, and lets it be pulled before or after that.
fn begin(socket: &Socket, handler: Handler, is_client: bool) {
    let side = Rc::clone(&handler.1);
    side.set(socket);
    let is_pulled = !one_in(4);
    if one_in(2) {
        socket.set_pulled(is_pulled);
        side.is_pulled.set(is_pulled);
    }
    if !is_client {
        socket.set_handler(handler);
    }
    socket.set_pulled(is_pulled);
    side.is_pulled.set(is_pulled);
}

fn connect(env: &Environment, options: ConnectOptions, sides: &Rc<Sides>) {
    let is_half_open = one_in(2);
    let handler = sides.add(is_half_open);
    let side = Rc::clone(&handler.1);
    let connected = Socket::connect(env, options.allow_half_open(is_half_open), handler);
    match connected {
        Ok(socket) => begin(&socket, Handler(Rc::clone(sides), side), true),
        Err(_) => side.is_closed.set(true),
    }
}

/// Over Unix sockets.
pub(crate) fn pulls(world: &World) -> Result<(), String> {
    let (Ok(server_env), Ok(client_env)) = (world.environment("server"), world.environment("client")) else {
        return Ok(());
    };
    let (path, sides) = (world.path(), Rc::<Sides>::default());
    let is_half_open = one_in(2);
    let options = ServerOptions::default().allow_half_open(is_half_open).pause_on_connect(one_in(4));
    let begins_paused = options.pause_on_connect;
    let server = Server::new(&server_env, options);
    let accepted = Rc::clone(&sides);
    let listening = server.listen_with(ListenOptions::path(&path), move |_, socket| {
        let handler = accepted.add(is_half_open);
        handler.1.is_paused.set(begins_paused);
        begin(&socket, handler, false);
        if accepted.is_over.get() {
            accepted.finish();
        }
    });
    if listening.is_err() {
        return Ok(());
    }
    for _ in 0..=dice(2) {
        connect(&client_env, ConnectOptions::path(&path), &sides);
    }
    for _ in 0..dice(60) {
        sides.any().iter().for_each(|side| side.act(&sides));
        if one_in(2) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    let is_excused = || world.has_met(|fault| !is_passing(fault));
    sides.finish();
    world.run_until(|| {
        sides.finish();
        sides.are_closed()
    })?;
    server.close().map_err(|error| error.to_string())?;
    world.run()?;
    sides.check(is_excused());
    sides.all.borrow_mut().clear();
    Ok(())
}
