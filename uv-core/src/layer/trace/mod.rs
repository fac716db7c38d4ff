//! Records of what each layer does, for the crate [`log`] at level trace.
//!
//! Every layer records its upcalls, its downcalls, and other notable moments. To see the records, set a logger: with
//! env_logger `RUST_LOG=uv_core=trace` prints plain lines; `cargo xtask trace` draws the chain. The target of a record
//! is the name of the layer's crate (`uv_core`, `tcp_wrap`, `async_wrap`, `net`, `http`, `cluster`), file and line are
//! those of the call, and key-values have the rest:
//!
//! | key | value |
//! |---|---|
//! | `dir` | `up`: the layer calls the layer above. `down`: the layer is called from above. `note`: neither |
//! | `edge` | `begin` and `end` enclose a call, also when it panics; `once` marks a moment |
//! | `call` | the function, such as `StreamUpcall::on_read`. A system call has its section of the manual: `recv(2)` |
//! | `handle` | the number of the handle; a loop numbers its handles in the order of their creation |
//! | `async_id`, `trigger_id` | the resource in whose context the call runs, and that resource's trigger |
//! | `bytes` | the number of bytes |
//! | `info` | any other information, as text |
//!
//! Keys without a value are left out. Methods that only read or set a value make no record.
//!
//! The cargo feature `trace` of the crates turns this on; each crate forwards it to the crate beneath. Without it, the
//! default, no record is compiled and a [`Call`] has no size. With it, a call that no logger wants costs one integer
//! comparison at its begin and one at its end. Nothing is kept in between, so a log level that changes during a call
//! leaves a begin without its end, or an end without its begin.

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

/// A layer as the target of records. Each crate has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer(&'static str);

/// The facts of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    handle: Option<u32>,
    /// The epoll descriptor of the handle's loop.
    #[cfg(upcall_faults)]
    epoll: i32,
    context: Option<(u64, u64)>,
    bytes: Option<usize>,
    info: Option<String>,
}

/// A call in progress; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the call ends when this is dropped"]
pub struct Call {
    span: Span,
    #[cfg(upcall_faults)]
    _law: Option<crate::faults::Span>,
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Up,
    Down,
    Note,
}

impl Layer {
    /// Creates the layer with this target.
    #[must_use]
    pub const fn new(target: &'static str) -> Self {
        Self(target)
    }

    /// Records that the layer calls the layer above. The call ends when the returned value is dropped.
    #[inline]
    #[track_caller]
    pub fn up(self, call: &'static str, facts: impl FnOnce() -> Facts) -> Call {
        Call::begin(self, Direction::Up, call, facts)
    }

    /// Records that the layer is called from above, or makes a system call.
    #[inline]
    #[track_caller]
    pub fn down(self, call: &'static str, facts: impl FnOnce() -> Facts) -> Call {
        Call::begin(self, Direction::Down, call, facts)
    }

    /// Records other work of the layer, which ends when the returned value is dropped.
    #[inline]
    #[track_caller]
    pub fn scope(self, call: &'static str, facts: impl FnOnce() -> Facts) -> Call {
        Call::begin(self, Direction::Note, call, facts)
    }

    /// Records the begin of work whose end [`ends`](Self::ends) records, for code that has another guard.
    #[track_caller]
    pub fn begins(self, call: &'static str, facts: impl FnOnce() -> Facts) {
        if is_on() {
            Span::new(self, Direction::Note, call).begin(facts);
        }
    }

    /// Records the end of work that [`begins`](Self::begins) has recorded.
    #[track_caller]
    pub fn ends(self, call: &'static str) {
        if is_on() {
            Span::new(self, Direction::Note, call).end(Facts::default);
        }
    }

    /// Records a moment.
    #[inline]
    #[track_caller]
    pub fn note(self, call: &'static str, facts: impl FnOnce() -> Facts) {
        if is_on() {
            Span::new(self, Direction::Note, call).once(facts);
        }
    }

    /// Records the system call that `work` makes, with its outcome. `work` must not panic.
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

/// Whether records at this level are enabled: the only comparison of a call without a logger.
#[inline]
#[must_use]
pub fn is_on() -> bool {
    cfg!(feature = "trace") && Level::Trace <= log::STATIC_MAX_LEVEL && Level::Trace <= log::max_level()
}

#[cfg(upcall_faults)]
impl Direction {
    /// `None` for what is neither an upcall nor a downcall.
    const fn is_up(self) -> Option<bool> {
        match self {
            Self::Up => Some(true),
            Self::Down => Some(false),
            Self::Note => None,
        }
    }
}

impl Call {
    #[inline]
    #[track_caller]
    fn begin(layer: Layer, dir: Direction, call: &'static str, facts: impl FnOnce() -> Facts) -> Self {
        let span = Span::new(layer, dir, call);
        #[cfg(upcall_faults)]
        let (law, facts) = crate::faults::Span::begin(layer.0, dir.is_up(), call, facts);
        if is_on() {
            span.begin(facts);
        }
        Self {
            span,
            #[cfg(upcall_faults)]
            _law: law,
        }
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        if is_on() {
            self.span.end(Facts::default);
        }
    }
}

impl Facts {
    /// The facts of a handle.
    #[must_use]
    pub fn of(handle: &Handle) -> Self {
        let facts = Self::numbered(handle.key().generation);
        #[cfg(upcall_faults)]
        let facts = Self { epoll: handle.loop_handle().backend_fd(), ..facts };
        facts
    }

    /// The epoll descriptor of the handle's loop, and the handle's number.
    #[cfg(upcall_faults)]
    pub(crate) fn handle(&self) -> Option<(i32, u32)> {
        self.handle.filter(|_| self.epoll != 0).map(|handle| (self.epoll, handle))
    }

    /// The facts of the handle with this number.
    #[must_use]
    pub(crate) fn numbered(handle: u32) -> Self {
        Self { handle: Some(handle), ..Self::default() }
    }

    /// The facts of a resource: its id, and its trigger's id.
    #[must_use]
    pub fn within(async_id: u64, trigger_id: u64) -> Self {
        Self { context: Some((async_id, trigger_id)), ..Self::default() }
    }

    /// Facts that are only text.
    #[must_use]
    pub fn saying(info: impl fmt::Display) -> Self {
        Self::default().info(info)
    }

    /// Adds a number of bytes.
    #[must_use]
    pub fn bytes(self, bytes: usize) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    /// Adds text.
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
