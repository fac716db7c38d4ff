//! Operations in turns: the program waits for a line of input before each, and prints what each costs.

use std::io;

use super::Meter;

/// So many operations; in a single turn, which begins at once, unless it is told of turns.
pub(crate) struct Turns {
    ops: u64,
    turn: Option<u64>,
    left: u64,
    left_in_turn: u64,
    meter: Option<Meter>,
    /// The first trouble; after that nothing is waited for.
    outcome: io::Result<()>,
}

impl Turns {
    pub(crate) fn new(ops: u64, turn: Option<u64>) -> Self {
        Self { ops, turn, left: ops, left_in_turn: 0, meter: None, outcome: Ok(()) }
    }

    pub(crate) fn ops(&self) -> u64 {
        self.ops
    }

    /// All is ready for the first operation.
    pub(crate) fn begin(&mut self) {
        if self.turn.is_some() {
            println!("ready");
        }
        self.next();
    }

    /// One operation is done. Whether it was the last.
    pub(crate) fn did_last(&mut self) -> bool {
        self.left -= 1;
        self.left_in_turn -= 1;
        if self.left_in_turn == 0 {
            self.pause();
        }
        self.left == 0
    }

    #[cold]
    fn pause(&mut self) {
        let done = self.ops - self.left;
        let ops = self.turn.map_or(self.ops, |turn| (done - 1) % turn + 1);
        let printed = self.meter.take().map_or(Ok(()), |meter| meter.print(ops));
        self.keep(printed);
        if self.left > 0 {
            self.next();
        }
    }

    fn next(&mut self) {
        self.left_in_turn = self.turn.unwrap_or(self.ops).min(self.left);
        if self.turn.is_some() && self.outcome.is_ok() {
            self.keep(wait_for_word());
        }
        match Meter::start() {
            Ok(meter) => self.meter = Some(meter),
            Err(error) => self.keep(Err(error)),
        }
    }

    fn keep(&mut self, outcome: io::Result<()>) {
        if self.outcome.is_ok() {
            self.outcome = outcome;
        }
    }

    /// How all of it went.
    pub(crate) fn end(self) -> io::Result<()> {
        self.outcome
    }
}

fn wait_for_word() -> io::Result<()> {
    match io::stdin().read_line(&mut String::new())? {
        0 => Err(io::Error::other("--turn: the input ended before the last turn")),
        _ => Ok(()),
    }
}
