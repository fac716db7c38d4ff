//! What the requests of an agent share: buffers and records that are used again.

use super::Exchange;
use super::options::TimeLimits;
use crate::agent::Core;
use crate::proto::FieldTable;
use async_wrap::{Environment, Timeout};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Records kept for reuse: more requests than that are under way only in a burst.
const SPARE_EXCHANGES: usize = 256;

pub(crate) struct Shared {
    pub(crate) env: Environment,
    /// The decoders' table between turns of input, unless a panic took it down. In a box, since it moves at every turn.
    pub(crate) table: Cell<Option<Box<FieldTable>>>,
    /// What is being sent.
    pub(crate) output: RefCell<Vec<u8>>,
    spare: RefCell<Vec<Rc<Exchange>>>,
    /// The requests that are under way, and the timer that looks at them.
    pub(super) active: RefCell<Slab<Rc<Exchange>>>,
    pub(super) looking: RefCell<Option<Timeout>>,
    /// Timers that were stopped.
    pub(super) timers: Cell<u32>,
    /// The program has dropped its last handle of the agent. Records refer to the agent, so none is kept from then on.
    is_abandoned: Cell<bool>,
}

impl Shared {
    pub(crate) fn new(env: &Environment) -> Self {
        Self {
            env: env.clone(),
            table: Cell::default(),
            output: RefCell::default(),
            spare: RefCell::default(),
            active: RefCell::default(),
            looking: RefCell::default(),
            timers: Cell::default(),
            is_abandoned: Cell::default(),
        }
    }

    /// The loop's clock.
    pub(crate) fn now(&self) -> Duration {
        self.env.loop_handle().now()
    }

    /// A record for a request.
    pub(crate) fn take(core: &Rc<Core>, limits: TimeLimits) -> Rc<Exchange> {
        let spare = core.shared.spare.borrow_mut().pop();
        let exchange = spare.unwrap_or_else(|| Rc::new(Exchange::new(core)));
        exchange.limits.set(limits);
        exchange
    }

    /// Takes a record back, unless the program still has a handle of its request.
    pub(crate) fn give(mut exchange: Rc<Exchange>) {
        if let Some(record) = Rc::get_mut(&mut exchange) {
            record.clear();
            let shared = &exchange.core.shared;
            let mut spare = shared.spare.borrow_mut();
            if !shared.is_abandoned.get() && spare.len() < SPARE_EXCHANGES {
                let exchange = Rc::clone(&exchange);
                spare.push(exchange);
            }
        }
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.is_abandoned.get()
    }

    /// No further request will be made.
    pub(crate) fn abandon(&self) {
        self.is_abandoned.set(true);
        drop(self.spare.take());
        self.stop_looking();
    }
}
