//! `pomelo start DIR`: the project's master, which starts the servers; or, with a type or an id, only those. Mirrors
//! `pomelo start`.

use super::options::StartOptions;
use super::progress::{Progress, READY};
use crate::args::Result;
use crate::limit;
use crate::say;
use crate::signals::{self, SIGINT, SIGTERM};
use async_wrap::Environment;
use pomelo::{Application, Error, Options};
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::process::exit;
use std::rc::Rc;
use uv_core::RunMode;

/// The type that starts a master and no servers.
const MASTER: &str = "master";

/// The project's folder, as its servers are told it.
pub(super) fn folder(options: &StartOptions) -> Result<PathBuf> {
    let folder = &options.folder;
    let full = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    match full.to_str() {
        Some(_) => Ok(full),
        None => Err(format!("{}: a path that is not UTF-8 cannot be told to servers", full.display()).into()),
    }
}

/// Runs the master until it is stopped.
pub(super) fn run(options: &StartOptions) -> Result<()> {
    say::aside();
    let folder = folder(options)?;
    let env = Environment::with_new_loop()?;
    // Whether the start failed, which ends the process too.
    let failed = Rc::new(Cell::new(false));
    let has_failed = Rc::clone(&failed);
    let mut settings = Options::new(&folder)
        .args(words(options, &folder.to_string_lossy()))
        .on_exit(move |code| exit(if has_failed.get() { 1 } else { code }));
    if let Ok(name) = std::env::var("NODE_ENV") {
        settings = settings.env(name);
    }
    let app = Application::new(&env, settings)?;
    if !options.ssh.is_empty() {
        app.set("ssh_config_params", options.ssh_words());
    }
    let is_launcher =
        options.id.is_some() || options.server_type.as_deref().is_some_and(|kind| kind != MASTER);
    if is_launcher {
        return launch(&env, &app);
    }
    Progress::watch(&app);
    say::out(limit::raise());
    let (stopping, at_once) = (app.clone(), app.clone());
    let signals = [SIGINT, SIGTERM];
    signals::on_ending(&env, &signals, move || stopping.stop_all(true), move || end_at_once(&at_once))?;
    let (starting, is_alone) = (app.clone(), options.server_type.is_some());
    app.start(move |result| match result {
        // It starts no servers, so there is no progress.
        Ok(()) if is_alone => say::out(format_args!("{READY}the master is up")),
        // Stopped on purpose.
        Ok(()) | Err(Error::Stopped) => {}
        Err(error) => {
            say::err(format_args!("error: {error}"));
            failed.set(true);
            starting.stop_all(true);
        }
    });
    Ok(env.run_to_end()?)
}

/// Ends the servers of this host and this process, and waits for none of them: the second signal.
fn end_at_once(app: &Application) -> ! {
    let (killed, all) = app.kill_all();
    say::err(format_args!("ended at once: {killed} of {all} servers were killed"));
    exit(1)
}

/// Starts servers for a master that runs already, here or elsewhere. Those of development end with this process.
fn launch(env: &Environment, app: &Application) -> Result<()> {
    let outcome = Rc::new(RefCell::new(Ok(())));
    let told = Rc::clone(&outcome);
    app.start(move |result| {
        if result.is_ok() {
            say::out(format_args!("{READY}they are on their way"));
        }
        drop(told.replace(result));
    });
    env.run(RunMode::Default)?;
    let outcome = outcome.replace(Ok(()));
    Ok(outcome?)
}

/// The arguments of the master: the words with which its servers begin, and then what pomelo calls it.
fn words(options: &StartOptions, folder: &str) -> Vec<String> {
    let mut words = vec!["pomelo".to_owned(), "run".to_owned(), folder.to_owned()];
    let StartOptions { env, server_type, id, .. } = options;
    for (key, value) in [("env", env), ("type", server_type), ("startId", id)] {
        words.extend(value.iter().map(|value| format!("{key}={value}")));
    }
    words
}
