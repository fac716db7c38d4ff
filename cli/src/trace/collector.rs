//! The `log` backend: passes records on to env_logger, and collects the steps of a thread that asks for it.
//!
//! While no thread collects, the level is that of `RUST_LOG`, and the layers make no records. Each thread collects for
//! itself, as each loop has a thread of its own.

use super::step::{Step, layer_of};
use crate::say;
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The default of `RUST_LOG`: a warning of pomelo is about servers that the user started, and one of a proxy about those behind
/// it.
const SHOWN: &str = "error,pomelo=warn,http::proxy=warn";

static BACKEND: OnceLock<Backend> = OnceLock::new();

/// Threads that collect.
static COLLECTING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static COLLECTED: RefCell<Option<Collected>> = const { RefCell::new(None) };
}

struct Backend {
    plain: env_logger::Logger,
}

/// The collected steps, shared with a reader of them.
pub(super) type Steps = Rc<RefCell<Vec<Step>>>;

struct Collected {
    steps: Steps,
    limit: usize,
    is_claimed: bool,
}

/// Steps of this thread are collected until this is dropped.
#[derive(Debug)]
pub(super) struct Collection {
    /// It ends on the thread on which it began.
    _here: std::marker::PhantomData<*const ()>,
}

/// Makes env_logger and the collections this process's log. Called once, first.
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
    /// Begins to collect the first `limit` steps of this thread. Beyond them the level is what it was before, and nothing is
    /// recorded any more. `None` if this process has another logger, or the thread collects already.
    #[must_use]
    pub(super) fn begin(limit: usize) -> Option<Self> {
        let ours = BACKEND.get()?;
        let is_set = std::ptr::addr_eq(std::ptr::from_ref(log::logger()), std::ptr::from_ref(ours));
        // A thread that ends collects nothing.
        let is_free = COLLECTED.try_with(|collected| collected.borrow().is_none()).unwrap_or(false);
        if !is_set || !is_free {
            return None;
        }
        COLLECTED.set(Some(Collected { steps: Steps::default(), limit, is_claimed: false }));
        COLLECTING.fetch_add(1, Ordering::SeqCst);
        log::set_max_level(LevelFilter::Trace);
        Some(Self { _here: std::marker::PhantomData })
    }

    /// The steps so far.
    #[must_use]
    pub(super) fn take(&self) -> Vec<Step> {
        COLLECTED.with_borrow_mut(|collected| {
            collected.as_mut().map(|collected| collected.steps.take()).unwrap_or_default()
        })
    }

    /// The steps that this thread collects, for the first caller.
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
        // Dropped already if a destructor of the thread's end calls this.
        let _ = COLLECTED.try_with(RefCell::take);
        if COLLECTING.fetch_sub(1, Ordering::SeqCst) == 1 {
            restore_level();
        }
    }
}

/// Nanoseconds on the machine's monotonic clock.
#[must_use]
pub(super) fn now() -> u64 {
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
                if let (Some(collected), Some(step)) = (&*collected.borrow(), Step::read(record, at)) {
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
    fn push(&self, step: Step) {
        let mut steps = self.steps.borrow_mut();
        if steps.len() == self.limit {
            return restore_level();
        }
        steps.push(step);
    }
}

/// Restores the level of a process in which no thread collects.
fn restore_level() {
    if let Some(backend) = BACKEND.get() {
        log::set_max_level(backend.plain.filter());
    }
}
