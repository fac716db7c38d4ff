//! A user of the console, who asks, and checks what the answers say.

use super::facts::{Facts, Process};
use super::is_fatal;
use super::site::{REST, Site};
use ::pomelo::admin::{CONSOLE, Client, Login, RequestError, Response, Target};
use async_wrap::Environment;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::os;

/// How long ago a process may have ended that stands in a list: users who ask at the same time share their answers.
const LIST: Duration = Duration::from_secs(20);

/// The longest time of an answer: a server has ten seconds for a question, as long to agree and five to end, and a user 30 s.
pub(super) const ANSWER: Duration = Duration::from_secs(60);

/// What a user asks for.
#[derive(Clone, Debug)]
pub(super) enum Question {
    List,
    Stop(Vec<String>),
    Restart(Vec<String>),
    Add(String),
    /// A signal that there is not.
    Strange,
    /// A module that there is not.
    Nowhere,
    /// The command `list` of the console itself.
    Modules,
}

/// A question, and what became of it.
pub(super) struct Asked {
    pub(super) question: Question,
    at: Duration,
    answers: Cell<u32>,
    pub(super) response: RefCell<Option<Response>>,
    /// What was wrong with it.
    wrong: RefCell<Option<String>>,
}

/// A user who has logged in.
pub(super) struct User {
    env: Environment,
    client: Client,
    is_admin: bool,
    asked: RefCell<Vec<Rc<Asked>>>,
}

impl User {
    /// Logs a user in. `None` if a fault keeps it from that.
    pub(super) fn new(world: &World, site: &Site, is_admin: bool) -> Result<Option<Self>, String> {
        let Ok(env) = world.environment("user") else { return Ok(None) };
        let target = Target::new(site.address.ip().to_string(), site.address.port());
        let result = Rc::new(RefCell::new(None));
        let told = Rc::clone(&result);
        let login = Login::new(if is_admin { "admin" } else { "guest" }, "secret");
        Client::connect(&env, target, login, move |client| drop(told.replace(Some(client))));
        let until = world.now() + ANSWER;
        site.run_until(world, || result.borrow().is_some() || world.now() > until)?;
        match result.take() {
            Some(Ok(client)) => Ok(Some(Self { env, client, is_admin, asked: RefCell::default() })),
            Some(Err(_)) if world.has_met(is_fatal) => {
                rest(&env);
                Ok(None)
            }
            Some(Err(error)) => Err(format!("a user is not let in: {error}")),
            None => Err("a login has no result".to_owned()),
        }
    }

    /// Asks, and checks the answer when it comes.
    pub(super) fn ask(&self, world: &World, site: &Site, question: Question) -> Rc<Asked> {
        let asked = Rc::new(Asked {
            question: question.clone(),
            at: world.now(),
            answers: Cell::new(0),
            response: RefCell::default(),
            wrong: RefCell::default(),
        });
        self.asked.borrow_mut().push(Rc::clone(&asked));
        let (own, facts, is_admin) = (Rc::clone(&asked), Rc::clone(&site.facts), self.is_admin);
        let then = move |result: Result<Response, RequestError>| {
            own.answers.set(own.answers.get() + 1);
            let Ok(response) = result else { return };
            *own.wrong.borrow_mut() = own.check(&response, &facts, is_admin).err();
            own.response.replace(Some(response));
        };
        match question {
            Question::Modules => self.client.command("list", "", then),
            Question::Nowhere => self.client.request("nowhere", json!({"what": [1, {"x": null}]}), then),
            question => self.client.request(CONSOLE, body(&question, site), then),
        }
        asked
    }

    /// Every question has its answer, and each of them is right; only a fault takes one away.
    pub(super) fn hold(&self, world: &World) -> Result<(), String> {
        for asked in &*self.asked.borrow() {
            let question = &asked.question;
            if let Some(wrong) = &*asked.wrong.borrow() {
                return Err(format!("{question:?}: {wrong}: {:?}", asked.response.borrow()));
            }
            if asked.answers.get() != 1 {
                return Err(format!("{question:?} had {} answers", asked.answers.get()));
            }
            if asked.response.borrow().is_none() && !world.has_met(is_fatal) {
                return Err(format!("{question:?} was not answered"));
            }
        }
        Ok(())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.client.close();
        rest(&self.env);
    }
}

