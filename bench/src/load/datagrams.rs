//! The clients of datagrams: so many are under way, and what comes back is compared. They are sent when half of them have
//! come back, so that a server finds several at once. What does not come back is an error: on one machine nothing is lost
//! while the buffers of the sockets have room.

use super::echo::message;
use super::options::LEAST_DATAGRAM;
use super::tally::{Report, Tally};
use crate::Result;
use crate::batch::{BATCH, Batch};
use crate::poller::{EventFlags, Poller};
use crate::sockets::Address;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

/// What takes longer is lost.
const PATIENCE: Duration = Duration::from_millis(200);

pub(crate) struct Datagrams {
    socket: UdpSocket,
    poller: Poller,
    batch: Batch,
    /// A datagram under way is in one of so many places, which its number tells.
    places: Vec<Place>,
    /// The places without a datagram under way.
    free: Vec<usize>,
    /// The datagrams of the next call.
    next: Vec<Vec<u8>>,
    content: Vec<u8>,
    tally: Tally,
    /// Datagrams that may still be sent.
    left: u64,
}

struct Place {
    /// The number of its datagram, or of its next one.
    number: u64,
    sent: Instant,
}

impl Datagrams {
    /// Clients of the server with so many datagrams of `size` bytes under way, and `operations` of them together.
    pub(crate) fn new(
        server: &Address,
        size: usize,
        under_way: usize,
        operations: Option<u64>,
    ) -> Result<Self> {
        let Address::Tcp(server) = server else { return Err("a server of datagrams has no path".into()) };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server)?;
        let poller = Poller::new()?;
        poller.add(&socket, 0, EventFlags::IN)?;
        let place = |number| Place { number: number as u64, sent: Instant::now() };
        Ok(Self {
            socket,
            poller,
            batch: Batch::new(),
            places: (0..under_way).map(place).collect(),
            free: (0..under_way).collect(),
            next: Vec::new(),
            content: message(size),
            tally: Tally::new()?,
            left: operations.unwrap_or(u64::MAX),
        })
    }

    /// Works until the time is over and all that was sent has come back or is lost.
    pub(crate) fn run(&mut self, time: Duration) -> Result<Report> {
        self.tally.restart();
        let limit = Instant::now() + time;
        loop {
            let is_over = self.left == 0 || Instant::now() >= limit || self.tally.is_hopeless();
            if !is_over && self.free.len() * 2 >= self.places.len() {
                self.send();
            }
            if is_over && self.free.len() == self.places.len() {
                return Ok(self.tally.report());
            }
            if self.poller.wait(Some(PATIENCE))? == 0 {
                self.lose_all();
            }
            match self.batch.receive(&self.socket) {
                Ok(_) => self.take(),
                Err(error) => self.tally.error("recv", error),
            }
        }
    }

    /// Fills the free places, in calls of a batch each.
    fn send(&mut self) {
        let wanted = self.free.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let now = Instant::now();
        for chunk in self.free.split_off(self.free.len() - wanted).chunks(BATCH) {
            self.next.resize_with(chunk.len(), || self.content.clone());
            for (&at, datagram) in chunk.iter().zip(&mut self.next) {
                self.places[at].sent = now;
                datagram[..LEAST_DATAGRAM].copy_from_slice(&self.places[at].number.to_le_bytes());
            }
            let sent = self.batch.send(&self.socket, &self.next).unwrap_or_else(|error| {
                self.tally.error("send", error);
                0
            });
            self.left -= sent as u64;
            self.free.extend(&chunk[sent..]);
        }
    }

    /// Takes the datagrams that have come back.
    fn take(&mut self) {
        let (now, places) = (Instant::now(), self.places.len() as u64);
        for datagram in self.batch.datagrams() {
            let number = datagram.first_chunk().map_or(u64::MAX, |number| u64::from_le_bytes(*number));
            let at = (number % places) as usize;
            let place = &mut self.places[at];
            if number != place.number || self.free.contains(&at) {
                // It counts as lost already, or comes twice.
                self.tally.error("late", format_args!("datagram {number}"));
                continue;
            }
            if datagram.len() != self.content.len()
                || datagram[LEAST_DATAGRAM..] != self.content[LEAST_DATAGRAM..]
            {
                self.tally.error("body", format_args!("datagram {number} differs"));
            } else {
                self.tally.answered(now - place.sent);
            }
            place.number += places;
            self.free.push(at);
        }
    }

    fn lose_all(&mut self) {
        for at in 0..self.places.len() {
            if !self.free.contains(&at) {
                self.tally.error("lost", format_args!("nothing came for {PATIENCE:?}"));
                self.places[at].number += self.places.len() as u64;
                self.free.push(at);
            }
        }
    }
}
