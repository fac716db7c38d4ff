//! Rules about files: how long they are, how they begin, and which places they may name.

use crate::sources::{Breaches, Outcome, SOURCES, layers};
use std::fs;
use std::ops::RangeInclusive;
use std::process::Command;
use tests::source::{Function, functions};
use tests::workspace::root;

/// What fits into one head at a time.
const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// The median length of a layer's files: shorter ones make a reader jump, longer ones hold more than one idea.
const MEDIAN_LINES: RangeInclusive<usize> = 100..=370;

/// An example shows one idea, and is read in one go.
const EXAMPLE_LINES: usize = 120;

#[test]
fn every_file_says_what_it_is_about() -> Outcome {
    let mut breaches =
        Breaches::of("A file begins with `//!`: a reader learns first which one idea it holds.");
    for source in SOURCES.iter() {
        let is_crate_readme = source.text.starts_with("#![doc = include_str!(\"../README.md\")]");
        if !source.text.starts_with("//! ") && !is_crate_readme {
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
fn most_files_have_a_readable_length() -> Outcome {
    let mut breaches =
        Breaches::of("The median file of a layer has 100 to 370 lines: one idea, and all of it.");
    for layer in layers() {
        let of_layer = SOURCES.iter().filter(|source| source.package() == layer);
        let mut lengths: Vec<_> = of_layer.map(|source| source.text.lines().count()).collect();
        lengths.sort_unstable();
        let median = lengths[lengths.len() / 2];
        if !MEDIAN_LINES.contains(&median) {
            breaches.add(layer, 0, format!("the median file has {median} lines"));
        }
    }
    breaches.finish()
}

#[test]
fn every_layer_has_examples_of_a_readable_length() -> Outcome {
    let mut breaches =
        Breaches::of("A user meets a layer first through an example of one idea, up to 120 lines.");
    for layer in layers() {
        let folder = format!("{layer}/examples");
        let examples: Vec<_> = SOURCES.iter().filter(|source| source.path.starts_with(&folder)).collect();
        if examples.is_empty() {
            breaches.add(&folder, 0, "no example");
        }
        for example in examples {
            let lines = example.text.lines().count();
            if lines > EXAMPLE_LINES {
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
        println!("skipped: this is no git checkout, so its tracked files are unknown");
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
