//! Timers as a binary heap of deadlines, with no callbacks.

use crate::Result;
use crate::poller::Poller;
use crate::subjects::solo::{PER_MS, SPREAD, TIMERS, check, deadline, measure};
use crate::subjects::turns::Turns;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::thread;
use std::time::{Duration, Instant};

/// Milliseconds that no timer of the churn is due before.
const FAR: u64 = 60_000;

/// Timers that are stopped by forgetting which of their entries counts.
struct Timers {
    /// Deadline, number of the start, timer.
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    /// For each timer the start that counts, or 0.
    current: Vec<u64>,
    starts: u64,
    stale: usize,
}

impl Timers {
    fn start(&mut self, timer: usize, deadline: u64) {
        self.starts += 1;
        self.current[timer] = self.starts;
        self.heap.push(Reverse((deadline, self.starts, timer)));
    }

    fn stop(&mut self, timer: usize) {
        self.current[timer] = 0;
        self.stale += 1;
        if self.stale > self.heap.len() / 2 {
            let current = &self.current;
            self.heap.retain(|Reverse((_, start, timer))| current[*timer] == *start);
            self.stale = 0;
        }
    }
}

/// One operation is a stop and a start of one of a thousand timers.
pub(crate) fn churn(ops: u64) -> Result<()> {
    let count = usize::try_from(TIMERS)?;
    let mut timers = Timers { heap: BinaryHeap::new(), current: vec![0; count], starts: 0, stale: 0 };
    for (index, timer) in (0..TIMERS).zip(0..count) {
        timers.start(timer, FAR + deadline(index));
    }
    measure(ops, |ops| {
        for (index, timer) in (0..ops).zip((0..count).cycle()) {
            timers.stop(timer);
            timers.start(timer, FAR + deadline(index));
        }
        check(timers.current.iter().filter(|start| **start != 0).count() as u64, TIMERS)
    })
}

/// One operation is the end of one timer: all are due when the clock is looked at, once.
pub(crate) fn fire(mut turns: Turns) -> Result<()> {
    let begin = Instant::now();
    let mut heap: BinaryHeap<_> = (0..turns.ops()).map(|index| Reverse((deadline(index), index))).collect();
    thread::sleep(Duration::from_millis(SPREAD).saturating_sub(begin.elapsed()));
    turns.begin();
    let now = begin.elapsed().as_millis();
    while let Some(Reverse((deadline, _))) = heap.peek()
        && u128::from(*deadline) <= now
    {
        heap.pop();
        turns.did_one();
    }
    turns.end()
}

/// One operation is a timer from its start to its end, a thousand of which end in each millisecond.
pub(crate) fn million(ops: u64) -> Result<()> {
    let mut poller = Poller::new()?;
    measure(ops, |count| {
        let begin = Instant::now();
        let due = |index: u64| Duration::from_millis(1 + index / PER_MS);
        let mut heap: BinaryHeap<_> = (0..count).map(|index| Reverse((due(index), index))).collect();
        let mut fired = 0;
        while let Some(Reverse((next, _))) = heap.peek() {
            poller.wait(Some(next.saturating_sub(begin.elapsed())))?;
            let now = begin.elapsed();
            while heap.peek().is_some_and(|Reverse((due, _))| *due <= now) {
                heap.pop();
                fired += 1;
            }
        }
        check(fired, count)
    })
}
