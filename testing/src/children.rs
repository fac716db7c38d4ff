//! The children of a world: what the test plays where a program starts a process, and how it ends or obeys a signal.

use crate::check::{Left, counted};
use crate::world::{Member, World};
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::faults::{self, Condition, Started};
use uv_core::{Loop, LoopHandle};

/// The program of every child.
pub(crate) struct Main(Box<dyn Fn(&Child<'_>)>);

impl fmt::Debug for Main {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Main").finish_non_exhaustive()
    }
}

/// What a member is as a process.
#[derive(Debug)]
pub(crate) struct Played {
    pid: i32,
    /// What it was started with; taken while its code runs.
    started: RefCell<Option<Started>>,
    /// It has called `exit(3)`.
    has_exited: Cell<bool>,
    code: Cell<i32>,
    /// What it has so far, if that is counted.
    left: Option<Cell<Left>>,
}

/// A child process as its code sees it.
#[derive(Debug)]
pub struct Child<'a> {
    env: Environment,
    args: Vec<String>,
    pid: i32,
    member: &'a Rc<Member>,
}

impl Child<'_> {
    /// The environment of the child's loop. The child ends with its loop, in which its program must have left no handle then,
    /// also no timer and no watcher that keeps nothing alive.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.env
    }

    /// The child's process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The child's arguments, the program's name first.
    #[must_use]
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// Takes a descriptor that the child was started with, by its number in the child.
    #[must_use]
    pub fn take_fd(&self, number: usize) -> Option<OwnedFd> {
        faults::take_child_fd(number)
    }

    /// The child's `exit(3)`, which unlike that returns: the child's loop is dropped behind the turn that called it.
    pub fn exit(&self) -> impl Fn(i32) + 'static {
        let member = Rc::downgrade(self.member);
        move |code| {
            let member = member.upgrade();
            if let Some(played) = member.as_ref().and_then(|member| member.played.as_ref()) {
                played.code.set(code);
                played.has_exited.set(true);
            }
        }
    }

    /// The code with which the child ends. Default: 0.
    pub fn set_exit_code(&self, code: i32) {
        self.member.played.iter().for_each(|played| played.code.set(code));
    }
}

impl World {
    /// The program of the children that are started in this world: each gets a loop of its own in this thread.
    pub fn play_children(&self, main: impl Fn(&Child<'_>) + 'static) {
        *self.main.borrow_mut() = Some(Rc::new(Main(Box::new(main))));
    }

    pub(crate) fn start_children(&self) {
        for started in faults::take_started() {
            let (pid, args) = (started.pid, started.args.clone());
            let played = Played::new(started, self.released.is_some());
            let made = played.counted(|| Loop::new().map(|made| (Environment::new(&made), made)));
            let (Ok((env, event_loop)), Some(main)) = (made, self.main.borrow().clone()) else {
                // As a program that cannot even start.
                faults::end_child(pid, 1, 0);
                continue;
            };
            let member = self.add(&format!("child {pid}"), event_loop, Some(env.clone()), Some(played));
            member.play(|| {
                let args = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
                (main.0)(&Child { env, args, pid, member: &member });
            });
        }
    }

    /// Delivers the signals that were sent to a child.
    pub(crate) fn deliver_signals(&self, member: &Member) {
        let Some(played) = &member.played else { return };
        if let Condition::Killed(signum) = faults::deliver_signals(played.pid) {
            member.end(Some(signum));
            self.release(played);
        }
    }

    /// A child has nothing left to do. Unlike the kernel, which takes what a process has left, this reports it.
    pub(crate) fn end_by_itself(&self, member: &Member) {
        let Some(played) = &member.played else { return };
        if played.has_exited.get() {
            member.end(None);
            return self.release(played);
        }
        if let Some(left) = member.leftovers() {
            self.violate(format!("a child ends with something left in its loop: {left}"));
        }
        member.end(None);
    }

    /// The kernel takes what a child has left that did not end by itself. What this world remembers of the child is among the bytes.
    fn release(&self, played: &Played) {
        if let (Some(released), Some(left)) = (&self.released, &played.left) {
            let (mut sum, left) = (released.get(), left.get());
            sum += Left { descriptors: left.descriptors.max(0), bytes: left.bytes.max(0) };
            released.set(sum);
        }
    }
}

impl Played {
    fn new(started: Started, is_counted: bool) -> Self {
        let descriptors = started.fds.iter().flatten().count() as i64;
        Self {
            left: is_counted.then(|| Cell::new(Left { descriptors, bytes: 0 })),
            pid: started.pid,
            started: RefCell::new(Some(started)),
            has_exited: Cell::new(false),
            code: Cell::new(0),
        }
    }

    /// Runs `work` of this process.
    fn counted<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.left {
            Some(left) => counted(left, work),
            None => work(),
        }
    }
}

impl Member {
    /// Runs `work` as the code of this child, if it is one.
    pub(crate) fn play<R>(&self, work: impl FnOnce() -> R) -> R {
        let Some(played) = &self.played else { return work() };
        let Some(started) = played.started.take() else { return work() };
        let (started, result) = played.counted(|| faults::play_child(started, work));
        *played.started.borrow_mut() = Some(started);
        result
    }

    /// Whether it is a child that a signal has stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.played.as_ref().is_some_and(|played| faults::is_stopped(played.pid))
    }

    /// Whether it is a child that has nothing left to do.
    pub(crate) fn has_ended(&self, handle: &LoopHandle) -> bool {
        self.played.as_ref().is_some_and(|played| played.has_exited.get() || !handle.is_alive())
    }

    /// Ends a process by a signal, or by itself.
    pub(crate) fn end(&self, signum: Option<i32>) {
        self.clear();
        if let Some(played) = &self.played {
            let code = if signum.is_none() { played.code.get() } else { 0 };
            faults::end_child(played.pid, code, signum.unwrap_or(0));
        }
    }

    /// Closes the descriptors that a child was started with and has not taken.
    pub(crate) fn forget_child(&self) {
        let Some(played) = &self.played else { return };
        let started = played.started.take();
        if let (Some(started), Some(left)) = (&started, &played.left) {
            let mut sum = left.get();
            sum.descriptors -= started.fds.iter().flatten().count() as i64;
            left.set(sum);
        }
    }
}
