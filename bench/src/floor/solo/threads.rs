//! Two threads, an eventfd for each direction, and a locked queue where there is something to say.
//!
//! The eventfds are edge-triggered: each write is an event, and no read is needed.

use crate::Result;
use crate::poller::{EventFlags, Poller};
use crate::subjects::solo::{IN_FLIGHT, check, measure};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::mem::{swap, take};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Threads of the pool: libuv's number.
const POOL: usize = 4;

/// What wakes a thread that waits in its poller.
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// A poller that hears it, also if it rang before.
    pub(super) fn listen(&self) -> io::Result<Poller> {
        let poller = Poller::new()?;
        poller.add(&self.0, 0, EventFlags::IN | EventFlags::ET)?;
        Ok(poller)
    }

    pub(super) fn ring(&self) -> io::Result<()> {
        rustix::io::write(&self.0, &1_u64.to_ne_bytes())?;
        Ok(())
    }
}

/// One operation is a wake-up of another thread and the wake-up that answers it.
pub(crate) fn wakeup(ops: u64) -> Result<()> {
    // Here and there.
    let bells = Arc::new((Bell::new()?, Bell::new()?));
    let is_over = Arc::new(AtomicBool::new(false));
    let (theirs, over) = (Arc::clone(&bells), Arc::clone(&is_over));
    let thread = thread::spawn(move || -> io::Result<()> {
        let mut heard = theirs.1.listen()?;
        loop {
            heard.wait(None)?;
            if over.load(Ordering::Relaxed) {
                return Ok(());
            }
            theirs.0.ring()?;
        }
    });
    let mut heard = bells.0.listen()?;
    measure(ops, |count| {
        let mut answers = 0;
        for _ in 0..count {
            bells.1.ring()?;
            answers += heard.wait(None)? as u64;
        }
        check(answers, count)
    })?;
    is_over.store(true, Ordering::Relaxed);
    bells.1.ring()?;
    thread.join().map_err(|_| "the other thread panicked")?.map_err(Into::into)
}

/// A locked queue of numbers whose reader is woken only if it waits.
pub(super) struct Mailbox {
    bell: Bell,
    numbers: Mutex<Numbers>,
}

#[derive(Default)]
struct Numbers {
    waiting: Vec<u64>,
    reader_waits: bool,
}

impl Mailbox {
    pub(super) fn new() -> io::Result<(Arc<Self>, Poller)> {
        let bell = Bell::new()?;
        let poller = bell.listen()?;
        Ok((Arc::new(Self { bell, numbers: Mutex::default() }), poller))
    }

    pub(super) fn put(&self, number: u64) -> io::Result<()> {
        let reader_waits = {
            let mut numbers = lock(&self.numbers);
            numbers.waiting.push(number);
            take(&mut numbers.reader_waits)
        };
        if reader_waits { self.bell.ring() } else { Ok(()) }
    }

    /// Waits until something has come, and exchanges it for `emptied`.
    pub(super) fn take(&self, poller: &mut Poller, emptied: &mut Vec<u64>) -> io::Result<()> {
        while !self.take_now(emptied) {
            poller.wait(None)?;
        }
        Ok(())
    }

    /// Returns whether anything has come. If not, the reader has to wait for the bell.
    fn take_now(&self, emptied: &mut Vec<u64>) -> bool {
        let mut numbers = lock(&self.numbers);
        swap(&mut numbers.waiting, emptied);
        numbers.reader_waits = emptied.is_empty();
        !emptied.is_empty()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under these locks can panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One operation is a number sent by another thread, in bursts that are waited for.
pub(crate) fn post(ops: u64) -> Result<()> {
    let (mailbox, mut poller) = Mailbox::new()?;
    let (order, orders): (Sender<u64>, Receiver<u64>) = channel();
    let (taken, is_taken) = channel();
    let theirs = Arc::clone(&mailbox);
    let thread = thread::spawn(move || -> io::Result<()> {
        for burst in orders {
            (0..burst).try_for_each(|number| theirs.put(number))?;
            // Refused only if the main thread has failed.
            let _ = is_taken.recv();
        }
        Ok(())
    });
    let mut numbers = Vec::new();
    measure(ops, |count| {
        let mut left = count;
        while left > 0 {
            let burst = left.min(IN_FLIGHT);
            order.send(burst)?;
            let mut came = 0;
            while came < burst {
                mailbox.take(&mut poller, &mut numbers)?;
                came += numbers.drain(..).map(black_box).count() as u64;
            }
            check(came, burst)?;
            taken.send(())?;
            left -= burst;
        }
        Ok(())
    })?;
    drop((order, taken));
    thread.join().map_err(|_| "the other thread panicked")?.map_err(Into::into)
}

/// What the threads of the pool have to do.
#[derive(Default)]
struct Tasks {
    state: Mutex<TasksState>,
    queued: Condvar,
}

#[derive(Default)]
struct TasksState {
    queue: VecDeque<u64>,
    /// Threads that wait: only they are to be woken.
    idle: usize,
}

impl Tasks {
    fn put(&self, numbers: Range<u64>) {
        let idle = {
            let mut state = lock(&self.state);
            state.queue.extend(numbers.clone());
            state.idle
        };
        for _ in numbers.take(idle) {
            self.queued.notify_one();
        }
    }

    fn next(&self) -> u64 {
        let mut state = lock(&self.state);
        loop {
            if let Some(number) = state.queue.pop_front() {
                return number;
            }
            state.idle += 1;
            state = self.queued.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// One operation is a number given to a pool of threads and taken back, of which there are 64 at a time.
pub(crate) fn work(ops: u64) -> Result<()> {
    work_at_a_time(ops, IN_FLIGHT)
}

/// The same, one at a time.
pub(crate) fn queue_work(ops: u64) -> Result<()> {
    work_at_a_time(ops, 1)
}

fn work_at_a_time(ops: u64, in_flight: u64) -> Result<()> {
    let (mailbox, mut poller) = Mailbox::new()?;
    let tasks = Arc::new(Tasks::default());
    for _ in 0..POOL {
        let (tasks, mailbox) = (Arc::clone(&tasks), Arc::clone(&mailbox));
        // They end with the process. The main thread misses the numbers of a thread that cannot ring.
        thread::spawn(move || while mailbox.put(black_box(tasks.next())).is_ok() {});
    }
    let mut numbers = Vec::new();
    measure(ops, |count| {
        let (mut given, mut done) = (count.min(in_flight), 0);
        tasks.put(0..given);
        while done < count {
            mailbox.take(&mut poller, &mut numbers)?;
            done += numbers.len() as u64;
            // As many more as came back.
            let more = (done + in_flight).min(count);
            tasks.put(given..more);
            given = more;
            numbers.clear();
        }
        check(done, count)
    })
}
