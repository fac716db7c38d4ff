//! The table of `pomelo list`, as pomelo's own command line shows it.

use serde_json::{Map, Value};
use std::iter::once;

/// Characters of one cell that are shown: as many as an id may have. Servers are free in what they report.
const CELL: usize = 256;

/// Keys of a server's answer, and what stands above their column.
const COLUMNS: [(&str, &str); 7] = [
    ("serverId", "serverId"),
    ("serverType", "serverType"),
    ("pid", "pid"),
    ("rss", "rss(M)"),
    ("heapTotal", "heapTotal(M)"),
    ("heapUsed", "heapUsed(M)"),
    ("uptime", "uptime(m)"),
];

/// The servers of a master's answer, a line for each, sorted by type, then id.
pub(super) fn of_servers(servers: &Map<String, Value>) -> String {
    let mut rows: Vec<[String; COLUMNS.len()]> = servers.values().map(row).collect();
    rows.sort_by(|one, other| (&one[1], &one[0]).cmp(&(&other[1], &other[0])));
    let head = COLUMNS.map(|(_, title)| title.to_owned());
    let all: Vec<_> = once(&head).chain(&rows).collect();
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| all.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
        .collect();
    let line = |row: &[String; COLUMNS.len()]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    };
    all.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(server: &Value) -> [String; COLUMNS.len()] {
    COLUMNS.map(|(key, _)| match server.get(key) {
        None => String::new(),
        Some(Value::String(text)) => cell(text),
        Some(other) => cell(&other.to_string()),
    })
}

/// A text, shortened if it is too long for a table.
fn cell(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Text for a terminal, without characters that control it or change the direction of writing.
pub(super) fn printable(text: &str) -> String {
    let steers = |char: char| {
        // Marks of the direction of writing, separators of lines and paragraphs.
        char.is_control()
            || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|char| if steers(char) { '\u{fffd}' } else { char }).collect()
}
