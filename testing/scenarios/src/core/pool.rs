//! The thread pool: each request is reported once, with its own result or as cancelled; a loop that is dropped reports nothing.

use super::{dice, one_in};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testing::World;
use uv_core::threads::Work;
use uv_core::{Errno, Loop, LoopHandle, RunMode};

/// A request as its program sees it.
struct Request {
    work: Work,
    runs: Arc<AtomicU64>,
    reports: Rc<Cell<u64>>,
    is_cancelled: Rc<Cell<bool>>,
    /// Requests that its callback made and that are not reported.
    unreported: Rc<Cell<u64>>,
}

/// Random work, cancelled at any time, on a loop that ends and on a loop that is dropped.
pub(crate) fn work(world: &World) -> Result<(), String> {
    let Ok(event_loop) = world.event_loop("pool") else { return Ok(()) };
    let mut requests = Vec::new();
    for number in 0..dice(24) {
        requests.push(queue(&event_loop, number));
        cancel_one(&requests);
        if one_in(3) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    world.run()?;
    for request in &requests {
        assert_eq!(request.reports.get(), 1, "a request is reported {} times", request.reports.get());
        assert_eq!(request.unreported.get(), 0, "a request of a callback is not reported, or twice");
        let runs = request.runs.load(Ordering::Relaxed);
        assert!(runs <= 1, "work has run {runs} times");
        assert!(runs == 0 || !request.is_cancelled.get(), "cancelled work has run");
        assert_eq!(request.work.cancel().map_err(|error| error.errno()), Err(Errno::EBUSY));
    }
    dropped(world)
}

fn queue(event_loop: &LoopHandle, number: u64) -> Request {
    let (runs, reports) = (Arc::new(AtomicU64::new(0)), Rc::new(Cell::new(0)));
    let is_cancelled = Rc::new(Cell::new(false));
    let (counts, told, cancelled) = (Arc::clone(&runs), Rc::clone(&reports), Rc::clone(&is_cancelled));
    let (again, unreported) = (event_loop.clone(), Rc::<Cell<u64>>::default());
    let following = Rc::clone(&unreported);
    let work = event_loop.queue_work(
        move || {
            counts.fetch_add(1, Ordering::Relaxed);
            number * 3
        },
        move |result| {
            told.set(told.get() + 1);
            match result {
                Ok(value) => assert_eq!(value, number * 3, "the result of another request"),
                Err(error) if error.errno() == Errno::ECANCELED => {
                    assert!(cancelled.get(), "cancelled by itself");
                }
                Err(error) => assert_eq!(error.errno(), Errno::EAGAIN, "a pool without threads"),
            }
            if one_in(4) {
                // The place of this request is another's now, which has its own result.
                let number = dice(1_000);
                let is_reported = Rc::clone(&following);
                is_reported.set(is_reported.get() + 1);
                again.queue_work(
                    move || number,
                    move |result| {
                        is_reported.set(is_reported.get() - 1);
                        assert!(result.is_err() || result == Ok(number), "the result of another request");
                    },
                );
            }
        },
    );
    Request { work, runs, reports, is_cancelled, unreported }
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
        event_loop.run(RunMode::NoWait).map_err(|error| error.to_string())?;
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
