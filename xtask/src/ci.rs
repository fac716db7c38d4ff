//! `cargo xtask ci`: everything that CI checks, one step after the other. `.ci/run` runs the same list.

use crate::build::FAULTS_BUILD;
use crate::{Result, fuzz, sanitize, say};
use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitStatus};

/// The folder of the workspace, from which every step runs.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What is measured beside the project; no member of the workspace.
const PEERS: &str = "bench/peers/Cargo.toml";

/// Libraries of the ecosystem on the loop, with the adapters for them; no members of the workspace.
const INTEROP: &str = "examples/interop/Cargo.toml";

/// A step: its name, the words after `cargo`, and variables for it.
pub(crate) type Step = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// The step whose output is read, too.
const TESTS: &str = "tests";

/// What the tests may not print: a panic that a test means is thrown by `resume_unwind`, which prints nothing.
const PANIC: &str = "panicked at";

/// In the whole workspace the program's features turn tracing on for all.
const WITHOUT_TRACING: &[&str] = &[
    "clippy",
    "--locked",
    "--package=upcall-uv-core",
    "--package=upcall-tcp-wrap",
    "--package=upcall-async-wrap",
    "--package=upcall-net",
    "--package=upcall-http",
    "--package=upcall-cluster",
    "--package=upcall-pomelo",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];

/// Runs the models of threads, of the loop and of the tasks on it. Other flags need another folder, or each build would undo the last; loom's own speed
/// decides how long the models take.
pub(crate) const MODELS: &Step = &(
    "models",
    &[
        "test",
        "--quiet",
        "--package=upcall-uv-core",
        "--package=upcall-async-wrap",
        "--lib",
        "--",
        "models::",
    ],
    &[
        ("RUSTFLAGS", "--cfg upcall_models"),
        ("CARGO_TARGET_DIR", "target/models"),
        ("CARGO_PROFILE_TEST_OPT_LEVEL", "2"),
        ("CARGO_PROFILE_TEST_DEBUG", "0"),
    ],
);

const LINTS_WITH_FAULTS: &[&str] = &[
    "clippy",
    "--profile",
    "faults",
    "--package=upcall-uv-core",
    "--package=upcall-cluster",
    "--package=upcall-testing",
    "--package=upcall-scenarios",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];

/// Seeds of each scenario.
const FAULTS: &[&str] =
    &["run", "--quiet", "--profile", "faults", "--package", "upcall-scenarios", "--", "--seeds", "1000"];

const INTEROP_LINTS: &[&str] = &[
    "clippy",
    "--locked",
    "--manifest-path",
    INTEROP,
    "--workspace",
    "--all-targets",
    "--all-features",
    "--",
    "-D",
    "warnings",
];

const STEPS: &[Step] = &[
    ("formatting", &["fmt", "--all", "--check"], &[]),
    ("lints", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"], &[]),
    ("lints of the libraries without tracing", WITHOUT_TRACING, &[]),
    ("documentation", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")]),
    (TESTS, &["test", "--workspace"], &[]),
    *MODELS,
    ("lints of the code with faults", LINTS_WITH_FAULTS, FAULTS_BUILD),
    ("scenarios under faults", FAULTS, FAULTS_BUILD),
    (
        "tests of what runs scenarios",
        &["test", "--quiet", "--profile", "faults", "--package=upcall-testing", "--package=upcall-scenarios"],
        FAULTS_BUILD,
    ),
    // What is kept are counts of a release build.
    (
        "counts per request",
        &["run", "--quiet", "--release", "--locked", "--package", "upcall-bench", "--", "--count", "--check"],
        &[],
    ),
    ("formatting of the peers", &["fmt", "--all", "--manifest-path", PEERS, "--check"], &[]),
    (
        "lints of the peers",
        &["clippy", "--locked", "--manifest-path", PEERS, "--all-targets", "--", "-D", "warnings"],
        &[],
    ),
    ("tests of the peers", &["test", "--locked", "--manifest-path", PEERS], &[]),
    ("formatting of the adapters", &["fmt", "--all", "--manifest-path", INTEROP, "--check"], &[]),
    ("lints of the adapters", INTEROP_LINTS, &[]),
    (
        "documentation of the adapters",
        &["doc", "--manifest-path", INTEROP, "--package=upcall-hyper", "--all-features", "--no-deps"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    ),
    (
        "tests of the adapters",
        &["test", "--quiet", "--locked", "--manifest-path", INTEROP, "--workspace", "--all-features"],
        &[],
    ),
];

/// Each workspace has its own list, `deny.toml`.
const DENY: &[Step] = &[
    ("dependencies", &["deny", "check", "licenses", "sources", "bans"], &[]),
    (
        "dependencies of the adapters",
        &["deny", "--manifest-path", INTEROP, "check", "licenses", "sources", "bans"],
        &[],
    ),
];

/// Seconds for each fuzz target: enough to run the seeds, and to notice what any input finds.
const FUZZ_SECONDS: u32 = 4;

/// Runs every step; stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    for step in STEPS {
        cargo(step)?;
    }
    if Command::new("cargo").args(["deny", "--version"]).output().is_ok_and(|output| output.status.success())
    {
        DENY.iter().try_for_each(cargo)?;
    } else {
        say("== dependencies: not checked, since there is no cargo-deny");
    }
    if fuzz::is_possible() {
        fuzz::run(&fuzz::Options { targets: Vec::new(), seconds: FUZZ_SECONDS })?;
    } else {
        say("== fuzz targets: not run, since there is no nightly compiler or no cargo-fuzz");
    }
    for tool in sanitize::Tool::ALL {
        match tool.lack() {
            Some(lack) => say(&format!("== sanitize: {}: not run, for want of {lack}", tool.name())),
            None => sanitize::run(&[tool])?,
        }
    }
    Ok(())
}

pub(crate) fn cargo((name, words, variables): &Step) -> Result<()> {
    say(&format!("== {name}: cargo {}", words.join(" ")));
    let mut command = Command::new("cargo");
    command.current_dir(ROOT).args(*words).envs(variables.iter().copied());
    let (status, panics) = match *name {
        TESTS => watch(command),
        _ => command.status().map(|status| (status, 0)),
    }
    .map_err(|error| format!("{name}: cargo could not be started: {error}"))?;
    match (status.success(), panics) {
        (true, 0) => Ok(()),
        (true, _) => Err(format!("{name} passed, but printed {panics} panics").into()),
        (false, _) => Err(format!("{name} failed").into()),
    }
}

/// Runs a command to its end and passes its output on. Returns how many of its lines tell of a panic, too.
fn watch(mut command: Command) -> io::Result<(ExitStatus, usize)> {
    let (reader, writer) = io::pipe()?;
    let mut child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
    // It holds two ends of the pipe, which would never be closed.
    drop(command);
    let mut panics = 0;
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        panics += usize::from(line.contains(PANIC));
        say(&line);
    }
    Ok((child.wait()?, panics))
}
