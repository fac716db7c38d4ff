//! Signals: every watcher on every loop gets the process's signals. Mirrors libuv's `src/unix/signal.c`.
//!
//! The process-wide handler writes the signal's number into the pipe of each loop that watches it. The loop reads its
//! pipe at the end of the poll phase, after all other I/O, and calls its watchers in the order in which they were
//! started.

use crate::handle::{Handle, HandleInner, HandleKind};
use crate::layer::HandlerCell;
use crate::layer::trace::Facts;
use crate::queue::Queue;
use crate::sys::signal::SignalPipe;
use crate::why::About;
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::{Rc, Weak};

/// Signals taken from the pipe in one poll phase; the next phase takes more, so that a flood of signals does not starve
/// other handles.
const SIGNALS_PER_TURN: usize = 64;

/// A watcher of one signal (`uv_signal_t`).
///
/// Any number of watchers, on any loops, may watch the same signal: each gets every delivery. While a watcher is
/// started, the signal's default action does not happen; when the last one stops, the default action is restored. The
/// system may merge signals that arrive faster than a loop reads them. This crate does not change SIGPIPE: its writes
/// to sockets never raise it.
///
/// ```
/// use uv_core::{Loop, RunMode, Signal};
///
/// let event_loop = Loop::new()?;
/// let signal = Signal::new(&event_loop);
/// signal.start(Signal::SIGUSR1, |signal: &Signal, _signum| signal.close())?;
/// uv_core::process::kill(std::process::id() as i32, Signal::SIGUSR1)?;
/// assert!(!event_loop.run(RunMode::Default)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Signal(Rc<SignalInner>);

type OnSignal = Box<dyn FnMut(&Signal, i32)>;

struct SignalInner {
    handle: Handle,
    /// The watched signal; `None` while stopped.
    watch: Cell<Option<Watch>>,
    upcall: HandlerCell<OnSignal>,
}

#[derive(Clone, Copy)]
struct Watch {
    signum: i32,
    one_shot: bool,
}

/// The signals that programs watch or send, by their names in signal(7).
#[allow(missing_docs, reason = "each is the signal of its name")]
impl Signal {
    pub const SIGHUP: i32 = libc::SIGHUP;
    pub const SIGINT: i32 = libc::SIGINT;
    pub const SIGQUIT: i32 = libc::SIGQUIT;
    pub const SIGKILL: i32 = libc::SIGKILL;
    pub const SIGUSR1: i32 = libc::SIGUSR1;
    pub const SIGUSR2: i32 = libc::SIGUSR2;
    pub const SIGPIPE: i32 = libc::SIGPIPE;
    pub const SIGTERM: i32 = libc::SIGTERM;
    pub const SIGCHLD: i32 = libc::SIGCHLD;
    pub const SIGPROF: i32 = libc::SIGPROF;
    pub const SIGCONT: i32 = libc::SIGCONT;
    pub const SIGSTOP: i32 = libc::SIGSTOP;
    pub const SIGWINCH: i32 = libc::SIGWINCH;
}

impl Signal {
    /// Creates a watcher that is not started (`uv_signal_init`).
    #[must_use]
    #[track_caller]
    pub fn new(event_loop: &LoopHandle) -> Self {
        Self(event_loop.add(HandleKind::Signal, |handle| SignalInner {
            handle,
            watch: Cell::new(None),
            upcall: HandlerCell::empty(),
        }))
    }

    /// Calls `upcall` whenever the process receives `signum` (`uv_signal_start`).
    ///
    /// On a started watcher this replaces the signal and the upcall. The signal is unblocked on this thread and stays
    /// unblocked, because the program that started this one may have blocked it. libuv does not unblock it; Node
    /// unblocks all signals at its start.
    ///
    /// # Errors
    /// `EINVAL` if there is no such signal, if it is SIGKILL or SIGSTOP, or if the watcher is closing; any error of
    /// creating the loop's pipe. The watcher is unchanged then.
    pub fn start(&self, signum: i32, upcall: impl FnMut(&Self, i32) + 'static) -> Result<()> {
        self.start_watch(Watch { signum, one_shot: false }, Box::new(upcall))
    }

    /// Calls `upcall` for the next `signum` only and stops the watcher right before the call
    /// (`uv_signal_start_oneshot`).
    ///
    /// If all watchers of a signal are one-shot, the default action is restored as soon as the signal arrives: a second
    /// Ctrl-C ends a program that hangs.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_oneshot(&self, signum: i32, upcall: impl FnMut(&Self, i32) + 'static) -> Result<()> {
        self.start_watch(Watch { signum, one_shot: true }, Box::new(upcall))
    }

    /// Stops the watcher; signals that have arrived are not reported (`uv_signal_stop`). Idempotent.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// The watched signal; 0 while the watcher is stopped.
    #[must_use]
    pub fn signum(&self) -> i32 {
        self.0.watch.get().map_or(0, |watch| watch.signum)
    }

    fn start_watch(&self, watch: Watch, upcall: OnSignal) -> Result<()> {
        if self.is_closing() {
            return Err(Error::new("signal_start", Errno::EINVAL)
                .on(watch.signum)
                .noting("the watcher is closing"));
        }
        let signals = &self.loop_handle().inner().signals;
        signals.watch(self, watch).map_err(|errno| Error::new("signal_start", errno).on(watch.signum))?;
        let before = self.0.watch.replace(Some(watch));
        signals.enter(&self.0);
        if let Some(before) = before {
            signals.unwatch(before);
        }
        self.0.handle.start();
        self.0.upcall.set(upcall);
        Ok(())
    }
}

