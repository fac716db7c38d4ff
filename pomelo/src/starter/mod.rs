//! Starting servers: children of this process, or programs on other hosts through `ssh`. Mirrors pomelo's
//! `lib/master/starter.js`.

mod affinity;
mod children;
mod command;
mod host;
mod local;
mod output;
mod port;
pub(crate) mod quote;
mod report;
mod ssh;

pub(crate) use affinity::Cpus;
pub use affinity::bind_cpus;
pub(crate) use children::Children;
pub(crate) use command::{ask_to_end, is_process_of};
pub use command::{is_reachable, kill};
pub use host::is_local;
pub(crate) use host::is_own;
pub(crate) use output::Output;
pub use output::{OutputOf, OutputStream};
pub use port::{check_ports, is_port_free};
pub use report::{ServerExit, Started};

use crate::application::{ALL, MASTER};
use crate::record::{check, text};
use crate::{Application, Error, Result, ServerInfo};

/// Starts the servers that the application's arguments name: all of the configuration, one by its id (`startId=`), or all
/// of a type (`type=`); none with `master`. Returns the errors of the servers that could not be started, which are logged
/// too.
///
/// # Errors
/// [`Error::UnknownServer`] if the configuration has no such server and no such type; nothing is started then.
pub fn run_servers(app: &Application) -> Result<Vec<Error>> {
    let failed = chosen(app)?.into_iter().filter_map(|info| run(app, &info, |_| {}).err());
    Ok(failed.collect())
}

/// The records of the servers that the application's arguments name.
pub(crate) fn chosen(app: &Application) -> Result<Vec<ServerInfo>> {
    let target = app.start_target();
    let servers = app.servers_from_config();
    let chosen: Vec<&ServerInfo> = match target {
        MASTER => return Ok(Vec::new()),
        ALL => servers.iter().collect(),
        id if app.start_id().is_some() => {
            servers.iter().filter(|info| text(info, "id") == Some(id)).collect()
        }
        of_type => servers.iter().filter(|info| text(info, "serverType") == Some(of_type)).collect(),
    };
    if chosen.is_empty() && target != ALL {
        return Err(Error::UnknownServer(target.to_owned()));
    }
    Ok(chosen.into_iter().cloned().collect())
}

/// Starts one server; `on_exit` is called when its process, or the `ssh` to it, has ended.
///
/// In development the server is a child in this process's group, and its output is passed on. Otherwise it has a session
/// of its own and this process's standard input, output and error, and outlives this process.
///
/// # Errors
/// [`Error::Start`] for a wrong record or a program that cannot be started; logged too.
pub fn run(
    app: &Application,
    info: &ServerInfo,
    on_exit: impl FnOnce(ServerExit) + 'static,
) -> Result<Started> {
    let id = text(info, "id").unwrap_or_default();
    let started = match check(info) {
        Err(error) => Err(Error::start(id, error)),
        Ok(()) if is_local(app, info) => local::run(app, id, info, Box::new(on_exit)),
        Ok(()) => ssh::run(app, id, info, Box::new(on_exit)),
    };
    started.inspect_err(|error| log::error!(target: "pomelo", "{error}"))
}
