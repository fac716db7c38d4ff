//! What a loop lends to its sockets of datagrams, one at a time, so that an idle socket holds no memory.

use super::outgoing::Outgoing;
use crate::sys::slots::Slots;
use std::cell::Cell;

/// The buffers of a loop for datagrams. They are allocated on first use.
#[derive(Default)]
pub(crate) struct Lent {
    slots: Cell<Option<Box<Slots>>>,
    /// An empty queue, kept so that a send need not allocate one.
    spare_output: Cell<Option<Box<Outgoing>>>,
}

impl Lent {
    /// Lends the receive buffers for one call. Return them with [`return_slots`](Self::return_slots); if a panic drops
    /// them, the next call allocates new ones.
    pub(super) fn lend_slots(&self) -> Box<Slots> {
        self.slots.take().unwrap_or_else(|| Box::new(Slots::new()))
    }

    pub(super) fn return_slots(&self, slots: Box<Slots>) {
        self.slots.set(Some(slots));
    }

    pub(super) fn take_output(&self) -> Box<Outgoing> {
        self.spare_output.take().unwrap_or_default()
    }

    pub(super) fn return_output(&self, output: Box<Outgoing>) {
        self.spare_output.set(Some(output));
    }
}
