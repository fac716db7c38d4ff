//! The connections that a worker was handed and has not acknowledged: what keeps them from being lost or served twice.
//!
//! A connection goes from the outgoing part, where the connections of one turn are collected, to the sent part, where a
//! batch waits for its acknowledgement. Whatever is in here when the worker is gone belongs to nobody, so another may
//! have it; what was acknowledged is not in here any more. Node has one connection in flight for each worker, and a
//! round trip between any two.

use crate::channel::message::{BATCH, ProtocolError};
use std::collections::VecDeque;
use std::time::Duration;

/// Connections in flight for one worker: as many as the primary accepts in a turn. Fewer would make a burst uneven, as
/// whoever is a moment late is passed over; more would wait for a worker that is busy while others are not.
pub(crate) const WINDOW: usize = 64;

/// How long a worker may look at a batch before it is passed over: many times what a loop's turn takes, so that those
/// who work are even, and little to those who wait with a worker that stands still.
const PATIENCE: Duration = Duration::from_millis(50);

const _: () = assert!(WINDOW <= BATCH, "a window fits into one batch");

/// Connections of one listening socket, in one message.
#[derive(Debug)]
pub(crate) struct Batch<C> {
    pub(crate) id: u32,
    /// The listening socket.
    pub(crate) key: u32,
    pub(crate) connections: Vec<C>,
    /// By the loop's clock.
    sent_at: Duration,
}

/// What an acknowledgement says.
#[derive(Debug, PartialEq)]
pub(crate) struct Acknowledged<C> {
    pub(crate) key: u32,
    pub(crate) taken: usize,
    pub(crate) refused: Vec<C>,
}

/// One worker's connections in flight.
#[derive(Debug)]
pub(crate) struct Window<C> {
    outgoing: VecDeque<Batch<C>>,
    sent: VecDeque<Batch<C>>,
    in_flight: usize,
    last_batch: u32,
}

impl<C> Default for Window<C> {
    fn default() -> Self {
        Self { outgoing: VecDeque::new(), sent: VecDeque::new(), in_flight: 0, last_batch: 0 }
    }
}

impl<C: Clone> Window<C> {
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn has_room(&self) -> bool {
        self.in_flight < WINDOW
    }

    /// Whether the oldest batch has waited too long for its acknowledgement.
    pub(crate) fn is_overdue(&self, now: Duration) -> bool {
        self.sent.front().is_some_and(|batch| now.saturating_sub(batch.sent_at) >= PATIENCE)
    }

    /// Adds a connection to those that are to be sent.
    pub(crate) fn push(&mut self, key: u32, connection: C) {
        self.in_flight += 1;
        match self.outgoing.back_mut() {
            Some(batch) if batch.key == key && batch.connections.len() < BATCH => {
                batch.connections.push(connection)
            }
            _ => {
                self.last_batch = self.last_batch.wrapping_add(1);
                let (id, connections, sent_at) = (self.last_batch, vec![connection], Duration::ZERO);
                self.outgoing.push_back(Batch { id, key, connections, sent_at });
            }
        }
    }

    /// The next batch to send, which is then waited for.
    pub(crate) fn next_batch(&mut self, now: Duration) -> Option<&Batch<C>> {
        let mut batch = self.outgoing.pop_front()?;
        batch.sent_at = now;
        self.sent.push_back(batch);
        self.sent.back()
    }

    /// The worker has looked at its oldest batch.
    pub(crate) fn acknowledge(&mut self, id: u32, refused: u64) -> Result<Acknowledged<C>, ProtocolError> {
        let is_oldest = |batch: &Batch<C>| batch.id == id && refused_fit(batch, refused);
        if !self.sent.front().is_some_and(is_oldest) {
            return Err(ProtocolError::Unexpected);
        }
        let batch = self.sent.pop_front().ok_or(ProtocolError::Unexpected)?;
        let count = batch.connections.len();
        self.in_flight -= count;
        let numbered = batch.connections.into_iter().enumerate();
        let refused: Vec<C> = numbered
            .filter(|(index, _)| refused >> index & 1 != 0)
            .map(|(_, connection)| connection)
            .collect();
        Ok(Acknowledged { key: batch.key, taken: count - refused.len(), refused })
    }

