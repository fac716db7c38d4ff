//! Output that never blocks the loop: a bounded queue with a writer thread. libuv has no counterpart; Node's
//! `process.stdout` and `process.stderr` block the loop when they are files, terminals or pipes.
//!
//! A pipe without a reader takes 64 KiB, and then blocks its writer. Setting `O_NONBLOCK` is no solution: the flag
//! belongs to the open file, which a shell or another process shares. So a thread blocks instead of the loop. Lines for
//! which the queue has no room are dropped and counted, and the count is written when the output takes bytes again.

use crate::sync::{Condvar, Mutex, MutexGuard, thread};
use crate::sys::fork::Process;
use crate::{Errno, sys};
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Capacity of the queue in bytes: some thousand lines, enough for an output that is slow for a moment. The thread may
/// hold as many again.
const ROOM: usize = 1 << 20;

/// Bytes in one write, `PIPE_BUF`: lines up to this length do not mix with those of other processes on a pipe.
const PIECE: usize = 4096;

/// A buffer larger than this is not kept for reuse.
const KEPT: usize = 64 * 1024;

/// How long a process that exits waits for its standard outputs to take the queued lines.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The queues of the standard outputs, once they are used.
static STDOUT: OnceLock<Spool> = OnceLock::new();
static STDERR: OnceLock<Spool> = OnceLock::new();

/// The process that uses them: a forked child does not have their threads.
static USER: OnceLock<Process> = OnceLock::new();

/// An output with a queue. `Send` and `Sync`; clones share the queue.
///
/// Bytes are written in order. When the last clone is dropped, the thread writes what is queued and ends.
///
/// ```
/// use uv_core::os::Spool;
///
/// Spool::stderr().write(b"this never waits\n");
/// ```
#[derive(Clone)]
pub struct Spool(Arc<Owner>);

/// Tells the thread that the last clone is dropped.
struct Owner(Arc<Shared>);

struct Shared {
    output: Box<dyn AsFd + Send + Sync>,
    room: usize,
    state: Mutex<State>,
    /// Signalled when there is something to write, and when everything is written.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: Vec<u8>,
    /// Lines that found no room since the thread last took the queue. While it is not zero all further lines are
    /// dropped, so that the message about them stands in their place.
    dropped: u64,
    /// The thread is running.
    is_running: bool,
    /// The thread is writing.
    is_writing: bool,
    /// The last clone is dropped.
    is_closed: bool,
}

impl Spool {
    /// Creates a queue for `output`. The first line starts its thread.
    #[must_use]
    pub fn new(output: impl AsFd + Send + Sync + 'static) -> Self {
        Self::with_room(output, ROOM)
    }

    /// Like [`new`](Self::new), with a capacity in bytes. Default: 1 MiB.
    #[must_use]
    pub fn with_room(output: impl AsFd + Send + Sync + 'static, room: usize) -> Self {
        let shared =
            Shared { output: Box::new(output), room, state: Mutex::default(), changed: Condvar::new() };
        Self(Arc::new(Owner(Arc::new(shared))))
    }

