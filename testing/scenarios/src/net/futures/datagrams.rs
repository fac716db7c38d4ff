//! Datagrams that are awaited: each that was sent comes once, whole and unless its send has failed, whichever futures are dropped
//! at their awaits and however many tasks share a socket.

use crate::awaits::{Tasks, let_go, some_time};
use crate::core::{dice, mark, one_in};
use crate::is_passing;
use ::net::futures::AsyncUdpSocket;
use ::net::udp::{SendOptions, UdpSocketOptions};
use ::net::{Error, ErrorCode, Result};
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use testing::World;
use uv_core::faults::set_addresses;

/// So many that no receive buffer overflows.
const DATAGRAMS: u64 = 40;

/// The server's host, and a host that does not exist.
const HOST: &str = "server.test";
const NO_HOST: &str = "missing.test";

/// What has become of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// It waits, or was dropped: it may be sent or not.
    Perhaps,
    Yes,
    No,
}

/// The datagrams in one direction, by their numbers: the send, and how often it came.
#[derive(Default)]
struct Direction(RefCell<BTreeMap<u64, (Sent, u64)>>);

impl Direction {
    fn begin(&self, number: u64) {
        let before = self.0.borrow_mut().insert(number, (Sent::Perhaps, 0));
        assert_eq!(before, None, "datagram {number} is sent again");
    }

    fn set(&self, number: u64, sent: Sent) {
        self.0.borrow_mut().entry(number).and_modify(|(place, _)| *place = sent);
    }

    /// A datagram came, perhaps cut. Returns its number, unless another process has sent it.
    fn came(&self, data: &[u8], is_cut: Option<bool>) -> Option<u64> {
        if !data.starts_with(&mark()) {
            return None;
        }
        let number = data.get(4..12).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes);
        let number = number.expect("a datagram that was not sent");
        let whole = content(number);
        assert!(whole.starts_with(data), "datagram {number} has other bytes");
        let is_short = data.len() < whole.len();
        assert!(is_cut.is_none_or(|is_cut| is_cut == is_short), "datagram {number} is cut: {is_cut:?}");
        let mut known = self.0.borrow_mut();
        let (_, times) = known.get_mut(&number).expect("a datagram that was not sent");
        *times += 1;
        assert_eq!(*times, 1, "datagram {number} came twice");
        Some(number)
    }

    /// What was sent has come.
    fn is_complete(&self) -> bool {
        self.0.borrow().values().all(|(sent, times)| *sent != Sent::Yes || *times == 1)
    }

    fn check(&self) {
        for (number, (sent, times)) in &*self.0.borrow() {
            assert!(*times == 0 || *sent != Sent::No, "datagram {number} failed, and arrived");
        }
    }
}

fn content(number: u64) -> Vec<u8> {
    let len = number.wrapping_mul(0x9e37_79b9) % 900;
    mark().into_iter().chain(number.to_be_bytes()).chain((0..len).map(|at| (at ^ number) as u8)).collect()
}

#[derive(Default)]
struct Model {
    there: Direction,
    back: Direction,
    last_number: Cell<u64>,
    errors: RefCell<Vec<Error>>,
}

impl Model {
    fn fail(&self, error: Error) {
        self.errors.borrow_mut().push(error);
    }

    fn next_number(&self) -> Option<u64> {
        let next = self.last_number.get() + 1;
        self.last_number.set(next);
        (next <= DATAGRAMS).then_some(next)
    }
}

/// A socket that several tasks share, and its model.
#[derive(Clone)]
struct Side {
    env: Environment,
    socket: Rc<AsyncUdpSocket>,
    model: Rc<Model>,
}

impl Side {
    fn new(env: &Environment, socket: AsyncUdpSocket, model: &Rc<Model>) -> Self {
        Self { env: env.clone(), socket: Rc::new(socket), model: Rc::clone(model) }
    }

    /// Receives one datagram, with what is told of it in one of the three ways. Returns its number and its sender.
    async fn receive(&self, of: fn(&Model) -> &Direction) -> Option<(u64, SocketAddr)> {
        let mut buffer = vec![0; [12, 100, 2_000][dice(3) as usize]];
        let peer = self.socket.socket().remote_address();
        let received = match (dice(3), peer) {
            (0, _) => {
                let received = self.socket.receive(&mut buffer);
                let_go(&self.env, received).await?.map(|(count, it)| (count, Some(it.is_truncated), it.from))
            }
            (1, Ok(peer)) => {
                let_go(&self.env, self.socket.recv(&mut buffer)).await?.map(|count| (count, None, peer))
            }
            _ => {
                let received = self.socket.recv_from(&mut buffer);
                let_go(&self.env, received).await?.map(|(count, from)| (count, None, from))
            }
        };
        match received {
            Ok((count, is_cut, from)) => {
                of(&self.model).came(&buffer[..count], is_cut).map(|number| (number, from))
            }
            Err(error) => {
                assert_ne!(error.code(), ErrorCode::NotRunning, "an open socket is closed");
                self.model.fail(error);
                None
            }
        }
    }

