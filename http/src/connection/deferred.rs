//! What waits: calls of handlers whose exchange is over, and input that is not decoded. What ends an exchange is often a
//! downcall, which never upcalls; the call comes from the loop then. Mirrors what Node does with `process.nextTick`.
//!
//! Few connections have any of it, so it lies in a box of its own.

use super::Connection;
use crate::trace::up;
use crate::upcall::{BodyHandler, ResponseHandler};
use crate::{Body, Response};
use async_wrap::{AsyncContext, Environment};
use net::Linger;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

/// What waits on one connection.
#[derive(Default)]
pub(crate) struct Deferred(Cell<Option<Box<Cold>>>);

#[derive(Default)]
struct Cold {
    undecoded: Undecoded,
    calls: VecDeque<DeferredCall>,
    /// Bytes that a client whose response waits had fetched when the timeouts were last looked at, and one more; 0 if
    /// none waits.
    fetched: u64,
    /// The wait for the client after this side's end.
    linger: Option<Linger>,
}

/// Input that waits until responses went out or a body is wanted again: `bytes` from `start`.
#[derive(Default)]
pub(super) struct Undecoded {
    bytes: Vec<u8>,
    start: usize,
}

/// A call in the context of an exchange that is over.
struct DeferredCall {
    context: AsyncContext,
    number: u32,
    call: Call,
}

pub(super) enum Call {
    /// `None` while the handler is being called: see [`Deferred::return_handler`].
    Finish(Option<Box<dyn ResponseHandler>>),
    Close(Box<dyn ResponseHandler>),
    Abort(Box<dyn BodyHandler>),
    /// The exchange's context ends.
    Destroy,
}

impl DeferredCall {
    fn run(self, connection: &Rc<Connection>) {
        let Self { context, number, call } = self;
        let env = connection.core.env();
        match call {
            Call::Finish(Some(mut handler)) => {
                up(env, context, "ResponseHandler::on_finish", || {
                    handler.on_finish(&Response::counted(connection, number))
                });
            }
            Call::Finish(None) => {}
            Call::Close(mut handler) => {
                up(env, context, "ResponseHandler::on_close", || {
                    handler.on_close(&Response::counted(connection, number))
                });
            }
            Call::Abort(mut handler) => up(env, context, "BodyHandler::on_abort", || {
                handler.on_abort(&Body::counted(connection, number))
            }),
            Call::Destroy => env.emit_destroy(context.async_id()),
        }
    }
}

impl Undecoded {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl Cold {
    fn is_empty(&self) -> bool {
        self.undecoded.bytes.is_empty() && self.calls.is_empty() && self.fetched == 0 && self.linger.is_none()
    }
}

impl Deferred {
    /// Works on what waits, in a box that is there only as long as something does.
    fn with<R>(&self, work: impl FnOnce(&mut Cold) -> R) -> R {
        let mut cold = self.0.take().unwrap_or_default();
        let result = work(&mut cold);
        if !cold.is_empty() {
            self.0.set(Some(cold));
        }
        result
    }

    /// The same if anything waits; else the default.
    fn peek<R: Default>(&self, work: impl FnOnce(&mut Cold) -> R) -> R {
        if self.is_empty() { R::default() } else { self.with(work) }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        let cold = self.0.take();
        let is_empty = cold.is_none();
        self.0.set(cold);
        is_empty
    }

    /// Keeps input that arrived while decoding stood still.
    pub(super) fn stash(&self, bytes: &[u8]) {
        self.with(|cold| cold.undecoded.bytes.extend_from_slice(bytes));
    }

    /// Puts back what is still not used of the input that was kept: its last `len` bytes.
    pub(super) fn restash(&self, mut undecoded: Undecoded, len: usize) {
        undecoded.start = undecoded.bytes.len() - len;
        self.with(|cold| cold.undecoded = undecoded);
    }

    pub(super) fn take_undecoded(&self) -> Undecoded {
        self.peek(|cold| std::mem::take(&mut cold.undecoded))
    }

    /// Has a call made at the next [`run`](Self::run), for which the caller asks.
    pub(super) fn push(&self, context: AsyncContext, number: u32, call: Call) {
        self.with(|cold| cold.calls.push_back(DeferredCall { context, number, call }));
    }

    /// Whether calls wait.
    #[inline(always)] // +49 instructions in http/pipelined and http/keep-alive without the five of this folder
    pub(super) fn has_calls(&self) -> bool {
        !self.is_empty() && self.look_for_calls()
    }

    #[inline(never)]
    fn look_for_calls(&self) -> bool {
        self.peek(|cold| !cold.calls.is_empty())
    }

    /// Gives a handler back that was being called when its response ended, for the call that waits for it. Handlers are
    /// called one at a time, so there is one such call at most.
    pub(super) fn return_handler(&self, handler: &mut Option<Box<dyn ResponseHandler>>) {
        self.peek(|cold| {
            for deferred in &mut cold.calls {
                if let Call::Finish(waiting @ None) = &mut deferred.call {
                    *waiting = handler.take();
                }
            }
        });
    }

    /// Makes the calls that wait. Those that are deferred meanwhile wait for the next time.
    pub(super) fn run(&self, connection: &Rc<Connection>) {
        for _ in 0..self.peek(|cold| cold.calls.len()) {
            // One at a time: if one panics the others still wait.
            if let Some(call) = self.peek(|cold| cold.calls.pop_front()) {
                call.run(connection);
            }
        }
    }

    /// Drops everything; contexts end all the same.
    pub(super) fn clear(&self, env: &Environment) {
        for deferred in self.0.take().into_iter().flat_map(|cold| cold.calls) {
            if let Call::Destroy = deferred.call {
                env.emit_destroy(deferred.context.async_id());
            }
        }
    }

    /// Whether the client fetched some output since the last look, or this is the first one.
    pub(crate) fn note_fetched(&self, fetched: u64) -> bool {
        if fetched == 0 {
            self.peek(|cold| cold.fetched = 0);
            return false;
        }
        self.with(|cold| std::mem::replace(&mut cold.fetched, fetched)) != fetched
    }

    pub(crate) fn take_linger(&self) -> Option<Linger> {
        self.peek(|cold| cold.linger.take())
    }

    pub(crate) fn keep_linger(&self, linger: Linger) {
        self.with(|cold| cold.linger = Some(linger));
    }
}
