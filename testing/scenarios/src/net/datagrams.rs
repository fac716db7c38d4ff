//! Sockets of datagrams of `net`: each callback of a send comes once, before the close; what a send has told to be sent
//! arrives, once and whole, and in order if it was sent to a host; the events come in their order.

use crate::core::{dice, mark, one_in};
use ::net::udp::{Envelope, SendOptions, UdpSocket, UdpSocketOptions};
use ::net::upcall::UdpHandler;
use ::net::{Error, Result};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use testing::World;
use uv_core::faults::set_addresses;

/// So many that no receive buffer overflows.
const DATAGRAMS: u64 = 60;

/// What is known of the datagrams in one direction, by their numbers: whether the send has succeeded, and how often it came.
#[derive(Default)]
struct Direction(RefCell<BTreeMap<u64, (Option<bool>, u64)>>);

impl Direction {
    fn begin(&self, number: u64) {
        self.0.borrow_mut().insert(number, (None, 0));
    }

    fn told(&self, number: u64, is_ok: bool) {
        let mut known = self.0.borrow_mut();
        let (result, _) = known.get_mut(&number).expect("it was sent");
        assert_eq!(result.replace(is_ok), None, "the callback of {number} came twice");
    }

    fn came(&self, data: &[u8]) -> u64 {
        let number = data.get(4..12).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes);
        let number = number.expect("a datagram that was not sent");
        assert_eq!(data, content(number), "datagram {number} is not whole");
        let mut known = self.0.borrow_mut();
        let (_, times) = known.get_mut(&number).expect("a datagram that was not sent");
        *times += 1;
        assert_eq!(*times, 1, "datagram {number} came twice");
        number
    }

    /// Whether each send is told, and what was sent has come.
    fn is_complete(&self) -> bool {
        self.0.borrow().values().all(|(result, times)| result.is_some_and(|is_ok| !is_ok || *times == 1))
    }

    fn check(&self) {
        for (number, (result, times)) in &*self.0.borrow() {
            assert!(result.is_some(), "no callback for datagram {number}");
            assert!(*times == 0 || *result == Some(true), "datagram {number} failed, and arrived");
        }
    }
}

fn content(number: u64) -> Vec<u8> {
    let len = number.wrapping_mul(0x9e37_79b9) % 900;
    mark().into_iter().chain(number.to_be_bytes()).chain((0..len).map(|at| (at ^ number) as u8)).collect()
}

/// The server's host, and a host that does not exist.
const HOST: &str = "server.test";
const NO_HOST: &str = "missing.test";

/// Both directions, and the ends.
#[derive(Default)]
struct Model {
    there: Direction,
    back: Direction,
    /// The datagrams that were sent to a host, each with its client.
    named: RefCell<BTreeMap<u64, usize>>,
    /// The last of these that came from each client.
    last: RefCell<BTreeMap<usize, u64>>,
    closes: Cell<u64>,
}

impl Model {
    /// A datagram came to the server.
    fn came(&self, data: &[u8]) -> u64 {
        let number = self.there.came(data);
        if let Some(client) = self.named.borrow().get(&number) {
            let before = self.last.borrow_mut().insert(*client, number);
            assert!(before < Some(number), "{number} came behind {before:?}");
        }
        number
    }
}

/// A server, which answers each datagram, or a client.
struct Side {
    is_server: bool,
    model: Rc<Model>,
    is_listening: bool,
}

impl UdpHandler for Side {
    fn on_message(&mut self, socket: &UdpSocket, data: &[u8], envelope: &Envelope) {
        if !data.starts_with(&mark()) {
            return;
        }
        if !self.is_server {
            self.model.back.came(data);
            return;
        }
        let number = self.model.came(data);
        send(socket, &SendOptions::to(envelope.from), number, &self.model, |model| &model.back);
    }

    fn on_listening(&mut self, _: &UdpSocket) {
        assert!(!std::mem::replace(&mut self.is_listening, true), "it listens twice");
    }

    fn on_connect(&mut self, _: &UdpSocket) {
        assert!(self.is_listening, "connected before it listens");
    }

    fn on_error(&mut self, _: &UdpSocket, _: Error) {}

    fn on_close(&mut self, socket: &UdpSocket) {
        assert!(socket.is_closed());
        self.model.closes.set(self.model.closes.get() + 1);
    }
}

/// Sends a datagram, whose callback tells the model.
fn send(
    socket: &UdpSocket,
    options: &SendOptions,
    number: u64,
    model: &Rc<Model>,
    of: fn(&Model) -> &Direction,
) {
    of(model).begin(number);
    let telling = Rc::clone(model);
    let on_sent = move |_: &UdpSocket, result: Result<()>| of(&telling).told(number, result.is_ok());
    if socket.send_with(content(number), options, on_sent).is_err() {
        of(model).told(number, false);
    }
}

/// A server that sends everything back, and clients with and without a peer.
pub(crate) fn datagrams(world: &World) -> std::result::Result<(), String> {
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let model = Rc::new(Model::default());
    let side = |is_server| Side { is_server, model: Rc::clone(&model), is_listening: false };
    let options = UdpSocketOptions::v4().error_queue(one_in(3));
    let server = UdpSocket::new(&env, options.batch(1 + dice(32) as u32), side(true));
    let bound = server.bind((world.loopback(), 0).into()).and_then(|()| server.address());
    let clients: Vec<_> = (0..=dice(3)).map(|_| UdpSocket::new(&env, options, side(false))).collect();
    set_addresses(HOST, &[world.loopback().into()]);
    if let Ok(addr) = bound {
        talk(world, &clients, addr, &model)?;
    }
    for socket in clients.iter().chain([&server]) {
        socket.close().map_err(|error| error.to_string())?;
    }
    world.run()?;
    model.there.check();
    model.back.check();
    assert_eq!(model.closes.get(), clients.len() as u64 + 1);
    Ok(())
}

fn talk(
    world: &World,
    clients: &[UdpSocket],
    server: SocketAddr,
    model: &Rc<Model>,
) -> std::result::Result<(), String> {
    for number in 0..dice(DATAGRAMS) {
        let at = dice(clients.len() as u64) as usize;
        let client = &clients[at];
        // It has a peer already, or is to get one.
        match dice(24) {
            0..3 => drop(client.connect(server)),
            3 => drop(client.connect_to_host(if one_in(3) { NO_HOST } else { HOST }, server.port())),
            _ => {}
        }
        if one_in(3) {
            send_to_host(client, at, server.port(), number, model);
            continue;
        }
        let has_peer = client.remote_address().is_ok();
        let options = if has_peer { SendOptions::default() } else { SendOptions::to(server) };
        send(client, &options, number, model, |model| &model.there);
        if one_in(4) {
            world.run_for(std::time::Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    if one_in(5) {
        // The closes cancel what waits.
        return Ok(());
    }
    world.run_until(|| model.there.is_complete() && model.back.is_complete())
}

fn send_to_host(client: &UdpSocket, at: usize, port: u16, number: u64, model: &Rc<Model>) {
    let exists = !one_in(4);
    model.there.begin(number);
    if exists {
        model.named.borrow_mut().insert(number, at);
    }
    let telling = Rc::clone(model);
    let on_sent = move |_: &UdpSocket, result: Result<()>| {
        assert!(exists || result.is_err(), "datagram {number} was sent nowhere");
        telling.there.told(number, result.is_ok());
    };
    let host = if exists { HOST } else { NO_HOST };
    if client.send_to_host(content(number), host, port, on_sent).is_err() {
        model.there.told(number, false);
    }
}
