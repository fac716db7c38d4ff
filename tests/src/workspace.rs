//! The workspace as a test sees it: its folder, its cargo, and the programs that cargo builds from it.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's folder.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("/"))
}

/// The cargo that runs the tests, in the workspace's folder, without network.
#[must_use]
pub fn cargo(command: &str) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.current_dir(root()).args([command, "--offline"]);
    cargo
}

/// A `cargo build` into the folder that this test was built into, with the same profile: most is built already.
///
/// # Errors
/// The path of this test is unknown, or not that of a test.
pub fn cargo_build() -> io::Result<Command> {
    let test = env::current_exe()?;
    // TARGET/PROFILE/deps/TEST
    let profile = test.ancestors().nth(2).ok_or(io::ErrorKind::NotFound)?;
    let target: PathBuf = profile.parent().ok_or(io::ErrorKind::NotFound)?.into();
    let mut build = cargo("build");
    build.arg("--target-dir").arg(target).arg("--message-format=json-render-diagnostics");
    if profile.ends_with("release") {
        build.arg("--release");
    }
    Ok(build)
}

/// What a cargo command prints.
///
/// # Errors
/// It could not be started, or failed; with its output.
pub fn output(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{command:?}: {}\n{said}", output.status)));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
