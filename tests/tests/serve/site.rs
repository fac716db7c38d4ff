//! The program under test: built once, started on a free port, and killed when a test is over.

use serde_json::Value;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use tests::running::Running;
use tests::workspace::{cargo_build, output};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// The words after `serve` of each way to serve.
pub(crate) const WAYS: &[&[&str]] = &[
    &["--workers", "0"],
    &["--workers", "2", "--policy", "round-robin"],
    &["--workers", "2", "--policy", "shared"],
];

static PROGRAM: LazyLock<Result<PathBuf, String>> =
    LazyLock::new(|| build().map_err(|error| error.to_string()));

fn build() -> Outcome<PathBuf> {
    for line in output(cargo_build()?.args(["-p", "upcall", "--bin", "upcall"]))?.lines() {
        let message: Value = serde_json::from_str(line)?;
        if let (true, Some(program)) = (message["target"]["name"] == "upcall", message["executable"].as_str())
        {
            return Ok(program.into());
        }
    }
    Err("cargo builds no upcall".into())
}

/// Where the program is.
pub(crate) fn program() -> Outcome<&'static Path> {
    Ok(PROGRAM.as_deref().map_err(Clone::clone)?)
}

/// The program with some words. Whatever goes wrong with it must look the same with backtraces turned on.
pub(crate) fn command(words: &[&str]) -> Outcome<Command> {
    let mut command = Command::new(program()?);
    command.args(words).env("RUST_BACKTRACE", "1").env_remove("RUST_LOG");
    Ok(command)
}

/// A running server.
pub(crate) struct Site {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

impl Site {
    /// Starts a server on a free port, and waits until it says where.
    pub(crate) fn start(way: &[&str]) -> Outcome<Self> {
        Self::start_by(command(&["serve", "--addr", "127.0.0.1:0"])?.args(way))
    }

    /// Starts a server by a command that is complete.
    pub(crate) fn start_by(command: &mut Command) -> Outcome<Self> {
        let running = Running::start(command)?;
        let Some(line) = running.line() else {
            return Err(format!("it says nothing: {:?}", running.wait()?).into());
        };
        let url = line.strip_prefix("listening on http://").ok_or_else(|| format!("it says {line:?}"))?;
        let address = url.split(' ').next().unwrap_or_default().parse()?;
        let how_to_try = running.line().ok_or("it does not say how to try it")?;
        assert_eq!(how_to_try, format!("try: curl http://{address}/"));
        Ok(Self { running, address })
    }

    /// Waits for the end, which is a clean one. Returns what was said about it.
    pub(crate) fn ends_well(self) -> Outcome<String> {
        let ended = self.running.wait()?;
        assert!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
        Ok(ended.stderr)
    }
}

/// Holds `check` in every way to serve; an error says in which.
pub(crate) fn in_every_way(check: impl Fn(&Site) -> Outcome) -> Outcome {
    for way in WAYS {
        Site::start(way)
            .and_then(|site| check(&site))
            .map_err(|error| format!("serve {}: {error}", way.join(" ")))?;
    }
    Ok(())
}

/// Like [`in_every_way`], for a `check` that ends with the server told to end.
pub(crate) fn in_every_way_to_the_end(check: impl Fn(&Site) -> Outcome) -> Outcome {
    for way in WAYS {
        let end = |site: Site| check(&site).and_then(|()| site.ends_well());
        let said =
            Site::start(way).and_then(end).map_err(|error| format!("serve {}: {error}", way.join(" ")))?;
        assert_eq!(said, "", "serve {}", way.join(" "));
    }
    Ok(())
}
