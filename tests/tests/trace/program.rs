//! The program under test, built once.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use tests::running::{Ended, Running};
use tests::workspace::{cargo_build, output, root};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

static PROGRAM: LazyLock<Result<PathBuf, String>> =
    LazyLock::new(|| build().map_err(|error| error.to_string()));

fn build() -> Outcome<PathBuf> {
    output(cargo_build()?.args(["-p", "upcall", "--bin", "upcall"]))?;
    // TARGET/PROFILE/deps/TEST
    let profile = env::current_exe()?.ancestors().nth(2).map(Path::to_path_buf);
    Ok(profile.ok_or("the test is in no folder")?.join("upcall"))
}

/// The program with some words, started in the workspace.
pub(crate) fn command(words: &[&str]) -> Outcome<Command> {
    let mut command = Command::new(PROGRAM.as_deref().map_err(Clone::clone)?);
    command.args(words).current_dir(root()).env_remove("RUST_LOG");
    Ok(command)
}

/// What the program says to some words, to its good end.
pub(crate) fn says(words: &[&str]) -> Outcome<String> {
    let Ended { status, stdout, stderr } = Running::start(&mut command(words)?)?.wait()?;
    if status.success() { Ok(stdout) } else { Err(format!("{words:?}: {status}\n{stderr}").into()) }
}

/// A folder of a test's own, removed with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Outcome<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("trace-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in cargo's folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}
