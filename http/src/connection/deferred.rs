//! What a connection holds for a while only: input that waits, and calls that are owed to handlers. Few connections have
//! any, so it lies in a box of its own.

use crate::connection::{Connection, PENDING};
use crate::upcall::{BodyHandler, ResponseHandler};
use crate::{Body, LAYER, Response};
use async_wrap::{AsyncContext, Environment};
use net::Linger;
use std::collections::VecDeque;
use std::rc::Rc;

#[derive(Default)]
pub(crate) struct Pending {
    leftover: Leftover,
    notices: VecDeque<Notice>,
    /// What a client whose answer waits had fetched when the timeouts were last looked at, and one more; 0 if none waits.
    fetched: u64,
    /// The wait for the client after this side's end.
    linger: Option<Linger>,
}

/// Input that waits until answers went out or a body is wanted again: `bytes` from `start`.
#[derive(Default)]
pub(crate) struct Leftover {
    bytes: Vec<u8>,
    start: usize,
}

/// A call owed to a handler whose exchange is over, in that exchange's context. What ends an exchange is often a
/// downcall, which never upcalls.
pub(crate) struct Notice {
    context: AsyncContext,
    number: u32,
    call: Call,
}

pub(crate) enum Call {
    Finish(Box<dyn ResponseHandler>),
    Close(Box<dyn ResponseHandler>),
    Abort(Box<dyn BodyHandler>),
    /// The exchange's context ends.
    Destroy,
}

/// Ends a context when dropped: behind its last call, also if that panics.
pub(crate) struct Over<'a> {
    pub(crate) env: &'a Environment,
    pub(crate) context: AsyncContext,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.env.emit_destroy(self.context.async_id());
    }
}

impl Notice {
    fn tell(self, connection: &Rc<Connection>) {
        let Self { context, number, call } = self;
        let env = connection.core.env();
        match call {
            Call::Finish(mut handler) => env.make_callback(context, || {
                let _up = LAYER.up("ResponseHandler::on_finish", || context.facts());
                handler.on_finish(&Response::counted(connection, number));
            }),
            Call::Close(mut handler) => env.make_callback(context, || {
                let _up = LAYER.up("ResponseHandler::on_close", || context.facts());
                handler.on_close(&Response::counted(connection, number));
            }),
            Call::Abort(mut handler) => env.make_callback(context, || {
                let _up = LAYER.up("BodyHandler::on_abort", || context.facts());
                handler.on_abort(&Body::counted(connection, number));
            }),
            Call::Destroy => env.emit_destroy(context.async_id()),
        }
    }
}

impl Leftover {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Leaves only the last `len` bytes.
    fn keep_last(&mut self, len: usize) {
        self.start = self.bytes.len() - len;
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.leftover.bytes.is_empty()
            && self.notices.is_empty()
            && self.fetched == 0
            && self.linger.is_none()
    }
}

impl Connection {
    fn with_pending<R>(&self, work: impl FnOnce(&mut Pending) -> R) -> R {
        let mut pending = self.pending.take().unwrap_or_default();
        let result = work(&mut pending);
        if pending.is_empty() {
            self.clear(PENDING);
        } else {
            self.pending.set(Some(pending));
            self.set(PENDING);
        }
        result
    }

    fn if_pending<R>(&self, work: impl FnOnce(&mut Pending) -> R) -> Option<R> {
        let pending = self.pending.take()?;
        self.pending.set(Some(pending));
        Some(self.with_pending(work))
    }

    /// Keeps input that arrived while decoding stood still.
    pub(crate) fn keep(&self, bytes: &[u8]) {
        self.with_pending(|pending| pending.leftover.bytes.extend_from_slice(bytes));
    }

    /// Puts back what is still not used of the input that was kept: its last `len` bytes.
    pub(crate) fn keep_on(&self, mut leftover: Leftover, len: usize) {
        leftover.keep_last(len);
        self.with_pending(|pending| pending.leftover = leftover);
    }

    pub(crate) fn take_leftover(&self) -> Leftover {
        self.if_pending(|pending| std::mem::take(&mut pending.leftover)).unwrap_or_default()
    }

    /// Has a handler told of an end, from the loop.
    pub(crate) fn owe(&self, context: AsyncContext, number: u32, call: Call) {
        self.with_pending(|pending| pending.notices.push_back(Notice { context, number, call }));
        self.socket.notify();
    }

    /// Ends an exchange's context, behind the calls that are owed in it.
    #[inline(always)]
    pub(crate) fn end_context(&self, context: &AsyncContext) {
        if self.has(PENDING) && self.is_owing() {
            self.owe(*context, 0, Call::Destroy);
        } else {
            self.core.env().emit_destroy(context.async_id());
        }
    }

    #[inline(never)]
    fn is_owing(&self) -> bool {
        self.if_pending(|pending| !pending.notices.is_empty()).unwrap_or(false)
    }

    /// Drops what is kept and owed; contexts end all the same.
    pub(crate) fn drop_pending(&self) {
        let Some(pending) = self.pending.take() else { return };
        self.clear(PENDING);
        for notice in pending.notices {
            if let Call::Destroy = notice.call {
                self.core.env().emit_destroy(notice.context.async_id());
            }
        }
    }

    /// Makes the calls that are owed. Those that come to be owed meanwhile wait for the next time.
    pub(crate) fn tell_notices(self: &Rc<Self>) {
        let count = self.if_pending(|pending| pending.notices.len()).unwrap_or(0);
        for _ in 0..count {
            // One at a time: if one panics the others are still owed.
            if let Some(notice) = self.if_pending(|pending| pending.notices.pop_front()).flatten() {
                notice.tell(self);
            }
        }
    }

    /// Whether the client fetched some output since the last look, or this is the first one.
    pub(crate) fn note_fetched(&self, fetched: u64) -> bool {
        if fetched == 0 {
            self.if_pending(|pending| pending.fetched = 0);
            return false;
        }
        self.with_pending(|pending| std::mem::replace(&mut pending.fetched, fetched)) != fetched
    }

    pub(crate) fn take_linger(&self) -> Option<Linger> {
        self.if_pending(|pending| pending.linger.take()).flatten()
    }

    pub(crate) fn keep_linger(&self, linger: Linger) {
        self.with_pending(|pending| pending.linger = Some(linger));
    }
}
