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

struct Collected {
    steps: VecDeque<Step>,
    limit: usize,
    dropped: usize,
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
        let ours = BACKEND.get()?;
        let is_set = std::ptr::addr_eq(std::ptr::from_ref(log::logger()), std::ptr::from_ref(ours));
        let is_free = COLLECTED.with_borrow(Option::is_none);
        if !is_set || !is_free {
            return None;
        }
        COLLECTED.set(Some(Collected { steps: VecDeque::new(), limit, dropped: 0 }));
        COLLECTING.fetch_add(1, Ordering::SeqCst);
        log::set_max_level(LevelFilter::Trace);
        Some(Self { _here: std::marker::PhantomData })
    }

    /// What was collected so far, and how many steps before that were not kept.
    #[must_use]
    pub fn take(&self) -> (Vec<Step>, usize) {
        COLLECTED.with_borrow_mut(|collected| match collected {
            Some(collected) => {
                (std::mem::take(&mut collected.steps).into(), std::mem::take(&mut collected.dropped))
            }
            None => (Vec::new(), 0),
        })
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        drop(COLLECTED.take());
        if COLLECTING.fetch_sub(1, Ordering::SeqCst) == 1
            && let Some(backend) = BACKEND.get()
        {
            log::set_max_level(backend.plain.filter());
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
            COLLECTED.with_borrow_mut(|collected| {
                if let (Some(collected), Some(step)) = (collected, Step::read(record, at)) {
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
        && COLLECTED.with_borrow(Option::is_some)
}

impl Collected {
    fn push(&mut self, step: Step) {
        if self.steps.len() == self.limit {
            self.steps.pop_front();
            self.dropped += 1;
        }
        self.steps.push_back(step);
    }
}
