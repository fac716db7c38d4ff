//! One request and its answer: what the response knows of itself until it is sent, and the pool of such records.

use crate::proto::{Encoder, FieldLines, RequestFacts, ResponseHead, Version};
use crate::upcall::{BodyHandler, ResponseHandler};
use async_wrap::AsyncContext;
use std::cell::{Cell, RefCell};

/// Bytes of a buffer that is kept for reuse; a larger one was for a single large response.
const KEPT_CAPACITY: usize = 4096;

/// Records kept for reuse: as many as Node keeps parsers. More than that are busy only in a burst.
const POOLED: usize = 1000;

/// How far a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Status and fields may change.
    Head,
    /// The head is written.
    Body,
    /// All is written.
    Ended,
}

/// A request that was received and the state of its response. Records of one connection form a list in the order of
/// the requests.
pub(crate) struct Exchange {
    pub(crate) next: Option<Box<Self>>,
    /// Tells this exchange from others of its connection, earlier ones in the same record included.
    pub(crate) number: u32,
    pub(crate) request: RequestFacts,
    /// The request is one like most: HTTP/1.1, and to be answered with a body.
    pub(crate) is_usual: bool,
    /// Nobody waits to be told anything, and nothing was written but a whole answer: the record can be used again
    /// almost as it is.
    pub(crate) is_bare: bool,
    pub(crate) phase: Phase,
    /// [`Response`](crate::Response)s that refer to this.
    pub(crate) handles: u32,
    pub(crate) head: ResponseHead,
    /// Made when the head is written.
    pub(crate) encoder: Option<Encoder>,
    /// Whether the connection may carry another request after this response.
    pub(crate) keep_alive: bool,
    /// Whether the client, rather than this server, wanted the close.
    pub(crate) client_closes: bool,
    /// The body has, or had, a handler: it is received to its end whatever becomes of the response.
    pub(crate) wants_body: bool,
    /// Some of the body came to its handler.
    pub(crate) body_begun: bool,
    /// [`Body`](crate::Body)s that refer to this.
    pub(crate) bodies: u32,
    /// The client waits for a `100 Continue` before it sends the body.
    pub(crate) awaits_continue: bool,
    /// It is told once the body is claimed.
    pub(crate) continue_is_owed: bool,
    /// Output that waits for the responses before this one.
    pub(crate) waiting: Vec<u8>,
    /// A write said `false`: `on_drain` is owed.
    pub(crate) needs_drain: bool,
    pub(crate) handler: Option<Box<dyn ResponseHandler>>,
    /// The response's handler was told that the client has ended.
    pub(crate) knows_end: bool,
    /// The handler is being called, and was not replaced.
    pub(crate) handler_is_out: bool,
    pub(crate) body_handler: Option<Box<dyn BodyHandler>>,
    /// The request's async context: its handlers run in it.
    pub(crate) context: AsyncContext,
}

fn recycle(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > KEPT_CAPACITY {
        *buffer = Vec::new();
    }
}

impl Exchange {
    fn new() -> Self {
        Self {
            next: None,
            number: 0,
            request: RequestFacts::SIMPLE,
            is_usual: false,
            is_bare: true,
            phase: Phase::Head,
            handles: 0,
            head: ResponseHead::new(),
            encoder: None,
            keep_alive: true,
            client_closes: false,
            wants_body: false,
            body_begun: false,
            bodies: 0,
            awaits_continue: false,
            continue_is_owed: false,
            waiting: Vec::new(),
            needs_drain: false,
            handler: None,
            knows_end: false,
            handler_is_out: false,
            body_handler: None,
            context: AsyncContext::NONE,
        }
    }

    /// Whether a handler will be asked to write on: the response is not lost although nothing else holds it.
    pub(crate) fn has_writer(&self) -> bool {
        self.needs_drain && self.handler.is_some()
    }

    /// Whether trailers can be sent, as far as the request goes.
    pub(crate) fn may_have_trailers(&self) -> bool {
        self.request.version == Version::Http11 && !self.request.is_head
    }

    /// Status and field lines, if the answer, its body known whole, is delimited by its length, and ends the connection only
    /// if the request wants that: what [`Encoder::begin`] would find, found sooner.
    #[inline]
    pub(crate) fn ordinary(&mut self) -> Option<(u16, &mut FieldLines)> {
        if !self.is_usual || self.phase != Phase::Head {
            return None;
        }
        self.head
            .simple()
            .filter(|(status, _)| *status == 200 || (*status > 200 && !matches!(status, 204 | 205 | 304)))
    }

