//! Watchers in their phases, calls from elsewhere into the loop, and signals.

use super::{dice, one_in};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testing::World;
use uv_core::threads::AsyncSender;
use uv_core::{Async, Check, Errno, Idle, Loop, LoopHandle, Prepare, Result, RunMode, Signal};

/// The three kinds alike.
enum Watcher {
    Idle(Idle),
    Prepare(Prepare),
    Check(Check),
}

#[derive(Default)]
struct State {
    /// The number of the start, while the watcher is started.
    start: Cell<u64>,
    is_closed: Cell<bool>,
}

/// The watchers of a loop, and what is to be called in this iteration.
struct Phases {
    watchers: RefCell<Vec<(Watcher, State)>>,
    starts: Cell<u64>,
    /// The phase that runs: that of idle watchers, prepare watchers or check watchers.
    current: Cell<usize>,
    /// The watchers that it is to call, with their starts, the next one last.
    due: RefCell<Vec<(usize, u64)>>,
    is_over: Cell<bool>,
}

/// Watchers that start, stop and close each other.
pub(crate) fn phases(world: &World) -> Result<(), String> {
    let Ok(event_loop) = world.event_loop("watchers") else { return Ok(()) };
    let phases = Rc::new(Phases {
        watchers: RefCell::default(),
        starts: Cell::new(0),
        current: Cell::new(0),
        due: RefCell::default(),
        is_over: Cell::new(false),
    });
    for _ in 0..=dice(8) {
        let watcher = match dice(3) {
            0 => Watcher::Idle(Idle::new(&event_loop)),
            1 => Watcher::Prepare(Prepare::new(&event_loop)),
            _ => Watcher::Check(Check::new(&event_loop)),
        };
        phases.watchers.borrow_mut().push((watcher, State::default()));
    }
    for _ in 0..dice(30) {
        (0..dice(4)).for_each(|_| phases.act());
        phases.begin();
        event_loop.run(RunMode::NoWait).map_err(|error| error.to_string())?;
        phases.end();
    }
    phases.is_over.set(true);
    event_loop.close_all();
    world.run()?;
    drop(phases.watchers.take());
    Ok(())
}

impl Watcher {
    fn phase(&self) -> usize {
        match self {
            Self::Idle(_) => 0,
            Self::Prepare(_) => 1,
            Self::Check(_) => 2,
        }
    }

    fn start(&self, mut call: impl FnMut() + 'static) -> Result<()> {
        match self {
            Self::Idle(idle) => idle.start(move |_| call()),
            Self::Prepare(prepare) => prepare.start(move |_| call()),
            Self::Check(check) => check.start(move |_| call()),
        }
    }

    fn stop(&self) {
        match self {
            Self::Idle(idle) => idle.stop(),
            Self::Prepare(prepare) => prepare.stop(),
            Self::Check(check) => check.stop(),
        }
    }

    fn close(&self) {
        match self {
            Self::Idle(idle) => idle.close(),
            Self::Prepare(prepare) => prepare.close(),
            Self::Check(check) => check.close(),
        }
    }
}

impl Phases {
    fn act(self: &Rc<Self>) {
        let watchers = self.watchers.borrow();
        let index = dice(watchers.len() as u64) as usize;
        let (watcher, state) = &watchers[index];
        match dice(8) {
            0..4 => {
                let phases = Rc::downgrade(self);
                let call = move || {
                    if let Some(phases) = phases.upgrade() {
                        phases.called(index);
                    }
                };
                assert_eq!(watcher.start(call).is_ok(), !state.is_closed.get());
                if !state.is_closed.get() && state.start.get() == 0 {
                    self.starts.set(self.starts.get() + 1);
                    state.start.set(self.starts.get());
                }
            }
            4..7 => {
                watcher.stop();
                state.start.set(0);
            }
            _ if one_in(4) => {
                watcher.close();
                state.start.set(0);
                state.is_closed.set(true);
            }
            _ => {}
        }
    }

    fn started(&self, phase: usize) -> Vec<(usize, u64)> {
        let watchers = self.watchers.borrow();
        let all = watchers.iter().enumerate().filter(|(_, (watcher, _))| watcher.phase() == phase);
        let mut started: Vec<_> = all.map(|(index, (_, state))| (index, state.start.get())).collect();
        started.retain(|(_, start)| *start != 0);
        started.sort_by_key(|(_, start)| *start);
        started
    }

