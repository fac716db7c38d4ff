//! The house rules that can be read off the sources. A breach is named with file, line and the rule's reason.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use tests::source::{Function, code_of, functions, line_of, words};
use tests::workspace::root;

type Outcome = Result<(), Box<dyn Error>>;

/// The crates that nobody depends on; all others are layers, with an interface and examples.
const NO_LAYERS: &[&str] = &["cli", "bench", "xtask", "tests", "fuzz"];

/// What fits into one head at a time.
const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// An example is to be read in one go, and to do something worth reading.
const EXAMPLE_LINES: std::ops::RangeInclusive<usize> = 40..=120;

/// Lines above `unsafe` among which its `SAFETY:` is looked for.
const NEARBY: usize = 4;

/// What marks something as unfinished, put together so that this file does not contain it.
const UNFINISHED: &str = concat!("FIX", "ME");

/// Tests that let time pass, where a sleep that is too long does no harm and one that is too short can not happen.
const SLEEPS: &[(&str, &str)] = &[
    ("pomelo/tests/admin_late.rs", "a loop is late for longer than a timeout"),
    ("pomelo/tests/admin_orders.rs", "a process stands still for longer than a limit"),
    ("pomelo/tests/stop.rs", "a process stands still for longer than a limit"),
    ("async-wrap/tests/timers.rs", "several timers have to be due before the loop looks at its clock"),
    ("net/tests/timeout.rs", "several timeouts have to be due in the same turn"),
    ("http/tests/server/late.rs", "a loop is late for longer than a timeout"),
    ("http/tests/server/lingering.rs", "clients fetch an answer slowly"),
    ("http/tests/server/timeouts.rs", "clients are slow for longer than a timeout"),
];

/// A source file.
struct Source {
    /// Relative to the workspace, with `/`.
    path: String,
    text: String,
    code: String,
}

impl Source {
    /// The crate's folder.
    fn package(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    fn is_library(&self) -> bool {
        !NO_LAYERS.contains(&self.package()) && self.path[self.package().len()..].starts_with("/src/")
    }

    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/")
    }

    /// The lines (from 1) that have `word` as a word of their code.
    fn lines_with(&self, word: &str) -> BTreeSet<usize> {
        words(&self.code, word).map(|at| line_of(&self.code, at)).collect()
    }

    /// Whether one of the lines just above `line`, or `line` itself, contains `text`.
    fn says_nearby(&self, line: usize, text: &str) -> bool {
        let skipped = line.saturating_sub(NEARBY + 1);
        self.text.lines().skip(skipped).take(line - skipped).any(|line| line.contains(text))
    }
}

/// Every source of every crate, in order; read once.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let mut sources = Vec::new();
    for entry in fs::read_dir(root()).expect("the workspace is a folder") {
        let folder = entry.expect("the workspace can be listed").path();
        if folder.join("Cargo.toml").exists() {
            collect(&folder, &mut sources).expect("the sources can be read");
        }
    }
    assert!(sources.len() > 50, "the sources are not where this test looks for them");
    sources
});

/// The folders of the layers.
fn layers() -> BTreeSet<&'static str> {
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
struct Breaches {
    rule: &'static str,
    found: Vec<String>,
}

impl Breaches {
    fn of(rule: &'static str) -> Self {
        Self { rule, found: Vec::new() }
    }

    fn add(&mut self, path: &str, line: usize, what: impl AsRef<str>) {
        self.found.push(format!("{path}:{line}: {}", what.as_ref()));
    }

    fn finish(self) -> Outcome {
        assert!(self.found.is_empty(), "{}\n  {}", self.rule, self.found.join("\n  "));
        Ok(())
    }
}

#[test]
fn every_file_says_what_it_is_about() -> Outcome {
    let mut breaches =
        Breaches::of("A file begins with `//!`: a reader learns first which one idea it holds.");
    for source in SOURCES.iter() {
        if !source.text.starts_with("//! ") {
            breaches.add(&source.path, 1, source.text.lines().next().unwrap_or("the file is empty"));
        }
    }
    breaches.finish()
}