/// A signal as people write it.
fn name(signum: i32) -> String {
    let known = [
        (Signal::SIGHUP, "SIGHUP"),
        (Signal::SIGINT, "SIGINT"),
        (Signal::SIGQUIT, "SIGQUIT"),
        (Signal::SIGUSR1, "SIGUSR1"),
        (Signal::SIGUSR2, "SIGUSR2"),
        (Signal::SIGPIPE, "SIGPIPE"),
        (Signal::SIGTERM, "SIGTERM"),
        (Signal::SIGCHLD, "SIGCHLD"),
        (Signal::SIGPROF, "SIGPROF"),
        (Signal::SIGCONT, "SIGCONT"),
        (Signal::SIGWINCH, "SIGWINCH"),
    ];
    let found = known.iter().find(|(number, _)| *number == signum);
    found.map_or_else(|| format!("signal {signum}"), |(_, name)| (*name).to_owned())
}

impl SignalInner {
    fn stop(&self) {
        if let Some(watch) = self.watch.take() {
            let signals = &self.handle.loop_handle().inner().signals;
            signals.leave(self);
            signals.unwatch(watch);
            self.handle.stop();
        }
    }

    fn watches(&self, signum: i32) -> bool {
        self.watch.get().is_some_and(|watch| watch.signum == signum)
    }

    fn deliver(self: Rc<Self>, signum: i32) {
        // The watcher was stopped, closed or started for another signal after the signal was taken from the pipe.
        let Some(watch) = self.watch.get().filter(|watch| watch.signum == signum) else { return };
        if watch.one_shot {
            self.stop();
        }
        let handle = Signal(Rc::clone(&self));
        let _up = LAYER.up("SignalInner::deliver", || Facts::of(&handle));
        self.upcall.call(|upcall| upcall(&handle, signum));
    }
}

impl HandleInner for SignalInner {
    fn base(&self) -> &Handle {
        &self.handle
    }

    fn begin_close(&self) {
        self.stop();
    }

    fn drop_tower(&self) {
        drop(self.upcall.take());
    }

    fn about(&self) -> About {
        self.watch
            .get()
            .map_or_else(About::default, |watch| About::saying(format!("watches {}", name(watch.signum))))
    }
}

impl Deref for Signal {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0.handle
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("signum", &self.signum()).finish_non_exhaustive()
    }
}

/// A loop's started watchers and its end of the pipe, which the first watcher creates.
#[derive(Default)]
pub(crate) struct Signals {
    pipe: OnceCell<SignalPipe>,
    /// In the order in which they were started.
    started: RefCell<Vec<Rc<SignalInner>>>,
    /// The calls to make. All calls for a signal are queued before the first is made.
    due: Queue<(Weak<SignalInner>, i32)>,
}

impl Signals {
    /// Reports the signals in the pipe. The poll phase calls this when the pipe is readable.
    pub(crate) fn deliver(&self, event_loop: &LoopHandle) {
        let Some(pipe) = self.pipe.get() else { return };
        // Until the pipe is empty the next poll phase looks again: after a flood, or after a panic in an upcall.
        event_loop.inner().signalled.set(true);
        self.call_due();
        for _ in 0..SIGNALS_PER_TURN {
            let Some(signum) = pipe.take() else {
                event_loop.inner().signalled.set(false);
                return;
            };
            for inner in self.started.borrow().iter().filter(|inner| inner.watches(signum)) {
                self.due.push((Rc::downgrade(inner), signum));
            }
            self.call_due();
        }
    }

    fn call_due(&self) {
        self.due.drain_first(self.due.len(), |(inner, signum)| {
            if let Some(inner) = inner.upgrade() {
                inner.deliver(signum);
            }
        });
    }

    fn watch(&self, signal: &Signal, watch: Watch) -> Result<(), Errno> {
        if self.pipe.get().is_none() {
            let pipe = SignalPipe::open();
            #[cfg(upcall_faults)]
            crate::faults::reached_if(crate::faults::Branch::SignalPipeFails, &pipe);
            let pipe = pipe?;
            let watched = signal.loop_handle().inner().poller.register_signals(pipe.fd());
            #[cfg(upcall_faults)]
            crate::faults::reached_if(crate::faults::Branch::SignalPipeFails, &watched);
            watched?;
            // The cell was empty right before, and no other code ran since.
            let _ = self.pipe.set(pipe);
        }
        self.pipe.get().map_or(Err(Errno::EINVAL), |pipe| pipe.watch(watch.signum, watch.one_shot))
    }

    /// Ends the watch of a watcher that was stopped or watches another signal now.
    fn unwatch(&self, watch: Watch) {
        let last = !self.started.borrow().iter().any(|inner| inner.watches(watch.signum));
        if let Some(pipe) = self.pipe.get() {
            pipe.unwatch(watch.signum, watch.one_shot, last);
        }
    }

    /// Adds a watcher as the last one to be called.
    fn enter(&self, inner: &Rc<SignalInner>) {
        self.leave(inner);
        self.started.borrow_mut().push(Rc::clone(inner));
    }

    fn leave(&self, inner: &SignalInner) {
        self.started.borrow_mut().retain(|other| !std::ptr::eq(Rc::as_ptr(other), inner));
    }
}