    /// The process's queue for its standard output. Output written by other means may appear in between.
    ///
    /// A process that ends by returning from `main` or by `exit` waits up to half a second for the queue.
    pub fn stdout() -> &'static Self {
        STDOUT.get_or_init(|| Self::standard(io::stdout()))
    }

    /// The process's queue for its standard error. The end of the process waits for it as for [`stdout`](Self::stdout).
    pub fn stderr() -> &'static Self {
        STDERR.get_or_init(|| Self::standard(io::stderr()))
    }

    fn standard(output: impl AsFd + Send + Sync + 'static) -> Self {
        USER.get_or_init(|| {
            sys::output::at_exit(say_last_words);
            Process::current()
        });
        Self::new(output)
    }

    /// Waits up to `patience` until the queues of standard output and standard error are written. Call it last. Returns
    /// whether they are written.
    pub fn flush_standard(patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let flushed = [Self::stdout(), Self::stderr()]
            .map(|spool| spool.flush(until.saturating_duration_since(Instant::now())));
        flushed.iter().all(|flushed| *flushed)
    }

    /// Queues `lines`, all of them or none, without blocking. Returns whether there was room; otherwise the lines are
    /// counted and dropped.
    pub fn write(&self, lines: &[u8]) -> bool {
        let shared = &self.0.0;
        let mut state = shared.state();
        let is_running = state.is_running || shared.start(&mut state);
        let was_idle = state.queue.is_empty() && state.dropped == 0;
        let fits = lines.len() <= shared.room.saturating_sub(state.queue.len());
        let is_taken = is_running && state.dropped == 0 && fits;
        if is_taken {
            state.queue.extend_from_slice(lines);
        } else {
            state.dropped += count(lines);
        }
        drop(state);
        if was_idle {
            shared.changed.notify_all();
        }
        is_taken
    }

    /// Waits up to `patience` until everything is written. Returns whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        let state = self.0.0.state();
        let is_busy = |state: &mut State| {
            state.is_running && (state.is_writing || !state.queue.is_empty() || state.dropped > 0)
        };
        let waited = self.0.0.changed.wait_timeout_while(state, patience, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// Waits for the standard outputs when the process exits.
extern "C" fn say_last_words() {
    if USER.get().is_some_and(|user| user.is_current()) {
        let until = Instant::now() + LAST_WORDS;
        for spool in [STDOUT.get(), STDERR.get()].into_iter().flatten() {
            spool.flush(until.saturating_duration_since(Instant::now()));
        }
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.0.state();
        f.debug_struct("Spool")
            .field("waiting", &state.queue.len())
            .field("dropped", &state.dropped)
            .finish_non_exhaustive()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.state().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread. If the system refuses, the next line tries again.
    #[cold]
    fn start(self: &Arc<Self>, state: &mut State) -> bool {
        let shared = Arc::clone(self);
        let started = thread::Builder::new().name("output".to_owned()).spawn(move || shared.run());
        state.is_running = started.is_ok();
        state.is_running
    }

    /// The thread: writes queued lines until the last clone is dropped.
    fn run(&self) {
        let output = self.output.as_fd();
        let (mut batch, mut dropped) = (Vec::new(), 0);
        // Lines that were dropped or could not be written, and are not yet reported.
        let mut lost = 0;
        while self.take(&mut batch, &mut dropped) {
            let mut rest = &*batch;
            while let Some((piece, others)) = first_piece(rest) {
                rest = others;
                if say(output, &mut lost).and_then(|()| write_all(output, piece)).is_err() {
                    lost += count(piece);
                }
            }
            lost += dropped;
            // A broken output refuses this message; it is written before the next line.
            let _ = say(output, &mut lost);
            batch.clear();
            if batch.capacity() > KEPT {
                batch = Vec::new();
            }
        }
    }

    /// Waits for something to write, and takes it with the number of lines dropped behind it. Returns whether there is
    /// anything.
    fn take(&self, batch: &mut Vec<u8>, dropped: &mut u64) -> bool {
        let mut state = self.state();
        state.is_writing = false;
        self.changed.notify_all();
        let is_idle = |state: &mut State| state.queue.is_empty() && state.dropped == 0;
        state = self
            .changed
            .wait_while(state, |state| is_idle(state) && !state.is_closed)
            .unwrap_or_else(PoisonError::into_inner);
        mem::swap(batch, &mut state.queue);
        *dropped = mem::take(&mut state.dropped);
        state.is_writing = true;
        !batch.is_empty() || *dropped > 0
    }
}

/// Writes the number of lost lines, if any.
fn say(output: BorrowedFd<'_>, lost: &mut u64) -> Result<(), Errno> {
    if *lost > 0 {
        let what = if *lost == 1 { "line was" } else { "lines were" };
        write_all(output, format!("[{lost} {what} dropped: the output was blocked]\n").as_bytes())?;
        *lost = 0;
    }
    Ok(())
}

/// Writes everything, however long the output blocks.
fn write_all(output: BorrowedFd<'_>, mut data: &[u8]) -> Result<(), Errno> {
    while !data.is_empty() {
        match sys::output::write(output, data) {
            Ok(0) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::OutputEnds);
                return Err(Errno::from_raw(libc::EIO));
            }
            Ok(count) => data = data.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::OutputInterrupted);
            }
            // Another process has made the open file non-blocking.
            Err(errno) if errno.would_block() => match sys::output::wait_writable(output) {
                Err(errno) if errno != Errno::EINTR => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::OutputWaitFails);
                    return Err(errno);
                }
                _ => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::OutputBlocks);
                }
            },
            Err(errno) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::OutputFails);
                return Err(errno);
            }
        }
    }
    Ok(())
}

/// Splits off as many whole lines as fit one write, or a part of a longer line.
fn first_piece(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let reach = data.get(..PIECE).unwrap_or(data);
    let end = match reach.iter().rposition(|byte| *byte == b'\n') {
        Some(last) => last + 1,
        None => reach.len(),
    };
    (end > 0).then(|| data.split_at(end))
}

/// The number of lines; a partial line counts as a line.
fn count(lines: &[u8]) -> u64 {
    let ends = lines.iter().filter(|byte| **byte == b'\n').count();
    let has_rest = lines.last().is_some_and(|byte| *byte != b'\n');
    ends as u64 + u64::from(has_rest)
}

#[cfg(all(test, upcall_models))]
#[path = "models/spool.rs"]
mod models;
