//! Orders to servers: `stop`, `restart` and `kill`. An order that failed in time has no effect later.
//!
//! A server that is suspended or in an endless loop reads an order long after the user was told that it does not answer.
//! So the server is asked first whether it answers at all; and a server of this crate, before it obeys, asks its master to
//! confirm the order. Servers of Node's pomelo do not, and obey at once.

use super::console_module::CONSOLE;
use crate::admin::auth::new_secret;
use crate::admin::fleet::{Fleet, Target};
use crate::admin::requests::Request;
use crate::patience::{Patience, inspect};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The time between two looks at a process: too short for a user to notice.
const LOOK: Duration = Duration::from_millis(25);

/// The valid orders, by secrets that only the ordered server knows; each with whether the server has confirmed it.
#[derive(Default)]
pub(super) struct Orders(RefCell<BTreeMap<String, Rc<Cell<bool>>>>);

/// The outcome of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server's process has ended.
    Ended,
    /// The server obeys, and has not ended in time.
    Obeys,
    /// The server does not obey, for this reason.
    Refused(String),
}

type Then = Box<dyn FnOnce(Outcome)>;

/// One order.
struct Order {
    fleet: Fleet,
    target: Target,
    signal: &'static str,
    /// The time limits of the confirmation, and then of the end.
    within: [Duration; 2],
    /// The secret of the order.
    word: RefCell<String>,
    has_agreed: Rc<Cell<bool>>,
    then: Cell<Option<Then>>,
}

impl Fleet {
    /// Gives a server an order and waits for its end. `then` is called once.
    pub(crate) fn order(
        &self,
        target: Target,
        signal: &'static str,
        within: [Duration; 2],
        then: impl FnOnce(Outcome) + 'static,
    ) {
        let Some(agent) = self.agent() else { return then(Outcome::Refused("the master stops".into())) };
        let order = Rc::new(Order {
            fleet: self.clone(),
            signal,
            within,
            word: RefCell::default(),
            has_agreed: Rc::default(),
            then: Cell::new(Some(Box::new(then))),
            target,
        });
        let question = Request::new(CONSOLE, json!({ "signal": "list" })).within(within[0]);
        let id = order.target.id.clone();
        agent.request_with(&id, question, move |response| match response {
            Ok(_) => order.give(),
            Err(_) if order.fleet.has_ended(&order.target) => order.end(Outcome::Ended),
            Err(error) => order.end(Outcome::Refused(error.to_string())),
        });
    }

    /// Confirms an order to the server that asks. Returns whether the order is valid.
    pub(crate) fn confirm(&self, word: &str) -> bool {
        self.0.orders.0.borrow().get(word).is_some_and(|has_agreed| {
            has_agreed.set(true);
            true
        })
    }

    /// Waits for the end of a process; `then` is called with whether it came in time.
    pub(crate) fn wait_for_end(&self, target: Target, within: Duration, then: impl FnOnce(bool) + 'static) {
        let (fleet, then) = (self.clone(), Cell::new(Some(then)));
        let mut patience = Patience::new(self.app().environment(), within);
        inspect(self.app().environment(), LOOK, move |heard| {
            let has_ended = fleet.has_ended(&target);
            if !has_ended && !patience.is_over(heard) {
                return false;
            }
            if let Some(then) = then.take() {
                then(has_ended);
            }
            true
        });
    }
}

impl Order {
    fn give(self: Rc<Self>) {
        let agent = self.fleet.agent().filter(|agent| agent.has_process(&self.target.id, self.target.pid));
        let Some(agent) = agent else {
            // Another process answered.
            return self.end(Outcome::Ended);
        };
        let word = match new_secret() {
            Ok(word) => word,
            Err(error) => return self.end(Outcome::Refused(error.to_string())),
        };
        self.fleet.0.orders.0.borrow_mut().insert(word.clone(), Rc::clone(&self.has_agreed));
        self.word.replace(word.clone());
        agent.notify(&self.target.id, CONSOLE, &json!({ "signal": self.signal, "confirm": word }));
        let [to_agree, to_end] = self.within;
        let fleet = self.fleet.clone();
        let env = fleet.app().environment();
        let (mut patience, mut has_agreed) = (Patience::new(env, to_agree), false);
        inspect(env, LOOK, move |heard| {
            if self.has_agreed.get() && !has_agreed {
                (patience, has_agreed) = (Patience::new(self.fleet.app().environment(), to_end), true);
            }
            let is_late = patience.is_over(heard);
            let outcome = if self.fleet.has_ended(&self.target) {
                Outcome::Ended
            } else if !is_late {
                return false;
            } else if has_agreed {
                Outcome::Obeys
            } else {
                Outcome::Refused("it does not obey in time".into())
            };
            self.end(outcome);
            true
        });
    }

    fn end(&self, outcome: Outcome) {
        self.fleet.0.orders.0.borrow_mut().remove(&*self.word.borrow());
        if let Some(then) = self.then.take() {
            then(outcome);
        }
    }
}
