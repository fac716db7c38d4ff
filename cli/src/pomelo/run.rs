//! `pomelo run DIR env=… id=… …`: one server of a project, as its master starts it.

use super::front::Front;
use super::room::Room;
use crate::args::Result;
use crate::limit;
use crate::say;
use crate::signals::{self, SIGINT, SIGTERM};
use async_wrap::Environment;
use net::ListenOptions;
use pomelo::{Application, Error, Options};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::Value;
use std::cell::Cell;
use std::net::IpAddr;
use std::path::Path;
use std::process::exit;
use std::rc::Rc;

/// Runs the server until its master stops it.
pub(super) fn run(folder: &Path, words: &[String]) -> Result<()> {
    say::aside();
    // Usually inherited from the master, which has printed it.
    let _limit = limit::raise();
    let env = Environment::with_new_loop()?;
    let failed = Rc::new(Cell::new(false));
    let has_failed = Rc::clone(&failed);
    let main = ["pomelo".to_owned(), "run".to_owned(), folder.to_string_lossy().into_owned()];
    let options = Options::new(folder)
        .args(main.iter().chain(words))
        .on_exit(move |code| exit(if has_failed.get() { 1 } else { code }));
    let app = Application::new(&env, options)?;
    if app.is_master() {
        return Err("run: want id=… serverType=… of a server; a master is run by `start`".into());
    }
    if let Some(options) = listen_options(&app, "port") {
        app.load("room", Room::new(options))?;
    }
    if let Some(options) = listen_options(&app, "clientPort") {
        app.load("front", Front::new(options))?;
    }
    end_with_others(&env, &app)?;
    let starting = app.clone();
    app.start(move |result| match result {
        // Stopped on purpose.
        Ok(()) | Err(Error::Stopped) => {}
        Err(error) => {
            say::err(format_args!("{}: error: {error}", starting.id()));
            failed.set(true);
            starting.stop(true);
        }
    });
    Ok(env.run_to_end()?)
}

/// A signal stops this server. In development so does the end of its parent, whose Ctrl-C is not for this process: the
/// parent stops its servers one and all.
fn end_with_others(env: &Environment, app: &Application) -> Result<()> {
    let stopping = app.clone();
    if app.is_development() {
        set_parent_process_death_signal(Some(Signal::TERM))?;
        signals::on(env, &[SIGINT], || {})?;
        signals::on_ending(env, &[SIGTERM], move || stopping.stop(true), || exit(1))
    } else {
        signals::on_ending(env, &[SIGINT, SIGTERM], move || stopping.stop(true), || exit(1))
    }
}

/// Where a server listens: on its host's address, or on every address if the host is a name.
fn listen_options(app: &Application, key: &str) -> Option<ListenOptions> {
    let info = app.cur_server();
    let port = info.get(key).and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok())?;
    let host = info.get("host").and_then(Value::as_str).and_then(|host| host.parse::<IpAddr>().ok());
    Some(host.map_or_else(|| ListenOptions::port(port), |host| ListenOptions::host(host, port)))
}