#[test]
fn files_and_functions_are_short() -> Outcome {
    let mut breaches = Breaches::of("A file has at most 500 lines and a function 70: one idea each.");
    for source in SOURCES.iter() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES {
            breaches.add(&source.path, lines, format!("the file has {lines} lines"));
        }
        for Function { name, line, lines, .. } in functions(&source.code) {
            if lines > FUNCTION_LINES {
                breaches.add(&source.path, line, format!("`{name}` has {lines} lines"));
            }
        }
    }
    breaches.finish()
}

#[test]
fn unsafe_code_is_in_one_place_and_explained() -> Outcome {
    let mut breaches = Breaches::of(
        "`unsafe` stands in uv-core/src/sys only, so that one folder is all that has to be audited; in a test only with \
         `#[allow(unsafe_code, reason = …)]`. Each is explained by a SAFETY comment.",
    );
    for source in SOURCES.iter() {
        let in_sys = source.path.starts_with("uv-core/src/sys/");
        let in_test = source.is_test();
        let allowances: Vec<usize> = source.lines_with("unsafe_code").into_iter().collect();
        for line in source.lines_with("unsafe") {
            // An allowance is for the item that follows it; how far that reaches, the compiler checks.
            let allowed = in_sys || (in_test && allowances.iter().any(|allowance| *allowance <= line));
            if !allowed {
                breaches.add(&source.path, line, "`unsafe` out of its place");
            }
            if !["SAFETY:", "# Safety"].iter().any(|mark| source.says_nearby(line, mark)) {
                breaches.add(&source.path, line, "`unsafe` without a SAFETY comment");
            }
        }
    }
    breaches.finish()
}

#[test]
fn every_crate_but_uv_core_forbids_unsafe_code() -> Outcome {
    let mut breaches =
        Breaches::of("`#![forbid(unsafe_code)]` says at the top of a crate that nothing needs an audit.");
    for source in SOURCES.iter() {
        let (name, path) = source.path.split_once('/').unwrap_or_default();
        if name != "uv-core"
            && ["src/lib.rs", "src/main.rs"].contains(&path)
            && !source.code.contains("#![forbid(unsafe_code)]")
        {
            breaches.add(&source.path, 1, "no `#![forbid(unsafe_code)]`");
        }
    }
    breaches.finish()
}

#[test]
fn upcalls_are_declared_in_one_file_per_layer() -> Outcome {
    let mut breaches = Breaches::of(
        "Each layer has one src/upcall.rs, and a trait's method there is `fn on_…(&mut self, …)` (or `accepts_…`): \
         `cat */src/upcall.rs` is the whole chain.",
    );
    for layer in layers() {
        let is_upcall = |source: &&Source| {
            source.path.starts_with(&format!("{layer}/src/")) && source.path.ends_with("/upcall.rs")
        };
        let files: Vec<&Source> = SOURCES.iter().filter(is_upcall).collect();
        if files.len() != 1 || files[0].path != format!("{layer}/src/upcall.rs") {
            let found: Vec<_> = files.iter().map(|file| &file.path).collect();
            breaches.add(layer, 0, format!("not one src/upcall.rs but {found:?}"));
        }
        for file in files {
            for function in functions(&file.code) {
                let is_named = ["on_", "accepts_"].iter().any(|start| function.name.starts_with(start));
                if !is_named || !function.signature.contains("(&mut self") {
                    breaches.add(&file.path, function.line, &function.signature);
                }
            }
        }
    }
    breaches.finish()
}

#[test]
fn nothing_unfinished_is_left() -> Outcome {
    let mut breaches =
        Breaches::of("What is not finished is not committed, and a test that does not run tests nothing.");
    for source in SOURCES.iter() {
        for word in ["todo", "unimplemented", "dbg"] {
            for at in words(&source.code, word) {
                if source.code[at + word.len()..].starts_with('!') {
                    breaches.add(&source.path, line_of(&source.code, at), format!("`{word}!`"));
                }
            }
        }
        for at in words(&source.code, "ignore") {
            if source.code[..at].trim_end().ends_with("#[") {
                breaches.add(&source.path, line_of(&source.code, at), "an ignored test");
            }
        }
        for at in words(&source.text, UNFINISHED) {
            breaches.add(&source.path, line_of(&source.text, at), UNFINISHED);
        }
    }
    breaches.finish()
}

