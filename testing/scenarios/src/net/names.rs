//! Connects by name: one look-up, then attempts in the right order until one connects or all have failed; a connection has
//! what was written before it; whatever ends a connect ends its look-up and all of its attempts.

use crate::core::{dice, one_in};
use ::net::upcall::SocketHandler;
use ::net::{ConnectOptions, Error, ListenOptions, Server, ServerOptions, Socket};
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use testing::{Peer, World};
use uv_core::{BindOptions, Tcp};

/// What a client has seen.
#[derive(Default)]
struct Seen {
    looked_up: Cell<u32>,
    attempts: RefCell<Vec<SocketAddr>>,
    failed: RefCell<Vec<SocketAddr>>,
    late: RefCell<Vec<SocketAddr>>,
    connected: Cell<bool>,
    received: RefCell<Vec<u8>>,
    error: RefCell<Option<Error>>,
    closed: Cell<u32>,
    destroyed: Cell<bool>,
    timed_out: Cell<bool>,
}

struct Client {
    seen: Rc<Seen>,
    /// The order in which its addresses are to be tried.
    order: Vec<SocketAddr>,
    /// Destroys its socket in the call of this number.
    destroys_in: u64,
}

impl Client {
    /// Each call but `on_close`.
    fn called(&mut self, socket: &Socket) {
        assert_eq!(self.seen.closed.get(), 0, "a call after on_close");
        assert!(!self.seen.destroyed.get(), "a call after the destroy");
        self.destroys_in = self.destroys_in.wrapping_sub(1);
        if self.destroys_in == 0 {
            self.seen.destroyed.set(true);
            socket.destroy();
        }
    }

    /// A call before the connection.
    fn connects(&mut self, socket: &Socket) {
        assert!(!self.seen.connected.get(), "an attempt of a socket that is connected");
        assert_eq!(self.seen.looked_up.get(), 1, "an attempt before the look-up");
        self.called(socket);
    }
}

impl SocketHandler for Client {
    fn on_lookup(&mut self, socket: &Socket, _: &str, found: Result<&[SocketAddr], &Error>) {
        self.seen.looked_up.set(self.seen.looked_up.get() + 1);
        assert!(found.is_err() || !self.order.is_empty(), "addresses of a host without any");
        self.connects(socket);
    }

    fn on_connection_attempt(&mut self, socket: &Socket, addr: SocketAddr) {
        let tried = {
            let mut attempts = self.seen.attempts.borrow_mut();
            attempts.push(addr);
            attempts.len()
        };
        assert_eq!(Some(&addr), self.order.get(tried - 1), "another order");
        // The next address waits for the end of the last attempt, or for its time limit.
        let ended = self.seen.failed.borrow().len() + self.seen.late.borrow().len();
        assert!(ended + 1 >= tried, "an attempt too early");
        self.connects(socket);
    }

    fn on_connection_attempt_failed(&mut self, socket: &Socket, addr: SocketAddr, error: &Error) {
        assert!(self.seen.attempts.borrow().contains(&addr) && !self.seen.failed.borrow().contains(&addr));
        assert!(error.errno().is_some(), "an error of no system call");
        self.seen.failed.borrow_mut().push(addr);
        self.connects(socket);
    }

    fn on_connection_attempt_timeout(&mut self, socket: &Socket, addr: SocketAddr) {
        assert_eq!(self.seen.attempts.borrow().last(), Some(&addr), "an earlier attempt");
        assert!(!self.seen.late.borrow().contains(&addr) && !self.seen.failed.borrow().contains(&addr));
        assert_ne!(self.order.last(), Some(&addr), "the last address has no time limit");
        self.seen.late.borrow_mut().push(addr);
        self.connects(socket);
    }

    fn on_connect(&mut self, socket: &Socket) {
        assert!(!self.seen.connected.replace(true), "on_connect twice");
        self.called(socket);
    }

    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        assert!(self.seen.connected.get(), "data before the connection");
        self.seen.received.borrow_mut().extend_from_slice(data);
        self.called(socket);
    }

    fn on_timeout(&mut self, socket: &Socket) {
        self.seen.destroyed.set(true);
        self.seen.timed_out.set(true);
        socket.destroy();
    }

    fn on_error(&mut self, _: &Socket, error: Error) {
        assert!(!self.seen.destroyed.get(), "an error after the destroy");
        assert!(self.seen.error.replace(Some(error)).is_none(), "on_error twice");
    }

    fn on_close(&mut self, _: &Socket, had_error: bool) {
        self.seen.closed.set(self.seen.closed.get() + 1);
        assert_eq!(had_error, self.seen.error.borrow().is_some());
    }
}

/// Sends everything back.
struct Echo;

impl SocketHandler for Echo {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        // An error ends the connection, which the client sees.
        let _ = socket.write(data);
    }
}

/// A connect by name, and what is true of it.
struct Connect {
    socket: Socket,
    seen: Rc<Seen>,
    order: Vec<SocketAddr>,
    written: Vec<u8>,
}

