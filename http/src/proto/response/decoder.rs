//! The response side of one connection: a machine that is fed bytes and asked for events. Mirrors llhttp as
//! `node_http_parser.cc` uses it for clients.
//!
//! # Theory of operation
//!
//! One state says what the next byte belongs to:
//!
//! ```text
//! Idle    (no byte may come)        Start, when a request is sent
//! Start   first byte of a response  Head; or at once Body or Start, if the whole head is there (the most frequent case)
//! Head    empty line                Body, or Start behind an informational response
//! Body    end of the message        Idle, Closed after the last message, or Raw after an upgrade
//! ```
//!
//! A request is answered by one response, and a client that has sent none is sent nothing: bytes in `Idle` are a fault,
//! before the first request as well as behind a complete response, since a client that reads them as the next answer gives
//! it to the wrong request. So [`ResponseDecoder::begin`] is called for each request, before its first byte is sent.
//!
//! As with requests, a fault ends the machine in `Failed`, and only sections that arrive in pieces are copied. A fault is
//! found at the first byte that no valid response has there, in whatever pieces the bytes come, and
//! [`ResponseDecoder::offset`] has its position.

use super::received::{self, IncomingResponse, ResponseTo};
use super::status_line;
use crate::proto::body::{BodyDecoder, BodyEvent, Next, Source};
use crate::proto::section::{Bounds, Partial};
use crate::proto::{FieldTable, Fields, Framing, Limits, ParseError};

/// Informational responses to one request. Servers send one or two; without a bound a server could hold a client forever.
const MAX_INFORMATIONAL: u8 = 32;

