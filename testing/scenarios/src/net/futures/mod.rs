//! Connections that are awaited: what was written comes in order and once, whole if nothing broke, whichever futures are dropped
//! at their awaits; a listener hands out each connection once.

mod children;
mod datagrams;
mod part;

pub(crate) use self::children::children;
pub(crate) use self::datagrams::datagrams;

use self::part::{Part, take_turns};
use crate::awaits::some_time;
use crate::core::{byte_at, dice, one_in};
use crate::{is_passing, is_repeated};
use ::net::futures::{AsyncSocket, Incoming};
use ::net::{ConnectOptions, Error, ErrorCode, ListenOptions, Server, ServerOptions};
use async_wrap::Environment;
use async_wrap::storage::Storage;
use futures_core::Stream;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::faults::set_addresses;

/// All sides of a world, by their numbers.
struct Sides {
    is_tcp: bool,
    all: RefCell<Vec<Rc<Side>>>,
    /// The tasks that have a part of a side.
    tasks: Cell<u32>,
    /// Everything is written and read up to the end.
    is_over: Cell<bool>,
    /// The listener is dropped, with the connections that wait.
    is_refused: Cell<bool>,
    /// Why accepts have failed.
    refusals: RefCell<Vec<Error>>,
}

#[derive(Default)]
struct Side {
    number: usize,
    sent: Cell<u64>,
    received: Cell<u64>,
    /// The writer of what was received.
    other: Cell<Option<usize>>,
    has_ended: Cell<bool>,
    /// Its reader was dropped before the end.
    is_cut: Cell<bool>,
    error: RefCell<Option<Error>>,
}

impl Sides {
    fn new(is_tcp: bool) -> Rc<Self> {
        Rc::new(Self {
            is_tcp,
            all: RefCell::default(),
            tasks: Cell::new(0),
            is_over: Cell::new(false),
            is_refused: Cell::new(false),
            refusals: RefCell::default(),
        })
    }

    fn add(&self) -> Rc<Side> {
        let number = self.all.borrow().len();
        let side = Rc::new(Side { number, ..Side::default() });
        self.all.borrow_mut().push(Rc::clone(&side));
        side
    }

    fn get(&self, number: usize) -> Option<Rc<Side>> {
        self.all.borrow().get(number).map(Rc::clone)
    }

    /// Whether a reader was dropped before its end.
    fn has_cut(&self) -> bool {
        self.all.borrow().iter().any(|side| side.is_cut.get())
    }

    /// Gives the socket to tasks: one for both directions, or one for each.
    fn begin(
        self: &Rc<Self>,
        side: &Rc<Side>,
        env: &Environment,
        value: &Storage<usize>,
        socket: AsyncSocket,
    ) {
        let part = |reads| Part::new(env, value, self, side, reads);
        if one_in(2) {
            let both = take_turns([part(true), part(false)], socket);
            drop(env.spawn_local(value.scope(side.number, both)));
            return;
        }
        let (reader, writer) = socket.split();
        let (reading, writing) = (part(true).read_all(reader), part(false).write_all(writer));
        let reading = env.spawn_local(value.scope(side.number, reading));
        let writing = env.spawn_local(value.scope(side.number, writing));
        if one_in(8) {
            // Dropped at some await.
            env.set_timeout(some_time(), move || if one_in(2) { reading.abort() } else { writing.abort() });
        }
    }

    /// When all are over.
    fn check(&self, is_excused: bool) {
        assert_eq!(self.tasks.get(), 0, "tasks of connections are left");
        let all = self.all.borrow();
        for side in all.iter() {
            let heard_of = |other: &&Rc<Side>| other.other.get() == Some(side.number);
            let other = side.other.get().and_then(|other| self.get(other));
            let other = other.or_else(|| all.iter().find(heard_of).map(Rc::clone));
            let number = side.number;
            let has_failed = side.error.borrow().is_some();
            let Some(other) = other else {
                let is_caused =
                    is_excused || self.is_refused.get() || all.iter().any(|side| side.is_cut.get());
                assert!(!has_failed || is_caused, "side {number} failed: {:?}", side.error.borrow());
                continue;
            };
            if side.is_cut.get() || other.is_cut.get() {
                continue;
            }
            assert!(!has_failed || is_excused, "side {number} failed: {:?}", side.error.borrow());
            if !has_failed && other.error.borrow().is_none() {
                assert!(side.has_ended.get() || is_excused, "side {number} has not read to the end");
                assert!(
                    side.received.get() == other.sent.get() || is_excused,
                    "side {number} has lost bytes of side {}",
                    other.number
                );
            }
        }
    }
}

