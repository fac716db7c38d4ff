//! One record of a layer, with the moment at which it came: what `async_wrap::layer::trace` documents, read back.

use log::Record;
use log::kv::{Error, Key, Value, VisitSource};

/// A record, kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// When it came: nanoseconds on the machine's monotonic clock, the same in all processes.
    pub(crate) at: u64,
    /// The layer's folder: `uv-core`.
    pub(crate) layer: String,
    pub(crate) dir: Dir,
    /// Whether a call begins, ends, or is a single event.
    pub(crate) edge: Edge,
    /// The function: `StreamUpcall::on_read`.
    pub(crate) call: String,
    /// Where the record was made; the file is relative to the workspace.
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) facts: Facts,
}

/// What a record has beside its call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) handle: Option<u64>,
    /// The resource in whose context it happens.
    pub(crate) async_id: Option<u64>,
    /// What caused that resource.
    pub(crate) trigger_id: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) info: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dir {
    /// To the layer above.
    Up,
    /// From the layer above, or to the kernel.
    Down,
    #[default]
    Note,
}

/// What a record is of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Edge {
    Begin,
    End,
    #[default]
    Once,
}

/// A step on its way from a worker to its primary, as serde knows it without macros.
pub(super) type Wire = (u64, String, u8, u8, String, String, u32, [Option<u64>; 4], Option<String>);

impl From<Step> for Wire {
    fn from(Step { at, layer, dir, edge, call, file, line, facts }: Step) -> Self {
        let numbers = [facts.handle, facts.async_id, facts.trigger_id, facts.bytes];
        (at, layer, dir as u8, edge as u8, call, file, line, numbers, facts.info)
    }
}

impl From<Wire> for Step {
    fn from((at, layer, dir, edge, call, file, line, numbers, info): Wire) -> Self {
        let [handle, async_id, trigger_id, bytes] = numbers;
        let dir = [Dir::Up, Dir::Down].get(usize::from(dir)).copied().unwrap_or_default();
        let edge = [Edge::Begin, Edge::End].get(usize::from(edge)).copied().unwrap_or_default();
        let facts = Facts { handle, async_id, trigger_id, bytes, info };
        Self { at, layer, dir, edge, call, file, line, facts }
    }
}

/// The layer whose records have this target.
pub(super) fn layer_of(target: &str) -> Option<&'static str> {
    Some(match target {
        "uv_core" => "uv-core",
        "tcp_wrap" => "tcp-wrap",
        "async_wrap" => "async-wrap",
        "net" => "net",
        "http" => "http",
        "cluster" => "cluster",
        "pomelo" => "pomelo",
        _ => return None,
    })
}

impl Step {
    /// Reads a layer's record; `None` for a record that is no step of the chain.
    pub(super) fn read(record: &Record<'_>, at: u64) -> Option<Self> {
        let layer = layer_of(record.target())?;
        let mut step = Self { at, layer: layer.to_owned(), ..Self::default() };
        record.key_values().visit(&mut step).ok()?;
        step.file = workspace_path(record.file().unwrap_or_default(), layer);
        step.line = record.line().unwrap_or(0);
        // Errors and warnings have the same targets.
        (!step.call.is_empty()).then_some(step)
    }

    /// Whether the call is one of the kernel's: it has its section of the manual.
    #[must_use]
    pub(crate) fn is_kernel(&self) -> bool {
        self.call.ends_with("(2)")
    }
}

/// A path of the layer, from the workspace's folder on.
fn workspace_path(file: &str, layer: &str) -> String {
    let start = file.rfind(&format!("{layer}/src/")).unwrap_or(0);
    file[start..].to_owned()
}

impl<'kvs> VisitSource<'kvs> for Step {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let facts = &mut self.facts;
        match key.as_str() {
            "dir" => {
                self.dir = match value.to_borrowed_str() {
                    Some("up") => Dir::Up,
                    Some("down") => Dir::Down,
                    _ => Dir::Note,
                };
            }
            "edge" => {
                self.edge = match value.to_borrowed_str() {
                    Some("begin") => Edge::Begin,
                    Some("end") => Edge::End,
                    _ => Edge::Once,
                };
            }
            "call" => self.call = value.to_string(),
            "handle" => facts.handle = value.to_u64(),
            "async_id" => facts.async_id = value.to_u64(),
            "trigger_id" => facts.trigger_id = value.to_u64(),
            "bytes" => facts.bytes = value.to_u64(),
            "info" => facts.info = Some(value.to_string()),
            _ => {}
        }
        Ok(())
    }
}

impl Facts {
    /// Adds what the end of a call says to what its beginning said.
    pub(super) fn extend(&mut self, end: &Self) {
        self.handle = end.handle.or(self.handle);
        self.async_id = end.async_id.or(self.async_id);
        self.trigger_id = end.trigger_id.or(self.trigger_id);
        self.bytes = end.bytes.or(self.bytes);
        if end.info.is_some() {
            self.info.clone_from(&end.info);
        }
    }
}