/// What the server's bytes mean.
#[derive(Clone, Copy, Debug)]
pub enum ResponseEvent<'a> {
    /// All of the input was taken and more is needed.
    NeedMore,
    /// An interim response: 1xx but 101. The final one is still to come.
    Information(IncomingResponse<'a>),
    /// The final response starts.
    Head(IncomingResponse<'a>),
    /// Some of its body, with chunked coding removed; never empty.
    Body(&'a [u8]),
    /// The response is complete: follows every `Head`. The fields are those of the trailer section, without those which
    /// RFC 9110, 6.5.1 forbids there.
    End(Fields<'a>),
    /// No further response will come: the last one has ended, or the connection is no longer HTTP. The rest of the input is
    /// left where it is: in the first case it is to be ignored, in the second it belongs to the other protocol.
    Done,
}

/// Reads one connection's responses.
///
/// Call [`begin`](Self::begin) for each request, and [`decode`](Self::decode) until it returns [`ResponseEvent::NeedMore`] or
/// [`ResponseEvent::Done`]; feed more input when it comes, and call [`finish`](Self::finish) at its end. A decoder between two
/// responses owns no memory.
///
/// ```
/// use http::proto::{FieldTable, Limits, ResponseDecoder, ResponseEvent, ResponseTo};
///
/// let (mut decoder, mut table, limits) = (ResponseDecoder::new(), FieldTable::new(), Limits::default());
/// assert!(decoder.begin(ResponseTo::default()));
/// let mut input: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
/// let ResponseEvent::Head(head) = decoder.decode(&mut input, &mut table, &limits)? else { panic!() };
/// assert_eq!((head.status, head.keep_alive), (200, true));
/// assert!(matches!(decoder.decode(&mut input, &mut table, &limits)?, ResponseEvent::Body(b"hi")));
/// assert!(matches!(decoder.decode(&mut input, &mut table, &limits)?, ResponseEvent::End(_)));
/// assert!(decoder.is_idle());
/// # Ok::<(), http::proto::ParseError>(())
/// ```
#[derive(Debug, Default)]
pub struct ResponseDecoder {
    state: State,
    to: ResponseTo,
    informational: u8,
    /// The section that is arriving in pieces. INVARIANT: empty unless a section is being read, but for a complete section
    /// that the last event may still borrow.
    partial: Partial,
    /// Bytes of the response so far, informational ones included; after a fault those before its byte.
    taken: u64,
}

#[derive(Debug, Default)]
enum State {
    /// No request is waiting for a response.
    #[default]
    Idle,
    /// Before a response.
    Start,
    /// In a head whose bytes so far are in `partial`.
    Head,
    /// In a response whose head is complete; the end of the connection ends it if `until_close`.
    Body {
        body: BodyDecoder,
        until_close: bool,
    },
    /// After the last response.
    Closed,
    /// No longer HTTP.
    Raw,
    Failed(ParseError),
}

impl ResponseDecoder {
    /// A decoder for a new connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects a response. To be called before the request's first byte is sent. Returns `false`, and changes nothing, if the
    /// last response is not complete or no further one will come.
    #[must_use = "a request that is not expected cannot be answered"]
    pub fn begin(&mut self, to: ResponseTo) -> bool {
        let is_idle = self.is_idle();
        if is_idle {
            (self.state, self.to, self.informational, self.taken) = (State::Start, to, 0, 0);
        }
        is_idle
    }

    /// Whether every request is answered, and another one may be sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Takes bytes off the front of `input` up to the next event.
    ///
    /// `table` may be another one at each call. An error is final, because messages can no longer be told apart: the
    /// connection is to be closed.
    ///
    /// # Errors
    /// The first fault of the input; the same again at each later call.
    pub fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        table: &'a mut FieldTable,
        limits: &Limits,
    ) -> Result<ResponseEvent<'a>, ParseError> {
        let Self { state, to, informational, partial, taken } = self;
        if !partial.is_empty() && !state.is_in_section() {
            *partial = Partial::default();
        }
        let (whole, held) = (*input, partial.len() as u64);
        let source = Source { input: &mut *input, partial, table, limits };
        let result = state.step(source, *to, informational);
        let consumed = (whole.len() - input.len()) as u64;
        match &result {
            Ok(_) => *taken += consumed,
            Err((fault, at)) => {
                // What is held of a section was counted when it came.
                let section = if held > 0 { *taken - held } else { *taken + consumed };
                // Outside of sections the faulty byte is the last that was taken.
                *taken = at.map_or(section.saturating_sub(1), |at| section + at as u64);
                *state = State::Failed(*fault);
            }
        }
        result.map_err(|(fault, _)| fault)
    }

    /// Ends the input. Returns whether a response is complete with it, whose body the end of the connection delimits: what
    /// `decode` would return is [`ResponseEvent::End`] without trailers. To be called only for an end in order (FIN, or over
    /// TLS `close_notify`), for no other end tells that all of such a body has come.
    ///
    /// # Errors
    /// `UnexpectedEof` if the input ends inside a response, or before the response to a request; after a fault that fault.
    pub fn finish(&mut self) -> Result<bool, ParseError> {
        match &self.state {
            State::Idle | State::Closed | State::Raw => Ok(false),
            State::Body { until_close: true, .. } => {
                self.state = State::Closed;
                Ok(true)
            }
            State::Body { body, .. } if body.is_at_end() => Ok(false),
            State::Failed(fault) => Err(*fault),
            State::Start | State::Head | State::Body { .. } => Err(ParseError::UnexpectedEof),
        }
    }

    /// Bytes of the response so far, with the informational ones before it. After a fault those before the first byte that no
    /// valid response has there; if only the head as a whole is faulty, that is its last byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.taken
    }

    /// Bytes that are missing of a body with a `Content-Length`.
    #[must_use]
    pub fn missing(&self) -> Option<u64> {
        if let State::Body { body, .. } = &self.state { body.missing() } else { None }
    }

    /// Whether a byte of a response has come that is not complete.
    #[must_use]
    pub fn has_started(&self) -> bool {
        match &self.state {
            State::Head => true,
            State::Body { body, .. } => !body.is_at_end(),
            State::Start => self.taken > 0,
            State::Idle | State::Closed | State::Raw | State::Failed(_) => false,
        }
    }

    /// Bytes held of a section that is arriving in pieces: never more than the limit for it.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.partial.len()
    }
}

/// A fault, and where in its section it is; `None` if it is not in a section.
type Fault = (ParseError, Option<usize>);

impl State {
    /// Whether a section is being read, so that some of it may be held.
    fn is_in_section(&self) -> bool {
        matches!(self, Self::Head) || matches!(self, Self::Body { body, .. } if body.is_in_trailers())
    }

