//! Commands that are programs of another package: it is built in release mode, and this process becomes it.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The workspace.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");

/// Builds the program of `package` and becomes it, with these words. The process stays the same: cargo becomes what it
/// has built, so signals reach the program and its exit code is this one's. What cargo says goes to standard error.
///
/// Returns only if cargo could not be started.
pub(crate) fn and_become(package: &str, words: &[OsString]) -> Box<dyn Error> {
    // Set by cargo, if that runs this program.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["run", "--release", "--manifest-path", MANIFEST, "--package", package, "--"]);
    let error = command.args(words).exec();
    format!("{package}: {} could not be started: {error}", cargo.display()).into()
}
