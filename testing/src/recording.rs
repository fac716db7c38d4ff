//! The trace of a run: every upcall, downcall and system call, and every fault.

use log::{LevelFilter, Log, Metadata, Record};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::Write;

/// Lines that are kept: the last ones show how a run failed.
const LINES: usize = 100_000;

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
    static KEPT: RefCell<VecDeque<String>> = const { RefCell::new(VecDeque::new()) };
}

struct Recorder;

static RECORDER: Recorder = Recorder;

impl Log for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        IS_ON.get()
    }

    fn log(&self, record: &Record<'_>) {
        if !IS_ON.get() {
            return;
        }
        let now = uv_core::faults::now().unwrap_or_default();
        let mut line = String::new();
        // A string takes everything.
        let _ = write!(line, "{:>14.6} {:<10} {}", now.as_secs_f64(), record.target(), record.args());
        KEPT.with_borrow_mut(|kept| {
            kept.push_back(line);
            if kept.len() > LINES {
                kept.pop_front();
            }
        });
    }

    fn flush(&self) {}
}

/// Runs `work` and returns the last lines of its trace. Another logger of the program gets none of them, or all if it was set
/// first.
pub(crate) fn record(work: impl FnOnce()) -> Vec<String> {
    // Fails if the program has set a logger, whose records these are then.
    let _ = log::set_logger(&RECORDER);
    let before = log::max_level();
    log::set_max_level(LevelFilter::Trace);
    IS_ON.set(true);
    work();
    IS_ON.set(false);
    log::set_max_level(before);
    KEPT.take().into()
}
