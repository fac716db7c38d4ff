//! The rule about words: comments, documents and messages are written in the field's English.

use crate::sources::{Breaches, Outcome, SOURCES};
use std::fs;
use tests::source::words;
use tests::workspace::root;

/// What makes a reader guess, and what to write instead.
const RIDDLES: &[(&str, &str)] = &[
    ("nobody", "name the thing: no thread, no handler, no client"),
    ("somebody", "name the thing: a peer, another process"),
    ("anybody", "name the thing: a thread, a handler, a client"),
    ("whoever", "name the thing: the caller, the process that"),
    ("one that", "name the thing: a worker that"),
    ("ones that", "name the things: workers that"),
    ("none that", "name the thing: no worker that"),
    ("says so", "name what is said, or returned: returns `true`"),
    ("lets go", "drops, closes, releases"),
    ("let go", "dropped, closed, released"),
    ("at first", "`Default: 64 KiB.`, or initially"),
    ("for ever", "without end, without a limit"),
    ("gone", "closed, dropped, dead, removed, sent"),
    ("owed", "pending, due, not yet reported"),
];

/// What people read beside the sources.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "tests/conformance/README.md",
    "bench/peers/README.md",
    "compat/hyper/README.md",
    "examples/service/README.md",
];

#[test]
fn prose_is_in_the_fields_english() -> Outcome {
    let mut breaches = Breaches::of(
        "Comments, documents and messages name the thing: subject, verb, object, and the terms of the RFCs, epoll(7), \
         libuv and Node (CONTRIBUTING.md, \"Style\").",
    );
    // This file has to name what it forbids.
    let is_other = |path: &str| path != "tests/tests/tidy/words.rs";
    for source in SOURCES.iter().filter(|source| is_other(&source.path)) {
        check(&mut breaches, &source.path, &prose_of(&source.text, &source.code));
    }
    for path in DOCUMENTS {
        check(&mut breaches, path, &without_quotes(&fs::read_to_string(root().join(path))?));
    }
    breaches.finish()
}

fn check(breaches: &mut Breaches, path: &str, prose: &str) {
    let mut lines = prose.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let wrapped = lines.peek().and_then(|(_, next)| around_the_break(line, next)).unwrap_or_default();
        for (riddle, instead) in RIDDLES {
            let (first, rest) = riddle.split_at(1);
            // At the beginning of a sentence too, but for the reason phrase of 410.
            let capital = Some(first.to_uppercase() + rest).filter(|capital| capital != "Gone");
            let found = |riddle: &str| {
                let has = |text| words(text, riddle).next().is_some();
                has(line) || (riddle.contains(' ') && has(&wrapped))
            };
            if found(riddle) || capital.is_some_and(|capital| found(&capital)) {
                breaches.add(path, index + 1, format!("\"{riddle}\": {instead}"));
            }
        }
    }
}

/// The last word of a line and the first word of the next one, if both are of one comment or of one paragraph.
fn around_the_break(line: &str, next: &str) -> Option<String> {
    let ((marker, line), (next_marker, next)) = (of_comment(line), of_comment(next));
    let (last, first) = (line.split_whitespace().next_back()?, next.split_whitespace().next()?);
    (marker == next_marker).then(|| format!("{last} {first}"))
}

/// What begins a line of a comment, and the text behind it.
fn of_comment(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    let marker = ["//!", "///", "//"].into_iter().find(|marker| line.starts_with(marker)).unwrap_or_default();
    line.split_at(marker.len())
}

/// The comments and literals of a source, everything else left out; lines keep their numbers.
fn prose_of(text: &str, code: &str) -> String {
    // A character of `code` stands for one of `text`, and is a blank where that is prose.
    let prose = text
        .chars()
        .zip(code.chars())
        .map(|(text, code)| if code == ' ' || code == '\n' { text } else { ' ' });
    without_quotes(&prose.collect::<String>())
}

/// Prose without what stands between backticks on one line: names are quoted there.
fn without_quotes(prose: &str) -> String {
    let lines = prose.lines().map(|line| line.split('`').step_by(2).collect::<Vec<_>>().join("`"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn riddles_are_found_in_prose_only() {
    let found = |text: &str| {
        let mut breaches = Breaches::of("");
        check(&mut breaches, "a", &prose_of(text, &tests::source::code_of(text)));
        breaches.count()
    };
    for prose in ["// Nobody reads it.", "let a = \"it is gone\";", "/// Lets go.", "  // It says\n  // so."]
    {
        assert_eq!(found(prose), 1, "{prose}");
    }
    let other_lines = "/// It says.\n/// so\n/// it says\n// so";
    for other in
        ["let nobody = gone();", "// See `nobody_listens`.", "// allowed, bygone, 410 Gone", other_lines]
    {
        assert_eq!(found(other), 0, "{other}");
    }
}