    /// An iteration begins. A phase calls the watchers that are started when it begins.
    fn begin(&self) {
        self.current.set(0);
        *self.due.borrow_mut() = self.started(0);
    }

    /// The phases before this one are over: those that they have not called were stopped, or started again.
    fn advance(&self, phase: usize) {
        while self.current.get() < phase {
            self.are_stopped();
            self.current.set(self.current.get() + 1);
            *self.due.borrow_mut() = self.started(self.current.get());
        }
    }

    fn are_stopped(&self) {
        for (index, start) in self.due.take() {
            let now = self.watchers.borrow()[index].1.start.get();
            assert_ne!(now, start, "a started watcher is not called");
        }
    }

    /// A watcher is called: it is the latest of its phase that was started before and is still.
    fn called(self: &Rc<Self>, index: usize) {
        if self.is_over.get() {
            return;
        }
        let phase = self.watchers.borrow()[index].0.phase();
        assert!(phase >= self.current.get(), "the phases are in another order");
        self.advance(phase);
        let is_due = |(next, start): &(usize, u64)| self.watchers.borrow()[*next].1.start.get() == *start;
        let next = std::iter::from_fn(|| self.due.borrow_mut().pop()).find(is_due);
        assert_eq!(next.map(|(next, _)| next), Some(index), "watchers are called in another order");
        if one_in(3) {
            self.act();
        }
    }

    fn end(&self) {
        self.advance(2);
        self.are_stopped();
    }
}

/// An async handle, and what is known about it. The sender lasts longer than the handle.
struct Called {
    handle: Async,
    sender: AsyncSender,
    /// It was sent to, and no call has begun since.
    is_due: Rc<Cell<bool>>,
}

impl Called {
    fn new(event_loop: &LoopHandle) -> Self {
        let is_due = Rc::<Cell<bool>>::default();
        let due = Rc::clone(&is_due);
        let handle = Async::new(event_loop, move |handle: &Async| {
            assert!(!handle.is_closing(), "a closed async handle is called");
            assert!(due.replace(false), "a call without a send since the last one");
        });
        Self { sender: handle.sender(), handle, is_due }
    }

    fn send(&self) {
        // A send to a closed handle reaches nothing, also if another handle has its place.
        self.is_due.set(!self.handle.is_closing());
        self.sender.send();
    }

    fn close(&self) {
        self.handle.close();
        self.is_due.set(false);
    }
}

/// Async handles and posts: each send is followed by a call, and each post runs once and in order. Handles close, and others
/// take their places, while sends to them are under way.
pub(crate) fn calls_from_elsewhere(world: &World) -> Result<(), String> {
    let (Ok(event_loop), Ok(other)) = (world.event_loop("here"), world.event_loop("elsewhere")) else {
        return Ok(());
    };
    let mut all: Vec<_> = (0..1 + dice(5)).map(|_| Called::new(&event_loop)).collect();
    let run = Arc::new(Mutex::new(Vec::new()));
    let mut posts = 0_u64;
    for _ in 0..dice(40) {
        let index = dice(all.len() as u64) as usize;
        match dice(16) {
            0..6 => all[index].send(),
            6..10 => {
                post(&event_loop, &run, posts..posts + 1);
                posts += 1;
            }
            10 if one_in(2) => all[index].close(),
            11 => all[index].handle.unref(),
            12 => all[index].handle.ref_(),
            13 => all.push(Called::new(&event_loop)),
            _ => world.run_for(Duration::from_micros(1 + dice(500)))?,
        }
    }
    if one_in(8) {
        // More than a turn takes.
        post(&event_loop, &run, posts..posts + 1_500);
        posts += 1_500;
    }
    let (calls, all_calls) = (Rc::new(Cell::new(0)), dice(5));
    let own = calling_itself(&event_loop, &calls, all_calls);
    // The loop of another handle keeps time going, since posts keep no loop alive.
    let _other = other;
    world.run_until(|| {
        let are_called = all.iter().all(|called| !called.is_due.get());
        let have_run = run.lock().is_ok_and(|list| list.len() as u64 == posts);
        are_called && have_run && calls.get() > all_calls
    })?;
    let in_order: Vec<u64> = (0..posts).collect();
    assert!(run.lock().is_ok_and(|list| *list == in_order), "posts ran in another order");
    assert_eq!(calls.get(), all_calls + 1, "calls for sends of its own");
    own.close();
    all.iter().for_each(Called::close);
    world.run()?;
    all.iter().for_each(Called::send);
    dropped_with_calls()
}

