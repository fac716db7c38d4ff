//! Rules about code: where `unsafe` may stand, who prints, who sleeps, and why something is inlined.

use crate::sources::{Breaches, Outcome, SOURCES, Source, layers};
use tests::source::{functions, line_of, words};

/// What marks something as unfinished, put together so that this file does not contain it.
const UNFINISHED: &str = concat!("FIX", "ME");

/// Tests in which time has to pass: a sleep that is too long does no harm there, and too short it cannot be.
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
            // A task that waits for the loop's clock holds no thread.
            if source.text.lines().nth(line - 1).is_some_and(|text| !text.contains("thread::")) {
                continue;
            }
            breaches.add(&source.path, line, "a sleep");
        }
    }
    breaches.finish()
}

#[test]
fn what_is_always_inlined_says_why() -> Outcome {
    let mut breaches = Breaches::of(
        "`#[inline(always)]` overrules the compiler: the line says which measurement that rests on, as in \
         `#[inline(always)] // 41 instructions of http/pipelined`.",
    );
    for source in SOURCES.iter() {
        for line in source.lines_with("inline") {
            let (code, text) = (source.code.lines().nth(line - 1), source.text.lines().nth(line - 1));
            let is_forced = code.is_some_and(|code| code.contains("inline(always)"));
            if is_forced && text.is_some_and(|text| !text.contains("// ")) {
                breaches.add(&source.path, line, "no reason on the line");
            }
        }
    }
    breaches.finish()
}