    /// Everything in flight, the oldest first, each with its listening socket: the worker is gone.
    pub(crate) fn take_all(&mut self) -> Vec<(u32, C)> {
        self.in_flight = 0;
        let batches = self.sent.drain(..).chain(self.outgoing.drain(..));
        batches.flat_map(|batch| batch.connections.into_iter().map(move |one| (batch.key, one))).collect()
    }
}

fn refused_fit<C>(batch: &Batch<C>, refused: u64) -> bool {
    refused.checked_shr(batch.connections.len() as u32).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(window: &mut Window<u32>) -> (u32, u32, Vec<u32>) {
        let batch = window.next_batch(Duration::ZERO).expect("a batch");
        (batch.id, batch.key, batch.connections.clone())
    }

    #[test]
    fn what_is_pushed_in_one_turn_is_one_batch_per_listening_socket() {
        let mut window = Window::default();
        for (key, connection) in [(1, 10), (1, 11), (2, 20), (1, 12)] {
            window.push(key, connection);
        }
        assert_eq!(sent(&mut window), (1, 1, vec![10, 11]));
        assert_eq!(sent(&mut window), (2, 2, vec![20]));
        assert_eq!(sent(&mut window), (3, 1, vec![12]));
        assert!(window.next_batch(Duration::ZERO).is_none());
        assert_eq!(window.in_flight(), 4);
    }

    #[test]
    fn an_acknowledgement_frees_its_batch_and_gives_the_refused_back() {
        let mut window = Window::default();
        for connection in 0..4 {
            window.push(1, connection);
        }
        let (id, ..) = sent(&mut window);
        window.push(1, 4);
        let said = window.acknowledge(id, 0b1010).expect("the oldest batch");
        assert_eq!(said, Acknowledged { key: 1, taken: 2, refused: vec![1, 3] });
        assert_eq!(window.in_flight(), 1);
    }

    #[test]
    fn a_batch_is_acknowledged_once_in_order_and_only_if_it_was_sent() {
        let mut window = Window::default();
        window.push(1, 0);
        assert_eq!(window.acknowledge(1, 0), Err(ProtocolError::Unexpected), "not sent");
        sent(&mut window);
        window.push(1, 1);
        sent(&mut window);
        assert_eq!(window.acknowledge(2, 0), Err(ProtocolError::Unexpected), "not the oldest");
        assert_eq!(window.acknowledge(1, 0b10), Err(ProtocolError::Unexpected), "no such connection");
        assert!(window.acknowledge(1, 0).is_ok());
        assert_eq!(window.acknowledge(1, 0), Err(ProtocolError::Unexpected), "twice");
    }

    #[test]
    fn the_window_is_full_until_something_is_acknowledged() {
        let mut window = Window::default();
        for connection in 0..WINDOW as u32 {
            assert!(window.has_room());
            window.push(1, connection);
        }
        assert!(!window.has_room());
        let (id, ..) = sent(&mut window);
        window.acknowledge(id, u64::MAX >> (64 - WINDOW)).expect("all refused");
        assert!(window.has_room());
    }

    #[test]
    fn a_batch_is_overdue_from_when_it_was_sent_until_it_is_acknowledged() {
        let mut window = Window::default();
        window.push(1, 0);
        assert!(!window.is_overdue(PATIENCE), "not sent");
        window.next_batch(PATIENCE);
        window.push(1, 1);
        window.next_batch(PATIENCE * 3);
        assert!(!window.is_overdue(PATIENCE * 2 - Duration::from_nanos(1)));
        assert!(window.is_overdue(PATIENCE * 2));
        window.acknowledge(1, 0).expect("the oldest batch");
        assert!(!window.is_overdue(PATIENCE * 3), "the next one was sent later");
    }

    #[test]
    fn a_worker_that_is_gone_leaves_everything_unacknowledged_behind() {
        let mut window = Window::default();
        window.push(1, 10);
        let (id, ..) = sent(&mut window);
        window.push(1, 11);
        window.push(2, 20);
        sent(&mut window);
        window.acknowledge(id, 0).expect("the oldest batch");
        window.push(1, 12);
        assert_eq!(window.take_all(), [(1, 11), (2, 20), (1, 12)]);
        assert_eq!((window.in_flight(), window.take_all()), (0, vec![]));
    }
}
