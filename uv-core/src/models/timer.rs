//! Timers against a plain list: random operations, outside of upcalls and inside of them, under a clock that the test
//! sets.

use super::{SWEEP_FLOOR, Timer};
use crate::seeds::{Dice, each_seed};
use crate::{Errno, Loop};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

const TIMERS: usize = 40;
const STEPS: usize = 400;

/// What the model knows of a timer.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The deadline and the number of the start, while it is started.
    due: Option<(Duration, u64)>,
    /// The last deadline.
    due_at: Duration,
    repeat: Duration,
    was_started: bool,
}

struct World {
    event_loop: Loop,
    dice: RefCell<Dice>,
    timers: RefCell<Vec<Timer>>,
    known: RefCell<Vec<Known>>,
    starts: Cell<u64>,
    /// The clock and the last start when the running phase began.
    phase: Cell<(Duration, u64)>,
}

#[test]
fn timers_do_what_a_sorted_list_does() {
    each_seed(50, |dice| {
        let world = Rc::new(World {
            event_loop: Loop::new().expect("a loop"),
            dice: RefCell::new(dice),
            timers: RefCell::default(),
            known: RefCell::new(vec![Known::default(); TIMERS]),
            starts: Cell::new(0),
            phase: Cell::default(),
        });
        let timers = (0..TIMERS).map(|_| Timer::new(&world.event_loop)).collect();
        world.timers.replace(timers);
        for _ in 0..STEPS {
            for _ in 0..world.roll(8) {
                world.operate();
            }
            world.pass(world.roll(3));
            world.run_timers();
            if world.roll(4) == 0 {
                world.event_loop.run_closing();
            }
        }
        world.event_loop.close_all();
        world.known.borrow_mut().iter_mut().for_each(|known| known.due = None);
        world.run_timers();
        while world.event_loop.run_closing() {}
        assert!(!world.event_loop.is_alive());
        assert!(world.event_loop.inner().timers.heap.borrow().len() <= SWEEP_FLOOR);
        // They hold upcalls, which hold the world.
        world.timers.take();
    });
}

impl World {
    fn roll(&self, sides: usize) -> usize {
        self.dice.borrow_mut().roll(sides)
    }

    fn now(&self) -> Duration {
        self.event_loop.now()
    }

    /// Lets time pass, in steps so coarse that deadlines are often equal.
    fn pass(&self, steps: usize) {
        self.event_loop.set_now(self.now() + Duration::from_millis(1) * steps as u32);
    }

    fn timeout(&self) -> Duration {
        match self.roll(20) {
            0 => Duration::MAX,
            1..5 => Duration::from_secs(1 + self.roll(1000) as u64),
            _ => Duration::from_millis(self.roll(5) as u64),
        }
    }

    fn repeat(&self) -> Duration {
        Duration::from_millis(self.roll(4).saturating_sub(1) as u64)
    }

    fn timer(&self, index: usize) -> Timer {
        self.timers.borrow()[index].clone()
    }

    fn knows(&self, index: usize) -> Known {
        self.known.borrow()[index]
    }

    /// The model's start.
    fn arm(&self, index: usize, timeout: Duration) {
        self.starts.set(self.starts.get() + 1);
        let deadline = self.now().saturating_add(timeout).min(Duration::from_nanos(u64::MAX));
        let known = &mut self.known.borrow_mut()[index];
        known.due = Some((deadline, self.starts.get()));
        known.due_at = deadline;
    }

    /// One random operation, on the timer and in the model.
    fn operate(self: &Rc<Self>) {
        let index = self.roll(TIMERS);
        let timer = self.timer(index);
        match self.roll(16) {
            0..6 => {
                let (timeout, repeat, world) = (self.timeout(), self.repeat(), Rc::clone(self));
                timer
                    .start(timeout, repeat, move |timer: &Timer| world.on_timeout(index, timer))
                    .expect("to start");
                self.known.borrow_mut()[index].repeat = repeat;
                self.known.borrow_mut()[index].was_started = true;
                self.arm(index, timeout);
            }
            6..9 => {
                timer.stop();
                self.known.borrow_mut()[index].due = None;
            }
            9 => {
                let known = self.knows(index);
                assert_eq!(timer.again().is_ok(), known.was_started);
                if !known.repeat.is_zero() && known.was_started {
                    self.arm(index, known.repeat);
                }
            }
            10 | 11 => {
                let timeout = self.timeout();
                let restarted = timer.restart(timeout);
                assert_eq!(restarted.is_ok(), self.knows(index).was_started);
                if restarted.is_ok() {
                    self.arm(index, timeout);
                }
            }
            12 => {
                let repeat = self.repeat();
                timer.set_repeat(repeat);
                self.known.borrow_mut()[index].repeat = repeat;
            }
            13 => self.close(index, &timer),
            14 => self.pass(self.roll(2)),
            _ => self.compare(index, &timer),
        }
    }

    /// Closes the timer; another takes its place.
    fn close(&self, index: usize, timer: &Timer) {
        timer.close();
        assert_eq!(timer.restart(Duration::ZERO).map_err(|error| error.errno()), Err(Errno::EINVAL));
        self.known.borrow_mut()[index] = Known::default();
        self.timers.borrow_mut()[index] = Timer::new(&self.event_loop);
    }

    fn compare(&self, index: usize, timer: &Timer) {
        let known = self.knows(index);
        assert_eq!(timer.is_active(), known.due.is_some());
        assert_eq!(timer.repeat(), known.repeat);
        assert_eq!(timer.due_at(), known.due_at);
        let left = known.due.map_or(Duration::ZERO, |(deadline, _)| deadline.saturating_sub(self.now()));
        assert_eq!(timer.due_in(), left);
        assert_eq!(
            self.event_loop.inner().timers.next_deadline().map(Duration::from_nanos),
            self.first().map(|(deadline, ..)| deadline)
        );
    }

    /// The deadline, start and index of the timer that is due first.
    fn first(&self) -> Option<(Duration, u64, usize)> {
        let known = self.known.borrow();
        let started = known.iter().enumerate().filter_map(|(index, known)| {
            let (deadline, start) = known.due?;
            Some((deadline, start, index))
        });
        started.min()
    }

    /// The timer that the running phase has to call next.
    fn next_due(&self) -> Option<usize> {
        let (now, last) = self.phase.get();
        self.first()
            .filter(|(deadline, start, _)| *deadline <= now && *start <= last)
            .map(|(.., index)| index)
    }

    fn run_timers(&self) {
        self.phase.set((self.now(), self.starts.get()));
        self.event_loop.run_timers();
        assert_eq!(self.next_due(), None, "it was due and was not called");
        let started = self.known.borrow().iter().filter(|known| known.due.is_some()).count();
        let queue = &self.event_loop.inner().timers;
        let stale = queue.heap.borrow().len() - started;
        assert_eq!(stale, queue.stale.get());
        assert!(stale <= SWEEP_FLOOR.max(started + 1));
    }

    fn on_timeout(self: &Rc<Self>, index: usize, timer: &Timer) {
        assert_eq!(self.next_due(), Some(index), "it was not the next one");
        let repeat = self.knows(index).repeat;
        self.known.borrow_mut()[index].due = None;
        if !repeat.is_zero() {
            self.arm(index, repeat);
        }
        self.compare(index, timer);
        for _ in 0..self.roll(4) {
            self.operate();
        }
    }
}
