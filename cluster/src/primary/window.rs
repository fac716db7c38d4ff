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
    use crate::seeds::{Dice, each_seed};

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

    /// What the model knows of a connection in flight.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Known {
        connection: u32,
        socket: SocketId,
        batch: u32,
        sent_at: Option<Duration>,
    }

    /// The connections in flight, in one list.
    #[derive(Default)]
    struct Model(Vec<Known>);

    impl Model {
        /// A connection joins the newest batch if that waits to be sent, is of its socket and has room.
        fn push(&mut self, socket: SocketId, connection: u32, batches: &mut u32) {
            let joins = self.0.last().is_some_and(|last| {
                let size = self.0.iter().filter(|known| known.batch == last.batch).count();
                last.sent_at.is_none() && last.socket == socket && size < BATCH
            });
            *batches += u32::from(!joins);
            self.0.push(Known { connection, socket, batch: *batches, sent_at: None });
        }

        /// The oldest batch that was sent, or was not.
        fn oldest(&self, is_sent: bool) -> Vec<Known> {
            let first = self.0.iter().find(|known| known.sent_at.is_some() == is_sent);
            self.0
                .iter()
                .filter(|known| first.is_some_and(|first| first.batch == known.batch))
                .copied()
                .collect()
        }
    }

    /// An acknowledgement of the oldest batch, or of something that it may not name.
    fn acknowledge(window: &mut Window<u32>, model: &mut Model, dice: &mut Dice) {
        let batch = model.oldest(true);
        let bits = dice.roll(usize::MAX) as u64;
        let fitting = bits & u64::MAX.checked_shr(64 - batch.len() as u32).unwrap_or(0);
        let (id, refused) = match dice.roll(8) {
            0 => (dice.roll(400) as u32, fitting),
            1 => (batch.first().map_or(0, |first| first.batch), bits),
            _ => (batch.first().map_or(0, |first| first.batch), fitting),
        };
        let is_right = batch.first().is_some_and(|first| first.batch == id) && refused == fitting;
        let said = window.acknowledge(BatchId(id), refused);
        if !is_right {
            assert_eq!(said, Err(ProtocolError::Unexpected));
            return;
        }
        let numbered = batch.iter().enumerate();
        let refused: Vec<u32> = numbered
            .filter(|(index, _)| refused >> index & 1 != 0)
            .map(|(_, known)| known.connection)
            .collect();
        let taken = batch.len() - refused.len();
        assert_eq!(said, Ok(Acknowledged { socket: batch[0].socket, taken, refused }));
        model.0.retain(|known| known.batch != id);
    }

    #[test]
    fn a_window_does_what_a_list_of_connections_does() {
        each_seed(200, |mut dice| {
            let (mut window, mut model) = (Window::default(), Model::default());
            // How seldom a turn ends: often, or so that batches are full.
            let rest = 1 + dice.roll(60);
            let (mut now, mut batches) = (Duration::ZERO, 0);
            for connection in 0..600 {
                match dice.roll(10) {
                    0..5 => {
                        let socket = if dice.roll(30) == 0 { TWO } else { ONE };
                        // Without room connections come too, when a socket closes.
                        window.push(socket, connection);
                        model.push(socket, connection, &mut batches);
                    }
                    5 | 6 if dice.roll(rest) == 0 => {
                        let expected = model.oldest(false);
                        let batch =
                            window.next_batch(now).map(|batch| (batch.id.0, batch.connections.clone()));
                        let connections = expected.iter().map(|known| known.connection).collect();
                        assert_eq!(batch, expected.first().map(|first| (first.batch, connections)));
                        let is_it = |known: &&mut Known| expected.iter().any(|one| one.batch == known.batch);
                        model.0.iter_mut().filter(is_it).for_each(|known| known.sent_at = Some(now));
                    }
                    7 | 8 => acknowledge(&mut window, &mut model, &mut dice),
                    _ => now += PATIENCE / 4,
                }
                if dice.roll(100) == 0 {
                    let left: Vec<_> =
                        model.0.drain(..).map(|known| (known.socket, known.connection)).collect();
                    assert_eq!(window.take_all(), left);
                }
                assert_eq!(window.in_flight(), model.0.len());
                assert_eq!(window.has_room(), model.0.len() < WINDOW);
                let oldest = model.oldest(true).first().and_then(|first| first.sent_at);
                assert_eq!(window.is_overdue(now), oldest.is_some_and(|sent_at| now - sent_at >= PATIENCE));
            }
        });
    }
}
