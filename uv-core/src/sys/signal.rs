//! The process's signal handler and the pipes into which it writes. Mirrors the lower half of libuv's
//! `src/unix/signal.c`.
//!
//! A signal handler may run on any thread between any two instructions, so it takes no lock and allocates nothing: it
//! walks a list of mailboxes, one for each loop, that only ever grows, reads atomics and calls `write`. Everything else
//! here runs outside the handler, under one mutex.

use super::fd::{check, last_errno, set_nonblocking};
use super::fork::{PerProcess, Process};
use crate::Errno;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The highest signal number on Linux: one bit each in [`Mailbox::signals`], one byte each in a pipe.
pub(super) const LAST_SIGNAL: i32 = 64;

/// What the handler knows of a loop. Never freed, so that the handler may look at it at any time: a loop that is gone
/// leaves it to the next one.
struct Mailbox {
    /// The signals that the loop watches, as bits.
    signals: AtomicU64,
    /// The writing end of the loop's pipe.
    pipe: AtomicI32,
    /// Whose loop it is, by number: a forked child has its parent's mailboxes too.
    process: AtomicU32,
    /// Handlers that are between looking at `signals` and having written to `pipe`.
    busy: AtomicU32,
    next: OnceLock<&'static Self>,
}

static FIRST: OnceLock<&'static Mailbox> = OnceLock::new();

static REGISTRY: PerProcess<Mutex<Registry>> = PerProcess::new();

/// What the process watches: all loops together.
struct Registry {
    unused: Vec<&'static Mailbox>,
    /// By signal number.
    watchers: [Watchers; LAST_SIGNAL as usize + 1],
}

impl Default for Registry {
    fn default() -> Self {
        Self { unused: Vec::new(), watchers: [Watchers::NONE; LAST_SIGNAL as usize + 1] }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Watchers {
    regular: u32,
    one_shot: u32,
}

/// What the process does about a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disposition {
    Default,
    Handle,
    /// Handled once: then the default action is back, before any loop has looked.
    HandleOnce,
}

impl Watchers {
    const NONE: Self = Self { regular: 0, one_shot: 0 };

    fn count(&mut self, one_shot: bool) -> &mut u32 {
        if one_shot { &mut self.one_shot } else { &mut self.regular }
    }

    fn disposition(self) -> Disposition {
        match self {
            Self::NONE => Disposition::Default,
            Self { regular: 0, .. } => Disposition::HandleOnce,
            _ => Disposition::Handle,
        }
    }
}

fn registry() -> MutexGuard<'static, Registry> {
    // Nothing that runs under this lock can panic half-way.
    REGISTRY.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// A loop's pipe: the handler writes the number of each watched signal into it.
pub(crate) struct SignalPipe {
    reader: PipeReader,
    /// Kept open for the handler, which knows it by number.
    _writer: PipeWriter,
    mailbox: &'static Mailbox,
}

impl SignalPipe {
    pub(crate) fn open() -> Result<Self, Errno> {
        let (reader, writer) = io::pipe()?;
        set_nonblocking(reader.as_fd(), true)?;
        set_nonblocking(writer.as_fd(), true)?;
        let mailbox = registry().unused.pop().unwrap_or_else(Mailbox::append);
        mailbox.process.store(Process::current().number(), Ordering::SeqCst);
        mailbox.pipe.store(writer.as_raw_fd(), Ordering::SeqCst);
        Ok(Self { reader, _writer: writer, mailbox })
    }

    /// Whether the loop is this process's. A forked child leaves its parent's alone.
    fn is_own(&self) -> bool {
        self.mailbox.is_own()
    }

    /// The descriptor to poll.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Counts one more watcher of `signum`, which from now on is written into this pipe, and unblocks it on this thread.
    ///
    /// `EINVAL` if that is no signal, or one that cannot be handled.
    pub(crate) fn watch(&self, signum: i32, one_shot: bool) -> Result<(), Errno> {
        if !(1..=LAST_SIGNAL).contains(&signum) || !self.is_own() {
            return Err(Errno::EINVAL);
        }
        let mut registry = registry();
        let mut watchers = registry.watchers[signum as usize];
        *watchers.count(one_shot) += 1;
        // First the mailbox, then the handler: a signal in between must not get lost.
        self.mailbox.signals.fetch_or(bit(signum), Ordering::SeqCst);
        // Also if it was like this before: a one-shot signal may have come and reset it.
        dispose(signum, watchers.disposition()).inspect_err(|_| {
            self.mailbox.signals.fetch_and(!bit(signum), Ordering::SeqCst);
        })?;
        registry.watchers[signum as usize] = watchers;
        unblock(signum);
        Ok(())
    }

    /// Takes back a successful [`watch`](Self::watch). `last` tells that none of the same signal is left for this pipe.
    pub(crate) fn unwatch(&self, signum: i32, one_shot: bool, last: bool) {
        if !self.is_own() {
            return;
        }
        let mut registry = registry();
        let watchers = &mut registry.watchers[signum as usize];
        let before = watchers.disposition();
        *watchers.count(one_shot) -= 1;
        let after = watchers.disposition();
        if after != before {
            // Refused only for numbers that `watch` refused too.
            let _ = dispose(signum, after);
        }
        if last {
            self.mailbox.signals.fetch_and(!bit(signum), Ordering::SeqCst);
        }
    }

