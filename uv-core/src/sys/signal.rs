//! The process's signal handler and the pipes into which it writes. Mirrors the handler of libuv's `src/unix/signal.c`.
//!
//! A signal handler may run on any thread between any two instructions, so it takes no lock and allocates nothing: it
//! walks a list of mailboxes, one for each loop, which only grows, reads atomics and calls `write`. All other code here
//! runs outside of the handler, under one mutex.

use super::fd::{check, last_errno, set_nonblocking};
use super::fork::{PerProcess, Process};
use crate::Errno;
use crate::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, OnceLock, thread};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::PoisonError;

/// The highest signal number on Linux: each signal is one bit in [`Mailbox::signals`] and one byte in a pipe.
pub(crate) const LAST_SIGNAL: i32 = 64;

/// The part of a loop that the handler reads. It is never freed, so that the handler may read it at any time: a later
/// loop reuses the mailbox of a dropped one.
struct Mailbox {
    /// The signals that the loop watches, as bits.
    signals: AtomicU64,
    /// The writing end of the loop's pipe.
    pipe: AtomicI32,
    /// The number of the loop's process: a forked child has copies of its parent's mailboxes.
    process: AtomicU32,
    /// The number of handlers between reading `signals` and writing to `pipe`.
    busy: AtomicU32,
    next: OnceLock<&'static Self>,
}

static FIRST: OnceLock<&'static Mailbox> = OnceLock::new();

static REGISTRY: PerProcess<Mutex<Registry>> = PerProcess::new();

/// The watchers of all loops of the process.
struct Registry {
    unused: Vec<&'static Mailbox>,
    /// Indexed by signal number.
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

/// The process's disposition of a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disposition {
    Default,
    Handle,
    /// Handled once: the kernel then restores the default action before any loop reads the signal.
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
    // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
    REGISTRY.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// A loop's pipe, into which the handler writes the number of each watched signal.
pub(crate) struct SignalPipe {
    reader: PipeReader,
    /// Kept open for the handler, which uses its number.
    _writer: PipeWriter,
    mailbox: &'static Mailbox,
}

impl SignalPipe {
    pub(crate) fn open() -> Result<Self, Errno> {
        #[cfg(upcall_faults)]
        crate::faults::refuse("pipe2(2)")?;
        let (reader, writer) = io::pipe()?;
        set_nonblocking(reader.as_fd(), true)?;
        set_nonblocking(writer.as_fd(), true)?;
        let mailbox = registry().unused.pop().unwrap_or_else(Mailbox::append);
        mailbox.process.store(Process::current().number(), Ordering::SeqCst);
        mailbox.pipe.store(writer.as_raw_fd(), Ordering::SeqCst);
        Ok(Self { reader, _writer: writer, mailbox })
    }

    /// Whether the loop belongs to this process. A forked child does not touch its parent's.
    fn is_own(&self) -> bool {
        self.mailbox.is_own()
    }

    /// The descriptor to poll.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Adds a watcher of `signum`, which is written into this pipe from now on, and unblocks the signal on this thread.
    ///
    /// `EINVAL` if there is no such signal, or if it cannot be handled.
    pub(crate) fn watch(&self, signum: i32, one_shot: bool) -> Result<(), Errno> {
        if !(1..=LAST_SIGNAL).contains(&signum) || !self.is_own() {
            return Err(Errno::EINVAL);
        }
        #[cfg(upcall_faults)]
        if let Some(watched) = crate::faults::watch_signal(self.mailbox.pipe(), signum, one_shot) {
            return watched;
        }
        let mut registry = registry();
        let mut watchers = registry.watchers[signum as usize];
        *watchers.count(one_shot) += 1;
        // The mailbox is set before the handler, so that a signal in between is not lost.
        self.mailbox.signals.fetch_or(bit(signum), Ordering::SeqCst);
        // Set even if the disposition was the same: a one-shot signal may have arrived and reset it.
        dispose(signum, watchers.disposition()).inspect_err(|_| {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::SignalFails);
            self.mailbox.signals.fetch_and(!bit(signum), Ordering::SeqCst);
        })?;
        registry.watchers[signum as usize] = watchers;
        unblock(signum);
        Ok(())
    }

    /// Ends a successful [`watch`](Self::watch). `last` means that no other watcher of this signal uses this pipe.
    pub(crate) fn unwatch(&self, signum: i32, one_shot: bool, last: bool) {
        if !self.is_own() {
            return;
        }
        #[cfg(upcall_faults)]
        if crate::faults::unwatch_signal(self.mailbox.pipe(), signum, one_shot) {
            return;
        }
        let mut registry = registry();
        let watchers = &mut registry.watchers[signum as usize];
        let before = watchers.disposition();
        *watchers.count(one_shot) -= 1;
        let after = watchers.disposition();
        if after != before {
            // Fails only for signals that `watch` refuses too.
            let _ = dispose(signum, after);
        }
        if last {
            self.mailbox.signals.fetch_and(!bit(signum), Ordering::SeqCst);
        }
    }

    /// Takes the oldest signal out of the pipe.
    pub(crate) fn take(&self) -> Option<i32> {
        let mut message = [0];
        // Fails only if the pipe is empty: a non-blocking read is not interrupted.
        (&self.reader).read_exact(&mut message).ok().map(|()| i32::from(message[0]))
    }
}

