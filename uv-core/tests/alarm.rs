//! The deadline of a loop that waits often: the kernel keeps it, and timers fire as they do without that. libuv has no
//! counterpart.

mod common;

use common::*;
use log::{LevelFilter, Log as Logger, Metadata, Record};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use uv_core::{Async, RunMode, Timer};

const MS: Duration = Duration::from_millis(1);

/// Waits enough for any deadline to be the kernel's.
const OFTEN: usize = 100;

static SET: AtomicUsize = AtomicUsize::new(0);

struct Recorder;

impl Logger for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "uv_core"
    }

    fn log(&self, record: &Record<'_>) {
        if record.args().to_string().contains("down timerfd_settime(2)") {
            SET.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// A loop that an event wakes whenever it waits.
struct Busy {
    event_loop: TestLoop,
    wake: Async,
}

impl Busy {
    fn new() -> Self {
        let event_loop = test_loop();
        let wake = Async::new(&event_loop, |_: &Async| {});
        Self { event_loop, wake }
    }

    fn wait(&self, times: usize) {
        for _ in 0..times {
            self.wake.sender().send();
            self.event_loop.run(RunMode::Once).expect("the loop runs");
        }
    }

    /// A timer that adds its name to the log, and asserts that it is not early.
    fn start(&self, log: &Log, name: &'static str, after: Duration) -> Timer {
        let (timer, log, began) = (Timer::new(&self.event_loop), log.clone(), Instant::now());
        let fired = move |_: &Timer| {
            assert!(began.elapsed() >= after, "{name} is early");
            log.add(name);
        };
        self.event_loop.update_time();
        timer.start(after, Duration::ZERO, fired).expect("start");
        timer
    }
}

/// The cases run in one test, because a process has one logger.
#[test]
fn a_deadline_of_many_waits_is_set_once_and_kept() {
    log::set_logger(&Recorder).expect("the first logger");
    log::set_max_level(LevelFilter::Trace);
    a_deadline_is_set_once();
    a_deadline_that_changes_with_each_wait_is_never_set();
    an_earlier_timer_fires_before_the_deadline_that_is_set();
    a_stopped_timer_does_not_fire_when_its_deadline_comes();
    random_timers_fire_once_and_never_early();
}

fn a_deadline_is_set_once() {
    let (busy, log) = (Busy::new(), Log::new());
    let timer = busy.start(&log, "timer", 50 * MS);
    busy.wait(OFTEN);
    // The machine may be so slow that the time is over already.
    let is_over = !timer.is_active();
    assert!(is_over || SET.swap(0, Ordering::Relaxed) == 1);
    busy.event_loop.until(|| !timer.is_active());
    assert_eq!(log.take(), ["timer"]);
    // Another deadline replaces it.
    let timer = busy.start(&log, "again", 20 * MS);
    busy.wait(OFTEN);
    busy.event_loop.until(|| !timer.is_active());
    assert_eq!(log.take(), ["again"]);
    busy.event_loop.close_and_finish();
}

fn a_deadline_that_changes_with_each_wait_is_never_set() {
    let (busy, log) = (Busy::new(), Log::new());
    SET.store(0, Ordering::Relaxed);
    for _ in 0..OFTEN {
        let timer = busy.start(&log, "never", Duration::from_secs(60));
        busy.wait(1);
        timer.close();
    }
    assert_eq!(SET.load(Ordering::Relaxed), 0);
    assert_eq!(log.take(), [""; 0]);
    busy.event_loop.close_and_finish();
}

fn an_earlier_timer_fires_before_the_deadline_that_is_set() {
    let (busy, log) = (Busy::new(), Log::new());
    let late = busy.start(&log, "late", 40 * MS);
    busy.wait(OFTEN);
    let early = busy.start(&log, "early", MS);
    busy.event_loop.until(|| !early.is_active());
    busy.event_loop.until(|| !late.is_active());
    let order = log.take();
    // On a slow machine the later one may be due first.
    assert!(order == ["early", "late"] || order == ["late", "early"], "{order:?}");
    busy.event_loop.close_and_finish();
}

fn a_stopped_timer_does_not_fire_when_its_deadline_comes() {
    let (busy, log) = (Busy::new(), Log::new());
    let stopped = busy.start(&log, "stopped", 10 * MS);
    busy.wait(OFTEN);
    let was_active = stopped.is_active();
    stopped.stop();
    let last = busy.start(&log, "last", 30 * MS);
    // The old deadline ends no iteration either.
    busy.event_loop.run(RunMode::Once).expect("the loop runs");
    assert!(!last.is_active());
    let fired = log.take();
    assert!(fired.ends_with(&["last".to_owned()]) && (fired.len() == 1 || !was_active), "{fired:?}");
    busy.event_loop.close_and_finish();
}

fn random_timers_fire_once_and_never_early() {
    let busy = Busy::new();
    let fired = Rc::new(Cell::new(0));
    let mut timers = Vec::new();
    let mut random = 17_u64;
    for _ in 0..40 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = Duration::from_micros(500 + (random >> 40) % 20_000);
        let timer = Timer::new(&busy.event_loop);
        busy.event_loop.update_time();
        let (fired, began) = (Rc::clone(&fired), Instant::now());
        let on_timeout = move |_: &Timer| {
            assert!(began.elapsed() >= after, "early");
            fired.set(fired.get() + 1);
        };
        timer.start(after, Duration::ZERO, on_timeout).expect("start");
        timers.push(timer);
        busy.wait((random >> 20) as usize % 40);
    }
    busy.event_loop.until(|| timers.iter().all(|timer: &Timer| !timer.is_active()));
    assert_eq!(fired.get(), timers.len());
    busy.event_loop.close_and_finish();
}
