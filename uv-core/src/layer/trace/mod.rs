//! What the layers say while something climbs the chain: records for the [`log`] crate, each at level trace.
//!
//! Every layer says when it calls the one above, when it is called from above, and what else is worth knowing. Whoever
//! wants to see it sets a logger: with env_logger `RUST_LOG=uv_core=trace` shows plain lines, `cargo xtask trace` draws
//! the chain. The target of a record is the name of the layer's crate (`uv_core`, `tcp_wrap`, `async_wrap`, `net`,
//! `http`, `cluster`), file and line are those of the call, and the rest is in key-values:
//!
//! | key | what it says |
//! |---|---|
//! | `dir` | `up`: the layer calls the one above it. `down`: it was called from above. `note`: neither |
//! | `edge` | `begin` and `end` enclose what happens meanwhile, also when it panics; `once` is a moment |
//! | `call` | the function: `StreamUpcall::on_read`. One of the kernel has its section of the manual: `recv(2)` |
//! | `handle` | the number of the handle: they are counted as they are made in their loop |
//! | `async_id`, `trigger_id` | the resource in whose context it happens, and the one that caused that |
//! | `bytes` | how many there are, or came, or went |
//! | `info` | anything else, in words |
//!
//! Keys about which there is nothing to say are left out. Methods that only look at something, or set it, say nothing.
//!
//! The cargo feature `trace` of the crates turns this on; each crate forwards it to the one beneath. Without it, the
//! default, no record is compiled and a [`Call`] has no size. With it, a call that no logger wants costs a comparison of
//! one integer at its begin and at its end. Nothing is kept in between, so a level that changes during a call leaves a
//! begin without its end, or an end without its begin.

#[cfg(not(feature = "trace"))]
mod no_span;
#[cfg(feature = "trace")]
mod span;

use crate::handle::Handle;
use log::Level;
#[cfg(not(feature = "trace"))]
use no_span::Span;
#[cfg(feature = "trace")]
use span::Span;
use std::fmt;

/// A layer as the source of records. Each crate has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer(&'static str);

/// What is known about a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    handle: Option<u32>,
    context: Option<(u64, u64)>,
    bytes: Option<usize>,
    info: Option<String>,
}

/// A call in progress; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the call ends when this is dropped"]
pub struct Call(Span);

#[derive(Clone, Copy, Debug)]
enum Direction {
    Up,
    Down,
    Note,
}

impl Layer {
    /// The layer whose records have this target.
    #[must_use]
    pub const fn new(target: &'static str) -> Self {
        Self(target)
    }

    /// The layer calls the one above it, until the returned value is dropped.
    #[inline]
    #[track_caller]
    pub fn up(self, call: &'static str, facts: impl FnOnce() -> Facts) -> Call {
        Call::begin(Span::new(self, Direction::Up, call), facts)
    }

    /// The layer was called from above, or calls the kernel.
    #[inline]
    #[track_caller]
    pub fn down(self, call: &'static str, facts: impl FnOnce() -> Facts) -> Call {
        Call::begin(Span::new(self, Direction::Down, call), facts)
    }

    /// Something else goes on that is worth a record.
    #[inline]
    #[track_caller]
    pub fn scope(self, call: &'static str, facts: impl FnOnce() -> Facts) -> Call {
        Call::begin(Span::new(self, Direction::Note, call), facts)
    }

    /// Something begins that is worth a record; [`ends`](Self::ends) records its end. For code that has another guard.
    #[track_caller]
    pub fn begins(self, call: &'static str, facts: impl FnOnce() -> Facts) {
        if is_on() {
            Span::new(self, Direction::Note, call).begin(facts);
        }
    }

    /// What [`begins`](Self::begins) began is over.
    #[track_caller]
    pub fn ends(self, call: &'static str) {
        if is_on() {
            Span::new(self, Direction::Note, call).end(Facts::default);
        }
    }

    /// Something happens that is worth a record.
    #[inline]
    #[track_caller]
    pub fn note(self, call: &'static str, facts: impl FnOnce() -> Facts) {
        if is_on() {
            Span::new(self, Direction::Note, call).once(facts);
        }
    }

    /// A call of the kernel, made by `work`, which does not panic. The record of its end has its outcome.
    #[inline]
    #[track_caller]
    pub(crate) fn kernel<R>(
        self,
        call: &'static str,
        work: impl FnOnce() -> R,
        outcome: impl FnOnce(&R) -> Facts,
    ) -> R {
        let span = Span::new(self, Direction::Down, call);
        if is_on() {
            span.begin(Facts::default);
        }
        let result = work();
        if is_on() {
            span.end(|| outcome(&result));
        }
        result
    }
}

/// Whether records of this level are wanted: the one comparison that each call costs if not.
#[inline]
#[must_use]
pub fn is_on() -> bool {
    cfg!(feature = "trace") && Level::Trace <= log::STATIC_MAX_LEVEL && Level::Trace <= log::max_level()
}

impl Call {
    #[inline]
    fn begin(span: Span, facts: impl FnOnce() -> Facts) -> Self {
        if is_on() {
            span.begin(facts);
        }
        Self(span)
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        if is_on() {
            self.0.end(Facts::default);
        }
    }
}

impl Facts {
    /// About a handle.
    #[must_use]
    pub fn of(handle: &Handle) -> Self {
        Self::numbered(handle.key().generation)
    }

    /// About the handle of this number.
    #[must_use]
    pub(crate) fn numbered(handle: u32) -> Self {
        Self { handle: Some(handle), ..Self::default() }
    }

    /// Within the context of a resource: its id, and that of what caused it.
    #[must_use]
    pub fn within(async_id: u64, trigger_id: u64) -> Self {
        Self { context: Some((async_id, trigger_id)), ..Self::default() }
    }

    /// In words only.
    #[must_use]
    pub fn saying(info: impl fmt::Display) -> Self {
        Self::default().info(info)
    }

    /// And so many bytes.
    #[must_use]
    pub fn bytes(self, bytes: usize) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    /// And what there is to say in words.
    #[must_use]
    pub fn info(self, info: impl fmt::Display) -> Self {
        Self { info: Some(info.to_string()), ..self }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(handle) = self.handle {
            write!(f, " handle={handle}")?;
        }
        if let Some((async_id, trigger_id)) = self.context {
            write!(f, " async_id={async_id} trigger_id={trigger_id}")?;
        }
        if let Some(bytes) = self.bytes {
            write!(f, " bytes={bytes}")?;
        }
        if let Some(info) = &self.info {
            write!(f, " {info}")?;
        }
        Ok(())
    }
}

#[cfg(all(test, not(feature = "trace")))]
const _: () = assert!(size_of::<Call>() == 0);
