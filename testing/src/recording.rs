//! The trace of a run: every upcall, downcall and system call, and every fault.

use crate::{check, names};
use log::{LevelFilter, Log, Metadata, Record};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// Lines that are kept: the last ones show how a run failed.
const LINES_KEPT: usize = 100_000;

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
        let line = format!("{:>14.6} {:<10} {}", now.as_secs_f64(), record.target(), record.args());
        // The run is judged by what it leaves, and this is not the run's.
        check::uncounted(|| {
            KEPT.with_borrow_mut(|kept| {
                kept.push_back(line.clone());
                if kept.len() > LINES_KEPT {
                    kept.pop_front();
                }
            });
        });
    }

    fn flush(&self) {}
}

/// Runs `work`, which must not panic, and returns the last lines of its trace. If the program has set a logger of its own
/// before, that gets all of them, and none is returned.
///
/// One thread at a time: the greatest level of what is logged is the process's.
pub(crate) fn record(work: impl FnOnce()) -> Vec<String> {
    // Fails if the program has set a logger.
    let _ = log::set_logger(&RECORDER);
    let before = log::max_level();
    log::set_max_level(LevelFilter::Trace);
    IS_ON.set(true);
    work();
    IS_ON.set(false);
    log::set_max_level(before);
    KEPT.take().iter().map(|line| names::without_process(line)).collect()
}