#[test]
fn libraries_print_nothing() -> Outcome {
    let mut breaches =
        Breaches::of("A library says what it has to say through `log`: its user owns the terminal.");
    for source in SOURCES.iter().filter(|source| source.is_library()) {
        for word in ["print", "println", "eprint", "eprintln"] {
            for at in words(&source.code, word) {
                if source.code[at + word.len()..].starts_with('!') {
                    breaches.add(&source.path, line_of(&source.code, at), format!("`{word}!`"));
                }
            }
        }
    }
    breaches.finish()
}

#[test]
fn no_test_sleeps() -> Outcome {
    let mut breaches = Breaches::of(
        "A sleep in a test is too short on a slow machine and wasted on a fast one: wait for what you need.",
    );
    let is_allowed = |source: &&Source| SLEEPS.iter().any(|(path, _)| *path == source.path);
    let is_test = |source: &&Source| source.is_test();
    for source in SOURCES.iter().filter(is_test).filter(|source| !is_allowed(source)) {
        for line in source.lines_with("sleep") {
            breaches.add(&source.path, line, "a sleep");
        }
    }
    breaches.finish()
}

#[test]
fn every_layer_has_examples_of_a_readable_length() -> Outcome {
    let mut breaches = Breaches::of("A user meets a layer first through an example of 40 to 120 lines.");
    for layer in layers() {
        let folder = format!("{layer}/examples");
        let examples: Vec<_> = SOURCES.iter().filter(|source| source.path.starts_with(&folder)).collect();
        if examples.is_empty() {
            breaches.add(&folder, 0, "no example");
        }
        for example in examples {
            let lines = example.text.lines().count();
            if !EXAMPLE_LINES.contains(&lines) {
                breaches.add(&example.path, lines, format!("the example has {lines} lines"));
            }
        }
    }
    breaches.finish()
}

#[test]
fn the_changelog_begins_with_the_version_that_is_built() -> Outcome {
    let changelog = fs::read_to_string(root().join("CHANGELOG.md"))?;
    let headings = changelog.lines().filter_map(|line| line.strip_prefix("## "));
    let version = headings.filter_map(|heading| heading.split_whitespace().next()).next();
    let built = env!("CARGO_PKG_VERSION");
    assert_eq!(version, Some(built), "CHANGELOG.md: its first version is the one in Cargo.toml");
    Ok(())
}

#[test]
fn no_tracked_file_names_a_place_on_somebodys_machine() -> Outcome {
    let mut breaches =
        Breaches::of("The repository stands for itself: a path of one machine means nothing to a reader.");
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        println!("skipped: this is no git checkout, so nobody knows which files belong to it");
        return Ok(());
    };
    // Put together here, so that this file does not name them either.
    let places = ["work/", "tmp/plan", "root/", "home/", "Users/"].map(|place| format!("/{place}"));
    for path in String::from_utf8(listed.stdout)?.split('\0').filter(|path| !path.is_empty()) {
        // A file may be deleted and not committed yet, or be no text.
        let Ok(text) = fs::read_to_string(root().join(path)) else { continue };
        for (index, line) in text.lines().enumerate() {
            for place in places.iter().filter(|place| begins_a_path(line, place)) {
                breaches.add(path, index + 1, format!("names {place}…"));
            }
        }
    }
    breaches.finish()
}

/// Whether `place` stands in `line` where an absolute path begins.
fn begins_a_path(line: &str, place: &str) -> bool {
    let goes_before = |character: char| character.is_alphanumeric() || "/.-_}>*)~".contains(character);
    line.match_indices(place).any(|(at, _)| !line[..at].ends_with(goes_before))
}
