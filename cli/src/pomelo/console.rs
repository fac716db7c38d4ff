//! The commands that a master carries out: `list`, `stop`, `add`, `restart`, `kill`. Mirrors pomelo's `bin/pomelo`.

use super::failure::Failure;
use super::options::{Master, Options};
use super::secret;
use super::table::{of_servers, printable};
use crate::say;
use async_wrap::Environment;
use pomelo::admin::{CONSOLE, Client, Login, Request, Response, Target};
use serde_json::{Value, json};
use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a master may take: it waits 10 s for its servers, and a restart takes 5 s more.
const LIMIT: Duration = Duration::from_secs(30);

/// How long it may take to kill: it gives its servers 120 s.
const KILL_LIMIT: Duration = Duration::from_secs(130);

/// Has a master carry out a command, and prints its answer.
pub(super) fn run(master: &Master, command: &Options) -> Result<(), Failure> {
    let response = ask(master, command)?;
    say::out(understand(command, &response)?);
    Ok(())
}

/// Sends the request, and waits for the response.
fn ask(master: &Master, command: &Options) -> Result<Response, Failure> {
    let failed = |error: uv_core::Error| Failure::from(Box::<dyn Error>::from(error));
    let env = Environment::with_new_loop().map_err(failed)?;
    let target = Target::new(&*master.host, master.port);
    let password = secret::password(master)?;
    let body = body(command);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let id = format!("pomelo_{}_{now}", body["signal"].as_str().unwrap_or_default());
    let limit = if matches!(command, Options::Kill(_)) { KILL_LIMIT } else { LIMIT };
    let answer = Rc::new(Cell::new(None));
    let told = Rc::clone(&answer);
    let login = Login::new(&*master.user, &password).id(id);
    Client::connect(&env, target, login, move |client| match client {
        Err(error) => told.set(Some(Err(Failure::from(error)))),
        Ok(client) => {
            let leaving = client.clone();
            client.request_with(Request::new(CONSOLE, body).within(limit), move |response| {
                told.set(Some(response.map_err(Failure::from)));
                leaving.close();
            });
        }
    });
    env.run_to_end().map_err(failed)?;
    answer.take().unwrap_or_else(|| Err(Failure::no_answer("the master sent nothing".into())))
}

/// The request, with pomelo's keys in pomelo's order.
fn body(command: &Options) -> Value {
    match command {
        Options::Stop { ids, .. } => json!({ "signal": "stop", "ids": ids }),
        Options::Add { record, .. } => json!({ "signal": "add", "args": record }),
        Options::Restart { ids, server_type, .. } => {
            json!({ "signal": "restart", "ids": ids, "type": server_type })
        }
        Options::Kill(_) => json!({ "signal": "kill", "ids": [] }),
        _ => json!({ "signal": "list" }),
    }
}

/// What an answer means, in words.
fn understand(command: &Options, response: &Response) -> Result<String, Failure> {
    if let Some(error) = response.error_text() {
        return Err(Failure::command(format!("the master refused: {}", printable(&error))));
    }
    let strange =
        || Failure::command(format!("the master answered strangely to {}", body(command)["signal"]));
    let answer = response.body.as_ref().ok_or_else(strange)?;
    match command {
        Options::Stop { ids, .. } if ids.is_empty() => Ok("all servers stop, and the master".into()),
        Options::Stop { ids, .. } => Ok(format!("told to stop: {}", ids.join(", "))),
        Options::Add { .. } => match answer.as_array().filter(|failed| !failed.is_empty()) {
            Some(failed) => Err(Failure::command(format!("not started: {}", named(failed)))),
            None => Ok("started; `list` shows it when it is up".into()),
        },
        Options::Restart { .. } => match answer.as_array().ok_or_else(strange)? {
            failed if failed.is_empty() => Ok("restarted".into()),
            failed => Err(Failure::command(format!("not restarted: {}", named(failed)))),
        },
        Options::Kill(_) => match answer.get("code").and_then(Value::as_str) {
            Some("ok") => Ok("all processes end within two seconds".into()),
            Some("remained") => {
                let silent = answer.get("serverIds").and_then(Value::as_array).ok_or_else(strange)?;
                Err(Failure::command(format!("did not answer, and may live on: {}", named(silent))))
            }
            _ => Err(strange()),
        },
        _ => {
            let table = answer.get("msg").and_then(Value::as_object).map(of_servers).ok_or_else(strange)?;
            match answer.get("silent").and_then(Value::as_array) {
                Some(silent) => Ok(format!("{table}\nthere, but without an answer: {}", named(silent))),
                None => Ok(table),
            }
        }
    }
}

/// Servers of an answer: their ids, or records that have them.
fn named(servers: &[Value]) -> String {
    let id = |server: &Value| {
        let id = server.as_str().or_else(|| server.get("id")?.as_str());
        printable(id.unwrap_or(&server.to_string()))
    };
    servers.iter().map(id).collect::<Vec<_>>().join(", ")
}