    /// Ends an answer without what is left of it.
    pub(crate) fn cut(&mut self) {
        if self.is_open_ended()
            && let Some(encoder) = &mut self.encoder
        {
            encoder.cut();
        }
        self.phase = Phase::Ended;
        self.is_bare = false;
        self.keep_alive = false;
    }

    /// Whether this was cut, and nothing but the way in which the connection ends can tell the client.
    pub(crate) fn is_cut(&self) -> bool {
        self.encoder.is_some_and(|encoder| encoder.is_until_close() && encoder.is_short())
    }

    /// Whether some of this is written, and the end of the connection would be taken for its end.
    pub(crate) fn is_open_ended(&self) -> bool {
        self.phase == Phase::Body && self.encoder.is_some_and(|encoder| encoder.is_until_close())
    }

    /// Makes the record ready for another request. Its buffers stay.
    fn reset(&mut self) {
        self.phase = Phase::Head;
        self.head.clear();
        if !self.is_bare {
            self.reset_rest();
        }
    }

    /// The same for one that was bare and ordinary.
    #[inline(always)]
    pub(crate) fn reset_ordinary(&mut self) {
        self.head.clear();
    }

    /// Whether nothing is left of an earlier exchange but what every new one sets.
    fn is_as_new(&self) -> bool {
        let has_nobody = self.handler.is_none() && self.body_handler.is_none() && !self.handler_is_out;
        let owes_nothing =
            !self.needs_drain && !self.continue_is_owed && !self.knows_end && self.waiting.is_empty();
        let wants_nothing = !self.wants_body && !self.body_begun && self.bodies == 0;
        let says_nothing = self.head.is_new();
        let is_open = self.keep_alive && self.encoder.is_none() && self.phase == Phase::Head;
        self.is_bare
            && self.next.is_none()
            && has_nobody
            && owes_nothing
            && wants_nothing
            && says_nothing
            && is_open
    }

    #[inline(never)]
    fn reset_rest(&mut self) {
        self.is_usual = false;
        self.is_bare = true;
        self.encoder = None;
        self.keep_alive = true;
        self.client_closes = false;
        self.wants_body = false;
        self.body_begun = false;
        self.bodies = 0;
        self.awaits_continue = false;
        self.continue_is_owed = false;
        recycle(&mut self.waiting);
        self.needs_drain = false;
        self.knows_end = false;
        self.handler_is_out = false;
    }
}

/// Records that are out of use: a request in the steady state allocates none.
#[derive(Default)]
pub(crate) struct Pool {
    /// The one that was given back last: mostly the next one to be taken.
    last: Cell<Option<Box<Exchange>>>,
    #[expect(clippy::vec_box, reason = "records go from here into lists and back without being moved")]
    others: RefCell<Vec<Box<Exchange>>>,
}

impl Pool {
    #[inline(always)]
    pub(crate) fn take(&self) -> Box<Exchange> {
        match self.last.take() {
            Some(exchange) => exchange,
            None => self.take_other(),
        }
    }

    #[inline(never)]
    fn take_other(&self) -> Box<Exchange> {
        self.others.borrow_mut().pop().unwrap_or_else(|| Box::new(Exchange::new()))
    }

    /// Gives a record back. Its handlers are dropped first, as their destructors may do anything.
    pub(crate) fn give(&self, mut exchange: Box<Exchange>) {
        if !exchange.is_bare {
            drop((exchange.handler.take(), exchange.body_handler.take()));
        }
        exchange.reset();
        self.give_as_new(exchange);
    }

    /// Gives back a record that can be used again as it is.
    #[inline(always)]
    pub(crate) fn give_as_new(&self, exchange: Box<Exchange>) {
        debug_assert!(exchange.is_as_new(), "what is left of one exchange would come up in another");
        if let Some(other) = self.last.replace(Some(exchange)) {
            self.give_other(other);
        }
    }

    #[inline(never)]
    fn give_other(&self, exchange: Box<Exchange>) {
        let mut others = self.others.borrow_mut();
        if others.len() < POOLED {
            others.push(exchange);
        }
    }
}
