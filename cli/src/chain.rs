//! `cargo xtask chain`: the upcall traits of every layer in the order in which they are climbed, read from the sources.

use crate::args::Result;
use crate::say;
use crate::sources::{Item, LAYERS, items_of, workspace};
use std::fmt::Write;
use std::path::Path;

/// Columns of a terminal that everybody has.
const WIDTH: usize = 100;

/// Where the documentation begins: after the longest name and the longest place.
const DOC_AT: usize = 56;

/// Where the place begins.
const PLACE_AT: usize = 24;

/// Prints the chain.
///
/// # Errors
/// The sources are not where this program was built nor above the current directory, or cannot be read.
pub fn run() -> Result<()> {
    let workspace = workspace().ok_or(
        "the sources are not here: run this in the project's folder, in which there is uv-core/src/upcall.rs",
    )?;
    say::out(text(&workspace)?.trim_end());
    Ok(())
}

/// The chain as text.
///
/// # Errors
/// A layer's `upcall.rs` cannot be read.
pub fn text(workspace: &Path) -> Result<String> {
    let mut text = String::new();
    for layer in LAYERS.iter().filter(|layer| workspace.join(layer).is_dir()) {
        let file = format!("{layer}/src/upcall.rs");
        let items = items_of(workspace, &file).map_err(|error| format!("{file}: {error}"))?;
        let source =
            std::fs::read_to_string(workspace.join(&file)).map_err(|error| format!("{file}: {error}"))?;
        let _ = writeln!(text, "{layer}");
        for handed_on in source.lines().filter_map(|line| line.strip_prefix("pub use ")) {
            let _ = writeln!(text, "  {} unchanged", handed_on.trim_end_matches(';'));
        }
        let traits: Vec<&str> =
            items.iter().filter(|item| item.name.is_empty()).map(|item| item.owner.as_str()).collect();
        for item in items.iter().filter(|item| traits.contains(&item.owner.as_str())) {
            add(&mut text, item);
        }
        text.push('\n');
    }
    Ok(text)
}

fn add(text: &mut String, item: &Item) {
    let name = if item.name.is_empty() { format!("  {}", item.owner) } else { format!("    {}", item.name) };
    let head = format!("{name:<PLACE_AT$} {}:{}", item.file, item.line);
    let mut line = format!("{head:<DOC_AT$}");
    for word in item.doc.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line.trim_start() != "" {
            let _ = writeln!(text, "{}", line.trim_end());
            line = " ".repeat(DOC_AT);
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{}", line.trim_end());
}