    /// The oldest signal that was not taken yet.
    pub(crate) fn take(&self) -> Option<i32> {
        let mut message = [0];
        // Fails only if the pipe is empty: one that does not block is not interrupted either.
        (&self.reader).read_exact(&mut message).ok().map(|()| i32::from(message[0]))
    }
}

impl Drop for SignalPipe {
    fn drop(&mut self) {
        if !self.is_own() {
            return;
        }
        self.mailbox.signals.store(0, Ordering::SeqCst);
        // A handler on another thread may be about to write: the number of the pipe must not be given to another file
        // before. It takes no lock and does not block, so this is short.
        while self.mailbox.busy.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
        registry().unused.push(self.mailbox);
    }
}

impl Mailbox {
    /// Async-signal-safe.
    fn is_own(&self) -> bool {
        Process::numbered(self.process.load(Ordering::SeqCst)).is_current()
    }

    /// A new one at the end of the list.
    fn append() -> &'static Self {
        let new: &'static Self = Box::leak(Box::new(Self {
            signals: AtomicU64::new(0),
            pipe: AtomicI32::new(-1),
            process: AtomicU32::new(0),
            busy: AtomicU32::new(0),
            next: OnceLock::new(),
        }));
        let mut end = &FIRST;
        while end.set(new).is_err() {
            match end.get() {
                Some(mailbox) => end = &mailbox.next,
                None => continue,
            }
        }
        new
    }
}

fn bit(signum: i32) -> u64 {
    1 << (signum - 1)
}

/// The handler of every watched signal.
extern "C" fn on_signal(signum: libc::c_int) {
    let interrupted = errno();
    let message = signum as u8;
    let (mut is_watched, mut was_watched) = (false, false);
    let mut next = FIRST.get();
    while let Some(mailbox) = next {
        mailbox.busy.fetch_add(1, Ordering::SeqCst);
        if mailbox.signals.load(Ordering::SeqCst) & bit(signum) != 0 {
            if mailbox.is_own() {
                is_watched = true;
                let pipe = mailbox.pipe.load(Ordering::SeqCst);
                // A full pipe drops the signal: thousands wait already. SAFETY: the message is one byte long.
                unsafe { libc::write(pipe, (&raw const message).cast(), 1) };
            } else {
                was_watched = true;
            }
        }
        mailbox.busy.fetch_sub(1, Ordering::SeqCst);
        next = mailbox.next.get();
    }
    if was_watched && !is_watched {
        // Only a loop of the process from which this one was forked watches it.
        let _ = set_default(signum);
        // SAFETY: takes an integer only. All signals are blocked here: this one comes after the return.
        unsafe { libc::raise(signum) };
    }
    set_errno(interrupted);
}

fn dispose(signum: i32, disposition: Disposition) -> Result<(), Errno> {
    match disposition {
        Disposition::Default => set_default(signum),
        Disposition::Handle => set_handler(signum, libc::SA_RESTART),
        Disposition::HandleOnce => set_handler(signum, libc::SA_RESTART | libc::SA_RESETHAND),
    }
}

fn set_handler(signum: i32, flags: libc::c_int) -> Result<(), Errno> {
    let handler: extern "C" fn(libc::c_int) = on_signal;
    // SAFETY: all zeroes is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = flags;
    action.sa_mask = all_signals();
    // SAFETY: the action outlives the call, and the handler is async-signal-safe.
    check(unsafe { libc::sigaction(signum, &raw const action, std::ptr::null_mut()) }).map(drop)
}

/// Gives a signal its default action. Async-signal-safe.
pub(super) fn set_default(signum: i32) -> Result<(), Errno> {
    // SAFETY: all zeroes is a valid `sigaction`: the default action, no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = libc::SIG_DFL;
    // SAFETY: the action outlives the call.
    check(unsafe { libc::sigaction(signum, &raw const action, std::ptr::null_mut()) }).map(drop)
}

pub(super) fn all_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigfillset initialises the whole set.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        set.assume_init()
    }
}

pub(super) fn no_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the whole set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// Blocks exactly the signals of `mask` on this thread; returns those that were blocked before. Async-signal-safe.
pub(super) fn set_mask(mask: &libc::sigset_t) -> libc::sigset_t {
    let mut before = no_signals();
    // SAFETY: both sets outlive the call. It fails only for an unknown first argument.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, &raw mut before) };
    before
}

/// Lets `signum` come to this thread. A signal that all threads block is never delivered, and a program has the mask of
/// the one that started it.
fn unblock(signum: i32) {
    let mut set = no_signals();
    // SAFETY: the set outlives the calls. They fail only for an unknown signal or first argument.
    unsafe {
        libc::sigaddset(&raw mut set, signum);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

fn errno() -> libc::c_int {
    last_errno().raw()
}

fn set_errno(errno: libc::c_int) {
    // SAFETY: the pointer is this thread's `errno`, always valid.
    unsafe { *libc::__errno_location() = errno };
}
