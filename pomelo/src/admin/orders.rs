//! Orders to servers: to stop, to restart, to be killed. An order that came to nothing in time has no effect later.
//!
//! A server that is stopped or in an endless loop reads what it was sent long after its user was told that it does not
//! answer. So it is asked first whether it answers at all; and servers of this crate, before they obey, ask their master
//! whether the order stands. Those of Node's pomelo do not know of that, and obey at once.

use super::console_module::CONSOLE;
use crate::admin::auth::new_secret;
use crate::admin::fleet::{Fleet, Target};
use crate::patience::{Patience, inspect};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// How often it is looked whether a process has ended. Nobody notices a fortieth of a second.
const LOOK: Duration = Duration::from_millis(25);

/// Orders that stand, by words that only the server knows to which they were sent; whether it has asked.
#[derive(Default)]
pub(super) struct Orders(RefCell<BTreeMap<String, Rc<Cell<bool>>>>);

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server's process has ended.
    Gone,
    /// It obeys, and has not ended in time.
    Obeys,
    /// It goes on as if nothing had been said, for this reason.
    Refused(String),
}

type Then = Box<dyn FnOnce(Outcome)>;

/// One order.
struct Order {
    fleet: Fleet,
    target: Target,
    signal: &'static str,
    /// How long it may take to agree, and then to end.
    within: [Duration; 2],
    /// Under which it stands.
    word: RefCell<String>,
    has_agreed: Rc<Cell<bool>>,
    then: Cell<Option<Then>>,
}

impl Fleet {
    /// Has a server obey and waits for its end. `then` is called once.
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
        let question = Rc::new(json!({ "signal": "list" }));
        let id = order.target.id.clone();
        agent.request_within(&id, CONSOLE, question, within[0], move |response| match response {
            Ok(_) => order.give(),
            Err(_) if order.fleet.is_gone(&order.target) => order.end(Outcome::Gone),
            Err(error) => order.end(Outcome::Refused(error.to_string())),
        });
    }

    /// A server asks whether an order stands that it was given. From then on it does.
    pub(crate) fn confirm(&self, word: &str) -> bool {
        self.0.orders.0.borrow().get(word).is_some_and(|has_agreed| {
            has_agreed.set(true);
            true
        })
    }

    /// Waits for the end of a process; `then` is told whether it came in time.
    pub(crate) fn wait_for_end(&self, target: Target, within: Duration, then: impl FnOnce(bool) + 'static) {
        let (fleet, then) = (self.clone(), Cell::new(Some(then)));
        let mut patience = Patience::new(self.app().environment(), within);
        inspect(self.app().environment(), LOOK, move |heard| {
            let is_gone = fleet.is_gone(&target);
            if !is_gone && !patience.is_over(heard) {
                return false;
            }
            if let Some(then) = then.take() {
                then(is_gone);
            }
            true
        });
    }
}

impl Order {
    fn give(self: Rc<Self>) {
        let agent = self.fleet.agent().filter(|agent| agent.has_process(&self.target.id, self.target.pid));
        let Some(agent) = agent else {
            // It was another process that answered.
            return self.end(Outcome::Gone);
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
            let outcome = if self.fleet.is_gone(&self.target) {
                Outcome::Gone
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
