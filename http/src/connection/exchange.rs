//! One request and its response: what is known of them until the response is sent, and the pool of such records. Mirrors
//! what Node keeps in an `IncomingMessage` and a `ServerResponse`.
//!
//! Most responses are written at once and whole. What the others need lies in [`Extra`], which is private: every change
//! goes through [`Exchange::extra_mut`], which marks the record. A record without a mark is used again as it is, so
//! nothing of one exchange can come up in another.

use super::calls::{BodyPlace, ResponsePlace};
#[cfg(feature = "codings")]
use super::coding::BodyCoding;
use super::state::Closing;
use crate::proto::{EncodeError, Encoder, KEPT_CAPACITY, RequestFacts, ResponseHead, recycle};
use crate::serve::Waiting;
use crate::uv_core::file::FileRange;
use async_wrap::AsyncContext;
use async_wrap::task::TaskHandle;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Records kept for reuse: as many as Node keeps parsers. More than that are busy only in a burst.
const POOLED: usize = 1000;

/// How far a response is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Status and fields may change.
    #[default]
    Head,
    /// The head is written.
    Body,
    /// All is written.
    Ended,
}

/// A request that was received, and the state of its response.
#[derive(Default)]
pub(crate) struct Exchange {
    /// The next younger one of the same connection.
    pub(super) next: Option<Box<Self>>,
    /// Tells this exchange from others of its connection, earlier ones in the same record included.
    pub(super) number: u32,
    /// [`Response`](crate::Response)s that refer to this.
    pub(crate) handles: u32,
    /// The request's async context: its handlers run in it.
    pub(crate) context: AsyncContext,
    pub(crate) request: RequestFacts,
    pub(crate) phase: Phase,
    extra_used: bool,
    pub(crate) head: ResponseHead,
    extra: Extra,
}

/// What few exchanges have.
#[derive(Default)]
pub(crate) struct Extra {
    /// Made when the head is written.
    pub(crate) encoder: Option<Encoder>,
    /// The connection ends behind the response.
    pub(crate) closes: bool,
    /// More input than its own came with the request, to a server that shuts down: it is not the last one.
    pub(super) is_followed: bool,
    /// The client, rather than this server, wants that.
    pub(crate) client_closes: bool,
    /// The body has, or had, a handler: it is received to its end whatever becomes of the response.
    pub(crate) wants_body: bool,
    /// Some of the body came to its handler.
    pub(crate) body_begun: bool,
    /// [`Body`](crate::Body)s that refer to this.
    pub(crate) bodies: u32,
    /// The client waits for a `100 Continue` before it sends the body.
    pub(crate) awaits_continue: bool,
    /// `100 Continue` is to be sent once the body is claimed.
    pub(crate) continue_at_claim: bool,
    /// Output that waits for the responses before this one.
    pub(super) held: Vec<u8>,
    /// The file that ends the response, until the kernel has taken it.
    pub(super) file: Option<Box<LastFile>>,
    /// A write returned `false`: `on_drain` is due.
    pub(crate) needs_drain: bool,
    pub(crate) handler: Option<ResponsePlace>,
    /// The response's handler was told that the client has ended.
    pub(crate) knows_end: bool,
    pub(crate) body_handler: Option<BodyPlace>,
    /// What wakes the futures that wait for the response: `handler` is its.
    pub(crate) waiting: Option<Rc<Waiting>>,
    /// The future that handles the request. It is dropped with the connection.
    pub(crate) task: Option<TaskHandle>,
    #[cfg(feature = "codings")]
    pub(crate) coding: BodyCoding,
    /// It is one of the requests in flight, whose number is limited.
    pub(crate) is_counted: bool,
    /// That future goes on without the connection.
    pub(crate) is_detached: bool,
}

/// The file that ends a response.
pub(super) enum LastFile {
    /// It waits for the responses before this one. Behind it follow the bytes that end the response.
    Held(FileRange, Vec<u8>),
    /// The socket sends it.
    Sending,
}

impl Exchange {
    /// What few exchanges have, to look at.
    #[inline]
    pub(crate) fn extra(&self) -> &Extra {
        &self.extra
    }

