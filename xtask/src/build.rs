//! Commands that are programs of another package: it is built, optimised, and this process becomes it.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The workspace.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");

/// A program of the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    package: &'static str,
    /// How it is built: `quick` to be there soon, `release` to be measured.
    profile: &'static str,
    /// Variables for its build. Other flags need another folder, or each build would undo the last.
    variables: &'static [(&'static str, &'static str)],
}

/// How code with faults is built.
pub(crate) const FAULTS_BUILD: &[(&str, &str)] = &[
    ("RUSTFLAGS", "--cfg upcall_faults"),
    ("RUSTDOCFLAGS", "--cfg upcall_faults"),
    ("CARGO_TARGET_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/../target/faults")),
];

/// What serves and shows.
pub(crate) const UPCALL: Program = Program { package: "upcall", profile: "quick", variables: &[] };

/// What soaks: the measuring program, and there soon.
pub(crate) const SOAK: Program = Program { package: "upcall-bench", profile: "quick", variables: &[] };

/// What measures.
pub(crate) const BENCH: Program = Program { package: "upcall-bench", profile: "release", variables: &[] };

/// What runs scenarios under faults.
pub(crate) const FAULTS: Program =
    Program { package: "upcall-scenarios", profile: "faults", variables: FAULTS_BUILD };

/// Builds a program and becomes it, with these words. The process stays the same: cargo becomes what it has built, so
/// signals reach the program and its exit code is this one's. What cargo says goes to standard error.
///
/// Returns only if cargo could not be started.
pub(crate) fn and_become(program: Program, words: &[OsString]) -> Box<dyn Error> {
    let Program { package, profile, variables } = program;
    // Set by cargo, if that runs this program.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["run", "--profile", profile, "--manifest-path", MANIFEST, "--package", package, "--"]);
    let error = command.args(words).envs(variables.iter().copied()).exec();
    format!("{package}: {} could not be started: {error}", cargo.display()).into()
}
