//! The unmodified pomelo of npm: its command line with a master that `upcall pomelo start` runs, and its master with our
//! command line. Skipped where Node or npm are missing, unless the variable `POMELO_TESTS_NEED_NODE` is set.

use crate::program::Program;
use crate::site::{Outcome, READY, Site, listed, said, until};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use upcall::pomelo::npm;

/// The npm package.
struct Npm {
    modules: PathBuf,
    address: [String; 4],
}

impl Npm {
    /// None where it cannot be had, which is said.
    fn find(site: &Site) -> Option<Self> {
        match npm::pomelo() {
            Ok(modules) => Some(Self { modules, address: site.address() }),
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
            .arg(self.modules.join("pomelo/bin/pomelo"))
            .args(words)
            .args(&self.address)
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
    let [host, port] = [format!("host={}", site.host), format!("port={}", site.port(6051))];
    let (output, text) = npm.pomelo(&["add", &host, &port, "id=chat-server-2", "serverType=chat"])?;
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

/// A Node application that says when it is up.
const APP: &str = "const app = require('pomelo').createApp();\napp.set('name', 'demo');\napp.start();\n";
const LIFECYCLE: &str = "exports.afterStartAll = () => console.log('ready: all');\n";

/// Two servers of the type that the project has a token for.
fn two_servers(site: &Site) -> String {
    let host = &site.host;
    let server = |number: u16| {
        let port = site.port(6050) + number;
        format!(r#"{{"id": "chat-server-{number}", "host": "{host}", "port": {port}}}"#)
    };
    format!(r#"{{"development": {{"chat": [{}, {}]}}}}"#, server(1), server(2))
}

#[test]
fn our_command_line_commands_npm_s_master() -> Outcome {
    let site = Site::new()?;
    let Some(npm) = Npm::find(&site) else { return Ok(()) };
    site.edit("servers.json", |_| two_servers(&site))?;
    fs::create_dir_all(site.path().join("app/servers/master"))?;
    fs::write(site.path().join("app.js"), APP)?;
    fs::write(site.path().join("app/servers/master/lifecycle.js"), LIFECYCLE)?;
    let mut start = Command::new("node");
    start.arg(site.path().join("app.js")).current_dir(site.path());
    start.env("NODE_PATH", &npm.modules).env("NODE_NO_WARNINGS", "1");
    let master = Program::spawn(&mut start)?;
    until(&master, |line| line.starts_with(READY))?;

    let before = site.list()?;
    let ids: Vec<&str> = before.keys().map(String::as_str).collect();
    assert_eq!(ids, ["chat-server-1", "chat-server-2", "master-server-1"]);
    for (words, code) in [
        (&["list", "--password", "wrong"][..], 3),
        (&["stop", "unknown"], 4),
        (&["stop", "--user", "monitor", "--password", "monitor"], 4),
        (&["stop", "chat-server-1"], 0),
        (&["restart", "-i", "chat-server-2"], 0),
    ] {
        let output = site.ask(words)?;
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", said(&output));
    }
    let output = site.ask(&["stop"])?;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(master.wait()?, Some(0));
    site.assert_nothing_runs()
}
