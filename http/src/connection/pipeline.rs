//! The exchanges of a connection: the requests whose responses are due, the oldest first. Mirrors `state.outgoing` and
//! `state.outgoingData` of Node's `connectionListenerInternal`.
//!
//! Responses go out in the order of the requests: only the oldest exchange writes, and what later ones write is held in
//! them. Most requests are alone until their response is written: for those the list is one place.

use super::exchange::{Exchange, Phase};
use std::cell::Cell;

/// Requests of one connection that may wait for their responses; more of them stay undecoded. Each is a record of a few
/// hundred bytes that costs the client twenty.
const MAX_PIPELINED: u32 = 64;

/// The exchanges of one connection, numbered in the order of the requests.
#[derive(Default)]
pub(crate) struct Pipeline {
    oldest: Cell<Option<Box<Exchange>>>,
    /// The number of the newest exchange, which may have left.
    newest: Cell<u32>,
    /// Bytes that are held in all exchanges.
    held: Cell<usize>,
}

impl Pipeline {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.with_oldest(|_| ()).is_none()
    }

    pub(super) fn is_full(&self) -> bool {
        self.oldest_number().is_some_and(|oldest| self.newest().wrapping_sub(oldest) >= MAX_PIPELINED - 1)
    }

    #[inline]
    pub(super) fn newest(&self) -> u32 {
        self.newest.get()
    }

    #[inline]
    pub(super) fn next_number(&self) -> u32 {
        self.newest.get().wrapping_add(1)
    }

    pub(super) fn oldest_number(&self) -> Option<u32> {
        self.with_oldest(|oldest| oldest.number)
    }

    /// The numbers of all exchanges, the oldest first.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        let oldest = self.oldest_number();
        let count = oldest.map_or(0, |oldest| self.newest().wrapping_sub(oldest) + 1);
        (0..count).map(move |index| oldest.unwrap_or_default().wrapping_add(index))
    }

    /// Whether the newest request is the only one, and its response is written.
    pub(crate) fn is_newest_complete(&self) -> bool {
        let is_it =
            |exchange: &mut Exchange| exchange.number == self.newest() && exchange.phase == Phase::Ended;
        self.with_oldest(is_it) == Some(true)
    }

    pub(super) fn held(&self) -> usize {
        self.held.get()
    }

    /// Appends an exchange; returns its number.
    #[inline]
    pub(super) fn push(&self, mut exchange: Box<Exchange>) -> u32 {
        let number = self.next_number();
        exchange.number = number;
        self.newest.set(number);
        if let Some(oldest) = self.oldest.replace(Some(exchange)) {
            self.push_behind(oldest);
        }
        number
    }

    /// Puts `oldest` and those behind it before the exchange that has their place.
    #[inline(never)]
    fn push_behind(&self, mut oldest: Box<Exchange>) {
        let newest = self.oldest.take();
        let mut end = &mut oldest.next;
        while let Some(exchange) = end {
            end = &mut exchange.next;
        }
        *end = newest;
        self.oldest.set(Some(oldest));
    }

    /// Works on the exchange of this number, if its response is due; `is_oldest` tells whether it may write. `work` calls
    /// no handler.
    #[inline]
    pub(crate) fn with<R>(&self, number: u32, work: impl FnOnce(&mut Exchange, bool) -> R) -> Option<R> {
        let mut oldest = self.oldest.take()?;
        let mut is_oldest = true;
        let mut at = Some(&mut oldest);
        let mut result = None;
        while let Some(exchange) = at {
            if exchange.number == number {
                result = Some(work(exchange, is_oldest));
                break;
            }
            is_oldest = false;
            at = exchange.next.as_mut();
        }
        self.oldest.set(Some(oldest));
        result
    }

    /// Works on the oldest exchange. `work` calls no handler.
    #[inline]
    pub(super) fn with_oldest<R>(&self, work: impl FnOnce(&mut Exchange) -> R) -> Option<R> {
        let mut oldest = self.oldest.take()?;
        let result = work(&mut oldest);
        self.oldest.set(Some(oldest));
        Some(result)
    }

    /// Takes the oldest exchange out if `leaves` returns `true`.
    #[inline]
    pub(super) fn pop_if(&self, leaves: impl FnOnce(&mut Exchange) -> bool) -> Option<Box<Exchange>> {
        let mut oldest = self.oldest.take()?;
        if !leaves(&mut oldest) {
            self.oldest.set(Some(oldest));
            return None;
        }
        if oldest.next.is_some() {
            self.oldest.set(oldest.next.take());
        }
        Some(oldest)
    }

    pub(super) fn pop(&self) -> Option<Box<Exchange>> {
        self.pop_if(|_| true)
    }

    /// Holds output of an exchange until it is its turn.
    pub(crate) fn hold(&self, exchange: &mut Exchange, write: impl FnOnce(&Exchange, &mut Vec<u8>)) {
        let mut held = std::mem::take(&mut exchange.extra_mut().held);
        let before = held.len();
        write(exchange, &mut held);
        self.held.set(self.held.get() + held.len() - before);
        exchange.extra_mut().held = held;
    }

    /// Hands out what an exchange held, now that it is its turn.
    pub(super) fn release(&self, exchange: &mut Exchange, send: impl FnOnce(&[u8])) {
        let held = &mut exchange.extra_mut().held;
        self.held.set(self.held.get() - held.len());
        send(held);
        held.clear();
    }
}
