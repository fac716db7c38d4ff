//! The model of a child's end: what the signals that it was sent may do, and have to.

use uv_core::Signal;

/// What may become of a child, apart from an end by itself.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// It stands still, or will before it runs on.
    is_stopped: bool,
    /// Signals that may end it.
    deadly: Vec<i32>,
    /// One of these ends it, and not the child itself.
    is_doomed: bool,
    /// It has begun to die, and no other signal does anything.
    is_sealed: bool,
}

impl Fate {
    /// A child that has not ended was sent a signal, which it may handle.
    pub(crate) fn send(&mut self, signum: i32, is_handled: bool) {
        if self.is_sealed {
            return;
        }
        match signum {
            0 | Signal::SIGCHLD | Signal::SIGWINCH => {}
            Signal::SIGSTOP => self.is_stopped = true,
            Signal::SIGCONT => {
                self.is_stopped = false;
                self.is_doomed |= !self.deadly.is_empty();
            }
            _ if is_handled => {}
            _ => {
                self.deadly.push(signum);
                // A stopped child keeps the others until it runs. The end by SIGQUIT begins when the child runs and writes its
                // core, so another signal may be faster.
                let is_now = signum == Signal::SIGKILL || !self.is_stopped;
                self.is_doomed |= is_now;
                self.is_sealed |= is_now && signum != Signal::SIGQUIT;
            }
        }
    }

    /// Whether a signal has to end it.
    pub(crate) fn is_doomed(&self) -> bool {
        self.is_doomed
    }

    pub(crate) fn may_end_by(&self, signum: i32) -> bool {
        self.deadly.contains(&signum)
    }

    pub(crate) fn may_be_killed(&self) -> bool {
        !self.deadly.is_empty()
    }
}
