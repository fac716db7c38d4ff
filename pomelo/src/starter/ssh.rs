//! Servers on other hosts, started through the system's `ssh`. Mirrors `sshrun` of pomelo's `lib/master/starter.js`,
//! with every word quoted.

use super::local::{Kind, Launch, arguments, spawn};
use super::quote::{join, quote};
use super::report::{OnExit, Started};
use crate::args::text_of;
use crate::record::text;
use crate::{Application, Result, ServerInfo};
use serde_json::Value;

pub(super) fn run(app: &Application, id: &str, info: &ServerInfo, on_exit: OnExit) -> Result<Started> {
    let host = text(info, "host").unwrap_or_default();
    let program = app.program().path.to_string_lossy().into_owned();
    let args = arguments(app, id, info)?;
    let command = join(std::iter::once(program.as_str()).chain(args.iter().map(String::as_str)));
    // `exec` replaces the shell by the server.
    let command = format!("cd {} && exec {command}", quote(&app.base().to_string_lossy()));
    let launch = Launch { id: id.into(), kind: Kind::Remote, ..to(app, host, command) };
    let started = spawn(app, &launch, on_exit)?;
    log::info!(target: "pomelo", "Executing {} on {host}", started.command);
    app.inner().cpus.borrow_mut().remember(info, &started);
    Ok(started)
}

/// The `ssh` that runs a small command on a host. The setting `ssh_config_params`, an array, precedes the host.
pub(super) fn to(app: &Application, host: &str, command: String) -> Launch {
    let params = app.get("ssh_config_params");
    let params = params.as_ref().and_then(Value::as_array);
    let mut args: Vec<String> = params.into_iter().flatten().map(text_of).collect();
    args.extend(["--".to_owned(), host.to_owned(), command]);
    Launch { id: String::new(), host: host.into(), kind: Kind::Command, program: "ssh".into(), args }
}
