//! A record of one call, as the crate [`log`] takes it.

use super::{Direction, Facts, Layer};
use log::kv::{Error, Key, Source, VisitSource};
use log::{Level, Record};
use std::panic::Location;

/// A traced call. Holds only values known at the call site, so nothing is computed while tracing is off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    layer: Layer,
    dir: Direction,
    call: &'static str,
    site: &'static Location<'static>,
}

#[derive(Clone, Copy, Debug)]
enum Edge {
    Begin,
    End,
    Once,
}

impl Span {
    #[inline]
    #[track_caller]
    pub(super) const fn new(layer: Layer, dir: Direction, call: &'static str) -> Self {
        Self { layer, dir, call, site: Location::caller() }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn begin(self, facts: impl FnOnce() -> Facts) {
        self.emit(Edge::Begin, facts);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn end(self, facts: impl FnOnce() -> Facts) {
        self.emit(Edge::End, facts);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn once(self, facts: impl FnOnce() -> Facts) {
        self.emit(Edge::Once, facts);
    }

    /// Writes a record if the logger takes records of this layer.
    fn emit(self, edge: Edge, facts: impl FnOnce() -> Facts) {
        let Self { layer: Layer(target), dir, call, site } = self;
        if !log::log_enabled!(target: target, Level::Trace) {
            return;
        }
        let facts = facts();
        let what = match edge {
            Edge::End => "end",
            Edge::Begin | Edge::Once => dir.name(),
        };
        log::logger().log(
            &Record::builder()
                .level(Level::Trace)
                .target(target)
                .module_path_static(Some(target))
                .file_static(Some(site.file()))
                .line(Some(site.line()))
                .key_values(&Pairs { dir, edge, call, facts: &facts })
                .args(format_args!("{what:<4} {call}{facts}"))
                .build(),
        );
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
