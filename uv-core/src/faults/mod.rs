//! Faults under a seed, for tests: compiled only with `--cfg upcall_faults`.
//!
//! A [`World`] decides, for the thread that has entered it, what the system does to the loops of this thread: which calls
//! are interrupted, refused or cut short, which readiness is held back and in which order events come, when jobs of the
//! thread pool run, which loops run late, and what time it is. Sockets, pipes and epoll stay the kernel's own: a fault is something that the kernel
//! may do at this call, so a program may meet every failure that a world shows.
//!
//! - Each decision is a number made of the seed, the name of the call and how often that call was made, whether or not it met a
//!   fault. So a run repeats under its seed, and what happens to calls of one name does not depend on how often others are
//!   made. A fault that is left out may change how often its own call is made, such as a retry that is not needed: the later
//!   faults of that call stay at their numbers, and so may meet another caller.
//! - The clock is virtual. A loop that would block goes on at the next deadline, or at the next event that was held back.
//! - What is lacking (descriptors, memory) may be lacking for a while. A reset comes at a time of its own, behind what was
//!   received before.
//! - Jobs of the pool run on this thread, look-ups find what the test has told, and children are [`Started`], and the test plays them itself.
//! - The laws of the loop are checked by what is traced anyway: see [`laws`](self::laws).
//!
//! The package `upcall-testing` is made for tests; this module is what it stands on.

mod branches;
mod calls;
mod children;
mod clock;
mod jobs;
mod laws;
mod names;
mod peers;
mod plan;
mod ready;
mod signals;

pub use branches::{Branch, ERRNOS, reached, take_failed, take_reached};
pub use children::{
    Started, child_has_argument, deliver_signals, end_child, is_stopped, play_child, real_pid, take_child_fd,
    take_started,
};
pub use clock::{END, advance_to, now};
pub use jobs::{next_job, run_due as run_due_jobs};
pub use laws::Violation;
pub use names::set_addresses;
pub use peers::{connect_tcp, connect_unix};
pub use plan::{Fault, Kind, Plan};
pub use ready::{forget_loop, is_ready, next_ready_after, stall};
pub use signals::Condition;

pub(crate) use branches::{failed, reached_if};
pub(crate) use calls::{
    limit_fds, read_into, receive_datagrams, refuse, refuse_accept, refuse_connect, refuse_shutdown,
    send_datagrams, send_file_len, shorten, take_reset, write_from, write_len,
};
pub(crate) use children::{
    abandon, adopt, child_stdin, child_variable, collect, kill_by_pid, kill_by_pidfd, own_pid,
    remove_child_variable, start_child, unwatch_signal, watch_signal,
};
pub(crate) use jobs::take_job;
pub(crate) use laws::{Span, begin_run, end_request, progress};
pub(crate) use names::{find_addresses, find_name};
pub(crate) use ready::{deregister, new_loop, register, wait};

use children::Children;
use jobs::Jobs;
use laws::Laws;
use names::Names;
use plan::Decisions;
use ready::Ready;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::time::Duration;

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
    static IS_ON: Cell<bool> = const { Cell::new(false) };
}

/// What this thread's world knows.
struct State {
    decisions: Decisions,
    ready: Ready,
    jobs: Jobs,
    names: Names,
    children: Children,
    laws: Laws,
}

/// A world that this thread has entered. Dropping it leaves the world.
#[derive(Debug)]
pub struct World {
    _this_thread: PhantomData<*const ()>,
}

/// What happened in a world.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The faults that were injected, in order.
    pub faults: Vec<Fault>,
    /// The laws that were broken, in order.
    pub violations: Vec<Violation>,
    /// Waits of all loops for events.
    pub turns: u64,
    /// The virtual time that has passed.
    pub elapsed: Duration,
}

impl World {
    /// Enters a world. Make its loops afterwards, and drop them before it is left.
    ///
    /// # Panics
    /// In a thread that is in a world already.
    #[must_use]
    pub fn enter(plan: Plan) -> Self {
        STATE.with_borrow_mut(|state| {
            assert!(state.is_none(), "this thread is in a world already");
            *state = Some(State {
                decisions: Decisions::new(plan),
                ready: Ready::default(),
                jobs: Jobs::default(),
                names: Names::default(),
                children: Children::default(),
                laws: Laws::default(),
            });
        });
        clock::set(Some(clock::BEGINNING));
        IS_ON.set(true);
        Self { _this_thread: PhantomData }
    }

    /// What has happened so far.
    #[must_use]
    pub fn report(&self) -> Report {
        with(|state| Report {
            faults: state.decisions.injected().to_vec(),
            violations: state.laws.violations().to_vec(),
            turns: state.laws.turns(),
            elapsed: clock::time().saturating_sub(clock::BEGINNING),
        })
        .unwrap_or_default()
    }

    /// Injects no further faults: what the world has held back comes in its time.
    pub fn calm(&self) {
        with(|state| state.decisions.calm());
    }

    /// Reports the breach of a law that only the test knows.
    pub fn violate(&self, law: impl Into<String>) {
        with(|state| state.laws.violate(law.into()));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        IS_ON.set(false);
        clock::set(None);
        let state = STATE.take();
        // Jobs and children may own loops and handles, whose destructors ask for the world.
        drop(state);
    }
}

/// Whether this thread is in a world.
#[must_use]
pub fn is_on() -> bool {
    IS_ON.get()
}

/// A number below `bound` that the seed decides, for decisions of the test: which peer goes on, where bytes are cut. 0 without a
/// world.
#[must_use]
pub fn choose(what: &'static str, bound: u64) -> u64 {
    with(|state| state.decisions.number(what)).map_or(0, |number| number % bound.max(1))
}

/// Runs `work` with the state of this thread's world, if it is in one.
fn with<R>(work: impl FnOnce(&mut State) -> R) -> Option<R> {
    if !IS_ON.get() {
        return None;
    }
    STATE.with_borrow_mut(|state| state.as_mut().map(work))
}
