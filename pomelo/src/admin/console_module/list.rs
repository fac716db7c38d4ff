//! `list`: every server is asked, once for all users who ask at the same time. Otherwise users who ask faster than a
//! silent server answers would make the master ask, and remember, as often.

use super::CONSOLE;
use crate::admin::master_agent::MasterAgent;
use crate::admin::reply::Reply;
use crate::admin::requests::{Request, RequestError};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The number of waiting replies from which on those of closed connections are dropped.
const MANY: usize = 1024;

/// The list in progress, if there is one. A cheap clone.
#[derive(Clone, Default)]
pub(super) struct Lists(Rc<RefCell<Option<List>>>);

#[derive(Default)]
struct List {
    /// The servers that were asked.
    asked: BTreeSet<String>,
    /// The number of servers that have neither answered nor exceeded the time limit.
    missing: usize,
    found: Map<String, Value>,
    /// The servers that exceeded the time limit.
    silent: Vec<Value>,
    replies: Vec<Reply>,
}

impl Lists {
    /// Asks every server that was not asked yet, the master's own monitor too. Servers that do not answer in time are only
    /// named, as `silent`.
    pub(super) fn ask(&self, agent: &MasterAgent, reply: Reply) {
        let ids: Vec<String> = {
            let mut list = self.0.borrow_mut();
            let list = list.get_or_insert_default();
            if list.replies.len() >= MANY {
                list.replies.retain(|reply| !reply.is_in_vain());
            }
            list.replies.push(reply);
            let new = agent.server_ids().into_iter().filter(|id| list.asked.insert(id.clone()));
            let ids: Vec<String> = new.collect();
            list.missing += ids.len();
            ids
        };
        let question = Rc::new(json!({ "signal": "list" }));
        for id in ids {
            let (lists, server) = (self.clone(), id.clone());
            agent.request_with(&id, Request::new(CONSOLE, Rc::clone(&question)), move |response| {
                let part = response.map(|response| response.data()?.get("body").cloned());
                lists.answered(server, part);
            });
        }
        self.look();
    }

    fn answered(&self, server: String, part: Result<Option<Value>, RequestError>) {
        if let Some(list) = &mut *self.0.borrow_mut() {
            list.missing -= 1;
            match part {
                Ok(Some(part @ Value::Object(_))) => drop(list.found.insert(server, part)),
                Err(RequestError::TimedOut) => list.silent.push(server.into()),
                _ => {}
            }
        }
        self.look();
    }

    /// Answers all users who wait, if no server is missing.
    fn look(&self) {
        let is_whole = self.0.borrow().as_ref().is_some_and(|list| list.missing == 0);
        if let Some(List { found, silent, replies, .. }) = is_whole.then(|| self.0.take()).flatten() {
            let mut body = json!({ "msg": found });
            if !silent.is_empty() {
                body["silent"] = silent.into();
            }
            replies.into_iter().for_each(|reply| reply.ok(body.clone()));
        }
    }
}