    /// Awaits a send, or drops it.
    async fn send(&self, number: u64, of: fn(&Model) -> &Direction, send: impl Future<Output = Result<()>>) {
        match let_go(&self.env, send).await {
            None => {}
            Some(Ok(())) => of(&self.model).set(number, Sent::Yes),
            Some(Err(error)) => {
                of(&self.model).set(number, Sent::No);
                self.model.fail(error);
            }
        }
    }

    /// Sends each datagram back, until it is dropped.
    async fn answer(self) {
        loop {
            if one_in(4) {
                self.env.sleep(some_time()).await;
            }
            if let Some((number, from)) = self.receive(|model| &model.there).await {
                self.model.back.begin(number);
                let data = content(number);
                self.send(number, |model| &model.back, self.socket.send_to(&data, from)).await;
            }
        }
    }

    /// Takes the answers, until it is dropped.
    async fn take(self) {
        loop {
            if one_in(4) {
                self.env.sleep(some_time()).await;
            }
            self.receive(|model| &model.back).await;
        }
    }

    async fn talk(self, server: SocketAddr) {
        for _ in 0..dice(12) {
            if one_in(3) {
                self.env.sleep(some_time()).await;
            }
            if one_in(10) {
                let host = if one_in(3) { NO_HOST } else { HOST };
                // It has a peer already, or a fault refuses it.
                let _ = let_go(&self.env, self.socket.connect(host, server.port())).await;
            }
            let Some(number) = self.model.next_number() else { return };
            self.model.there.begin(number);
            self.send_any(number, server).await;
        }
    }

    async fn send_any(&self, number: u64, server: SocketAddr) {
        let (data, of) = (content(number), (|model| &model.there) as fn(&Model) -> &Direction);
        let has_peer = self.socket.socket().remote_address().is_ok();
        if has_peer {
            return self.send(number, of, self.socket.send(&data)).await;
        }
        match dice(4) {
            0 => {
                let host = if one_in(4) { NO_HOST } else { HOST };
                self.send(number, of, self.socket.send_to_host(&data, host, server.port())).await;
            }
            1 => {
                let options = SendOptions::to(server);
                self.send(number, of, self.socket.send_with(&data, &options)).await;
            }
            _ => self.send(number, of, self.socket.send_to(&data, server)).await,
        }
    }
}

/// A server that sends everything back, and clients, each with several tasks.
pub(crate) fn datagrams(world: &World) -> std::result::Result<(), String> {
    let (Ok(here), Ok(there)) = (world.environment("server"), world.environment("clients")) else {
        return Ok(());
    };
    let model = Rc::<Model>::default();
    let bound = AsyncUdpSocket::bind(&here, (world.loopback(), 0).into());
    let bound = bound.and_then(|socket| Ok((socket.address()?, socket)));
    let Ok((address, socket)) = bound else { return world.run() };
    set_addresses(HOST, &[address.ip()]);
    let server = Side::new(&here, socket, &model);
    let (receiving, sending) = (Tasks::default(), Tasks::default());
    (0..=dice(3)).for_each(|_| receiving.spawn(&here, server.clone().answer()));
    drop(server);
    for _ in 0..=dice(3) {
        let options = UdpSocketOptions::v4().error_queue(one_in(3));
        let client = Side::new(&there, AsyncUdpSocket::new(&there, options), &model);
        (0..=dice(2)).for_each(|_| receiving.spawn(&there, client.clone().take()));
        (0..=dice(3)).for_each(|_| sending.spawn(&there, client.clone().talk(address)));
        if one_in(2) {
            world.run_for(some_time())?;
        }
    }
    if one_in(5) {
        // Everything is dropped at some await.
        world.run_for(some_time())?;
        sending.abort();
    } else {
        world.run_until(|| sending.are_over() && model.there.is_complete() && model.back.is_complete())?;
    }
    receiving.abort();
    world.run()?;
    model.there.check();
    model.back.check();
    // Another task may have given a socket its peer.
    let caused = |error: &Error| {
        error.code() == ErrorCode::IsConnected
            || error.errno().is_some() && error.to_string().contains(NO_HOST)
    };
    let errors = model.errors.borrow();
    let wild = errors.iter().find(|error| !caused(error));
    assert!(wild.is_none() || world.has_met(|fault| !is_passing(fault)), "without a cause: {wild:?}");
    Ok(())
}
