//! Servers on this host: children of this process. Mirrors `localrun` of pomelo's `lib/master/starter.js`.

use super::output::Pipes;
use super::quote::join;
use super::report::{OnExit, ServerExit, Started};
use crate::args::text_of;
use crate::record::program_args;
use crate::{Application, Error, Result, ServerInfo};
use async_wrap::Provider;
use async_wrap::layer::OnDrop;
use uv_core::process::{Process, SpawnOptions, Stdio};

/// The process to start for a server.
pub(super) struct Launch {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) kind: Kind,
    pub(super) program: String,
    pub(super) args: Vec<String>,
}

/// The purpose of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A server.
    Server,
    /// The `ssh` that starts a server on another host.
    Remote,
    /// A small command, of which only the exit status matters.
    Command,
}

/// Keys that a record may have after a start, and that the command line gives before the record.
const BEFORE_RECORD: &[&str] = &["main", "env", "pid"];

/// A server's arguments: those of its record, those of the program, the environment, and the record, key by key.
pub(super) fn arguments(app: &Application, id: &str, info: &ServerInfo) -> Result<Vec<String>> {
    let mut words = program_args(info).map_err(|error| Error::start(id, error))?;
    words.extend(app.program().args.iter().cloned());
    words.push(format!("env={}", app.env()));
    let record = info.iter().filter(|(key, _)| !BEFORE_RECORD.contains(&key.as_str()));
    words.extend(record.map(|(key, value)| format!("{key}={}", text_of(value))));
    Ok(words)
}

pub(super) fn run(app: &Application, id: &str, info: &ServerInfo, on_exit: OnExit) -> Result<Started> {
    let launch = Launch {
        id: id.into(),
        host: crate::record::text(info, "host").unwrap_or_default().into(),
        kind: Kind::Server,
        program: app.program().path.to_string_lossy().into_owned(),
        args: arguments(app, id, info)?,
    };
    let started = spawn(app, &launch, on_exit)?;
    log::info!(target: "pomelo", "Executing {} locally", started.command);
    app.inner().cpus.borrow_mut().remember(info, &started);
    app.inner().children.borrow_mut().began(started.pid, id);
    Ok(started)
}

/// Starts a process: a server attached in development, else with a session of its own.
pub(super) fn spawn(app: &Application, launch: &Launch, on_exit: OnExit) -> Result<Started> {
    let _place = app.place().mark();
    let environment = app.environment();
    let event_loop = environment.loop_handle();
    let options = SpawnOptions::new(&launch.program).args(&launch.args);
    let (is_command, is_local) = (launch.kind == Kind::Command, launch.kind == Kind::Server);
    let is_detached = !is_command && !app.is_development();
    let pipes = (!is_command && !is_detached).then(|| Pipes::new(event_loop));
    let options = match &pipes {
        Some(pipes) => {
            let [stdout, stderr] = pipes.stdio();
            options.stdio([Stdio::Ignore, stdout, stderr])
        }
        None if is_detached => options.detached(true).stdio([0, 1, 2].map(Stdio::InheritFd)),
        None => options,
    };
    let context = environment.new_context(Provider::ProcessWrap);
    let command = join(std::iter::once(&launch.program).chain(&launch.args).map(String::as_str));
    let mut ending = Some((on_exit, launch.id.clone(), command.clone()));
    let watching = app.clone();
    let process = Process::spawn(event_loop, &options, move |process: &Process, status| {
        let pid = process.pid();
        process.close();
        let Some((on_exit, id, command)) = ending.take() else { return };
        let environment = watching.environment();
        let _gone = OnDrop::new(|| environment.emit_destroy(context.async_id()));
        environment.make_callback(context, || {
            let exit = ServerExit { started: Started { id, pid, is_local, command }, status };
            watching.inner().cpus.borrow_mut().forget(&exit.started);
            watching.inner().children.borrow_mut().ended(pid);
            exit.log();
            on_exit(exit);
        });
    });
    let process = process.map_err(|error| {
        pipes.iter().for_each(Pipes::close);
        environment.emit_destroy(context.async_id());
        Error::start(&launch.id, error)
    })?;
    if let Some(pipes) = pipes {
        pipes.read(app, launch);
    }
    if is_detached {
        // The server outlives this process.
        process.unref();
    }
    Ok(Started { id: launch.id.clone(), pid: process.pid(), is_local, command })
}

impl ServerExit {
    fn log(&self) {
        let Self { started, status } = self;
        if !status.success() {
            log::warn!(
                target: "pomelo",
                "child process exit with error, {status}, server: {}, executed command: {}",
                started.id,
                started.command
            );
        }
    }
}