impl Side {
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

    /// Notes why the connection is broken.
    fn fail(&self, error: Error) {
        let errno = error.errno();
        assert!(!errno.is_some_and(is_repeated), "{error} reached the program");
        self.error.borrow_mut().get_or_insert(error);
    }
}

/// A connect that is awaited, or dropped.
async fn connect(whole: Part, options: ConnectOptions) {
    let Part { env, value, sides, side, .. } = &whole;
    let connecting = AsyncSocket::connect(env, options);
    let connected =
        if one_in(6) { env.timeout(some_time(), connecting).await.ok() } else { Some(connecting.await) };
    match connected {
        Some(Ok(socket)) => sides.begin(side, env, value, socket),
        Some(Err(error)) => drop(side.error.replace(Some(error))),
        None => side.is_cut.set(true),
    }
}

/// Accepts until it is dropped.
async fn accept_all(sides: Rc<Sides>, env: Environment, value: Storage<usize>, mut incoming: Incoming) {
    loop {
        if one_in(4) {
            env.sleep(some_time()).await;
        }
        let accepted = match dice(4) {
            0 => env.timeout(some_time(), incoming.accept()).await.ok(),
            1 => poll_fn(|context| Pin::new(&mut incoming).poll_next(context)).await,
            _ => Some(incoming.accept().await),
        };
        match accepted {
            None => {}
            Some(Ok(socket)) => sides.begin(&sides.add(), &env, &value, socket),
            Some(Err(error)) if error.code() == ErrorCode::ServerNotRunning => return,
            Some(Err(error)) => sides.refusals.borrow_mut().push(error),
        }
    }
}

/// Over Unix sockets.
pub(crate) fn unix(world: &World) -> Result<(), String> {
    let path = world.path();
    run(world, &Sides::new(false), ListenOptions::path(&path), |_| Some(ConnectOptions::path(&path)))
}

/// Over TCP, to a name or an address.
pub(crate) fn tcp(world: &World) -> Result<(), String> {
    let host = world.loopback();
    set_addresses("server.test", &[host.into()]);
    run(world, &Sides::new(true), ListenOptions::addr((host, 0).into()), |incoming| {
        // The system may refuse to tell it.
        let address = incoming.address()?.as_tcp()?;
        Some(if one_in(2) {
            ConnectOptions::host("server.test", address.port())
        } else {
            ConnectOptions::addr(address)
        })
    })
}

fn run(
    world: &World,
    sides: &Rc<Sides>,
    listen: ListenOptions,
    options: impl Fn(&Incoming) -> Option<ConnectOptions>,
) -> Result<(), String> {
    let (Ok(here), Ok(there)) = (world.environment("server"), world.environment("clients")) else {
        return Ok(());
    };
    let value = Storage::new(&here);
    let mark = ServerOptions::default().high_water_mark([1, 100, 16_384][dice(3) as usize]);
    let listening = if one_in(2) {
        Incoming::listen(&here, listen)
    } else {
        Incoming::of(Server::new(&here, mark.allow_half_open(true)), listen)
    };
    let Ok(incoming) = listening else { return Ok(()) };
    let Some(to) = options(&incoming) else { return Ok(()) };
    let accepting = here.spawn_local(accept_all(Rc::clone(sides), here.clone(), value, incoming));
    let value = Storage::new(&there);
    for _ in 0..=dice(3) {
        let whole = Part::new(&there, &value, sides, &sides.add(), false);
        there.spawn_local(connect(whole, to.clone())).detach();
        if one_in(2) {
            world.run_for(Duration::from_micros(1 + dice(20_000)))?;
        }
    }
    if one_in(6) {
        // With the connections that wait for an accept.
        sides.is_refused.set(true);
        accepting.abort();
    }
    sides.is_over.set(true);
    world.run_until(|| sides.tasks.get() == 0)?;
    accepting.abort();
    world.run()?;
    let told = |call: &str| call == "accept4(2)" || call == "epoll_ctl(2)";
    let refusals = sides.refusals.borrow().len();
    assert!(
        refusals == 0 || world.has_met(|fault| told(fault.call) || !is_passing(fault)),
        "an accept failed"
    );
    sides.check(world.has_met(|fault| !is_passing(fault)));
    Ok(())
}
