//! A socket's share of a turn: a peer that sends, or takes, without end does not keep the loop from other handles. Mirrors the
//! count in libuv's `uv__read` (`src/unix/stream.c`); here it bounds a task that awaits again and again what is ready at once.

use async_wrap::{Environment, Immediate};
use std::cell::Cell;
use std::task::{Context, Poll};

/// Calls that are ready at once, without a turn of the loop between them: libuv's number.
const AT_ONCE: u32 = 32;

/// The calls that are left. A turn of the loop [renews](Self::renew) them.
pub(super) struct Share(Cell<u32>);

impl Default for Share {
    fn default() -> Self {
        Self(Cell::new(AT_ONCE))
    }
}

impl Share {
    /// Takes a call, if one is left.
    pub(super) fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }

    pub(super) fn renew(&self) {
        self.0.set(AT_ONCE);
    }
}

/// A future's wait until the loop has polled for events. Dropping it leaves nothing in the loop.
#[derive(Default)]
pub(super) struct Turn(Cell<Option<Immediate>>);

impl Turn {
    pub(super) fn wait<T>(&self, env: &Environment, context: &Context<'_>) -> Poll<T> {
        let waker = context.waker().clone();
        let last = self.0.replace(Some(env.set_immediate(|| waker.wake())));
        last.iter().for_each(Immediate::clear);
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.take().iter().for_each(Immediate::clear);
    }
}

/// Pending until the loop has polled for events.
pub(super) fn wait_for_a_turn<T>(env: &Environment, context: &Context<'_>) -> Poll<T> {
    let waker = context.waker().clone();
    env.set_immediate(|| waker.wake());
    Poll::Pending
}