/// Clients of hosts with any addresses: that of a server, such without a listener, none.
pub(crate) fn names(world: &World) -> Result<(), String> {
    let (Ok(env), Ok(other)) = (world.environment("clients"), world.environment("server")) else {
        return Ok(());
    };
    let server = Server::new(&other, ServerOptions::default());
    let options = ListenOptions::addr((world.loopback(), 0).into());
    if server.listen_with(options, |_, socket| socket.set_handler(Echo)).is_err() {
        return Ok(());
    }
    let Some(here) = server.address().and_then(|address| address.as_tcp()) else {
        // The address of a socket that listens may be refused, too.
        let _ = server.close();
        return Ok(());
    };
    let silent = Silent::new(world, &other, here.port());
    let mut connects = Vec::new();
    for number in 0..=dice(5) {
        connects.extend(connect(&env, here, number));
        if one_in(3) {
            world.run_for(Duration::from_micros(dice(500_000)))?;
        }
        if one_in(6) {
            let at = dice(connects.len() as u64 + 1) as usize;
            connects.get(at).into_iter().for_each(destroy);
        }
    }
    world.run_until(|| connects.iter().all(|connect| connect.seen.closed.get() > 0))?;
    let is_excused = world.has_met(|fault| !crate::is_passing(fault));
    connects.iter().try_for_each(|connect| connect.check(here, is_excused))?;
    // Fails if the listening socket has failed.
    let _ = server.close();
    silent.listener.close();
    drop(silent);
    world.run()
}

/// A listener that accepts nothing, on the server's port of another address: most connects to it wait.
struct Silent {
    listener: Tcp,
    _in_queue: Vec<Peer>,
}

const SILENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 251, 0, 1));

impl Silent {
    fn new(world: &World, other: &Environment, port: u16) -> Self {
        let listener = Tcp::new(other.loop_handle());
        let address = SocketAddr::new(SILENT, port);
        let listens =
            listener.bind(address, BindOptions::default()).and_then(|()| listener.listen_with(0, |_, _| {}));
        // A fault may leave it without a listener: connects are refused then.
        let peers = if listens.is_ok() { 3 } else { 0 };
        let in_queue = (0..peers).filter_map(|_| world.tcp_peer(address).ok()).collect();
        Self { listener, _in_queue: in_queue }
    }
}

fn destroy(connect: &Connect) {
    if !connect.socket.is_destroyed() {
        connect.seen.destroyed.set(true);
        connect.socket.destroy();
    }
}

fn connect(env: &Environment, here: SocketAddr, number: u64) -> Option<Connect> {
    let none = [IpAddr::from([127, 250, 0, number as u8 + 1]), IpAddr::from([127, 250, 1, number as u8 + 1])];
    let choices = [here.ip(), here.ip(), none[0], none[1], Ipv6Addr::LOCALHOST.into(), SILENT];
    let mut addresses: Vec<_> = (0..dice(4)).map(|_| choices[dice(6) as usize]).collect();
    addresses.dedup();
    let host = format!("host{number}.test");
    uv_core::faults::set_addresses(&host, &addresses);
    let order = order(&addresses, here.port());
    let (seen, written) = (Rc::new(Seen::default()), vec![number as u8; dice(2_000) as usize]);
    let destroys_in = if one_in(3) { 1 + dice(5) } else { 0 };
    let client = Client { seen: Rc::clone(&seen), order: order.clone(), destroys_in };
    let limit = Duration::from_millis(10 + dice(300));
    let options = ConnectOptions::host(&*host, here.port()).attempt_timeout(limit);
    // A server that lacks descriptors may never accept, or close what it has accepted.
    let options = options.timeout(Duration::from_secs(20));
    // Set once an attempt has begun: a refusal ends it then.
    let options = options.keep_alive(one_in(3).then(|| Duration::from_secs(60)));
    let socket = Socket::connect(env, options, client).ok()?;
    socket.write(&written).expect("a socket that connects queues");
    socket.end();
    Some(Connect { socket, seen, order, written })
}

/// The families by turns, each address once.
fn order(addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    let mut once: Vec<IpAddr> = Vec::new();
    addresses.iter().for_each(|address| {
        if !once.contains(address) {
            once.push(*address);
        }
    });
    let is_first = |address: &IpAddr| address.is_ipv4() == once[0].is_ipv4();
    let (first, second): (Vec<IpAddr>, Vec<IpAddr>) = once.iter().partition(|address| is_first(address));
    let rounds = (0..once.len()).flat_map(|round| [first.get(round), second.get(round)]);
    rounds.flatten().map(|address| (*address, port).into()).collect()
}

impl Connect {
    fn check(&self, here: SocketAddr, is_excused: bool) -> Result<(), String> {
        let Self { seen, order, written, .. } = self;
        assert_eq!(seen.closed.get(), 1, "on_close once");
        let received = seen.received.borrow();
        if !written.starts_with(&received) {
            return Err("other bytes came back than were sent".to_owned());
        }
        let tried = seen.attempts.borrow().len();
        if seen.timed_out.get() && !seen.connected.get() && !is_excused && tried < order.len() {
            return Err(format!(
                "{tried} of {order:?} were tried until the time was over, and nothing failed"
            ));
        }
        if seen.destroyed.get() {
            return Ok(());
        }
        let error = seen.error.borrow();
        let has_failed = seen.failed.borrow().len() == order.len();
        if let Some(error) = error.as_ref().filter(|_| !seen.connected.get() && tried > 0) {
            assert!(has_failed, "an error before every attempt has ended");
            let listed = if order.len() > 1 { order.len() } else { 0 };
            assert_eq!(error.attempts().len(), listed, "an error that does not list every address");
        }
        if !is_excused {
            let is_right = if order.contains(&here) {
                seen.connected.get() && received.len() == written.len() && error.is_none()
            } else {
                !seen.connected.get() && error.is_some()
            };
            // A connect to the silent listener may find room in its queue.
            let is_right = is_right || seen.attempts.borrow().iter().any(|addr| addr.ip() == SILENT);
            if !is_right {
                return Err(format!("{order:?}: {error:?}, {} bytes, and nothing failed", received.len()));
            }
        }
        Ok(())
    }
}
