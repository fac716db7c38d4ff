//! One request and its answer: what the response knows of itself until it is sent, and the pool of such records.

use crate::lines::{KEPT_CAPACITY, Lines};
use crate::proto::{
    BodyFraming, ConnectionOptions, FieldLine, RequestFacts, ResponseFacts, ResponseFraming, SetEncoding,
    Version,
};
use crate::upcall::{BodyHandler, ResponseHandler};
use async_wrap::AsyncContext;
use std::cell::{Cell, RefCell};

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
    pub(crate) set: SetFields,
    pub(crate) framing: BodyFraming,
    /// Body bytes that the framing still allows or demands.
    pub(crate) left: u64,
    /// Whether the connection may carry another request after this response.
    pub(crate) keep_alive: bool,
    /// Whether the head says `Connection: close` by itself.
    pub(crate) send_close: bool,
    /// Whether the client, rather than this server, wanted the close.
    pub(crate) client_closes: bool,
    /// The body has, or had, a handler: it is received to its end whatever becomes of the response.
    pub(crate) wants_body: bool,
    /// The client waits for a `100 Continue` before it sends the body.
    pub(crate) awaits_continue: bool,
    /// Output that waits for the responses before this one.
    pub(crate) waiting: Vec<u8>,
    /// A write said `false`: `on_drain` is owed.
    pub(crate) needs_drain: bool,
    pub(crate) handler: Option<Box<dyn ResponseHandler>>,
    /// The handler is being called, and was not replaced.
    pub(crate) handler_is_out: bool,
    pub(crate) body_handler: Option<Box<dyn BodyHandler>>,
    /// The request's async context: its handlers run in it.
    pub(crate) context: AsyncContext,
}

/// What the application set, in the form in which it is needed.
#[derive(Default)]
pub(crate) struct SetFields {
    pub(crate) status: u16,
    /// Nothing was set beyond the status and lines that need no thought: the usual case, which is kept short.
    pub(crate) plain: bool,
    pub(crate) reason: Option<Box<[u8]>>,
    /// Lines as they will be sent, without those below.
    pub(crate) lines: Lines,
    pub(crate) content_length: Option<u64>,
    pub(crate) transfer_encoding: Option<Box<[u8]>>,
    pub(crate) connection: Option<Box<[u8]>>,
    pub(crate) trailer_lines: Vec<u8>,
    pub(crate) has: Names,
    /// Fields that were removed and are not sent by themselves either.
    pub(crate) removed: Names,
}

/// Fields that the server knows about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names {
    pub(crate) date: bool,
    pub(crate) keep_alive: bool,
    pub(crate) trailer: bool,
    pub(crate) content_length: bool,
    pub(crate) transfer_encoding: bool,
    pub(crate) connection: bool,
}

impl SetFields {
    fn new() -> Self {
        Self { status: 200, plain: true, ..Self::default() }
    }

    fn reset(&mut self) {
        self.lines.reset();
        self.status = 200;
        self.content_length = None;
        if !self.plain {
            self.reset_rest();
        }
    }

    #[inline(never)]
    fn reset_rest(&mut self) {
        let (lines, mut trailer_lines) =
            (std::mem::take(&mut self.lines), std::mem::take(&mut self.trailer_lines));
        recycle(&mut trailer_lines);
        *self = Self { lines, trailer_lines, ..Self::new() };
    }

    /// Forgets everything that was set, for a 500.
    pub(crate) fn fail(&mut self) {
        self.reset();
        self.status = 500;
    }

    /// Leaves what is to be sent.
    pub(crate) fn settle(&mut self, framing: &ResponseFraming) {
        self.content_length = framing.content_length;
        self.transfer_encoding = match framing.transfer_encoding {
            FieldLine::Omit => None,
            FieldLine::AsSet => self.transfer_encoding.take(),
            FieldLine::Send(()) => Some(Box::default()),
        };
        self.removed.connection = framing.connection == FieldLine::Omit;
        if framing.connection != FieldLine::AsSet {
            self.connection = None;
        }
        if self.has.trailer && !framing.trailers {
            self.lines.remove("Trailer", self.lines.len());
        }
    }