    /// Runs up to the next event.
    fn step<'a>(
        &mut self,
        source: Source<'_, '_, 'a>,
        to: ResponseTo,
        informational: &mut u8,
    ) -> Result<ResponseEvent<'a>, Fault> {
        match self {
            Self::Idle | Self::Start if source.input.is_empty() => Ok(ResponseEvent::NeedMore),
            Self::Idle => Err((ParseError::Unsolicited, Some(0))),
            Self::Start => self.start_head(source, to, informational),
            Self::Head => self.continue_head(source, to, informational),
            Self::Body { body, .. } => match body.decode(source) {
                Ok(BodyEvent::NeedMore) => Ok(ResponseEvent::NeedMore),
                Ok(BodyEvent::Data(data)) => Ok(ResponseEvent::Body(data)),
                Ok(BodyEvent::End(trailers)) => {
                    self.end_message();
                    Ok(ResponseEvent::End(trailers))
                }
                Err(fault) => Err((fault, body.fault_at())),
            },
            Self::Closed | Self::Raw => Ok(ResponseEvent::Done),
            Self::Failed(fault) => Err((*fault, Some(0))),
        }
    }

    /// Reads a head that starts with the input: lent from there if all of it is there, which is the most frequent case.
    fn start_head<'a>(
        &mut self,
        source: Source<'_, '_, 'a>,
        to: ResponseTo,
        informational: &mut u8,
    ) -> Result<ResponseEvent<'a>, Fault> {
        let Source { input, partial, table, limits } = source;
        let (bounds, whole) = (Bounds::of_head(limits), *input);
        let window = bounds.window(whole);
        let start_line = |bytes: &[u8]| status_line::len(bytes, &bounds);
        match received::read(window, &bounds, table, to) {
            Err(fault) => Err((fault, Some(bounds.fault_at(window, start_line)))),
            Ok(Some((head, len))) => {
                let begun = self.begin_body(head, len, informational)?;
                *input = &whole[len..];
                Ok(begun)
            }
            Ok(None) => {
                if let Err(fault) = partial.gather(input, &bounds, start_line) {
                    return Err((fault, Some(bounds.fault_at(window, start_line))));
                }
                *self = Self::Head;
                Ok(ResponseEvent::NeedMore)
            }
        }
    }

    /// Goes on with a head whose start was gathered.
    #[cold]
    fn continue_head<'a>(
        &mut self,
        source: Source<'_, '_, 'a>,
        to: ResponseTo,
        informational: &mut u8,
    ) -> Result<ResponseEvent<'a>, Fault> {
        let Source { input, partial, table, limits } = source;
        let bounds = Bounds::of_head(limits);
        let start_line = |bytes: &[u8]| status_line::len(bytes, &bounds);
        let is_complete = partial.gather(input, &bounds, start_line).map(|section| section.is_some());
        let bytes = partial.bytes();
        let head = match is_complete {
            Ok(false) => return Ok(ResponseEvent::NeedMore),
            Ok(true) => received::read(bytes, &bounds, table, to),
            Err(fault) => Err(fault),
        };
        match head {
            Ok(Some((head, len))) => self.begin_body(head, len, informational),
            Ok(None) => Ok(ResponseEvent::NeedMore),
            Err(fault) => Err((fault, Some(bounds.fault_at(bytes, start_line)))),
        }
    }

    /// Enters the body of the response that `head`, of `len` bytes, starts, or waits for the response behind an informational
    /// one.
    fn begin_body<'a>(
        &mut self,
        head: IncomingResponse<'a>,
        len: usize,
        informational: &mut u8,
    ) -> Result<ResponseEvent<'a>, Fault> {
        if head.is_informational() {
            *informational += 1;
            if *informational > MAX_INFORMATIONAL {
                return Err((ParseError::TooManyInformational, Some(len - 1)));
            }
            *self = Self::Start;
            return Ok(ResponseEvent::Information(head));
        }
        let next = match head {
            IncomingResponse { is_upgrade: true, .. } => Next::OtherProtocol,
            IncomingResponse { keep_alive: true, .. } => Next::Message,
            _ => Next::Nothing,
        };
        let until_close = head.framing == Framing::UntilClose;
        *self = Self::Body { body: BodyDecoder::new(head.framing, next), until_close };
        Ok(ResponseEvent::Head(head))
    }

    /// Leaves the message.
    fn end_message(&mut self) {
        let Self::Body { body, .. } = self else { return };
        *self = match body.next {
            Next::Message => Self::Idle,
            Next::Nothing => Self::Closed,
            Next::OtherProtocol => Self::Raw,
        };
    }
}
