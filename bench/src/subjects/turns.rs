//! Operations in turns: `--turn N` has a program stop after each N operations, say what they cost, and wait to be told
//! to go on. So programs that take long can be measured side by side, in the same weather.

use super::solo::{Meter, check};
use crate::Result;
use std::io;
use upcall::say;

/// What a program says when it could begin.
pub(crate) const READY: &str = "ready";

/// Operations in turns. Without `--turn`, there is a single turn that begins at once.
pub(crate) struct Turns {
    ops: u64,
    turn: Option<u64>,
    done: u64,
    /// The turn is over when so many are done.
    until: u64,
    meter: Meter,
    /// The first trouble; after that nothing is waited for.
    outcome: Result<()>,
}

impl Turns {
    pub(crate) fn new(ops: u64, turn: Option<u64>) -> Self {
        Self { ops, turn, done: 0, until: 0, meter: Meter::start(), outcome: Ok(()) }
    }

    pub(crate) fn ops(&self) -> u64 {
        self.ops
    }

    /// All is ready for the first operation.
    pub(crate) fn begin(&mut self) {
        if self.turn.is_some() {
            say::out(READY);
        }
        self.next();
    }

    pub(crate) fn did_one(&mut self) {
        self.done += 1;
        if self.done == self.until {
            self.pause();
        }
    }

    #[cold]
    fn pause(&mut self) {
        let ops = self.turn.map_or(self.ops, |turn| (self.done - 1) % turn + 1);
        let printed = self.meter.print(ops);
        self.keep(printed);
        if self.done < self.ops {
            self.next();
        }
    }

    fn next(&mut self) {
        if let Some(turn) = self.turn {
            self.until = self.done.saturating_add(turn).min(self.ops);
            if self.outcome.is_ok() {
                self.keep(wait_for_word());
            }
        } else {
            self.until = self.ops;
        }
        self.meter = Meter::start();
    }

    fn keep(&mut self, outcome: Result<()>) {
        if self.outcome.is_ok() {
            self.outcome = outcome;
        }
    }

    /// No operation will come any more.
    pub(crate) fn end(&mut self) -> Result<()> {
        std::mem::replace(&mut self.outcome, Ok(()))?;
        check(self.done, self.ops)
    }
}

fn wait_for_word() -> Result<()> {
    match io::stdin().read_line(&mut String::new())? {
        0 => Err("--turn: the input ended before the last turn".into()),
        _ => Ok(()),
    }
}
