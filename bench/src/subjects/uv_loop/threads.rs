//! Wake-ups, posts and work: what goes from thread to thread through a loop.

use crate::Result;
use crate::subjects::solo::{IN_FLIGHT, LOOK_UPS, LOOKED_UP, check, measure};
use std::cell::{Cell, OnceCell};
use std::hint::black_box;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use uv_core::names::AddrQuery;
use uv_core::threads::{AsyncSender, Remote};
use uv_core::{Async, Loop, LoopHandle, RunMode};

/// One operation is a wake-up of another thread's loop and the wake-up that answers it.
pub(crate) fn wakeup(ops: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    let left = Rc::new(Cell::new(0_u64));
    let there = Rc::new(OnceCell::<AsyncSender>::new());
    let (counter, answer_to) = (Rc::clone(&left), Rc::clone(&there));
    let here = Async::new(&event_loop, move |here: &Async| {
        counter.set(counter.get().saturating_sub(1));
        match answer_to.get() {
            Some(there) if counter.get() > 0 => there.send(),
            _ => here.loop_handle().stop(),
        }
    });
    let (answer, (tell, told)) = (here.sender(), channel());
    let thread = thread::spawn(move || answer_wakeups(answer, &tell));
    let (sender, remote) = told.recv().map_err(|_| "the other thread's loop did not start")?;
    let sender = there.get_or_init(|| sender);
    measure(ops, |count| {
        left.set(count);
        sender.send();
        event_loop.run(RunMode::Default)?;
        check(count - left.get(), count)
    })?;
    remote.post(LoopHandle::close_all)?;
    thread.join().map_err(|_| "the other thread panicked")?.map_err(Into::into)
}

/// The other thread: a loop that answers each wake-up with another.
fn answer_wakeups(answer: AsyncSender, tell: &Sender<(AsyncSender, Remote)>) -> uv_core::Result<()> {
    let event_loop = Loop::new()?;
    let handle = Async::new(&event_loop, move |_: &Async| answer.send());
    // Fails only if the main thread failed.
    if tell.send((handle.sender(), event_loop.remote())).is_ok() {
        event_loop.run(RunMode::Default)?;
    }
    Ok(())
}

/// What the posted closures add up.
static POSTED: AtomicU64 = AtomicU64::new(0);

/// One operation is a closure posted by another thread and run by the loop. The next 64 are posted when 64 were run.
pub(crate) fn post(ops: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    // Posts do not keep a loop alive.
    let _alive = Async::new(&event_loop, |_: &Async| {});
    let (order, orders) = channel();
    let remote = event_loop.remote();
    let thread = thread::spawn(move || orders.into_iter().try_for_each(|count| post_bursts(&remote, count)));
    measure(ops, |count| {
        let before = POSTED.load(Ordering::Relaxed);
        order.send(count)?;
        event_loop.run(RunMode::Default)?;
        check(POSTED.load(Ordering::Relaxed) - before, count)
    })?;
    drop(order);
    thread.join().map_err(|_| "the other thread panicked")?.map_err(Into::into)
}

fn post_bursts(remote: &Remote, count: u64) -> uv_core::Result<()> {
    let (done, is_done): (Sender<()>, Receiver<()>) = channel();
    let mut left = count;
    while left > 0 {
        let burst = left.min(IN_FLIGHT);
        left -= burst;
        for _ in 1..burst {
            remote.post(|_| note_post())?;
        }
        let (done, is_last) = (done.clone(), left == 0);
        remote.post(move |event_loop| {
            note_post();
            if is_last {
                event_loop.stop();
            }
            // Never refused: the poster waits for it.
            let _ = done.send(());
        })?;
        // It always comes: if the loop fails, the process ends.
        let _ = is_done.recv();
    }
    Ok(())
}

fn note_post() {
    // Only the loop's thread writes it.
    POSTED.store(POSTED.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// One operation is a request to the thread pool and its report, of which there are 64 at a time.
pub(crate) fn work(ops: u64) -> Result<()> {
    work_at_a_time(ops, IN_FLIGHT)
}

/// libuv's `queue_work`: the same, one at a time.
pub(crate) fn queue_work(ops: u64) -> Result<()> {
    work_at_a_time(ops, 1)
}

fn work_at_a_time(ops: u64, in_flight: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    measure(ops, |count| {
        let requests = Rc::new(Requests {
            event_loop: (*event_loop).clone(),
            to_queue: Cell::new(count),
            done: Cell::new(0),
        });
        (0..in_flight).for_each(|_| requests.queue_one());
        // Until no request is left.
        event_loop.run(RunMode::Default)?;
        check(requests.done.get(), count)
    })
}

struct Requests {
    event_loop: LoopHandle,
    to_queue: Cell<u64>,
    done: Cell<u64>,
}

impl Requests {
    /// Queues the next request, and another one when it is done.
    fn queue_one(self: &Rc<Self>) {
        let number = self.to_queue.get();
        if number == 0 {
            return;
        }
        self.to_queue.set(number - 1);
        let requests = Rc::clone(self);
        self.event_loop.queue_work(
            move || black_box(number),
            move |result| {
                if result == Ok(number) {
                    requests.done.set(requests.done.get() + 1);
                }
                requests.queue_one();
            },
        );
    }
}

/// libuv's `getaddrinfo`: one operation is a look-up, of which there are ten at a time.
pub(crate) fn getaddrinfo(ops: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    measure(ops, |count| {
        let requests = Rc::new(Requests {
            event_loop: (*event_loop).clone(),
            to_queue: Cell::new(count),
            done: Cell::new(0),
        });
        (0..LOOK_UPS).try_for_each(|_| requests.look_up_one())?;
        event_loop.run(RunMode::Default)?;
        check(requests.done.get(), count)
    })
}

impl Requests {
    /// Asks for a name, and again when it is found.
    fn look_up_one(self: &Rc<Self>) -> uv_core::Result<()> {
        let left = self.to_queue.get();
        if left > 0 {
            self.to_queue.set(left - 1);
            let requests = Rc::clone(self);
            self.event_loop.getaddrinfo(AddrQuery::new(LOOKED_UP), move |found| {
                // What is not found or not asked is missing in the final count.
                if found.is_ok() && requests.look_up_one().is_ok() {
                    requests.done.set(requests.done.get() + 1);
                }
            })?;
        }
        Ok(())
    }
}