/// Keeps a loop alive for as long as its connection leaves timers behind.
fn rest(env: &Environment) {
    drop(env.set_timeout(REST, || {}));
}

fn body(question: &Question, site: &Site) -> Value {
    match question {
        Question::Stop(ids) => json!({"signal": "stop", "ids": ids}),
        Question::Restart(ids) => json!({"signal": "restart", "ids": ids}),
        Question::Add(id) => {
            let host = format!("host={}", site.address.ip());
            json!({"signal": "add", "args": [format!("id={id}"), "serverType=chat", host, "port=0"]})
        }
        Question::Strange => json!({"signal": "dance"}),
        _ => json!({"signal": "list"}),
    }
}

impl Asked {
    pub(super) fn is_answered(&self) -> bool {
        self.answers.get() > 0
    }

    /// The error of the answer, in words.
    pub(super) fn error(&self) -> Option<String> {
        self.response.borrow().as_ref().and_then(Response::error_text)
    }

    fn check(&self, response: &Response, facts: &Facts, is_admin: bool) -> Result<(), String> {
        facts.look();
        let error = response.error_text();
        let is_error =
            |text: &str| if error.as_deref() == Some(text) { Ok(()) } else { Err(format!("not {text:?}")) };
        let body = response.body.as_ref().filter(|_| error.is_none());
        match &self.question {
            Question::Nowhere => is_error("unknown moduleId:nowhere"),
            Question::List => self.check_list(body.ok_or("no list")?, facts),
            _ if !is_admin => is_error("Command permission denied"),
            Question::Strange => is_error("The command cannot be recognized, please check."),
            Question::Modules if body == Some(&json!({"modules": []})) => Ok(()),
            Question::Modules => Err("no list of modules".to_owned()),
            Question::Add(_) if error.is_some() || body == Some(&json!({"status": "ok"})) => Ok(()),
            Question::Add(_) => Err("no status".to_owned()),
            Question::Stop(ids) if body == Some(&json!({"status": "part"})) => self.check_ended(ids, facts),
            Question::Stop(ids) => {
                let text = error.unwrap_or_default();
                let is_named = ids.iter().any(|id| text.contains(id.as_str()));
                if is_named || text == "Cannot find the server to stop." {
                    Ok(())
                } else {
                    Err("no reason".to_owned())
                }
            }
            Question::Restart(_) if error.as_deref() == Some("all servers start failed.") => Ok(()),
            Question::Restart(ids) => {
                let failed = body.and_then(Value::as_array).ok_or("no ids")?;
                let failed: Vec<&str> = failed.iter().filter_map(Value::as_str).collect();
                if failed.iter().any(|id| !ids.iter().any(|asked| asked == id)) {
                    return Err("a server that was not named".to_owned());
                }
                let done: Vec<String> =
                    ids.iter().filter(|id| !failed.contains(&id.as_str())).cloned().collect();
                self.check_ended(&done, facts)
            }
        }
    }

    /// The processes of these servers that ran when the question was asked have ended.
    fn check_ended(&self, ids: &[String], facts: &Facts) -> Result<(), String> {
        let runs = |process: &Rc<Process>| process.born < self.at && process.ended.get().is_none();
        match ids.iter().flat_map(|id| facts.of(id)).find(runs) {
            Some(process) => Err(format!("process {} of {:?} still runs", process.pid, process.id)),
            None => Ok(()),
        }
    }

    fn check_list(&self, body: &Value, facts: &Facts) -> Result<(), String> {
        let parts = body["msg"].as_object().ok_or("no servers")?;
        let silent = body.get("silent").and_then(Value::as_array).cloned().unwrap_or_default();
        for (id, part) in parts {
            let (named, pid) = (part["serverId"].as_str(), part["pid"].as_i64().unwrap_or_default());
            let is_it = |one: &Rc<Process>| {
                let is_recent = one.ended.get().is_none_or(|ended| ended + LIST >= self.at);
                i64::from(one.pid) == pid && is_recent
            };
            let is_right = match part["serverType"].as_str() {
                Some("master") => id == "master-1" && pid == i64::from(os::pid()),
                Some("chat") => facts.of(id).iter().any(is_it),
                _ => false,
            };
            if named != Some(id) || !is_right || silent.contains(&json!(id)) {
                return Err(format!("the part of {id:?} is wrong"));
            }
        }
        Ok(())
    }
}
