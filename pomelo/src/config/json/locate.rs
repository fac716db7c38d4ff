//! The line of a JSON text on which a key stands, which a parsed value does not tell.

use serde_json::value::RawValue;
use std::collections::HashMap;

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into an object.
    Key(String),
    /// Into an array.
    Index(usize),
}

/// The line, from 1, of the key or array element to which the path leads, or else of the nearest one around it.
pub(super) fn line_of(text: &str, path: &[Step]) -> usize {
    let mut found = text.trim_start_matches('\u{feff}').trim_start();
    for step in path {
        let Some(inner) = enter(found, step) else { break };
        found = inner;
    }
    let before = &text[..found.as_ptr().addr() - text.as_ptr().addr()];
    // Behind a colon stands a value, whose key may be on an earlier line.
    let before = before.trim_end().strip_suffix(':').map_or(before, str::trim_end);
    1 + before.bytes().filter(|byte| *byte == b'\n').count()
}

/// The part of `text` to which `step` leads. Of equal keys the last one counts, as in the parsed value.
fn enter<'a>(text: &'a str, step: &Step) -> Option<&'a str> {
    let value: &RawValue = match step {
        Step::Key(name) => serde_json::from_str::<HashMap<String, _>>(text).ok()?.remove(name)?,
        Step::Index(index) => serde_json::from_str::<Vec<_>>(text).ok()?.get(*index).copied()?,
    };
    Some(value.get())
}