impl Drop for SignalPipe {
    fn drop(&mut self) {
        if !self.is_own() {
            return;
        }
        self.mailbox.signals.store(0, Ordering::SeqCst);
        // A handler on another thread may be about to write: the number of the pipe must not be reused before it has.
        // The handler takes no lock and does not block, so this loop is short. Adding nothing reads the latest value: either
        // the handler was counted before, or it finds that no signal is watched.
        while self.mailbox.busy.fetch_add(0, Ordering::SeqCst) != 0 {
            thread::yield_now();
        }
        registry().unused.push(self.mailbox);
    }
}

impl Mailbox {
    /// Async-signal-safe.
    fn is_own(&self) -> bool {
        Process::numbered(self.process.load(Ordering::SeqCst)).is_current()
    }

    /// The writing end of the loop's pipe. Async-signal-safe.
    fn pipe(&self) -> RawFd {
        self.pipe.load(Ordering::SeqCst)
    }

    /// Adds a new mailbox at the end of the list.
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
    let (mut is_watched, mut was_watched) = (false, false);
    let mut next = FIRST.get();
    while let Some(mailbox) = next {
        mailbox.busy.fetch_add(1, Ordering::SeqCst);
        if mailbox.signals.load(Ordering::SeqCst) & bit(signum) != 0 {
            if mailbox.is_own() {
                is_watched = true;
                let pipe = mailbox.pipe();
                #[cfg(upcall_models)]
                crate::models::before_system_call();
                tell(pipe, signum);
            } else {
                was_watched = true;
            }
        }
        mailbox.busy.fetch_sub(1, Ordering::SeqCst);
        next = mailbox.next.get();
    }
    if was_watched && !is_watched {
        // Only a loop of this process's parent, from which it was forked, watches the signal.
        let _ = set_default(signum);
        // SAFETY: takes an integer only. The handler blocks all signals, so this one is delivered when it returns.
        unsafe { libc::raise(signum) };
    }
    set_errno(interrupted);
}

/// Writes a signal's number into a loop's pipe. Async-signal-safe.
pub(crate) fn tell(pipe: RawFd, signum: i32) {
    let message = signum as u8;
    // A full pipe drops the signal: thousands are queued already. SAFETY: the message is one byte long.
    unsafe { libc::write(pipe, (&raw const message).cast(), 1) };
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

/// Sets the default action of a signal. Async-signal-safe.
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

/// Sets this thread's signal mask to `mask` and returns the old one. Async-signal-safe.
pub(super) fn set_mask(mask: &libc::sigset_t) -> libc::sigset_t {
    let mut before = no_signals();
    // SAFETY: both sets outlive the call. It fails only for an unknown first argument.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, &raw mut before) };
    before
}

/// Keeps a signal from this thread: what comes meanwhile is delivered when the guard is dropped.
pub(crate) struct Withheld(libc::sigset_t);

impl Withheld {
    pub(crate) fn new(signum: i32) -> Self {
        let (mut set, mut before) = (no_signals(), no_signals());
        // SAFETY: the sets outlive the calls. They fail only for an unknown signal or first argument.
        unsafe {
            libc::sigaddset(&raw mut set, signum);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before);
        }
        Self(before)
    }

    fn was_blocked(&self, signum: i32) -> bool {
        // SAFETY: the set outlives the call.
        unsafe { libc::sigismember(&raw const self.0, signum) == 1 }
    }
}

impl Drop for Withheld {
    fn drop(&mut self) {
        set_mask(&self.0);
    }
}

/// Makes a call that may find a broken connection and has no `MSG_NOSIGNAL`, without the SIGPIPE that would come with `EPIPE`.
///
/// Every Rust program ignores it from its start; but a program that has watched it, or that is no Rust program, does not.
pub(super) fn without_sigpipe<T>(call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    if is_ignored(libc::SIGPIPE) {
        return call();
    }
    let withheld = Withheld::new(libc::SIGPIPE);
    // A signal that the thread has blocked before is the program's.
    let was_pending = withheld.was_blocked(libc::SIGPIPE) && is_pending(libc::SIGPIPE);
    let result = call();
    if result.as_ref().err() == Some(&Errno::EPIPE) && !was_pending {
        take_pending(libc::SIGPIPE);
    }
    result
}

fn is_ignored(signum: i32) -> bool {
    // SAFETY: all zeroes is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: with a null new action the call only writes the current one.
    unsafe { libc::sigaction(signum, std::ptr::null(), &raw mut action) };
    action.sa_sigaction == libc::SIG_IGN
}

/// Whether a signal that this thread blocks has come.
fn is_pending(signum: i32) -> bool {
    let mut pending = no_signals();
    // SAFETY: the set outlives the calls.
    unsafe {
        libc::sigpending(&raw mut pending);
        libc::sigismember(&raw const pending, signum) == 1
    }
}

/// Takes a signal that this thread blocks, if it has come.
fn take_pending(signum: i32) {
    let mut set = no_signals();
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time outlive the calls; nothing is asked about the signal.
    unsafe {
        libc::sigaddset(&raw mut set, signum);
        libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const at_once);
    }
}

/// Unblocks `signum` on this thread. A signal that all threads block is never delivered, and a process inherits the
/// mask of the process that started it.
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

#[cfg(all(test, upcall_models))]
#[path = "../models/signal.rs"]
mod models;
