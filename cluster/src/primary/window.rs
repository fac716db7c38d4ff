//! The connections that a worker was handed and has not acknowledged. The window keeps them from being lost or served
//! twice.
//!
//! A connection goes from the outgoing part, which collects the connections of one turn, to the sent part, where a batch
//! waits for its acknowledgement. When the worker dies, another worker gets what is in here; acknowledged connections
//! have left the window. Node has one connection in flight per worker, and a round trip between any two.

use crate::channel::ids::{BatchId, SocketId};
use crate::channel::message::{BATCH, ProtocolError};
use std::collections::VecDeque;
use std::time::Duration;

/// Connections in flight for one worker: as many as the primary accepts in a turn. Fewer would make a burst uneven, since
/// a worker that is a moment late is passed over; more would wait for a busy worker while others are idle.
pub(super) const WINDOW: usize = 64;

/// A worker that has not acknowledged a batch for this long is passed over: many times the length of a loop's turn, so
/// that busy workers stay even, and short for clients of a worker that stands still.
const PATIENCE: Duration = Duration::from_millis(50);

const _: () = assert!(WINDOW <= BATCH, "a window fits into one batch");

/// Connections of one listening socket, in one message.
#[derive(Debug)]
pub(super) struct Batch<C> {
    pub(super) id: BatchId,
    /// The listening socket.
    pub(super) socket: SocketId,
    pub(super) connections: Vec<C>,
    /// The time of the loop's clock.
    sent_at: Duration,
}

/// The result of an acknowledgement.
#[derive(Debug, PartialEq)]
pub(super) struct Acknowledged<C> {
    pub(super) socket: SocketId,
    pub(super) taken: usize,
    pub(super) refused: Vec<C>,
}

/// One worker's connections in flight.
#[derive(Debug)]
pub(super) struct Window<C> {
    outgoing: VecDeque<Batch<C>>,
    sent: VecDeque<Batch<C>>,
    in_flight: usize,
    last_batch: BatchId,
}

impl<C> Default for Window<C> {
    fn default() -> Self {
        Self { outgoing: VecDeque::new(), sent: VecDeque::new(), in_flight: 0, last_batch: BatchId(0) }
    }
}

impl<C: Clone> Window<C> {
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn has_room(&self) -> bool {
        self.in_flight < WINDOW
    }

    /// Whether the acknowledgement of the oldest batch is overdue.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        self.sent.front().is_some_and(|batch| now.saturating_sub(batch.sent_at) >= PATIENCE)
    }

    /// Adds a connection to the outgoing part.
    pub(super) fn push(&mut self, socket: SocketId, connection: C) {
        self.in_flight += 1;
        match self.outgoing.back_mut() {
            Some(batch) if batch.socket == socket && batch.connections.len() < BATCH => {
                batch.connections.push(connection)
            }
            _ => {
                self.last_batch.0 = self.last_batch.0.wrapping_add(1);
                let (id, connections, sent_at) = (self.last_batch, vec![connection], Duration::ZERO);
                self.outgoing.push_back(Batch { id, socket, connections, sent_at });
            }
        }
    }

    /// Moves the next batch to the sent part.
    pub(super) fn next_batch(&mut self, now: Duration) -> Option<&Batch<C>> {
        let mut batch = self.outgoing.pop_front()?;
        batch.sent_at = now;
        self.sent.push_back(batch);
        self.sent.back()
    }

    /// The worker acknowledged its oldest batch.
    pub(super) fn acknowledge(
        &mut self,
        id: BatchId,
        refused: u64,
    ) -> Result<Acknowledged<C>, ProtocolError> {
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
        Ok(Acknowledged { socket: batch.socket, taken: count - refused.len(), refused })
    }

    /// Empties the window of a dead worker: all connections, the oldest first, each with its listening socket.
    pub(super) fn take_all(&mut self) -> Vec<(SocketId, C)> {
        self.in_flight = 0;
        let batches = self.sent.drain(..).chain(self.outgoing.drain(..));
        batches.flat_map(|batch| batch.connections.into_iter().map(move |one| (batch.socket, one))).collect()
    }
}

