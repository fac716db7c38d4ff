//! `cargo xtask ci`: everything that CI checks, one step after the other.

use crate::args::Result;
use std::process::Command;

/// A step: its name, the program, its words, and variables for it.
type Step = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

const STEPS: &[Step] = &[
    ("formatting", &["fmt", "--all", "--check"], &[]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[]),
    ("documentation", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")]),
    ("tests", &["test", "--workspace"], &[]),
];

/// Runs every step; stops at the first that fails.
///
/// # Errors
/// Names the step that failed.
pub fn run() -> Result<()> {
    for (name, words, variables) in STEPS {
        println!("== {name}: cargo {}", words.join(" "));
        let status = Command::new("cargo")
            .args(*words)
            .envs(variables.iter().copied())
            .status()
            .map_err(|error| format!("{name}: cargo could not be started: {error}"))?;
        if !status.success() {
            return Err(format!("{name} failed").into());
        }
    }
    Ok(())
}
