//! Node's pomelo, and other packages: unmodified, each installed once by npm into the folder of the build.

use crate::sources::target_folder;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The version that this project reproduces.
pub const VERSION: &str = "2.2.7";

/// The folder `node_modules` that has it.
///
/// # Errors
/// As for [`install`].
pub fn pomelo() -> Result<PathBuf, String> {
    install("pomelo", VERSION)
}

/// The folder `node_modules` that has this version of a package.
///
/// # Errors
/// There is no node or npm, or npm cannot install it; in words.
pub fn install(package: &str, version: &str) -> Result<PathBuf, String> {
    for tool in ["node", "npm"] {
        let there = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            return Err(format!("there is no {tool} here"));
        }
    }
    let folder = target_folder().join("tmp").join(format!("{package}-{version}"));
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    // One process installs, others wait.
    let lock = File::create(folder.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let done = folder.join("installed");
    if !done.exists() {
        let wanted = format!("{package}@{version}");
        let npm = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--prefix", ".", &wanted])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .map_err(failed)?;
        if !npm.status.success() {
            return Err(format!("npm install {wanted}: {}", String::from_utf8_lossy(&npm.stderr).trim()));
        }
        File::create(done).map_err(failed)?;
    }
    Ok(folder.join("node_modules"))
}
