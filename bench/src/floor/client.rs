//! The floor of clients: level-triggered epoll, a request that is laid out in advance, and of the answer only its end.

use super::answer::Answer;
use super::answers::send_all;
use crate::Result;
use crate::poller::{EventFlags, Poller};
use crate::sockets::{self, Address};
use crate::subjects::asking::{Asking, Then};
use crate::subjects::orders::Orders;
use rustix::fd::{AsFd, OwnedFd};
use std::net::SocketAddr;

/// Bytes asked for by one receive.
const READ_BUFFER: usize = 64 * 1024;

struct Client {
    poller: Poller,
    request: Vec<u8>,
    connections: Vec<(OwnedFd, Answer)>,
    buffer: Vec<u8>,
}

impl Client {
    fn new(to: SocketAddr) -> Result<Self> {
        let request = format!("GET / HTTP/1.1\r\nHost: {to}\r\n\r\n").into_bytes();
        let buffer = vec![0; READ_BUFFER];
        Ok(Self { poller: Poller::new()?, request, connections: Vec::new(), buffer })
    }

    fn connect(&mut self, to: SocketAddr) -> Result<()> {
        let socket = sockets::connect(&Address::Tcp(to), None)?;
        self.poller.add(&socket, self.connections.len() as u64, EventFlags::IN)?;
        self.connections.push((socket, Answer::default()));
        Ok(())
    }

    fn ask(&self, slot: usize) -> Result<()> {
        Ok(send_all(self.connections[slot].0.as_fd(), &self.request)?)
    }

    /// The connections whose answer has come, of those with input now.
    fn answered(&mut self, mut each: impl FnMut(&Self, usize) -> Result<()>) -> Result<()> {
        for index in 0..self.poller.wait(None)? {
            let slot = self.poller.event(index).0 as usize;
            let (socket, answer) = &mut self.connections[slot];
            let count = sockets::recv(socket, &mut self.buffer)?;
            if count == Some(0) {
                return Err("the server has closed a connection".into());
            }
            if answer.take(&self.buffer[..count.unwrap_or_default()])? {
                each(self, slot)?;
            }
        }
        Ok(())
    }
}

/// Asks on so many connections at once, and again when an answer has come.
pub(crate) fn keep_alive(to: SocketAddr, connections: usize, mut asking: Asking) -> Result<()> {
    let mut client = Client::new(to)?;
    for _ in 0..connections {
        client.connect(to)?;
    }
    let begin = |client: &Client, asking: &mut Asking| {
        let slots = (0..connections).take_while(|_| asking.may_ask());
        slots.into_iter().try_for_each(|slot| client.ask(slot))
    };
    begin(&client, &mut asking)?;
    let mut has_ended = false;
    while !has_ended {
        client.answered(|client, slot| {
            match asking.answered() {
                Then::Ask => client.ask(slot)?,
                Then::Wait => {}
                Then::Begin => begin(client, &mut asking)?,
                Then::End => has_ended = true,
            }
            Ok(())
        })?;
    }
    asking.end()
}

/// Holds connections that have had an answer: as many as the orders say.
pub(crate) fn hold(to: SocketAddr) -> Result<()> {
    let mut client = Client::new(to)?;
    for batch in Orders::new(to.port()) {
        let batch = batch?;
        let first = client.connections.len();
        for slot in first..first + batch.count {
            client.connect(batch.to)?;
            client.ask(slot)?;
        }
        let mut left = batch.count;
        while left > 0 {
            client.answered(|_, _| {
                left -= 1;
                Ok(())
            })?;
        }
    }
    Ok(())
}
