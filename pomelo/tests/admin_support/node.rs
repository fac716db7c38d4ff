//! Node and the unmodified pomelo 2.2.7, installed once into the folder of this build. Without Node or npm the tests
//! that need them say so and are skipped, unless the variable `POMELO_TESTS_NEED_NODE` is set.

use super::until;
use async_wrap::Environment;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use uv_core::Signal;

const VERSION: &str = "2.2.7";

/// Node's pomelo.
pub(crate) struct Node {
    modules: PathBuf,
}

/// Node's pomelo, or a line that says why there is none.
pub(crate) fn find() -> Option<Node> {
    match install() {
        Ok(modules) => Some(Node { modules }),
        Err(reason) => {
            assert!(std::env::var_os("POMELO_TESTS_NEED_NODE").is_none(), "{reason}");
            println!("skipped: {reason}");
            None
        }
    }
}

fn install() -> Result<PathBuf, String> {
    for tool in ["node", "npm"] {
        let there = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            return Err(format!("there is no {tool} here"));
        }
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pomelo-{VERSION}"));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    // One test installs, others wait.
    let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let done = folder.join("installed");
    if !done.exists() {
        let wanted = format!("pomelo@{VERSION}");
        let npm = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--prefix", ".", &wanted])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if !npm.status.success() {
            return Err(format!("npm install {wanted}: {}", String::from_utf8_lossy(&npm.stderr)));
        }
        File::create(done).map_err(|error| error.to_string())?;
    }
    Ok(folder.join("node_modules"))
}

/// A process and everything that it has started; all of it ends with this.
pub(crate) struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // The group has the id of its leader. That it has ended is no failure.
        let _ = uv_core::process::kill(-self.0.id().cast_signed(), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

impl Group {
    fn start(command: &mut Command) -> Self {
        Self(command.process_group(0).stdin(Stdio::null()).spawn().expect("it starts"))
    }

    pub(crate) fn id(&self) -> i32 {
        self.0.id().cast_signed()
    }

    pub(crate) fn code(&mut self) -> Option<i32> {
        self.0.try_wait().expect("it can be waited for").map(|status| status.code().unwrap_or(-1))
    }
}

/// What a command line has done.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Node {
    /// A command that runs a script with these modules.
    pub(crate) fn command(&self, script: &Path) -> Command {
        let mut command = Command::new("node");
        command.arg(script).env("NODE_PATH", &self.modules).env("NODE_NO_WARNINGS", "1");
        command
    }

    pub(crate) fn start(&self, script: &Path, args: &[&str], folder: &Path) -> Group {
        let log = File::create(folder.join(format!("node-{}.log", args.len()))).expect("a file");
        let error_log = log.try_clone().expect("a file");
        Group::start(self.command(script).args(args).current_dir(folder).stdout(log).stderr(error_log))
    }

    /// Runs pomelo's command line while the loop turns.
    pub(crate) fn pomelo(&self, env: &Environment, port: u16, words: &[&str]) -> Outcome {
        let script = self.modules.join("pomelo/bin/pomelo");
        let port = port.to_string();
        let folder = tempfile::tempdir().expect("a folder");
        let (out, err) = (folder.path().join("out"), folder.path().join("err"));
        let mut command = self.command(&script);
        command.args(words).args(["--host", "127.0.0.1", "--port", &port]).current_dir(folder.path());
        command.stdout(File::create(&out).expect("a file")).stderr(File::create(&err).expect("a file"));
        let mut group = Group::start(&mut command);
        let mut code = None;
        until(env, "pomelo's command line", || {
            code = group.code();
            code.is_some()
        });
        Outcome { code: code.expect("it ended"), stdout: text(&out), stderr: text(&err) }
    }

    pub(crate) fn modules(&self) -> &Path {
        &self.modules
    }
}

/// The text of a file, without colours.
fn text(path: &Path) -> String {
    let mut text = String::new();
    File::open(path).and_then(|mut file| file.read_to_string(&mut text)).expect("text");
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain + rest
}
