//! The sources that the rules are held against, and how a breach is told.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use tests::source::{code_of, line_of, words};
use tests::workspace::root;

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// The crates that no other crate builds upon; all others are layers, with an interface and examples.
const NO_LAYERS: &[&str] = &["cli", "bench", "testing", "xtask", "tests", "fuzz", "compat", "examples"];

/// Folders of crates, beside those that are at the top.
const GROUPS: &[&str] = &["compat", "examples"];

/// Lines above a line that belong to its explanation.
const NEARBY: usize = 4;

/// A source file.
pub(crate) struct Source {
    /// Relative to the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) code: String,
}

impl Source {
    /// The crate's folder.
    pub(crate) fn package(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    pub(crate) fn is_library(&self) -> bool {
        !NO_LAYERS.contains(&self.package()) && self.path[self.package().len()..].starts_with("/src/")
    }

    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/")
    }

    /// The lines (from 1) that have `word` as a word of their code.
    pub(crate) fn lines_with(&self, word: &str) -> BTreeSet<usize> {
        words(&self.code, word).map(|at| line_of(&self.code, at)).collect()
    }

    /// Whether one of the lines just above `line`, or `line` itself, contains `text`.
    pub(crate) fn says_nearby(&self, line: usize, text: &str) -> bool {
        let skipped = line.saturating_sub(NEARBY + 1);
        self.text.lines().skip(skipped).take(line - skipped).any(|line| line.contains(text))
    }
}

/// Every source of every crate, in order; read once.
pub(crate) static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let mut sources = Vec::new();
    for entry in fs::read_dir(root()).expect("the workspace is a folder") {
        let folder = entry.expect("the workspace can be listed").path();
        let is_group = GROUPS.iter().any(|group| folder.ends_with(group));
        if folder.join("Cargo.toml").exists() || is_group {
            collect(&folder, &mut sources).expect("the sources can be read");
        }
    }
    assert!(sources.len() > 50, "the sources are not where this test looks for them");
    sources
});

/// The folders of the layers.
pub(crate) fn layers() -> BTreeSet<&'static str> {
    SOURCES.iter().map(Source::package).filter(|package| !NO_LAYERS.contains(package)).collect()
}

fn collect(folder: &Path, sources: &mut Vec<Source>) -> Outcome {
    let entries = fs::read_dir(folder)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, sources)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            let path = path.strip_prefix(root())?.to_string_lossy().into_owned();
            sources.push(Source { path, code: code_of(&text), text });
        }
    }
    Ok(())
}

/// What breaks a rule, with the rule.
pub(crate) struct Breaches {
    rule: &'static str,
    found: Vec<String>,
}

impl Breaches {
    pub(crate) fn of(rule: &'static str) -> Self {
        Self { rule, found: Vec::new() }
    }

    pub(crate) fn add(&mut self, path: &str, line: usize, what: impl AsRef<str>) {
        self.found.push(format!("{path}:{line}: {}", what.as_ref()));
    }

    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    pub(crate) fn finish(self) -> Outcome {
        assert!(self.found.is_empty(), "{}\n  {}", self.rule, self.found.join("\n  "));
        Ok(())
    }
}