/// A loop that is dropped makes no call.
fn dropped_with_calls() -> Result<(), String> {
    let Ok(dropped) = Loop::new() else { return Ok(()) };
    let remote = dropped.remote();
    let given = Rc::new(());
    let late = Async::new(&dropped, {
        let given = Rc::clone(&given);
        move |_: &Async| drop(Rc::clone(&given))
    });
    late.sender().send();
    drop(dropped);
    assert_eq!(Rc::strong_count(&given), 1, "a dropped loop keeps a callback");
    assert_eq!(remote.post(|_| {}).map_err(|error| error.errno()), Err(Errno::ECANCELED));
    Ok(())
}

/// Posts closures, each of which adds its number to the list.
fn post(event_loop: &LoopHandle, run: &Arc<Mutex<Vec<u64>>>, numbers: Range<u64>) {
    for number in numbers {
        let list = Arc::clone(run);
        let posted = event_loop.remote().post(move |_| {
            if let Ok(mut list) = list.lock() {
                list.push(number);
            }
        });
        assert!(posted.is_ok(), "a post was refused");
    }
}

/// An async handle that is sent to, and sends to itself from its first calls.
fn calling_itself(event_loop: &LoopHandle, calls: &Rc<Cell<u64>>, times: u64) -> Async {
    let calls = Rc::clone(calls);
    let handle = Async::new(event_loop, move |handle: &Async| {
        calls.set(calls.get() + 1);
        if calls.get() <= times {
            handle.sender().send();
        }
    });
    handle.sender().send();
    handle
}

/// A watcher of signals, with its calls.
struct Watched {
    signal: Signal,
    calls: Rc<Cell<u64>>,
    is_one_shot: Cell<bool>,
}

/// Signals that do no harm by default, to watchers of two loops.
pub(crate) fn signals(world: &World) -> Result<(), String> {
    let (Ok(left), Ok(right)) = (world.event_loop("left"), world.event_loop("right")) else { return Ok(()) };
    let watch = |_| Watched {
        signal: Signal::new(if one_in(2) { &left } else { &right }),
        calls: Rc::default(),
        is_one_shot: Cell::new(false),
    };
    let watchers: Vec<_> = (0..=dice(5)).map(watch).collect();
    for _ in 0..=dice(4) {
        watchers.iter().for_each(Watched::start_or_stop);
        let wanted: Vec<_> = watchers.iter().map(|watched| watched.signal.signum()).collect();
        let sent = send_some();
        let all = || watchers.iter().zip(&wanted);
        let wants = |watched: &Watched, signum: i32| match SIGNALS.iter().position(|known| *known == signum) {
            Some(which) if watched.is_one_shot.get() => sent[which].min(1),
            Some(which) => sent[which],
            None => 0,
        };
        world.run_until(|| all().all(|(watched, signum)| watched.calls.get() >= wants(watched, *signum)))?;
        world.run_for(Duration::from_micros(100))?;
        for (watched, signum) in all() {
            assert_eq!(watched.calls.get(), wants(watched, *signum), "calls for signal {signum}");
        }
    }
    watchers.iter().for_each(|watched| watched.signal.close());
    world.run()
}

const SIGNALS: [i32; 2] = [Signal::SIGCHLD, Signal::SIGWINCH];

impl Watched {
    fn start_or_stop(&self) {
        self.signal.stop();
        self.calls.set(0);
        let signum = SIGNALS[dice(2) as usize];
        let calls = Rc::clone(&self.calls);
        let call = move |signal: &Signal, number: i32| {
            assert_eq!(number, signum, "another signal");
            assert!(!signal.is_closing(), "a closed watcher is called");
            calls.set(calls.get() + 1);
        };
        self.is_one_shot.set(one_in(3));
        // An error leaves the watcher stopped.
        let _ = match (one_in(4), self.is_one_shot.get()) {
            (true, _) => Ok(()),
            (_, true) => self.signal.start_oneshot(signum, call),
            (_, false) => self.signal.start(signum, call),
        };
    }
}

/// Sends signals to this process. Returns how many of each.
fn send_some() -> [u64; 2] {
    let mut sent = [0; 2];
    for _ in 0..dice(5) {
        let which = dice(2) as usize;
        if uv_core::process::kill(std::process::id().cast_signed(), SIGNALS[which]).is_ok() {
            sent[which] += 1;
        }
    }
    sent
}
