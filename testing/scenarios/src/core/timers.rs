//! Timers against a list of deadlines, in virtual time: never early, in order, and exactly as often as they are due.

use super::{dice, one_in};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::{LoopHandle, RunMode, Timer};

/// What a timer is expected to do.
#[derive(Clone, Copy, Default)]
struct Expected {
    /// The deadline and the number of the start, while it is started.
    due: Option<(Duration, u64)>,
    repeat: Duration,
    was_started: bool,
    is_closed: bool,
}

struct Model {
    event_loop: LoopHandle,
    timers: Vec<Timer>,
    expected: RefCell<Vec<Expected>>,
    starts: Cell<u64>,
    /// Nothing is started any more.
    is_over: Cell<bool>,
}

/// Random calls of all functions of timers, from outside and from upcalls.
pub(crate) fn deadlines(world: &World) -> Result<(), String> {
    let Ok(event_loop) = world.event_loop("timers") else { return Ok(()) };
    let count = 1 + dice(8) as usize;
    let model = Rc::new(Model {
        timers: (0..count).map(|_| Timer::new(&event_loop)).collect(),
        expected: RefCell::new(vec![Expected::default(); count]),
        starts: Cell::new(0),
        is_over: Cell::new(false),
        event_loop,
    });
    for _ in 0..dice(80) {
        model.act();
        if one_in(3) {
            world.run_for(Model::some_time() / (1 + dice(4) as u32))?;
            model.check()?;
        }
    }
    model.is_over.set(true);
    model.timers.iter().for_each(|timer| timer.close());
    world.run()
}

impl Model {
    fn some_time() -> Duration {
        match dice(6) {
            0 => Duration::ZERO,
            1 => Duration::from_micros(dice(100)),
            2 => Duration::from_secs(dice(4)),
            // Few different times, so that deadlines are often the same.
            _ => Duration::from_millis(dice(6)),
        }
    }

    fn some_repeat() -> Duration {
        if one_in(2) { Duration::ZERO } else { Duration::from_millis(1 + dice(5)) }
    }

    fn arm(&self, index: usize, after: Duration) {
        let start = self.starts.get() + 1;
        self.starts.set(start);
        let due = self.event_loop.now().saturating_add(after);
        let expected = &mut self.expected.borrow_mut()[index];
        expected.due = Some((due, start));
        expected.was_started = true;
    }

    fn act(self: &Rc<Self>) {
        let index = dice(self.timers.len() as u64) as usize;
        let (timer, expected) = (&self.timers[index], self.expected.borrow()[index]);
        let can_start = !expected.is_closed;
        match dice(12) {
            0..5 => {
                let (after, repeat) = (Self::some_time(), Self::some_repeat());
                let model = Rc::downgrade(self);
                let call = move |_: &Timer| {
                    if let Some(model) = model.upgrade() {
                        model.fired(index);
                    }
                };
                assert_eq!(timer.start(after, repeat, call).is_ok(), can_start, "start");
                if can_start {
                    self.arm(index, after);
                    self.expected.borrow_mut()[index].repeat = repeat;
                }
            }
            5 | 6 => {
                timer.stop();
                self.expected.borrow_mut()[index].due = None;
            }
            7 => {
                assert_eq!(timer.again().is_ok(), can_start && expected.was_started, "again");
                if can_start && expected.was_started && !expected.repeat.is_zero() {
                    self.arm(index, expected.repeat);
                }
            }
            8 => {
                let after = Self::some_time();
                assert_eq!(timer.restart(after).is_ok(), can_start && expected.was_started, "restart");
                if can_start && expected.was_started {
                    self.arm(index, after);
                }
            }
            9 => {
                let repeat = Self::some_repeat();
                timer.set_repeat(repeat);
                self.expected.borrow_mut()[index].repeat = repeat;
            }
            10 if one_in(8) => {
                timer.close();
                let expected = &mut self.expected.borrow_mut()[index];
                (expected.due, expected.is_closed) = (None, true);
            }
            _ => self.compare(index),
        }
    }

    /// What a timer says about itself.
    fn compare(&self, index: usize) {
        let (timer, expected) = (&self.timers[index], self.expected.borrow()[index]);
        assert_eq!(timer.is_active(), expected.due.is_some(), "is_active of timer {index}");
        assert_eq!(timer.repeat(), expected.repeat, "repeat of timer {index}");
        let left = expected.due.map_or(Duration::ZERO, |(due, _)| due.saturating_sub(self.event_loop.now()));
        assert_eq!(timer.due_in(), left, "due_in of timer {index}");
    }

    /// A timer has fired: it is the first of those that are due.
    fn fired(self: &Rc<Self>, index: usize) {
        let now = self.event_loop.now();
        let first = self.expected.borrow().iter().filter_map(|expected| expected.due).min();
        let due = self.expected.borrow()[index].due;
        assert!(due.is_some(), "timer {index} fired although it is stopped");
        assert_eq!(due, first, "timer {index} fired before another that is due earlier");
        assert!(due.is_some_and(|(due, _)| due <= now), "timer {index} fired early");
        self.expected.borrow_mut()[index].due = None;
        let repeat = self.expected.borrow()[index].repeat;
        if !repeat.is_zero() {
            self.arm(index, repeat);
        }
        if one_in(2) && !self.is_over.get() {
            self.act();
        }
    }

    /// After a turn no timer is left that was due before it.
    fn check(&self) -> Result<(), String> {
        let last = self.starts.get();
        let now = self.event_loop.now();
        self.event_loop.run(RunMode::NoWait).map_err(|error| error.to_string())?;
        for (index, expected) in self.expected.borrow().iter().enumerate() {
            let is_left = expected.due.is_some_and(|(due, start)| due <= now && start <= last);
            assert!(!is_left, "timer {index} was due and has not fired");
        }
        Ok(())
    }
}
