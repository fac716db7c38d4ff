//! The thread pool: each request is reported once, with its own result or as cancelled; a panic of its work comes out of the
//! loop's run in place of the report; a loop that is dropped reports nothing.

use super::{dice, one_in};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testing::World;
use uv_core::threads::Work;
use uv_core::{Errno, Loop, LoopHandle, RunMode};

/// Whether a request panics, and where.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Panics {
    Never,
    InWork,
    /// In its callback.
    After,
}

/// A request as its program sees it.
struct Request {
    work: Work,
    number: u64,
    panics: Panics,
    runs: Arc<AtomicU64>,
    reports: Rc<Cell<u64>>,
    is_cancelled: Rc<Cell<bool>>,
    /// The pool had no thread for it.
    is_refused: Rc<Cell<bool>>,
    /// Requests that its callback made and that are not reported.
    unreported: Rc<Cell<u64>>,
}

/// What a request of this number panics with. No hook is called for it, which would print it.
struct Panic(u64);

/// The panics that came out of a loop, by the numbers of their requests.
#[derive(Default)]
struct Caught(RefCell<Vec<u64>>);

/// Random work, cancelled at any time, on a loop that ends and on a loop that is dropped.
pub(crate) fn work(world: &World) -> Result<(), String> {
    let Ok(event_loop) = world.event_loop("pool") else { return Ok(()) };
    let (mut requests, caught) = (Vec::new(), Caught::default());
    for number in 0..dice(24) {
        requests.push(queue(&event_loop, number));
        cancel_one(&requests);
        if one_in(3) {
            let time = Duration::from_micros(1 + dice(2_000));
            caught.during(|| world.run_for(time))?;
        }
    }
    caught.during(|| world.run())?;
    requests.iter().for_each(|request| request.check(&caught));
    assert_eq!(event_loop.active_requests(), 0, "requests are left");
    dropped(world)
}

impl Caught {
    /// Runs loops until no panic interrupts them.
    fn during(&self, run: impl Fn() -> Result<(), String>) -> Result<(), String> {
        loop {
            match catch_unwind(AssertUnwindSafe(&run)) {
                Ok(result) => return result,
                Err(panic) => match panic.downcast::<Panic>() {
                    Ok(panic) => self.0.borrow_mut().push(panic.0),
                    Err(other) => resume_unwind(other),
                },
            }
        }
    }

    fn count(&self, number: u64) -> usize {
        self.0.borrow().iter().filter(|caught| **caught == number).count()
    }
}

impl Request {
    /// When its loop has ended.
    fn check(&self, caught: &Caught) {
        let (number, reports) = (self.number, self.reports.get());
        let runs = self.runs.load(Ordering::Relaxed);
        let has_run = !self.is_cancelled.get() && !self.is_refused.get();
        let is_reported = !has_run || self.panics != Panics::InWork;
        let panics = match self.panics {
            Panics::InWork => has_run,
            Panics::After => true,
            Panics::Never => false,
        };
        assert_eq!(runs, u64::from(has_run), "runs of request {number}");
        assert_eq!(reports, u64::from(is_reported), "reports of request {number}");
        assert_eq!(caught.count(number), usize::from(panics), "panics of request {number}");
        assert_eq!(self.unreported.get(), 0, "a request of a callback is not reported, or twice");
        assert_eq!(Rc::strong_count(&self.reports), 1, "request {number} keeps its callback");
        assert_eq!(self.work.cancel().map_err(|error| error.errno()), Err(Errno::EBUSY));
    }
}

fn queue(event_loop: &LoopHandle, number: u64) -> Request {
    let panics = match dice(12) {
        0 => Panics::InWork,
        1 => Panics::After,
        _ => Panics::Never,
    };
    let (runs, reports) = (Arc::new(AtomicU64::new(0)), Rc::new(Cell::new(0)));
    let is_cancelled = Rc::new(Cell::new(false));
    let is_refused = Rc::new(Cell::new(false));
    let (counts, told, cancelled) = (Arc::clone(&runs), Rc::clone(&reports), Rc::clone(&is_cancelled));
    let (again, unreported) = (event_loop.clone(), Rc::<Cell<u64>>::default());
    let (following, refused) = (Rc::clone(&unreported), Rc::clone(&is_refused));
    let work = event_loop.queue_work(
        move || {
            counts.fetch_add(1, Ordering::Relaxed);
            if panics == Panics::InWork {
                resume_unwind(Box::new(Panic(number)));
            }
            number * 3
        },
        move |result| {
            told.set(told.get() + 1);
            match result {
                Ok(value) => assert_eq!(value, number * 3, "the result of another request"),
                Err(error) if error.errno() == Errno::ECANCELED => {
                    assert!(cancelled.get(), "cancelled by itself");
                }
                Err(error) => {
                    assert_eq!(error.errno(), Errno::EAGAIN, "a pool without threads");
                    refused.set(true);
                }
            }
            if one_in(4) {
                follow(&again, &following);
            }
            if panics == Panics::After {
                resume_unwind(Box::new(Panic(number)));
            }
        },
    );
    Request { work, number, panics, runs, reports, is_cancelled, is_refused, unreported }
}

/// A request of a callback: the place of that callback's request is another's now, which has its own result.
fn follow(event_loop: &LoopHandle, unreported: &Rc<Cell<u64>>) {
    let (number, unreported) = (dice(1_000), Rc::clone(unreported));
    unreported.set(unreported.get() + 1);
    event_loop.queue_work(
        move || number,
        move |result| {
            unreported.set(unreported.get() - 1);
            assert!(result.is_err() || result == Ok(number), "the result of another request");
        },
    );
}

fn cancel_one(requests: &[Request]) {
    let Some(request) = requests.get(dice(requests.len() as u64 * 2) as usize) else { return };
    if request.work.cancel().is_ok() {
        assert!(!request.is_cancelled.replace(true), "cancelled twice");
        assert_eq!(request.reports.get(), 0, "cancelled after its report");
    }
}

/// A loop that is dropped with work in the pool drops all of it, without a report.
fn dropped(world: &World) -> Result<(), String> {
    let Ok(event_loop) = Loop::new() else { return Ok(()) };
    let requests: Vec<_> = (0..dice(6)).map(|number| queue(&event_loop, number)).collect();
    if one_in(2) {
        let run = || event_loop.run(RunMode::NoWait).map(drop).map_err(|error| error.to_string());
        Caught::default().during(run)?;
    }
    let handle = LoopHandle::clone(&event_loop);
    let reported: u64 = requests.iter().map(|request| request.reports.get()).sum();
    drop(event_loop);
    for request in &requests {
        assert_eq!(Rc::strong_count(&request.reports), 1, "a callback outlives its loop");
        let _ = request.work.cancel();
    }
    let late = queue(&handle, 0);
    assert_eq!(Rc::strong_count(&late.reports), 1, "a dropped loop keeps a callback");
    let Ok(other) = world.event_loop("afterwards") else { return Ok(()) };
    let done = Rc::new(Cell::new(false));
    let told = Rc::clone(&done);
    other.queue_work(|| {}, move |_| told.set(true));
    world.run_until(|| done.get())?;
    let reports: u64 = requests.iter().chain([&late]).map(|request| request.reports.get()).sum();
    assert_eq!(reports, reported, "a dropped loop has made a report");
    Ok(())
}
