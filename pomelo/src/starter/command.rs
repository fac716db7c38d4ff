//! Small commands: a signal for a server, a ping of its host. Mirrors `kill` and `ping` of pomelo's `lib/util/utils.js`
//! and `lib/master/starter.js`.

use super::host::is_local;
use super::local::{Kind, Launch, spawn};
use super::quote::join;
use super::report::ServerExit;
use super::ssh;
use crate::record::text;
use crate::{Application, Completion, Failure, ServerInfo};
use uv_core::Signal;

/// The time limit of a ping, in seconds: pomelo's number.
const PING_SECONDS: &str = "15";

/// Ends a server's process at once (`kill -9`), here or on its host. Errors are logged.
pub fn kill(app: &Application, info: &ServerInfo, pid: i32) {
    // 0 and below are process groups, and 1 is init.
    if pid <= 1 {
        log::error!(target: "pomelo", "{pid} is no server's process");
    } else if !is_local(app, info) {
        let host = text(info, "host").unwrap_or_default();
        on_host(app, host, &["kill".into(), "-9".into(), pid.to_string()]);
    } else if let Err(error) = uv_core::process::kill(pid, Signal::SIGKILL) {
        log::error!(target: "pomelo", "{error}");
    }
}

/// Sends SIGTERM to a child of this process.
pub(crate) fn ask_to_end(app: &Application, pid: i32) {
    if app.inner().children.borrow().has(pid)
        && let Err(error) = uv_core::process::kill(pid, Signal::SIGTERM)
    {
        log::debug!(target: "pomelo", "{error}");
    }
}

/// Whether a process is that of a server: its command line has the argument `id=ID`.
pub(crate) fn is_process_of(pid: i32, id: &str) -> bool {
    let wanted = format!("id={id}");
    #[cfg(upcall_faults)]
    if let Some(is_its) = uv_core::faults::child_has_argument(pid, wanted.as_ref()) {
        return is_its;
    }
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pid > 1 && words.split(|byte| *byte == 0).any(|word| word == wanted.as_bytes())
}

/// Pings a server's host; this host always answers.
pub fn is_reachable(app: &Application, info: &ServerInfo, answer: impl FnOnce(bool) + 'static) {
    if is_local(app, info) {
        app.environment().next_tick(|| answer(true));
        return;
    }
    let host = text(info, "host").unwrap_or_default();
    let args = ["-c", "1", "-w", PING_SECONDS, "--", host].map(str::to_owned).to_vec();
    run(
        app,
        Launch { id: String::new(), host: host.into(), kind: Kind::Command, program: "ping".into(), args },
        answer,
    );
}

/// Runs a command on another host. Errors are logged.
pub(super) fn on_host(app: &Application, host: &str, words: &[String]) {
    let command = join(words.iter().map(String::as_str));
    run(app, ssh::to(app, host, command), |_| {});
}

fn run(app: &Application, launch: Launch, answer: impl FnOnce(bool) + 'static) {
    let done = Completion::new(app.environment(), |result: Result<(), Failure>| answer(result.is_ok()));
    let on_exit = move |exit: ServerExit| match exit.status.success() {
        true => done.ok(()),
        false => done.fail(exit.status),
    };
    if let Err(error) = spawn(app, &launch, Box::new(on_exit)) {
        log::error!(target: "pomelo", "{error}");
    }
}
