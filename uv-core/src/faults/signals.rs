//! The signals of a process that the test plays, as in signal(7): what each does by default, what waits while the process
//! stands still, and the pipes of the watchers that are told.

use crate::sys::signal::LAST_SIGNAL;
use std::collections::BTreeSet;
use std::os::fd::RawFd;

#[derive(Default)]
pub(super) struct Signals {
    /// Sent and not delivered. A signal that is sent again meanwhile is delivered once; real-time signals too, which would queue.
    pending: BTreeSet<i32>,
    is_stopped: bool,
    /// The signal that ends the process, whatever else is sent.
    end: Option<i32>,
    watches: Vec<Watch>,
    /// Handled signals whose default action the kernel has restored, because all watchers are one-shot.
    restored: BTreeSet<i32>,
}

/// A watcher in a loop of the process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Watch {
    /// The writing end of the loop's pipe.
    pub(super) pipe: RawFd,
    pub(super) signum: i32,
    pub(super) is_one_shot: bool,
}

/// What a signal does to a process that does not handle it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    End,
    /// Ends the process once it runs, since it has a core to write.
    Dump,
    Ignore,
    Stop,
    Continue,
}

impl Action {
    fn of(signum: i32) -> Self {
        match signum {
            libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH => Self::Ignore,
            libc::SIGCONT => Self::Continue,
            libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => Self::Stop,
            libc::SIGQUIT | libc::SIGILL | libc::SIGTRAP | libc::SIGABRT | libc::SIGBUS | libc::SIGFPE => {
                Self::Dump
            }
            libc::SIGSEGV | libc::SIGXCPU | libc::SIGXFSZ | libc::SIGSYS => Self::Dump,
            _ => Self::End,
        }
    }
}

/// What a process does in its turn, once its signals are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It runs.
    Runs,
    /// It stands still until SIGCONT.
    Stopped,
    /// This signal has ended it.
    Killed(i32),
}

impl Signals {
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// The signal that ends the process.
    pub(super) fn end(&self) -> Option<i32> {
        self.end
    }

    /// A signal is sent to the process: what the kernel does at once.
    pub(super) fn send(&mut self, signum: i32) {
        if self.end.is_some() {
            return;
        }
        let action = Action::of(signum);
        match action {
            Action::Stop => drop(self.pending.remove(&libc::SIGCONT)),
            Action::Continue => {
                self.pending.retain(|other| Action::of(*other) != Action::Stop);
                self.is_stopped = false;
            }
            _ => {}
        }
        match (self.is_handled(signum), action) {
            (false, Action::Ignore | Action::Continue) => {}
            (false, Action::End) if signum == libc::SIGKILL || !self.is_stopped => self.end = Some(signum),
            _ => drop(self.pending.insert(signum)),
        }
    }

    /// The process runs, and gets its signals. Returns what it does then, and the pipes to be told of which signals.
    pub(super) fn deliver(&mut self) -> (Condition, Vec<(RawFd, i32)>) {
        let mut told = Vec::new();
        while self.end.is_none() && !self.is_stopped {
            // The lowest number comes first.
            let Some(signum) = self.pending.pop_first() else { break };
            if self.is_handled(signum) {
                self.handle(signum, &mut told);
                continue;
            }
            match Action::of(signum) {
                Action::End | Action::Dump => self.end = Some(signum),
                Action::Stop => self.is_stopped = true,
                Action::Ignore | Action::Continue => {}
            }
        }
        let condition = match self.end {
            Some(signum) => Condition::Killed(signum),
            None if self.is_stopped => Condition::Stopped,
            None => Condition::Runs,
        };
        (condition, told)
    }

    fn handle(&mut self, signum: i32, told: &mut Vec<(RawFd, i32)>) {
        for watch in self.watches.iter().filter(|watch| watch.signum == signum) {
            // Loops call all of their watchers for one message.
            if !told.contains(&(watch.pipe, signum)) {
                told.push((watch.pipe, signum));
            }
        }
        if self.is_one_shot(signum) {
            self.restored.insert(signum);
        }
    }

    fn is_handled(&self, signum: i32) -> bool {
        self.watches.iter().any(|watch| watch.signum == signum) && !self.restored.contains(&signum)
    }

    fn is_one_shot(&self, signum: i32) -> bool {
        self.watches.iter().filter(|watch| watch.signum == signum).all(|watch| watch.is_one_shot)
    }

    /// A watcher is started. Returns whether the signal can be handled.
    pub(super) fn watch(&mut self, watch: Watch) -> bool {
        let is_possible = (1..=LAST_SIGNAL).contains(&watch.signum)
            && !matches!(watch.signum, libc::SIGKILL | libc::SIGSTOP);
        if is_possible {
            self.restored.remove(&watch.signum);
            self.watches.push(watch);
        }
        is_possible
    }

    /// A watcher is stopped.
    pub(super) fn unwatch(&mut self, watch: Watch) {
        let was_one_shot = self.is_one_shot(watch.signum);
        if let Some(index) = self.watches.iter().position(|other| *other == watch) {
            self.watches.remove(index);
        }
        if self.is_one_shot(watch.signum) != was_one_shot {
            self.restored.remove(&watch.signum);
        }
    }
}
