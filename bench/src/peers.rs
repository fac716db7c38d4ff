//! The peers: built on demand, found on PATH, or left out with a reason.

use super::child::{Launcher, Trouble, until};
use super::interrupt::{Interrupt, send_signal};
use super::options::Options;
use super::proc;
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};
use upcall::say;
use upcall::sources::target_folder;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// A build that takes longer hangs.
const BUILD_PATIENCE: Duration = Duration::from_secs(600);

/// A build that takes longer is worth a line.
const BUILD_IS_NEWS: Duration = Duration::from_millis(700);

/// How long a peer may take to say its version.
const VERSION_PATIENCE: Duration = Duration::from_secs(10);

/// The peers that could be had, and why others could not.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// By name: the program with its first words, or the reason why there is none.
    programs: BTreeMap<&'static str, Result<Vec<OsString>, String>>,
    pub(crate) versions: BTreeMap<String, String>,
}

impl Peers {
    /// Finds those of `names`, and builds what has to be built.
    pub(crate) fn find(
        names: &BTreeSet<&'static str>,
        options: &Options,
        launcher: &Launcher,
    ) -> Result<Self, Trouble> {
        let mut peers = Self::default();
        let mut built: BTreeMap<&str, Result<Vec<OsString>, String>> = BTreeMap::new();
        for &name in names {
            let program = match name {
                "node" if options.node.is_none() && !is_on_path("node") => {
                    Err("node is not on PATH, and no --node says where it is".to_owned())
                }
                "node" => Ok(node(options)),
                "nginx" if !is_on_path("nginx") => Err("nginx is not installed".to_owned()),
                _ => {
                    let package = package_of(name);
                    if launcher.interrupt.came() {
                        return Err(Trouble::Interrupted);
                    }
                    built.entry(package).or_insert_with(|| build(package, &launcher.interrupt)).clone()
                }
            };
            let program = program.map_err(Trouble::Cannot);
            let program = match program.and_then(|program| peers.ask_version(name, program, launcher)) {
                Ok(program) => Ok(program),
                Err(Trouble::Interrupted) => return Err(Trouble::Interrupted),
                Err(Trouble::Cannot(reason) | Trouble::Failed(reason)) => Err(reason),
            };
            peers.programs.insert(name, program);
        }
        Ok(peers)
    }

    /// The program with its first words, or the reason why there is none.
    pub(crate) fn command(&self, name: &str) -> Result<Vec<OsString>, String> {
        self.programs.get(name).cloned().unwrap_or_else(|| Err("it was not looked for".to_owned()))
    }

    /// Every peer says on demand which versions of what it is: a JSON object of strings. A peer that cannot do even that
    /// is left out.
    fn ask_version(
        &mut self,
        name: &str,
        program: Vec<OsString>,
        launcher: &Launcher,
    ) -> Result<Vec<OsString>, Trouble> {
        let command = [&program[..], &["version".into()]].concat();
        let mut child = launcher.start(None, &command)?;
        let line = child.line(VERSION_PATIENCE)?;
        child.wait();
        let versions: BTreeMap<String, String> = serde_json::from_str(&line).map_err(|error| {
            Trouble::Cannot(format!("{name} does not know its version: {line:?}: {error}"))
        })?;
        self.versions.extend(versions);
        Ok(program)
    }
}

/// The package of the peers' workspace that has a peer.
fn package_of(name: &str) -> &'static str {
    match name {
        "libuv" => "peer-libuv",
        "nginx" => "peer-nginx",
        _ => "peer-tokio",
    }
}

fn node(options: &Options) -> Vec<OsString> {
    let node = options.node.clone().unwrap_or_else(|| "node".into());
    vec![node.into(), Path::new(FOLDER).join("node/peer.js").into()]
}

fn is_on_path(program: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// Builds a package of the peers' workspace, or finds that it is built.
fn build(package: &str, interrupt: &Interrupt) -> Result<Vec<OsString>, String> {
    let target = target_folder().join("peers");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--release", "--locked", "--package", package, "--manifest-path"]);
    cargo.arg(Path::new(FOLDER).join("Cargo.toml")).arg("--target-dir").arg(&target);
    let cannot = |error| format!("{package} cannot be built: {error}");
    let mut cargo =
        cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(cannot)?;
    let complaints = cargo.stderr.take();
    let complaints = thread::spawn(move || {
        let mut text = Vec::new();
        // What could be read is all that there is to show.
        let _whole = complaints.map(|mut complaints| complaints.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut status = None;
    let mut has_ended = || {
        status = cargo.try_wait().ok().flatten();
        status.is_some() || interrupt.came()
    };
    if !until(BUILD_IS_NEWS, &mut has_ended) {
        say::err(format_args!("building {package}, once: bench/peers, into {} …", target.display()));
        until(BUILD_PATIENCE, has_ended);
    }
    let Some(status) = status else {
        // With the compilers that it runs: they would go on without it.
        for process in proc::tree(cargo.id()).unwrap_or_default() {
            send_signal(process.pid, Signal::KILL);
        }
        cargo.wait().map_err(cannot)?;
        return Err(format!("{package} was not built within {} s", BUILD_PATIENCE.as_secs()));
    };
    if !status.success() {
        let complaints = complaints.join().unwrap_or_default();
        return Err(format!("{package} cannot be built: {}", first_error(&complaints)));
    }
    let program: PathBuf = target.join("release").join(package);
    Ok(vec![program.into()])
}

/// What cargo complains about first.
fn first_error(complaints: &str) -> &str {
    let mut lines = complaints.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.clone().next_back().unwrap_or("cargo does not say why");
    lines.find(|line| line.starts_with("error")).unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_the_reason() {
        assert_eq!(
            first_error("warning: x\n  error: no cmake\nerror: could not compile\n"),
            "error: no cmake"
        );
        assert_eq!(first_error("killed\n"), "killed");
        assert_eq!(first_error(""), "cargo does not say why");
    }

    #[test]
    fn a_peer_that_was_not_looked_for_has_a_reason() {
        assert!(Peers::default().command("node").is_err());
    }
}
