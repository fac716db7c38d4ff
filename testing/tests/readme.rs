//! The README's example, as it stands there: it compiles, it is short, and it finds the mistake that is planted in it.
#![cfg(upcall_faults)]

use std::process::Command;

const README: &str = include_str!("../README.md");
const EXAMPLE: &str = include_str!("readme/lines.rs");

/// The text of the README's first block in this language.
fn block(language: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```\n").expect("its end").0
}

#[test]
fn the_example_is_the_one_of_the_readme_and_has_30_lines() {
    assert_eq!(block("rust,ignore"), EXAMPLE);
    assert!(EXAMPLE.lines().count() <= 30, "{} lines", EXAMPLE.lines().count());
    assert!(EXAMPLE.contains("\n#![cfg(upcall_faults)]\n"), "an ordinary test run is without it");
}

/// What `cargo test` shows of the example, in the folder and with the profile of this very program.
fn run_example() -> String {
    let program = std::env::current_exe().expect("this program");
    let mut folders = program.ancestors().skip(2);
    let profile = folders.next().and_then(|folder| folder.file_name()).expect("the profile's folder");
    let target = folders.next().expect("the target folder");
    let profile = if profile == "debug" { "test".as_ref() } else { profile };
    let output = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--offline", "--package", "upcall-testing", "--test", "lines"])
        .arg("--profile")
        .arg(profile)
        .arg("--target-dir")
        .arg(target)
        .env_remove("UPCALL_SEEDS")
        .output()
        .expect("cargo");
    assert!(!output.status.success(), "it has to fail");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn the_example_finds_its_mistake() {
    let shown = run_example();
    let line = 1 + EXAMPLE.lines().position(|line| line.contains("assert!")).expect("an assertion");
    let report = format!(": panic at testing/tests/readme/lines.rs:{line}: received \"> h");
    let has = |words: &str| shown.contains(words);
    assert!(has("seed ") && has(&report) && has(" faults:\n"), "{shown}");
    assert!(has("UPCALL_SEEDS=") && has(" runs this seed alone"), "{shown}");
    // The README shows the same report.
    let told = block("text");
    assert!(told.contains("lines.rs:") && told.contains(&format!(":{line}: received \"> h")), "{told}");
}