    /// What few exchanges have, to change it: the record will have to be cleared.
    #[inline]
    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra_used = true;
        &mut self.extra
    }

    /// The future that handles the request, if its response is not written.
    pub(super) fn take_task(&mut self) -> Option<TaskHandle> {
        if self.extra_used && self.phase != Phase::Ended { self.extra.task.take() } else { None }
    }

    /// Whether nothing is left to do once its response is written: neither here nor for an exchange behind it.
    #[inline]
    pub(super) fn leaves_at_once(&self) -> bool {
        self.request.keep_alive && !self.extra_used && self.next.is_none()
    }

    /// The head, and whether the connection persists, if this exchange has that number, nothing of its response is written,
    /// and a body that is known whole is delimited by its length: what [`Encoder::begin`] would find.
    #[inline]
    pub(super) fn simple_response(&mut self, number: u32) -> Option<(&mut ResponseHead, bool)> {
        let Self { request, phase, head, .. } = self;
        let has_body = RequestFacts { keep_alive: true, ..*request } == RequestFacts::SIMPLE;
        if self.number != number || !has_body || *phase != Phase::Head || !head.is_simple() {
            return None;
        }
        let status = head.status();
        let has_length = status == 200 || (status > 200 && !matches!(status, 204 | 205 | 304));
        let is_final = !self.extra_used || !self.extra.awaits_continue;
        (has_length && is_final).then_some((head, request.keep_alive))
    }

    /// Counts bytes of a body whose head is decided. Returns whether they are to be sent.
    pub(super) fn count_body(&mut self, len: usize) -> Result<bool, EncodeError> {
        self.extra_mut().encoder.as_mut().map_or(Ok(false), |encoder| encoder.count(len))
    }

    /// Ends a response without what is left of it; the connection ends with it.
    pub(crate) fn cut(&mut self) {
        if self.is_open_ended()
            && let Some(encoder) = &mut self.extra_mut().encoder
        {
            encoder.cut();
        }
        self.phase = Phase::Ended;
        self.extra_mut().closes = true;
    }

    /// Whether some of this is written, and the end of the connection would be taken for its end.
    pub(super) fn is_open_ended(&self) -> bool {
        self.phase == Phase::Body && self.extra.encoder.is_some_and(|encoder| encoder.is_until_close())
    }

    /// What the end of the response means for the connection.
    pub(super) fn closing(&self) -> Closing {
        let Extra { encoder, closes, client_closes, .. } = &self.extra;
        match encoder {
            Some(encoder) if encoder.is_until_close() && encoder.is_short() => Closing::Truncated,
            _ if !closes => Closing::Open,
            _ if *client_closes => Closing::ForClient,
            _ => Closing::ForServer,
        }
    }
}

impl Extra {
    /// Forgets everything, and keeps the buffer.
    #[inline(never)]
    fn clear(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        recycle(&mut held, 0, KEPT_CAPACITY);
        *self = Self { held, ..Self::default() };
    }
}

/// Records that are out of use: a request in the steady state allocates none.
#[derive(Default)]
pub(crate) struct Pool {
    /// The record that came back last: mostly the next one to be taken.
    last: Cell<Option<Box<Exchange>>>,
    #[expect(clippy::vec_box, reason = "records go from here into lists and back without being moved")]
    others: RefCell<Vec<Box<Exchange>>>,
}

impl Pool {
    /// A record for a request, with one handle.
    #[inline]
    pub(super) fn take(&self, context: AsyncContext, request: RequestFacts) -> Box<Exchange> {
        let mut exchange = self.last.take().unwrap_or_else(|| self.take_other());
        (exchange.context, exchange.request, exchange.handles) = (context, request, 1);
        exchange
    }

    #[cold]
    fn take_other(&self) -> Box<Exchange> {
        self.others.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a record back and clears it. Its handlers are dropped first, as their destructors may do anything.
    #[inline(always)] // +16 instructions in http/pipelined and http/keep-alive without it
    pub(super) fn give(&self, mut exchange: Box<Exchange>) {
        exchange.phase = Phase::Head;
        exchange.head.clear();
        if std::mem::take(&mut exchange.extra_used) {
            drop((exchange.extra.handler.take(), exchange.extra.body_handler.take()));
            exchange.extra.clear();
        }
        if let Some(other) = self.last.replace(Some(exchange))
            && self.others.borrow().len() < POOLED
        {
            self.others.borrow_mut().push(other);
        }
    }
}