fn refused_fit<C>(batch: &Batch<C>, refused: u64) -> bool {
    refused.checked_shr(batch.connections.len() as u32).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SocketId = SocketId(1);
    const TWO: SocketId = SocketId(2);

    fn sent(window: &mut Window<u32>) -> (BatchId, SocketId, Vec<u32>) {
        let batch = window.next_batch(Duration::ZERO).expect("a batch");
        (batch.id, batch.socket, batch.connections.clone())
    }

    #[test]
    fn what_is_pushed_in_one_turn_is_one_batch_per_listening_socket() {
        let mut window = Window::default();
        for (socket, connection) in [(ONE, 10), (ONE, 11), (TWO, 20), (ONE, 12)] {
            window.push(socket, connection);
        }
        assert_eq!(sent(&mut window), (BatchId(1), ONE, vec![10, 11]));
        assert_eq!(sent(&mut window), (BatchId(2), TWO, vec![20]));
        assert_eq!(sent(&mut window), (BatchId(3), ONE, vec![12]));
        assert!(window.next_batch(Duration::ZERO).is_none());
        assert_eq!(window.in_flight(), 4);
    }

    #[test]
    fn an_acknowledgement_frees_its_batch_and_gives_the_refused_back() {
        let mut window = Window::default();
        for connection in 0..4 {
            window.push(ONE, connection);
        }
        let (id, ..) = sent(&mut window);
        window.push(ONE, 4);
        let said = window.acknowledge(id, 0b1010).expect("the oldest batch");
        assert_eq!(said, Acknowledged { socket: ONE, taken: 2, refused: vec![1, 3] });
        assert_eq!(window.in_flight(), 1);
    }

    #[test]
    fn a_batch_is_acknowledged_once_in_order_and_only_if_it_was_sent() {
        let mut window = Window::default();
        window.push(ONE, 0);
        assert_eq!(window.acknowledge(BatchId(1), 0), Err(ProtocolError::Unexpected), "not sent");
        sent(&mut window);
        window.push(ONE, 1);
        sent(&mut window);
        assert_eq!(window.acknowledge(BatchId(2), 0), Err(ProtocolError::Unexpected), "not the oldest");
        assert_eq!(
            window.acknowledge(BatchId(1), 0b10),
            Err(ProtocolError::Unexpected),
            "no such connection"
        );
        assert!(window.acknowledge(BatchId(1), 0).is_ok());
        assert_eq!(window.acknowledge(BatchId(1), 0), Err(ProtocolError::Unexpected), "twice");
    }

    #[test]
    fn the_window_is_full_until_something_is_acknowledged() {
        let mut window = Window::default();
        for connection in 0..WINDOW as u32 {
            assert!(window.has_room());
            window.push(ONE, connection);
        }
        assert!(!window.has_room());
        let (id, ..) = sent(&mut window);
        window.acknowledge(id, u64::MAX >> (64 - WINDOW)).expect("all refused");
        assert!(window.has_room());
    }

    #[test]
    fn a_batch_is_overdue_from_when_it_was_sent_until_it_is_acknowledged() {
        let mut window = Window::default();
        window.push(ONE, 0);
        assert!(!window.is_overdue(PATIENCE), "not sent");
        window.next_batch(PATIENCE);
        window.push(ONE, 1);
        window.next_batch(PATIENCE * 3);
        assert!(!window.is_overdue(PATIENCE * 2 - Duration::from_nanos(1)));
        assert!(window.is_overdue(PATIENCE * 2));
        window.acknowledge(BatchId(1), 0).expect("the oldest batch");
        assert!(!window.is_overdue(PATIENCE * 3), "the next one was sent later");
    }

    #[test]
    fn a_worker_that_is_gone_leaves_everything_unacknowledged_behind() {
        let mut window = Window::default();
        window.push(ONE, 10);
        let (id, ..) = sent(&mut window);
        window.push(ONE, 11);
        window.push(TWO, 20);
        sent(&mut window);
        window.acknowledge(id, 0).expect("the oldest batch");
        window.push(ONE, 12);
        assert_eq!(window.take_all(), [(ONE, 11), (TWO, 20), (ONE, 12)]);
        assert_eq!((window.in_flight(), window.take_all()), (0, vec![]));
    }
}