    pub(crate) fn facts(&self, known_length: Option<u64>) -> ResponseFacts {
        ResponseFacts {
            status: self.status,
            known_length,
            content_length: self.content_length,
            transfer_encoding: self.transfer_encoding.as_deref().map(set_encoding),
            connection: self.connection.as_deref().map(connection_options),
            trailer: self.has.trailer || !self.trailer_lines.is_empty(),
            no_content_length: self.removed.content_length,
            no_transfer_encoding: self.removed.transfer_encoding,
            no_connection: self.removed.connection,
        }
    }
}

fn set_encoding(value: &[u8]) -> SetEncoding {
    let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    if last.trim_ascii().eq_ignore_ascii_case(b"chunked") { SetEncoding::Chunked } else { SetEncoding::Other }
}

fn connection_options(value: &[u8]) -> ConnectionOptions {
    let mut options = ConnectionOptions::default();
    options.add(value);
    options
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
            request: RequestFacts::USUAL,
            is_usual: false,
            is_bare: true,
            phase: Phase::Head,
            handles: 0,
            set: SetFields::new(),
            framing: BodyFraming::None,
            left: 0,
            keep_alive: true,
            send_close: false,
            client_closes: false,
            wants_body: false,
            awaits_continue: false,
            waiting: Vec::new(),
            needs_drain: false,
            handler: None,
            handler_is_out: false,
            body_handler: None,
            context: AsyncContext::NONE,
        }
    }

    /// Whether trailers can be sent, as far as the request goes.
    pub(crate) fn may_have_trailers(&self) -> bool {
        self.request.version == Version::Http11 && !self.request.is_head
    }

    /// Whether the answer, its body known whole, is delimited by its length, and ends the connection only if the request
    /// wants that: what [`response_framing`](crate::proto::response_framing) would find, found sooner.
    #[inline]
    pub(crate) fn is_ordinary(&self) -> bool {
        self.is_usual
            && self.phase == Phase::Head
            && self.set.plain
            && (self.set.status == 200
                || (self.set.status > 200 && !matches!(self.set.status, 204 | 205 | 304)))
    }

    /// Ends an answer without what is left of it.
    pub(crate) fn cut(&mut self) {
        if self.is_open_ended() {
            // Nobody knows how much.
            self.left = u64::MAX;
        }
        self.phase = Phase::Ended;
        self.is_bare = false;
        self.keep_alive = false;
    }

    /// Whether this was cut, and nothing but the way in which the connection ends can tell the client.
    pub(crate) fn is_cut(&self) -> bool {
        self.framing == BodyFraming::UntilClose && self.left > 0
    }

    /// Whether some of this is written, and the end of the connection would be taken for its end.
    pub(crate) fn is_open_ended(&self) -> bool {
        self.framing == BodyFraming::UntilClose && self.phase == Phase::Body
    }

    /// Makes the record ready for another request. Its buffers stay.
    fn reset(&mut self) {
        self.phase = Phase::Head;
        self.set.reset();
        if !self.is_bare {
            self.reset_rest();
        }
    }

    /// The same for one that was bare and ordinary.
    #[inline(always)]
    pub(crate) fn reset_ordinary(&mut self) {
        self.set.lines.reset();
        self.set.status = 200;
    }

    /// Whether nothing is left of an earlier exchange but what every new one sets.
    fn is_as_new(&self) -> bool {
        let has_nobody = self.handler.is_none() && self.body_handler.is_none() && !self.handler_is_out;
        let wants_nothing = !self.wants_body && !self.needs_drain && self.waiting.is_empty();
        let says_nothing = self.set.lines.len() == 0 && self.set.content_length.is_none() && self.set.plain;
        let is_open = self.keep_alive && !self.send_close && self.left == 0 && self.phase == Phase::Head;
        self.is_bare
            && self.next.is_none()
            && self.framing == BodyFraming::None
            && has_nobody
            && wants_nothing
            && says_nothing
            && is_open
    }

    #[inline(never)]
    fn reset_rest(&mut self) {
        self.is_usual = false;
        self.is_bare = true;
        self.framing = BodyFraming::None;
        self.left = 0;
        self.keep_alive = true;
        self.send_close = false;
        self.client_closes = false;
        self.wants_body = false;
        self.awaits_continue = false;
        recycle(&mut self.waiting);
        self.needs_drain = false;
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
