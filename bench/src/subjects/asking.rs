//! What a client under measurement asks: so many requests on so many connections at once, in turns, after a warm-up that does
//! not depend on how many they are.

use super::Options;
use super::turns::Turns;
use crate::Result;
use std::num::NonZeroU64;

/// Requests before those that count, so that connections are made, memory is touched, and a compiler is done.
const WARM_UP: u64 = 5_000;

/// Default: requests that count.
const REQUESTS: u64 = 200_000;

/// What becomes of a connection whose answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It asks again.
    Ask,
    /// It waits for the others.
    Wait,
    /// All ask again, as far as they may: it was the last answer of a turn.
    Begin,
    /// There are no more requests.
    End,
}

/// The requests that may still begin, and the answers that are still to come.
pub(crate) struct Asking {
    turns: Turns,
    turn: u64,
    is_warming_up: bool,
    /// Requests of later turns.
    later: u64,
    unasked: u64,
    unanswered: u64,
}

impl Asking {
    pub(crate) fn new(options: &Options) -> Self {
        let ops = options.ops.unwrap_or(REQUESTS);
        Self {
            turns: Turns::new(ops, options.turn.map(NonZeroU64::get)),
            turn: options.turn.map_or(ops, NonZeroU64::get),
            is_warming_up: true,
            later: ops,
            unasked: WARM_UP,
            unanswered: 0,
        }
    }

    /// Takes one of the requests that may begin now, if any is left.
    pub(crate) fn may_ask(&mut self) -> bool {
        let is_left = self.unasked > 0;
        self.unasked -= u64::from(is_left);
        self.unanswered += u64::from(is_left);
        is_left
    }

    /// An answer has come. The last one of a turn waits here for the word to go on.
    pub(crate) fn answered(&mut self) -> Then {
        self.unanswered -= 1;
        if !self.is_warming_up {
            self.turns.did_one();
        }
        if self.may_ask() {
            return Then::Ask;
        }
        if self.unanswered > 0 { Then::Wait } else { self.next_turn() }
    }

    #[cold]
    fn next_turn(&mut self) -> Then {
        if std::mem::take(&mut self.is_warming_up) {
            self.turns.begin();
        }
        self.unasked = self.turn.min(self.later);
        self.later -= self.unasked;
        if self.unasked > 0 { Then::Begin } else { Then::End }
    }

    /// No answer will come any more.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.turns.end()
    }
}
