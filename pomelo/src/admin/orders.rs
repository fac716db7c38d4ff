//! Orders to servers: to stop, to restart, to be killed. An order that came to nothing in time has no effect later.
//!
//! A server that is stopped or in an endless loop reads what it was sent long after its user was told that it does not
//! answer. So it is asked first whether it answers at all; and servers of this crate, before they obey, ask their master
//! whether the order stands. Those of Node's pomelo do not know of that, and obey at once.

use super::console_module::CONSOLE;
use crate::admin::auth::new_secret;
use crate::admin::fleet::{Fleet, Target};
use async_wrap::Timeout;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

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
        let (fleet, deadline) = (self.clone(), Instant::now() + within);
        let (then, is_late) = (Cell::new(Some(then)), move || Instant::now() >= deadline);
        poll(self, move || {
            let is_gone = fleet.is_gone(&target);
            if !is_gone && !is_late() {
                return false;
            }
            if let Some(then) = then.take() {
                then(is_gone);
            }
            true
        });
    }
}

/// Calls `look` until it is done.
fn poll(fleet: &Fleet, look: impl Fn() -> bool + 'static) {
    let timer: Rc<RefCell<Option<Timeout>>> = Rc::default();
    let own = Rc::clone(&timer);
    let interval = fleet.app().environment().set_inspection(LOOK, move |_| {
        if look() {
            own.take().iter().for_each(Timeout::clear);
        }
    });
    timer.replace(Some(interval));
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
        let (fleet, given) = (self.fleet.clone(), Instant::now());
        let agreed_at = Cell::new(None);
        poll(&fleet, move || {
            if self.has_agreed.get() && agreed_at.get().is_none() {
                agreed_at.set(Some(Instant::now()));
            }
            let is_late = match agreed_at.get() {
                Some(at) => at.elapsed() >= to_end,
                None => given.elapsed() >= to_agree,
            };
            let outcome = if self.fleet.is_gone(&self.target) {
                Outcome::Gone
            } else if !is_late {
                return false;
            } else if agreed_at.get().is_some() {
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
