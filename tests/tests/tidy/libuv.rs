//! The rule about libuv's tests: each behaviour that they pin down and that applies here is held by a test of uv-core.

use crate::sources::{Breaches, Outcome, SOURCES};
use std::collections::BTreeSet;
use std::fs;
use tests::source::functions;
use tests::workspace::root;

const TABLE: &str = "uv-core/tests/libuv.md";

/// The names of libuv's tests that apply: of `test/test-list.h` without file system, terminal, thread and system queries,
/// other systems, and mistakes that only C can make.
const NAMES: &str = include_str!("libuv_tests.txt");

/// How many there are.
const COUNT: usize = 276;

/// A row of the table: its line, libuv's test, and what holds it.
struct Row<'a> {
    line: usize,
    name: &'a str,
    held: &'a str,
}

impl<'a> Row<'a> {
    /// The rows of two cells, without the heads of the tables.
    fn all(table: &'a str) -> impl Iterator<Item = Self> {
        table.lines().enumerate().filter_map(|(index, line)| {
            let (name, held) = line.strip_prefix('|')?.strip_suffix('|')?.split_once('|')?;
            let row = Self { line: index + 1, name: name.trim(), held: held.trim() };
            (!matches!(row.name, "libuv" | "---")).then_some(row)
        })
    }

    /// The tests that the row names: `file.rs::test`, in uv-core's tests or from the root of the workspace.
    fn tests(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.held.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::"))
    }

    fn check(&self, breaches: &mut Breaches) {
        if self.tests().next().is_none() && !self.held.starts_with("by type: ") {
            breaches.add(TABLE, self.line, format!("{} has neither a test nor a reason", self.name));
        }
        for (file, test) in self.tests().filter(|(file, test)| !is_test(file, test)) {
            breaches.add(TABLE, self.line, format!("{}: there is no test {file}::{test}", self.name));
        }
    }
}

/// Whether the file has a test of this name.
fn is_test(file: &str, test: &str) -> bool {
    let in_core = format!("uv-core/tests/{file}");
    let source = SOURCES.iter().find(|source| source.path == in_core || source.path == file);
    source.is_some_and(|source| {
        functions(&source.code)
            .iter()
            .any(|function| function.name == test && source.says_nearby(function.line, "#[test]"))
    })
}

#[test]
fn every_test_of_libuv_has_one_of_ours() -> Outcome {
    let mut breaches = Breaches::of(
        "What libuv's tests pin down and applies here is held by a test of ours, or by the types: uv-core/tests/libuv.md \
         has a row for each name.",
    );
    let names: Vec<&str> = NAMES.split_whitespace().collect();
    let known: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!((names.len(), known.len()), (COUNT, COUNT), "each name once");
    let table = fs::read_to_string(root().join(TABLE))?;
    let mut rows = BTreeSet::new();
    for row in Row::all(&table) {
        if !known.contains(row.name) {
            breaches.add(TABLE, row.line, format!("{} is no test of libuv that applies", row.name));
        } else if !rows.insert(row.name) {
            breaches.add(TABLE, row.line, format!("{} has a row already", row.name));
        }
        row.check(&mut breaches);
    }
    for missing in known.difference(&rows) {
        breaches.add(TABLE, 0, format!("{missing} has no row"));
    }
    breaches.finish()
}

#[test]
fn a_row_names_its_tests_however_many() {
    let table = "# Of\n| libuv | here |\n|---|---|\n| a | `one.rs::x`, `net/tests/two.rs::y` |\n| b | by type: `z` |\n";
    let rows: Vec<_> = Row::all(table).collect();
    let names: Vec<_> = rows.iter().map(|row| (row.line, row.name)).collect();
    assert_eq!(names, [(4, "a"), (5, "b")]);
    assert_eq!(rows[0].tests().collect::<Vec<_>>(), [("one.rs", "x"), ("net/tests/two.rs", "y")]);
    assert_eq!(rows[1].tests().count(), 0);
    let found = |held: &str| {
        let mut breaches = Breaches::of("");
        Row { line: 1, name: "a", held }.check(&mut breaches);
        breaches.count()
    };
    let this = "tests/tests/tidy/libuv.rs::a_row_names_its_tests_however_many";
    assert_eq!((found(&format!("`{this}`")), found("by type: there is no such call")), (0, 0));
    // A missing file, a missing function, a function that is no test, and nothing at all.
    let others = ["`no.rs::x`", "`timer.rs::x`", "`timer.rs::log_as`", ""];
    assert_eq!(others.map(found), [1, 1, 1, 1]);
}
