//! `cargo xtask sanitize`: tests under AddressSanitizer, ThreadSanitizer and Miri. CI runs the same.
//!
//! AddressSanitizer is for the crate with `unsafe`, and ThreadSanitizer for its parts that several threads share. It
//! follows neither a child that has the memory of its parent, as every child has until its `exec`, nor threads of a forked
//! child, and it merges signals that the kernel would queue: those tests are left out. Miri interprets what makes no system
//! call.

use crate::{Result, say};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// The folder of the workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What finds undefined behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Address,
    Thread,
    Miri,
}

/// The words after `cargo +nightly`.
type Words = &'static [&'static str];

const ADDRESS: Words = &[
    "test",
    "--quiet",
    "--locked",
    "--package=upcall-uv-core",
    "--lib",
    "--tests",
    "--",
    // Freed memory stays with the sanitizer for a while.
    "--skip=leave_memory",
    "--skip=after_ten_thousand_of_each_operation",
];

const THREAD: Words = &[
    "test",
    "--quiet",
    "--locked",
    // Races with the standard library are found only if it is instrumented too.
    "-Zbuild-std",
    "--package=upcall-uv-core",
    "--lib",
    "--test=work",
    "--test=wake",
    "--test=signal",
    "--test=spool",
    "--",
    "--skip=sys::fork",
    "--skip=sys::spawn",
    "--skip=default_action",
    "--skip=a_flood_of_signals",
];

/// Without the tests that try every cut, or throw dice: the fuzz targets do that, and an interpreter takes minutes.
const MIRI: &[Words] = &[
    &["--package=upcall-http", "--test=proto_encode"],
    &["--package=upcall-http", "--test=proto_response", "--", "--skip=every_decision_is_consistent"],
    &["--package=upcall-uv-core", "--lib", "--", "layer::", "key::"],
];

impl Tool {
    pub(crate) const ALL: [Self; 3] = [Self::Address, Self::Thread, Self::Miri];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Thread => "thread",
            Self::Miri => "miri",
        }
    }

    /// What is missing here to use the tool.
    pub(crate) fn lack(self) -> Option<&'static str> {
        let has = |words: &[&str]| nightly().args(words).output().is_ok_and(|output| output.status.success());
        match self {
            _ if !has(&["--version"]) => Some("a nightly compiler"),
            Self::Thread if !has_source() => {
                Some("the standard library's source (`rustup component add rust-src --toolchain nightly`)")
            }
            Self::Miri if !has(&["miri", "--version"]) => {
                Some("Miri (`rustup component add miri --toolchain nightly`)")
            }
            _ => None,
        }
    }

    fn run(self) -> Result<()> {
        let host = host()?;
        match self {
            Self::Address | Self::Thread => {
                let words = if self == Self::Address { ADDRESS } else { THREAD };
                let mut command = nightly();
                let folder = format!("{ROOT}/target/sanitize/{}", self.name());
                let flags = format!("-Zsanitizer={}", self.name());
                command
                    .env("CARGO_BUILD_TARGET", host)
                    .env("CARGO_TARGET_DIR", folder)
                    .env("RUSTFLAGS", flags);
                self.judge(command.args(words))
            }
            // What a test prints shows where it stands, and its clock is that of the machine.
            Self::Miri => MIRI.iter().try_for_each(|words| {
                let mut command = nightly();
                command.args(["miri", "test", "--quiet", "--locked"]).args(*words);
                self.judge(&mut command)
            }),
        }
    }

    fn judge(self, command: &mut Command) -> Result<()> {
        if command.status()?.success() {
            Ok(())
        } else {
            Err(format!("sanitize: {} failed", self.name()).into())
        }
    }
}

/// Reads the words after `sanitize`; `None` if help is asked for.
pub(crate) fn parse(words: &[OsString]) -> Result<Option<Vec<Tool>>> {
    let mut tools = Vec::new();
    for word in words {
        let word = word.to_string_lossy();
        if matches!(&*word, "--help" | "-h") {
            return Ok(None);
        }
        let tool = Tool::ALL.into_iter().find(|tool| tool.name() == word);
        tools.push(
            tool.ok_or_else(|| format!("sanitize: no tool {word:?}; there are address, thread and miri"))?,
        );
    }
    Ok(Some(if tools.is_empty() { Tool::ALL.to_vec() } else { tools }))
}

/// Runs tests under the tools, one after the other; stops at the first that finds something.
pub(crate) fn run(tools: &[Tool]) -> Result<()> {
    for tool in tools {
        if let Some(lack) = tool.lack() {
            return Err(format!("sanitize: {} needs {lack}", tool.name()).into());
        }
        say(&format!("== sanitize: {}", tool.name()));
        tool.run()?;
    }
    Ok(())
}

/// Whether the source of the standard library is there.
fn has_source() -> bool {
    let root = Command::new("rustc").args(["+nightly", "--print", "sysroot"]).output();
    let root = root.map(|root| String::from_utf8_lossy(&root.stdout).into_owned()).unwrap_or_default();
    Path::new(root.trim_end()).join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
}

/// The kind of machine that this is, for which is built: sanitizers need it named, or they would be in build scripts too.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc names no host")?.to_owned())
}

fn nightly() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(ROOT).arg("+nightly");
    // The toolchain that runs this program is another one than it asks for.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    command
}
