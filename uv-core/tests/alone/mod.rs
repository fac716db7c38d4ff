//! Tests that need a process of their own: they run their own binary again, with only that test.

use std::ffi::OsStr;
use std::process::{Command, ExitStatus, Stdio};

const MARK: &str = "UV_CORE_TEST_ALONE";

/// Runs `body` in a new process in which `test`, the calling test, is the only one. Returns the exit status of that
/// process; in the new process itself returns `None`.
pub(crate) fn status(
    test: &str,
    prepare: impl FnOnce(&mut Command),
    body: impl FnOnce(),
) -> Option<ExitStatus> {
    if std::env::var_os(MARK).is_some_and(|mark| mark == test) {
        body();
        return None;
    }
    // Under another name no test would run, and none would fail. A single test thread is the main thread.
    let thread = std::thread::current();
    assert!(matches!(thread.name(), Some(name) if name == test || name == "main"), "{test} is another test");
    let mut command = Command::new("/proc/self/exe");
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(MARK, test).stdout(Stdio::null());
    prepare(&mut command);
    Some(command.status().expect("a test binary runs itself"))
}

/// Runs `command` through another program, which changes inherited state and then executes `command`.
#[allow(dead_code, reason = "not every test has to")]
pub(crate) fn wrap(command: &mut Command, by: &[&str]) {
    let own = std::env::current_exe().expect("a test binary has a path");
    let mut wrapped = Command::new(by[0]);
    wrapped.args(&by[1..]).arg(own).args(command.get_args()).stdout(Stdio::null());
    let set: Vec<(&OsStr, &OsStr)> =
        command.get_envs().filter_map(|(key, value)| Some((key, value?))).collect();
    wrapped.envs(set);
    *command = wrapped;
}
