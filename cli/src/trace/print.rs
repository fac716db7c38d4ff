//! A story as lines for a terminal of 100 columns.

use super::step::{Dir, Facts};
use super::story::{Row, Story, Turn};
use std::fmt::Write;

const WIDTH: usize = 100;

const HEADING: &str = "  \u{2191} calls the layer above   \u{2193} is called from above, or calls the kernel   \u{b7} what else happens
  id: #handle, or async id/trigger id   source: LAYER/src/\u{2026}; the kernel's calls are in uv-core
        ns layer      id      call                                                            source";

struct Palette {
    up: &'static str,
    down: &'static str,
    faint: &'static str,
    bold: &'static str,
    end: &'static str,
}

const COLOURS: Palette =
    Palette { up: "\x1b[36m", down: "\x1b[33m", faint: "\x1b[2m", bold: "\x1b[1m", end: "\x1b[0m" };

const PLAIN: Palette = Palette { up: "", down: "", faint: "", bold: "", end: "" };

#[must_use]
pub(crate) fn text(story: &Story, colours: bool) -> String {
    let palette = if colours { &COLOURS } else { &PLAIN };
    let mut text = format!("{}{HEADING}{}\n", palette.faint, palette.end);
    for turn in &story.turns {
        add_turn(&mut text, turn, palette);
    }
    text
}

fn add_turn(text: &mut String, turn: &Turn, palette: &Palette) {
    let Palette { bold, end, .. } = palette;
    text.push('\n');
    for mark in &turn.marks {
        let _ = writeln!(text, "{:>10} {bold}{}{end}", grouped(turn.since(mark.at)), mark.what);
    }
    if !turn.process.is_empty() && !turn.rows.is_empty() {
        let _ = writeln!(text, "{bold}{}{end}", turn.process);
    }
    for row in &turn.rows {
        let _ = writeln!(text, "{}", line(turn, row, palette));
    }
}

fn line(turn: &Turn, row: &Row, palette: &Palette) -> String {
    let step = &row.step;
    let (arrow, colour) = match step.dir {
        Dir::Up => ('\u{2191}', palette.up),
        Dir::Down => ('\u{2193}', palette.down),
        Dir::Note => ('\u{b7}', ""),
    };
    let layer = if step.is_kernel() { "kernel" } else { &step.layer };
    let indent = " ".repeat(row.depth);
    let head = format!("{:>10} {layer:<10} {:<7} {indent}", grouped(turn.since(row.at())), id(&step.facts));
    let source = source(row);
    let said = said(row);
    let mut call = format!("{arrow} {}{}{said}", step.call, if said.is_empty() { "" } else { "  " });
    let room = WIDTH.saturating_sub(head.chars().count() + 1 + source.chars().count());
    if call.chars().count() > room {
        call = call.chars().take(room.saturating_sub(1)).chain(['\u{2026}']).collect();
    }
    let Palette { faint, end, .. } = palette;
    let end_of_call = if colour.is_empty() { "" } else { end };
    format!("{head}{colour}{call:<room$}{end_of_call} {faint}{source}{end}")
}

/// The file within its layer, and the line.
fn source(row: &Row) -> String {
    let file = row.step.file.split_once("/src/").map_or(row.step.file.as_str(), |(_, file)| file);
    format!("{file}:{}", row.step.line)
}

/// The handle, or the context: its own id and that of its cause.
pub(super) fn id(facts: &Facts) -> String {
    match (facts.handle, facts.async_id) {
        (_, Some(async_id)) => format!("{async_id}/{}", facts.trigger_id.unwrap_or(0)),
        (Some(handle), None) => format!("#{handle}"),
        (None, None) => String::new(),
    }
}

/// What else is known of a call; of a system call also its duration.
pub(super) fn said(row: &Row) -> String {
    let facts = &row.step.facts;
    let bytes = facts.bytes.map(|bytes| format!("{bytes} B"));
    let took = row.took().filter(|_| row.step.is_kernel() && !row.is_wait());
    let took = took.map(|took| format!("in {}", duration(took)));
    let waited = row.took().filter(|_| row.is_wait()).map(|took| format!("after {}", duration(took)));
    let said = [bytes, facts.info.clone(), took, waited];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ").replace(" B, in ", " B in ")
}

/// A time with three digits and its unit.
pub(super) fn duration(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    let (value, unit) = match nanoseconds {
        0..1_000 => return format!("{nanoseconds} ns"),
        1_000..1_000_000 => (value / 1e3, "\u{b5}s"),
        1_000_000..1_000_000_000 => (value / 1e6, "ms"),
        _ => (value / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// A number in groups of three digits.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "\u{2212}" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{duration, grouped};

    #[test]
    fn numbers_are_short_and_legible() {
        let said: Vec<_> =
            [0, 999, 1_234, 45_678, 456_789, 1_500_000_000].into_iter().map(duration).collect();
        assert_eq!(said, ["0 ns", "999 ns", "1.23 \u{b5}s", "45.7 \u{b5}s", "457 \u{b5}s", "1.50 s"]);
        let said: Vec<_> = [0, 12, 1_234, -1_234_567].into_iter().map(grouped).collect();
        assert_eq!(said, ["0", "12", "1\u{202f}234", "\u{2212}1\u{202f}234\u{202f}567"]);
    }
}
