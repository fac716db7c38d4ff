//! libuv's `ping_udp1` and `udp_pummel_…`: datagrams from one loop to itself.

use crate::Result;
use crate::subjects::serving::ANYWHERE;
use crate::subjects::solo::{DATAGRAM, check, measure};
use std::cell::Cell;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::rc::Rc;
use uv_core::udp::{Envelope, SendOptions, Udp, UdpOptions};
use uv_core::upcall::UdpUpcall;
use uv_core::{Loop, RunMode};

const PING: &[u8] = b"PING";

/// One operation is a datagram that comes back.
pub(crate) fn ping(ops: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    let (server, client) = (Udp::new(&event_loop), Udp::new(&event_loop));
    server.bind(ANYWHERE, &UdpOptions::default())?;
    server.receive_start_with(|server: &Udp, data: &[u8], envelope: &Envelope| {
        // Without an answer the client waits in vain, and the time limit of the benchmark ends it.
        let _ = server.try_send(data, &SendOptions::to(envelope.from));
    })?;
    let to = SendOptions::to(server.local_addr()?);
    let left = Rc::new(Cell::new(0_u64));
    let counter = Rc::clone(&left);
    client.receive_start_with(move |client: &Udp, _: &[u8], _: &Envelope| {
        counter.set(counter.get().saturating_sub(1));
        if counter.get() == 0 || client.try_send(PING, &to).is_err() {
            client.loop_handle().stop();
        }
    })?;
    measure(ops, |count| {
        left.set(count);
        client.try_send(PING, &to)?;
        event_loop.run(RunMode::Default)?;
        check(count - left.get(), count)
    })
}

/// One operation is a datagram from the one sender to the one receiver.
pub(crate) fn pummel_1v1(ops: u64) -> Result<()> {
    pummel(ops, 1)
}

/// One operation is a datagram from one of ten senders, each to a receiver of its own.
pub(crate) fn pummel_10v10(ops: u64) -> Result<()> {
    pummel(ops, 10)
}

fn pummel(ops: u64, pairs: usize) -> Result<()> {
    let event_loop = Loop::new()?;
    let load = Rc::new(Load::default());
    let mut senders = Vec::new();
    for _ in 0..pairs {
        let (sender, receiver) = (Udp::new(&event_loop), Udp::new(&event_loop));
        receiver.bind(ANYWHERE, &UdpOptions::default())?;
        let counter = Rc::clone(&load);
        receiver.receive_start_with(move |_: &Udp, _: &[u8], _: &Envelope| {
            counter.received.set(counter.received.get() + 1);
        })?;
        let to = receiver.local_addr()?;
        sender.set_upcall(Sender { load: Rc::clone(&load), to });
        senders.push((sender, to));
    }
    measure(ops, |count| {
        load.to_send.set(count);
        load.to_end.set(count);
        senders.iter().try_for_each(|(sender, to)| load.send_one(sender, *to))?;
        event_loop.run(RunMode::Default)?;
        check(count - load.to_end.get(), count)
    })?;
    // Datagrams may be lost, but not all of them.
    if load.received.get() == 0 { Err("no datagram came".into()) } else { Ok(()) }
}

#[derive(Default)]
struct Load {
    to_send: Cell<u64>,
    to_end: Cell<u64>,
    received: Cell<u64>,
}

/// Sends the next datagram when the last one is sent.
struct Sender {
    load: Rc<Load>,
    to: SocketAddr,
}

impl Load {
    fn send_one(&self, sender: &Udp, to: SocketAddr) -> uv_core::Result<()> {
        let left = self.to_send.get();
        if left == 0 {
            return Ok(());
        }
        self.to_send.set(left - 1);
        sender.send_copy(&DATAGRAM.map(IoSlice::new), &SendOptions::to(to))
    }
}

impl UdpUpcall for Sender {
    fn on_receive(&mut self, _: &Udp, _: &[u8], _: &Envelope) {}

    fn on_send(&mut self, sender: &Udp, result: uv_core::Result<()>) {
        self.load.to_end.set(self.load.to_end.get().saturating_sub(u64::from(result.is_ok())));
        if self.load.to_end.get() == 0 || self.load.send_one(sender, self.to).is_err() {
            sender.loop_handle().stop();
        }
    }
}
