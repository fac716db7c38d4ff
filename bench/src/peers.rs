//! The peers: built on demand, found on PATH, or left out with a reason.

use super::child::{Launcher, Trouble};
use super::in_short;
use super::options::Options;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;
use upcall::pomelo::npm;
use upcall::say;
use upcall::sources::target_folder;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// The undici that Node 20 can run.
const UNDICI: &str = "7.30.2";

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
                "node" | "undici" if options.node.is_none() && !is_on_path("node") => {
                    Err("node is not on PATH, and no --node says where it is".to_owned())
                }
                "node" => Ok(node(options)),
                "undici" => undici(options),
                "nginx" | "haproxy" if !is_on_path(name) => Err(format!("{name} is not installed")),
                _ => {
                    let package = package_of(name);
                    if launcher.interrupt.came() {
                        return Err(Trouble::Interrupted);
                    }
                    built.entry(package).or_insert_with(|| build(package, launcher)).clone()
                }
            };
            let program = program.map_err(Trouble::Cannot);
            let program = match program.and_then(|program| peers.ask_version(name, program, launcher)) {
                Ok(program) => Ok(program),
                Err(trouble) => Err(trouble.reason()?),
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
        "futures" => "peer-futures",
        "libuv" => "peer-libuv",
        "haproxy" => "peer-haproxy",
        "nginx" => "peer-nginx",
        _ => "peer-tokio",
    }
}

fn node(options: &Options) -> Vec<OsString> {
    let node = options.node.clone().unwrap_or_else(|| "node".into());
    vec![node.into(), Path::new(FOLDER).join("node/peer.js").into()]
}

/// Node with undici for its client. Where that is, Node is told by a variable.
fn undici(options: &Options) -> Result<Vec<OsString>, String> {
    let mut path = OsString::from("NODE_PATH=");
    path.push(npm::install("undici", UNDICI)?);
    let first = ["env".into(), path];
    Ok([&first[..], &node(options), &["--with".into(), "undici".into()]].concat())
}

fn is_on_path(program: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// Builds a package of the peers' workspace, or finds that it is built.
fn build(package: &str, launcher: &Launcher) -> Result<Vec<OsString>, String> {
    let target = target_folder().join("peers");
    let mut words = vec![env::var_os("CARGO").unwrap_or_else(|| "cargo".into())];
    words.extend(["build", "--quiet", "--release", "--locked", "--package", package].map(OsString::from));
    words.extend(["--manifest-path".into(), Path::new(FOLDER).join("Cargo.toml").into()]);
    words.extend(["--target-dir".into(), target.clone().into()]);
    let cannot = |why: &str| format!("{package} cannot be built: {why}");
    let mut cargo = launcher.start(None, &words).map_err(|trouble| cannot(&in_short(trouble)))?;
    if !cargo.ends_within(BUILD_IS_NEWS) {
        say::err(format_args!("building {package}, once: bench/peers, into {} …", target.display()));
        if !cargo.ends_within(BUILD_PATIENCE) {
            // It ends here, with the compilers that it runs.
            return Err(format!("{package} was not built within {} s", BUILD_PATIENCE.as_secs()));
        }
    }
    match cargo.wait() {
        Some(status) if status.success() => Ok(vec![target.join("release").join(package).into()]),
        _ => Err(cannot(match &*cargo.complaint() {
            "" => "cargo does not say why",
            why => why,
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_was_not_looked_for_has_a_reason() {
        assert!(Peers::default().command("node").is_err());
    }
}
