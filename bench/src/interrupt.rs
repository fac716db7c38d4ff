//! Ctrl-C and SIGTERM: what runs is ended, the run unwinds, and nothing is left behind.
//!
//! A thread with a loop of its own watches the signals. It tells the processes that run to end; the thread that waits for one of
//! them then sees that the run was interrupted.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use uv_core::{Loop, RunMode};

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// The exit code after a second interruption, which does not wait for a clean end.
const INTERRUPTED: i32 = 130;

/// Whether the run was interrupted, and who has to be told then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<State>);

#[derive(Debug, Default)]
struct State {
    came: AtomicBool,
    running: Mutex<BTreeSet<u32>>,
}

impl Interrupt {
    /// Watches the signals from now on. Where that is impossible they keep their default action, and the processes end
    /// with this one.
    pub(crate) fn watch() -> Self {
        let interrupt = Self::default();
        let watched = interrupt.clone();
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || {
            if let Err(error) = watched.run(ready) {
                log::warn!("signals are not watched: {error}");
            }
        });
        // From here on signals are watched; an error means that the thread has given up.
        let _ = is_ready.recv();
        interrupt
    }

    fn run(&self, ready: mpsc::Sender<()>) -> uv_core::Result<()> {
        let event_loop = Loop::new()?;
        for signum in [SIGINT, SIGTERM] {
            let interrupt = self.clone();
            let signal = uv_core::Signal::new(&event_loop);
            signal.start(signum, move |_: &uv_core::Signal, _: i32| interrupt.on_signal())?;
        }
        drop(ready);
        event_loop.run(RunMode::Default)?;
        Ok(())
    }

    fn on_signal(&self) {
        let again = self.0.came.swap(true, Ordering::SeqCst);
        for pid in self.running().iter() {
            send_signal(*pid, if again { Signal::KILL } else { Signal::TERM });
        }
        if again {
            std::process::exit(INTERRUPTED);
        }
    }

    pub(crate) fn came(&self) -> bool {
        self.0.came.load(Ordering::SeqCst)
    }

    /// A process runs that is to end with the run.
    pub(crate) fn enter(&self, pid: u32) {
        self.running().insert(pid);
        if self.came() {
            send_signal(pid, Signal::TERM);
        }
    }

    /// It is about to be reaped: its number may soon be that of another.
    pub(crate) fn leave(&self, pid: u32) {
        self.running().remove(&pid);
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeSet<u32>> {
        // A set of numbers is whole whatever happened to the thread that changed it.
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process that has ended meanwhile needs no signal.
pub(crate) fn send_signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _gone = kill_process(pid, signal);
    }
}
