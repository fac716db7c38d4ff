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
//! What is off costs a comparison of one integer where a call begins and where it ends: nothing is kept in between, so
//! a level that changes during a call leaves a beginning without its end, or an end without its beginning. With one of
//! log's features such as `release_max_level_debug` nothing of it is compiled.

use crate::handle::Handle;
use log::kv::{Error, Key, Source, VisitSource};
use log::{Level, Record};
use std::fmt;
use std::panic::Location;

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

/// A call that goes on; it ends when this is dropped.
///
/// All of it is known where it is made, so that it is nowhere while nobody wants to know.
#[derive(Debug)]
#[must_use = "the call ends when this is dropped"]
pub struct Call {
    layer: Layer,
    dir: Direction,
    call: &'static str,
    site: &'static Location<'static>,
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Up,
    Down,
    Note,
}

#[derive(Clone, Copy, Debug)]
enum Edge {
    Begin,
    End,
    Once,
}

impl Layer {
    /// The layer whose records have this target.
    #[must_use]
    pub const fn new(target: &'static str) -> Self {
        Self(target)
    }

    /// The layer calls the one above it, for as long as what this returns is there.
    #[inline(always)]
    #[track_caller]
    pub fn up(self, call: &'static str, facts: impl FnOnce() -> Facts) -> Call {
        self.call(Direction::Up, call, Location::caller(), facts)
    }

    /// The layer was called from above, or calls the kernel.
    #[inline(always)]
    #[track_caller]
    pub fn down(self, call: &'static str, facts: impl FnOnce() -> Facts) -> Call {
        self.call(Direction::Down, call, Location::caller(), facts)
    }

    /// Something that is worth knowing goes on.
    #[inline(always)]
    #[track_caller]
    pub fn scope(self, call: &'static str, facts: impl FnOnce() -> Facts) -> Call {
        self.call(Direction::Note, call, Location::caller(), facts)
    }

    /// Something that is worth knowing begins; [`ends`](Self::ends) says its end. For code that has another guard.
    #[track_caller]
    pub fn begins(self, call: &'static str, facts: impl FnOnce() -> Facts) {
        if is_on() && self.is_wanted() {
            emit(self, Direction::Note, Edge::Begin, call, &facts(), Location::caller());
        }
    }

    /// What [`begins`](Self::begins) began is over.
    #[track_caller]
    pub fn ends(self, call: &'static str) {
        if is_on() && self.is_wanted() {
            emit(self, Direction::Note, Edge::End, call, &Facts::default(), Location::caller());
        }
    }

    /// Something that is worth knowing happens.
    #[inline(always)]
    #[track_caller]
    pub fn note(self, call: &'static str, facts: impl FnOnce() -> Facts) {
        if is_on() && self.is_wanted() {
            emit(self, Direction::Note, Edge::Once, call, &facts(), Location::caller());
        }
    }

    /// A call of the kernel, made by `work`, which does not panic; its end says what came of it.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn kernel<R>(
        self,
        call: &'static str,
        work: impl FnOnce() -> R,
        outcome: impl FnOnce(&R) -> Facts,
    ) -> R {
        let site = Location::caller();
        if is_on() && self.is_wanted() {
            emit(self, Direction::Down, Edge::Begin, call, &Facts::default(), site);
        }
        let result = work();
        if is_on() && self.is_wanted() {
            emit(self, Direction::Down, Edge::End, call, &outcome(&result), site);
        }
        result
    }

    #[inline(always)]
    fn call(
        self,
        dir: Direction,
        call: &'static str,
        site: &'static Location<'static>,
        facts: impl FnOnce() -> Facts,
    ) -> Call {
        if is_on() {
            self.begin(dir, call, site, facts);
        }
        Call { layer: self, dir, call, site }
    }

    #[cold]
    #[inline(never)]
    fn begin(
        self,
        dir: Direction,
        call: &'static str,
        site: &'static Location<'static>,
        facts: impl FnOnce() -> Facts,
    ) {
        if self.is_wanted() {
            emit(self, dir, Edge::Begin, call, &facts(), site);
        }
    }

    /// Whether the logger wants records of this layer.
    #[cold]
    #[inline(never)]
    fn is_wanted(self) -> bool {
        log::log_enabled!(target: self.0, Level::Trace)
    }
}

/// Whether anybody wants records of this level: the one comparison that each place costs if not.
#[inline(always)]
#[must_use]
pub fn is_on() -> bool {
    Level::Trace <= log::STATIC_MAX_LEVEL && Level::Trace <= log::max_level()
}

impl Drop for Call {
    #[inline(always)]
    fn drop(&mut self) {
        if is_on() {
            end(self.layer, self.dir, self.call, self.site);
        }
    }
}

#[cold]
#[inline(never)]
fn end(layer: Layer, dir: Direction, call: &str, site: &'static Location<'_>) {
    if layer.is_wanted() {
        emit(layer, dir, Edge::End, call, &Facts::default(), site);
    }
}

impl Facts {
    /// About a handle.
    #[must_use]
    pub fn of(handle: &Handle) -> Self {
        Self::numbered(handle.generation())
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

/// The key-values of a record.
struct Pairs<'a> {
    dir: Direction,
    edge: Edge,
    call: &'a str,
    facts: &'a Facts,
}

impl Source for Pairs<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        let (dir, edge) = (self.dir.name(), self.edge.name());
        visitor.visit_pair(Key::from_str("dir"), dir.into())?;
        visitor.visit_pair(Key::from_str("edge"), edge.into())?;
        visitor.visit_pair(Key::from_str("call"), self.call.into())?;
        if let Some(handle) = self.facts.handle {
            visitor.visit_pair(Key::from_str("handle"), handle.into())?;
        }
        if let Some((async_id, trigger_id)) = self.facts.context {
            visitor.visit_pair(Key::from_str("async_id"), async_id.into())?;
            visitor.visit_pair(Key::from_str("trigger_id"), trigger_id.into())?;
        }
        if let Some(bytes) = self.facts.bytes {
            visitor.visit_pair(Key::from_str("bytes"), bytes.into())?;
        }
        if let Some(info) = &self.facts.info {
            visitor.visit_pair(Key::from_str("info"), info.as_str().into())?;
        }
        Ok(())
    }
}

impl Direction {
    const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Note => "note",
        }
    }
}

impl Edge {
    const fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::End => "end",
            Self::Once => "once",
        }
    }
}

#[cold]
fn emit(layer: Layer, dir: Direction, edge: Edge, call: &str, facts: &Facts, site: &'static Location<'_>) {
    let pairs = Pairs { dir, edge, call, facts };
    let what = match edge {
        Edge::End => "end",
        Edge::Begin | Edge::Once => dir.name(),
    };
    log::logger().log(
        &Record::builder()
            .level(Level::Trace)
            .target(layer.0)
            .module_path_static(Some(layer.0))
            .file_static(Some(site.file()))
            .line(Some(site.line()))
            .key_values(&pairs)
            .args(format_args!("{what:<4} {call}{facts}"))
            .build(),
    );
}
