//! Output that no loop waits for: a bounded queue, written by a thread of its own. libuv has nothing like it; in Node,
//! `process.stdout` and `process.stderr` hold up the loop when they are files, terminals or pipes.
//!
//! A pipe that is not read takes 64 KiB, and then whoever writes to it waits. To set `O_NONBLOCK` is no way out: the
//! flag belongs to the open file, which a shell or another process shares. So a thread waits instead of the loop. What
//! finds no room in the queue is dropped, counted, and said when the output takes bytes again.

use crate::sys::fork::Process;
use crate::{Errno, sys};
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that wait: some thousand lines, enough for an output that is slow for a moment. As many again may be with the
/// thread.
const ROOM: usize = 1 << 20;

/// Bytes in one write, `PIPE_BUF`: whole lines up to this length do not mix with those of other processes on a pipe.
const PIECE: usize = 4096;

/// A buffer beyond this size is not kept for the next use.
const KEPT: usize = 64 * 1024;

/// How long a process that ends waits for its standard outputs to take what was queued.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The queues before the standard outputs, once they are used.
static STDOUT: OnceLock<Spool> = OnceLock::new();
static STDERR: OnceLock<Spool> = OnceLock::new();

/// The process in which they are used: a child that was forked from it has not their threads.
static USER: OnceLock<Process> = OnceLock::new();

/// An output with a queue before it. `Send` and `Sync`; clones share the queue.
///
/// Bytes are written in order. When the last clone is dropped, the thread writes what it has and ends.
///
/// ```
/// use uv_core::os::Spool;
///
/// Spool::stderr().write(b"this never waits\n");
/// ```
#[derive(Clone)]
pub struct Spool(Arc<Owner>);

/// Tells the thread when the last clone is gone.
struct Owner(Arc<Shared>);

struct Shared {
    output: Box<dyn AsFd + Send + Sync>,
    room: usize,
    state: Mutex<State>,
    /// There is something to write, or all is written.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: Vec<u8>,
    /// Lines that found no room since the thread last took the queue. While there are any, all others are dropped too,
    /// so that what is said about them stands in its place.
    dropped: u64,
    /// The thread is there.
    is_running: bool,
    /// The thread writes what it took.
    is_writing: bool,
    /// The last clone is gone.
    is_closed: bool,
}

impl Spool {
    /// A queue before `output`. Its thread begins with the first line.
    #[must_use]
    pub fn new(output: impl AsFd + Send + Sync + 'static) -> Self {
        Self::with_room(output, ROOM)
    }

    /// The same with room for so many bytes. Default: 1 MiB.
    #[must_use]
    pub fn with_room(output: impl AsFd + Send + Sync + 'static, room: usize) -> Self {
        let shared =
            Shared { output: Box::new(output), room, state: Mutex::default(), changed: Condvar::new() };
        Self(Arc::new(Owner(Arc::new(shared))))
    }

    /// The process's one queue before its standard output. What is written there by other means may be in between.
    ///
    /// A process that ends by a return from `main` or by `exit` waits up to half a second for what is queued.
    pub fn stdout() -> &'static Self {
        STDOUT.get_or_init(|| Self::standard(io::stdout()))
    }

    /// The process's one queue before its standard error, with the same end.
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

    /// Waits until what was queued for standard output and standard error is written, for at most `patience`: the last
    /// thing that a process does which uses them. Returns whether it is.
    pub fn flush_standard(patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let flushed = [Self::stdout(), Self::stderr()]
            .map(|spool| spool.flush(until.saturating_duration_since(Instant::now())));
        flushed.iter().all(|flushed| *flushed)
    }

    /// Queues `lines`, all of them or none. Never waits for the output. Returns whether there was room; if not, they are
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

    /// Waits until everything is written, for at most `patience`. Returns whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        let state = self.0.0.state();
        let is_busy = |state: &mut State| {
            state.is_running && (state.is_writing || !state.queue.is_empty() || state.dropped > 0)
        };
        let waited = self.0.0.changed.wait_timeout_while(state, patience, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// Waits for the standard outputs at the end of the process.
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
        // Nothing that runs under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread. The system may refuse; the next line tries again.
    #[cold]
    fn start(self: &Arc<Self>, state: &mut State) -> bool {
        let shared = Arc::clone(self);
        let started = thread::Builder::new().name("output".to_owned()).spawn(move || shared.run());
        state.is_running = started.is_ok();
        state.is_running
    }

    /// The thread: writes what is queued until the last clone is gone.
    fn run(&self) {
        let output = self.output.as_fd();
        let (mut batch, mut dropped) = (Vec::new(), 0);
        // Lines of which nothing is said yet: they were dropped, or could not be written.
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
            // An output that is broken refuses it: then it is said before the next line.
            let _ = say(output, &mut lost);
            batch.clear();
            if batch.capacity() > KEPT {
                batch = Vec::new();
            }
        }
    }

    /// Waits for something to write, and takes it with the number of the lines that were dropped behind it. Returns
    /// whether there is anything.
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

/// Says how many lines were lost, if any were.
fn say(output: BorrowedFd<'_>, lost: &mut u64) -> Result<(), Errno> {
    if *lost > 0 {
        let what = if *lost == 1 { "line was" } else { "lines were" };
        write_all(output, format!("[{lost} {what} dropped: this output took no more]\n").as_bytes())?;
        *lost = 0;
    }
    Ok(())
}

/// Writes everything, however long the output takes.
fn write_all(output: BorrowedFd<'_>, mut data: &[u8]) -> Result<(), Errno> {
    while !data.is_empty() {
        match sys::output::write(output, data) {
            Ok(0) => return Err(Errno::from_raw(libc::EIO)),
            Ok(count) => data = data.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            // Somebody has made the open file a non-blocking one.
            Err(errno) if errno.would_block() => match sys::output::wait_writable(output) {
                Err(errno) if errno != Errno::EINTR => return Err(errno),
                _ => {}
            },
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Cuts off as many lines as one write may have, or a part of one line that is longer.
fn first_piece(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let reach = data.get(..PIECE).unwrap_or(data);
    let end = match reach.iter().rposition(|byte| *byte == b'\n') {
        Some(last) => last + 1,
        None => reach.len(),
    };
    (end > 0).then(|| data.split_at(end))
}

/// How many lines; a part of one counts as one.
fn count(lines: &[u8]) -> u64 {
    let ends = lines.iter().filter(|byte| **byte == b'\n').count();
    let has_rest = lines.last().is_some_and(|byte| *byte != b'\n');
    ends as u64 + u64::from(has_rest)
}
