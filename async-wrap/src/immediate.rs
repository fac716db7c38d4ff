//! Immediates: callbacks in the loop's check phase, right after the poll phase. Mirrors `CheckImmediate` (`src/env.cc`)
//! and `processImmediate` (`lib/internal/timers.js`).

use crate::{AsyncContext, AsyncId, Environment, Provider};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

/// A callback in the next check phase (Node's `Immediate`). Clones share it; dropping them does not clear it.
///
/// ```
/// use async_wrap::Environment;
///
/// let env = Environment::with_new_loop()?;
/// let first = env.set_immediate(|| unreachable!("it is cleared"));
/// first.clear();
/// env.set_immediate(|| println!("in the check phase, right after the poll"));
/// env.run_to_end()?;
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Immediate {
    env: Environment,
    node: Rc<Node>,
}

struct Node {
    context: AsyncContext,
    /// `None` once it is called or cleared.
    callback: Cell<Option<Box<dyn FnOnce()>>>,
    pending: Cell<bool>,
    referenced: Cell<bool>,
}

/// The immediates of an environment.
#[derive(Default)]
pub(crate) struct Immediates {
    queue: RefCell<VecDeque<Rc<Node>>>,
    /// The number of pending immediates that keep the loop alive.
    referenced: Cell<usize>,
}

impl Immediates {
    fn pop(&self) -> Option<Rc<Node>> {
        self.queue.borrow_mut().pop_front()
    }

    pub(crate) fn clear(&self) {
        for node in self.queue.take() {
            node.pending.set(false);
            drop(node.callback.take());
        }
    }
}

impl Environment {
    /// Calls `callback` in the loop's next check phase and keeps the loop from blocking until then (`setImmediate`). An
    /// immediate set by an immediate waits for the check phase after this one.
    pub fn set_immediate(&self, callback: impl FnOnce() + 'static) -> Immediate {
        let inner = self.inner();
        let node = Rc::new(Node {
            context: self.new_context(Provider::Immediate),
            callback: Cell::new(None),
            pending: Cell::new(false),
            referenced: Cell::new(true),
        });
        let immediate = Immediate { env: self.clone(), node };
        if !inner.driver.has_ended() {
            immediate.node.callback.set(Some(Box::new(callback)));
            immediate.node.pending.set(true);
            inner.immediates.queue.borrow_mut().push_back(Rc::clone(&immediate.node));
            inner.driver.start_check(self);
            self.count_immediate(1);
        } else {
            self.emit_destroy(immediate.async_id());
        }
        immediate
    }

    /// Runs the immediates set before this call, each in a scope of its own, so that ticks run in between. After a
    /// panic the next check phase runs the rest.
    pub(crate) fn run_immediates(&self) {
        let immediates = &self.inner().immediates;
        let count = immediates.queue.borrow().len();
        for _ in 0..count {
            let Some(node) = immediates.pop() else { break };
            if let Some(callback) = self.take_callback(&node) {
                let gone = self.destroy_at_end(node.context.async_id());
                self.make_callback(node.context, gone.around(callback));
            }
        }
    }

    fn take_callback(&self, node: &Node) -> Option<Box<dyn FnOnce()>> {
        let callback = node.callback.take()?;
        node.pending.set(false);
        if node.referenced.get() {
            self.count_immediate(-1);
        }
        Some(callback)
    }

    fn count_immediate(&self, change: isize) {
        let inner = self.inner();
        let count = inner.immediates.referenced.get().saturating_add_signed(change);
        inner.immediates.referenced.set(count);
        inner.driver.keep_turning(count > 0);
    }
}

impl Immediate {
    /// Cancels the call and drops the callback (`clearImmediate`). Idempotent.
    pub fn clear(&self) {
        if let Some(callback) = self.env.take_callback(&self.node) {
            self.env.emit_destroy(self.async_id());
            drop(callback);
        }
    }

    /// Makes the immediate keep the loop alive and from blocking. This is the default.
    pub fn ref_(&self) {
        self.set_referenced(true);
    }

    /// Lets the loop end, or block, while the immediate is pending.
    pub fn unref(&self) {
        self.set_referenced(false);
    }

    fn set_referenced(&self, on: bool) {
        if self.node.referenced.replace(on) != on && self.is_pending() {
            self.env.count_immediate(if on { 1 } else { -1 });
        }
    }

    /// Whether the immediate keeps the loop alive while it is pending.
    #[must_use]
    pub fn has_ref(&self) -> bool {
        self.node.referenced.get()
    }

    /// Whether the callback is not yet called or cleared.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.node.pending.get()
    }

    /// The id of the immediate's resource.
    #[must_use]
    pub fn async_id(&self) -> AsyncId {
        self.node.context.async_id()
    }
}

impl fmt::Debug for Immediate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Immediate")
            .field("async_id", &self.async_id())
            .field("pending", &self.is_pending())
            .finish_non_exhaustive()
    }
}
