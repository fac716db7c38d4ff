//! The `log` backend: what env_logger shows is shown as ever, and a thread that asks for it gets its steps collected.
//!
//! While nobody collects, the level is what `RUST_LOG` says, and a layer's record is not even made. Each thread collects
//! for itself, as each loop has a thread of its own.

use super::step::{Step, layer_of};
use crate::say;
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is shown unless `RUST_LOG` says otherwise: of servers that somebody started, a warning is news.
const SHOWN: &str = "error,pomelo=warn";

static BACKEND: OnceLock<Backend> = OnceLock::new();

/// Threads that collect.
static COLLECTING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static COLLECTED: RefCell<Option<Collected>> = const { RefCell::new(None) };
}

struct Backend {
    plain: env_logger::Logger,
}

/// What is collected, also for who looks while that goes on.
pub(super) type Steps = Rc<RefCell<VecDeque<Step>>>;

struct Collected {
    steps: Steps,
    limit: usize,
    /// Steps beyond the limit take the place of the first ones; otherwise they end the collection.
    keeps_last: bool,
    dropped: usize,
    is_claimed: bool,
}

/// Steps of this thread are collected until this is dropped.
#[derive(Debug)]
pub struct Collection {
    /// It ends on the thread on which it began.
    _here: std::marker::PhantomData<*const ()>,
}

/// Makes this process's log go to env_logger, and to whoever collects. Called once, first.
pub fn install() {
    let plain = || {
        let shown = env_logger::Env::default().default_filter_or(SHOWN);
        env_logger::Builder::from_env(shown).target(env_logger::Target::Pipe(Box::new(say::Log))).build()
    };
    let backend = BACKEND.get_or_init(|| Backend { plain: plain() });
    // Refused if there is another logger already, which then has the say.
    if log::set_logger(backend).is_ok() {
        log::set_max_level(backend.plain.filter());
    }
}

impl Collection {
    /// Begins to collect on this thread, at most the last `limit` steps. `None` if this process has another logger, or
    /// the thread collects already.
    #[must_use]
    pub fn begin(limit: usize) -> Option<Self> {
        Self::begin_with(limit, true)
    }

    /// Begins to collect the first `limit` steps. Then the level is again what it was, and nothing is recorded any more.
    pub(super) fn begin_first(limit: usize) -> Option<Self> {
        Self::begin_with(limit, false)
    }

    fn begin_with(limit: usize, keeps_last: bool) -> Option<Self> {
        let ours = BACKEND.get()?;
        let is_set = std::ptr::addr_eq(std::ptr::from_ref(log::logger()), std::ptr::from_ref(ours));
        // A thread that ends collects nothing.
        let is_free = COLLECTED.try_with(|collected| collected.borrow().is_none()).unwrap_or(false);
        if !is_set || !is_free {
            return None;
        }
        COLLECTED.set(Some(Collected {
            steps: Steps::default(),
            limit,
            keeps_last,
            dropped: 0,
            is_claimed: false,
        }));
        COLLECTING.fetch_add(1, Ordering::SeqCst);
        log::set_max_level(LevelFilter::Trace);
        Some(Self { _here: std::marker::PhantomData })
    }

    /// What was collected so far, and how many steps before that were not kept.
    #[must_use]
    pub fn take(&self) -> (Vec<Step>, usize) {
        COLLECTED.with_borrow_mut(|collected| match collected {
            Some(collected) => (collected.steps.take().into(), std::mem::take(&mut collected.dropped)),
            None => (Vec::new(), 0),
        })
    }

    /// What is being collected on this thread, for the first who asks.
    pub(super) fn claim() -> Option<Steps> {
        COLLECTED.with_borrow_mut(|collected| {
            let collected = collected.as_mut()?;
            let is_first = !std::mem::replace(&mut collected.is_claimed, true);
            is_first.then(|| Rc::clone(&collected.steps))
        })
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        // Gone already if this is dropped by a destructor of the thread's end.
        let _ = COLLECTED.try_with(RefCell::take);
        if COLLECTING.fetch_sub(1, Ordering::SeqCst) == 1 {
            restore_level();
        }
    }
}

/// Nanoseconds on the machine's monotonic clock.
#[must_use]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

impl Log for Backend {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.plain.enabled(metadata) || is_collected(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if is_collected(record.metadata()) {
            let at = now();
            // A thread that ends collects nothing.
            let _ = COLLECTED.try_with(|collected| {
                if let (Some(collected), Some(step)) = (&mut *collected.borrow_mut(), Step::read(record, at))
                {
                    collected.push(step);
                }
            });
        }
        if self.plain.matches(record) {
            self.plain.log(record);
        }
    }

    fn flush(&self) {
        self.plain.flush();
    }
}

/// Whether a record of this kind is collected on this thread.
fn is_collected(metadata: &Metadata<'_>) -> bool {
    metadata.level() == Level::Trace
        && COLLECTING.load(Ordering::Relaxed) > 0
        && layer_of(metadata.target()).is_some()
        && COLLECTED.try_with(|collected| collected.borrow().is_some()).unwrap_or(false)
}

impl Collected {
    fn push(&mut self, step: Step) {
        let mut steps = self.steps.borrow_mut();
        if steps.len() == self.limit {
            self.dropped += 1;
            if !self.keeps_last {
                return restore_level();
            }
            steps.pop_front();
        }
        steps.push_back(step);
    }
}

/// Makes the level again what it is while nobody collects.
fn restore_level() {
    if let Some(backend) = BACKEND.get() {
        log::set_max_level(backend.plain.filter());
    }
}
