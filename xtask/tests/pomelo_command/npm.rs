//! The unmodified command line of npm's pomelo, with a master that `xtask pomelo start` runs. Skipped where Node or npm
//! are missing, unless the variable `POMELO_TESTS_NEED_NODE` is set.

use crate::site::{Outcome, Site, listed, said, until};
use std::path::PathBuf;
use std::process::{Command, Output};
use xtask::bench::npm;

/// The program `pomelo` of the npm package.
struct Npm {
    script: PathBuf,
    host: String,
}

impl Npm {
    /// None where it cannot be had, which is said.
    fn find(site: &Site) -> Option<Self> {
        match npm::pomelo() {
            Ok(modules) => Some(Self { script: modules.join("pomelo/bin/pomelo"), host: site.host.clone() }),
            Err(reason) => {
                assert!(std::env::var_os("POMELO_TESTS_NEED_NODE").is_none(), "{reason}");
                println!("skipped: {reason}");
                None
            }
        }
    }

    fn pomelo(&self, words: &[&str]) -> Outcome<(Output, String)> {
        // It writes its logs into the current folder.
        let folder = tempfile::tempdir()?;
        let output = Command::new("node")
            .arg(&self.script)
            .args(words)
            .args(["--host", &self.host])
            .env("NODE_NO_WARNINGS", "1")
            .current_dir(folder.path())
            .output()?;
        let text = without_colours(&said(&output));
        Ok((output, text))
    }

    fn list(&self) -> Outcome<Vec<(String, i32)>> {
        let (output, text) = self.pomelo(&["list"])?;
        assert!(output.status.success(), "{text}");
        Ok(listed(&text)?.into_iter().collect())
    }
}

/// What a terminal would show.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[test]
fn npm_s_command_line_commands_our_master() -> Outcome {
    let site = Site::new()?;
    let Some(npm) = Npm::find(&site) else { return Ok(()) };
    let master = site.up(&[])?;
    // The two command lines see the same.
    assert_eq!(npm.list()?, site.list()?.into_iter().collect::<Vec<_>>());

    let (output, text) = npm.pomelo(&["list", "--password", "wrong"])?;
    assert_eq!(output.status.code(), Some(1), "{text}");

    let (output, text) = npm.pomelo(&["stop", "chat-server-1"])?;
    assert!(output.status.success(), "{text}");
    until(&master, |line| line == "chat-server-1 left")?;
    let host = format!("host={}", site.host);
    let (output, text) = npm.pomelo(&["add", &host, "port=6051", "id=chat-server-2", "serverType=chat"])?;
    assert!(output.status.success(), "{text}");
    until(&master, |line| line.starts_with("chat-server-2 ("))?;

    let before = site.list()?;
    let (output, text) = npm.pomelo(&["restart", "--id", "connector-server-1"])?;
    assert!(output.status.success(), "{text}");
    until(&master, |line| line.starts_with("connector-server-1 ("))?;
    let after = site.list()?;
    assert_ne!(before["connector-server-1"], after["connector-server-1"]);
    assert_eq!(before["chat-server-2"], after["chat-server-2"]);

    let (output, text) = npm.pomelo(&["stop"])?;
    assert!(output.status.success(), "{text}");
    assert_eq!(master.wait()?, Some(0));
    site.assert_nothing_is_left()
}
