//! What a master is asked for over the network: `list`, `stop`, `add`, `restart`, `kill`. Mirrors the commands of pomelo's
//! `bin/pomelo`.

use super::failure::Failure;
use super::options::{Master, Order};
use super::secret;
use super::table::{of_servers, printable};
use crate::say;
use async_wrap::{Environment, Loop, RunMode};
use pomelo::admin::{CONSOLE, Client, Response, Target};
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a master may take: it waits 10 s for its servers, and a restart takes 5 s more.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take to kill: it gives its servers 120 s.
const KILL_PATIENCE: Duration = Duration::from_secs(130);

/// Has a master do something, and says what it answers.
pub(super) fn run(master: &Master, order: &Order) -> Result<(), Failure> {
    let response = ask(master, order)?;
    say::out(understand(order, &response)?);
    Ok(())
}

/// Asks, and waits for the answer.
fn ask(master: &Master, order: &Order) -> Result<Response, Failure> {
    let failed = |error: async_wrap::Error| Failure::Other(error.into());
    let lp = Loop::new().map_err(failed)?;
    let env = Environment::new(&lp);
    let target = Target::new(&*master.host, master.port);
    let password = secret::password(master)?;
    let id = format!("pomelo_{}_{}", signal(order), now());
    let (body, limit) = (body(order), patience(order));
    let answer = Rc::new(Cell::new(None));
    let told = Rc::clone(&answer);
    Client::connect(&env, target, &id, &master.user, &password, move |client| match client {
        Err(error) => told.set(Some(Err(Failure::from(error)))),
        Ok(client) => {
            let leaving = client.clone();
            client.request_within(limit, CONSOLE, body, move |response| {
                told.set(Some(response.map_err(Failure::from)));
                leaving.close();
            });
        }
    });
    env.run(RunMode::Default).map_err(failed)?;
    answer.take().unwrap_or_else(|| Err(Failure::NoAnswer("the master said nothing".into())))
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

fn signal(order: &Order) -> &'static str {
    match order {
        Order::List => "list",
        Order::Stop(_) => "stop",
        Order::Add(_) => "add",
        Order::Restart { .. } => "restart",
        Order::Kill => "kill",
    }
}

fn patience(order: &Order) -> Duration {
    if *order == Order::Kill { KILL_PATIENCE } else { PATIENCE }
}

/// The request, with pomelo's keys in pomelo's order.
fn body(order: &Order) -> Value {
    let signal = signal(order);
    match order {
        Order::List => json!({ "signal": signal }),
        Order::Stop(ids) => json!({ "signal": signal, "ids": ids }),
        Order::Add(words) => json!({ "signal": signal, "args": words }),
        Order::Restart { ids, server_type } => json!({ "signal": signal, "ids": ids, "type": server_type }),
        Order::Kill => json!({ "signal": signal, "ids": [] }),
    }
}

/// What an answer means, in words.
fn understand(order: &Order, response: &Response) -> Result<String, Failure> {
    if let Some(error) = response.error_text() {
        return Err(Failure::Command(format!("the master refused: {}", printable(&error))));
    }
    let strange = || Failure::Command(format!("the master answered strangely to {}", signal(order)));
    let body = response.body.as_ref().ok_or_else(strange)?;
    match order {
        Order::List => {
            let table = body.get("msg").and_then(Value::as_object).map(of_servers).ok_or_else(strange)?;
            match body.get("silent").and_then(Value::as_array) {
                Some(silent) => Ok(format!("{table}\nthere, but without an answer: {}", named(silent))),
                None => Ok(table),
            }
        }
        Order::Stop(ids) if ids.is_empty() => Ok("all servers stop, and the master".into()),
        Order::Stop(ids) => Ok(format!("told to stop: {}", ids.join(", "))),
        Order::Add(_) => match body.as_array().filter(|failed| !failed.is_empty()) {
            Some(failed) => Err(Failure::Command(format!("not started: {}", named(failed)))),
            None => Ok("started; `list` shows it when it is up".into()),
        },
        Order::Restart { .. } => match body.as_array().ok_or_else(strange)? {
            failed if failed.is_empty() => Ok("restarted".into()),
            failed => Err(Failure::Command(format!("not restarted: {}", named(failed)))),
        },
        Order::Kill => match body.get("code").and_then(Value::as_str) {
            Some("ok") => Ok("all processes end within two seconds".into()),
            Some("remained") => {
                let silent = body.get("serverIds").and_then(Value::as_array).ok_or_else(strange)?;
                Err(Failure::Command(format!("did not answer, and may live on: {}", named(silent))))
            }
            _ => Err(strange()),
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(order: &Order, body: Value) -> Result<String, String> {
        understand(order, &Response::body(body)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_was_not_done_is_no_success() {
        let restart = Order::Restart { ids: Vec::new(), server_type: None };
        assert_eq!(understood(&restart, json!([])), Ok("restarted".into()));
        assert_eq!(understood(&restart, json!(["a", "b"])), Err("not restarted: a, b".into()));
        let add = Order::Add(Vec::new());
        assert!(understood(&add, json!({"status": "ok"})).is_ok());
        assert_eq!(understood(&add, json!([{"id": "a"}])), Err("not started: a".into()));
        let remained = json!({"code": "remained", "serverIds": ["a"]});
        assert_eq!(understood(&Order::Kill, remained), Err("did not answer, and may live on: a".into()));
    }

    #[test]
    fn a_list_names_the_servers_that_did_not_answer() {
        let listed = |body| understood(&Order::List, body).expect("a table");
        assert_eq!(listed(json!({"msg": {}})).lines().count(), 1);
        let silent = listed(json!({"msg": {}, "silent": ["a", "b\u{7}"]}));
        assert_eq!(silent.lines().nth(1), Some("there, but without an answer: a, b\u{fffd}"));
    }

    #[test]
    fn a_strange_answer_is_told_as_one() {
        for order in [Order::List, Order::Kill, Order::Restart { ids: Vec::new(), server_type: None }] {
            for body in [json!(null), json!(7), json!({"msg": []}), json!({"code": 1})] {
                assert!(understood(&order, body).is_err_and(|error| error.contains("strangely")));
            }
        }
        let refused = understand(&Order::List, &Response::error("no\u{7}"));
        assert_eq!(
            refused.map_err(|failure| failure.to_string()),
            Err("the master refused: no\u{fffd}".into())
        );
    }
}
