//! The request side of one connection: a machine that is fed bytes and asked for events. Mirrors llhttp as
//! `node_http_parser.cc` uses it.
//!
//! # Theory of operation
//!
//! One state says what the next byte belongs to:
//!
//! ```text
//! Start   first byte of a request    Head; or at once Body, if the whole head is there (the most frequent case)
//! Head    empty line                 Body
//! Body    end of the message         Start, Closed after the last message, or Raw after an upgrade
//! ```
//!
//! A body is a machine of its own, `body.rs`, which reads trailers too; a request without a body is at its end at once.
//! [`Decoder::decode`] runs the machine up to the next event, takes the bytes of that event off the input, and returns it.
//! A fault ends the machine in `Failed`, which repeats the fault.
//!
//! Two things are decided elsewhere. Where a body ends and whether a message is the last one is decided when its head is
//! read (`meaning.rs`), and only carried out here. Whether an upgrade or a tunnel is accepted is
//! decided by the caller with [`Decoder::upgrade`]; it takes effect at the end of the message (RFC 9110, 7.8).
//!
//! Only a head or a trailer section that arrives in pieces is ever copied, into a buffer that is released at the next call
//! after the section is complete. Body bytes are lent from the input.

use super::head::{self, RequestHead};
use super::line;
use crate::proto::body::{BodyDecoder, BodyEvent, Next, Source};
use crate::proto::section::{Bounds, Partial};
use crate::proto::{FieldTable, Fields, Framing, Limits, ParseError};

/// Empty lines that are skipped before a request. RFC 9112, 2.2 asks for at least one, since old clients send one after a
/// body; the bound keeps a peer from holding a connection with line ends alone. Node has no bound.
const MAX_BLANK_LINES: u8 = 16;

/// What the peer's bytes mean.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// All of the input was taken and more is needed.
    NeedMore,
    /// A request starts.
    Head(RequestHead<'a>),
    /// Some of its body, with chunked coding removed; never empty.
    Body(&'a [u8]),
    /// The request is complete: follows every `Head`. The fields are those of the trailer section, without those which
    /// RFC 9110, 6.5.1 forbids there.
    End(Fields<'a>),
    /// No further request will come: the last message has ended, or the connection was handed over with
    /// [`Decoder::upgrade`]. The rest of the input is left where it is: in the first case it is to be ignored (responses to
    /// the requests before it may still be due), in the second it belongs to the other protocol.
    Done,
}

/// Reads one connection's requests.
///
/// Call [`decode`](Self::decode) until it returns [`Event::NeedMore`] or [`Event::Done`]; feed more input when it comes, and
/// call [`finish`](Self::finish) at its end. A decoder that needs more input between two requests owns no memory.
///
/// ```
/// use http::proto::{Decoder, Event, FieldTable, Limits};
///
/// let (mut decoder, mut table, limits) = (Decoder::new(), FieldTable::new(), Limits::default());
/// let mut input: &[u8] = b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhiGET";
/// let Event::Head(head) = decoder.decode(&mut input, &mut table, &limits)? else { panic!() };
/// assert_eq!((head.method, head.path(), head.keep_alive), ("POST", "/a", true));
/// assert!(matches!(decoder.decode(&mut input, &mut table, &limits)?, Event::Body(b"hi")));
/// assert!(matches!(decoder.decode(&mut input, &mut table, &limits)?, Event::End(_)));
/// assert!(matches!(decoder.decode(&mut input, &mut table, &limits)?, Event::NeedMore));
/// assert!(decoder.finish().is_err(), "a head has begun");
/// # Ok::<(), http::proto::ParseError>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    /// The section that is arriving in pieces. INVARIANT: empty unless a section is being read, but for a complete section
    /// that the last event may still borrow.
    partial: Partial,
}

// What it adds to an idle connection: there may be very many.
const _: () = assert!(size_of::<Decoder>() <= 32);

#[derive(Debug)]
enum State {
    /// Between messages, behind so many bytes of empty lines: after an odd number behind a CR.
    Start(u8),
    /// In a head whose bytes so far are in `partial`.
    Head,
    /// In a message whose head is complete.
    Body(BodyDecoder),
    /// After the last message.
    Closed,
    /// No longer HTTP.
    Raw,
    Failed(ParseError),
}

impl Default for State {
    fn default() -> Self {
        Self::Start(0)
    }
}

impl Decoder {
    /// A decoder for a new connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes off the front of `input` up to the next event.
    ///
    /// `table` may be another one at each call. An error is final, because messages can no longer be told apart: the
    /// connection is to be closed once the responses due, and one with [`ParseError::status`], are sent.
    ///
    /// # Errors
    /// The first fault of the input; the same again at each later call.
    pub fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        table: &'a mut FieldTable,
        limits: &Limits,
    ) -> Result<Event<'a>, ParseError> {
        let Self { state, partial } = self;
        if !partial.is_empty() && !state.is_in_section() {
            *partial = Partial::default();
        }
        let result = state.step(Source { input, partial, table, limits });
        if let Err(fault) = result {
            *state = State::Failed(fault);
        }
        result
    }

    /// A decoder whose next event is the end of a message without trailers.
    pub(crate) fn at_end() -> Self {
        Self { state: State::Body(BodyDecoder::new(Framing::None, Next::Message)), ..Self::default() }
    }

    /// Whether the next byte begins a head, with none skipped before it, and no memory is held.
    #[inline]
    pub(crate) fn is_fresh(&self) -> bool {
        matches!(self.state, State::Start(0)) && self.partial.is_empty()
    }

    /// Takes the end of a message without trailers, if that is the next event. It takes no input.
    #[inline]
    pub(crate) fn take_end(&mut self) -> bool {
        let is_at_end = self.is_at_end();
        if is_at_end {
            self.state.end_message();
        }
        is_at_end
    }

    /// Whether the next event is the end of a message, without trailers.
    #[inline]
    pub(crate) fn is_at_end(&self) -> bool {
        matches!(&self.state, State::Body(body) if body.is_at_end())
    }

    /// Ends the input.
    ///
    /// # Errors
    /// `UnexpectedEof` if the input ends inside a message, even if only its head has begun; after a fault that fault.
    pub fn finish(&self) -> Result<(), ParseError> {
        match &self.state {
            State::Start(_) | State::Closed | State::Raw => Ok(()),
            State::Body(body) if body.is_at_end() => Ok(()),
            State::Failed(fault) => Err(*fault),
            State::Head | State::Body(_) => Err(ParseError::UnexpectedEof),
        }
    }

    /// Has the connection leave HTTP after the message at hand: its upgrade was accepted, or its tunnel opened.
    ///
    /// To be called after the message's [`Event::Head`], and before more is decoded than its [`Event::End`]: then every
    /// byte after the message stays in the input. Returns whether that was so; if not, nothing changes.
    #[must_use = "too late an upgrade does not happen"]
    pub fn upgrade(&mut self) -> bool {
        match &mut self.state {
            State::Start(0) | State::Closed => self.state = State::Raw,
            State::Start(_) | State::Head | State::Failed(_) => return false,
            State::Raw => {}
            State::Body(body) => body.next = Next::OtherProtocol,
        }
        true
    }

    /// Whether a request's first byte has come but its head is not complete: Node's `headersTimeout` runs.
    #[must_use]
    pub fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head)
    }

    /// Whether a request's first byte has come but not its last: Node's `requestTimeout` runs.
    #[must_use]
    pub fn has_started(&self) -> bool {
        match &self.state {
            State::Head => true,
            State::Body(body) => !body.is_at_end(),
            State::Start(_) | State::Closed | State::Raw | State::Failed(_) => false,
        }
    }

    /// Bytes held of a section that is arriving in pieces: never more than the limit for it.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.partial.len()
    }
}

impl State {
    /// Whether a section is being read, so that some of it may be held.
    fn is_in_section(&self) -> bool {
        matches!(self, Self::Head) || matches!(self, Self::Body(body) if body.is_in_trailers())
    }

    /// Runs up to the next event.
    fn step<'a>(&mut self, source: Source<'_, '_, 'a>) -> Result<Event<'a>, ParseError> {
        match self {
            Self::Start(skipped) => {
                if skip_blank_lines(skipped, source.input)? {
                    self.start_head(source)
                } else {
                    Ok(Event::NeedMore)
                }
            }
            Self::Head => self.continue_head(source),
            Self::Body(body) => match body.decode(source)? {
                BodyEvent::NeedMore => Ok(Event::NeedMore),
                BodyEvent::Data(data) => Ok(Event::Body(data)),
                BodyEvent::End(trailers) => {
                    self.end_message();
                    Ok(Event::End(trailers))
                }
            },
            Self::Closed => {
                // No response follows these, so their number needs no bound.
                let line_ends = source.input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                *source.input = &source.input[line_ends..];
                Ok(Event::Done)
            }
            Self::Raw => Ok(Event::Done),
            Self::Failed(fault) => Err(*fault),
        }
    }

    /// Reads a head that starts with the input: lent from there if all of it is there, which is the most frequent case.
    fn start_head<'a>(&mut self, source: Source<'_, '_, 'a>) -> Result<Event<'a>, ParseError> {
        let Source { input, partial, table, limits } = source;
        let (bounds, whole) = (Bounds::of_head(limits), *input);
        let read = head::read(bounds.window(whole), &bounds, table, |head, len| {
            *input = &whole[len..];
            self.start_body(head)
        });
        if let Some(event) = read? {
            return Ok(event);
        }
        partial.gather(input, &bounds, |bytes| line::len(bytes, &bounds))?;
        *self = Self::Head;
        Ok(Event::NeedMore)
    }

    /// Goes on with a head whose start was gathered.
    #[cold]
    fn continue_head<'a>(&mut self, source: Source<'_, '_, 'a>) -> Result<Event<'a>, ParseError> {
        let Source { input, partial, table, limits } = source;
        let bounds = Bounds::of_head(limits);
        let gathered = partial.gather(input, &bounds, |bytes| line::len(bytes, &bounds))?;
        let Some(bytes) = gathered else { return Ok(Event::NeedMore) };
        let read = head::read(bytes, &bounds, table, |head, _| self.start_body(head))?;
        Ok(read.unwrap_or(Event::NeedMore))
    }

    /// Enters the body of the request that `head` starts.
    fn start_body<'a>(&mut self, head: &RequestHead<'a>) -> Event<'a> {
        let next = if head.keep_alive { Next::Message } else { Next::Nothing };
        *self = Self::Body(BodyDecoder::new(head.framing, next));
        Event::Head(*head)
    }

    /// Leaves the message.
    #[inline]
    fn end_message(&mut self) {
        let Self::Body(body) = self else { return };
        *self = match body.next {
            Next::Message => Self::default(),
            Next::Nothing => Self::Closed,
            Next::OtherProtocol => Self::Raw,
        };
    }
}

/// Skips empty lines, of which `skipped` bytes came before; returns whether a request's first byte is next.
#[inline]
fn skip_blank_lines(skipped: &mut u8, input: &mut &[u8]) -> Result<bool, ParseError> {
    while let Some((&byte, rest)) = input.split_first() {
        match (*skipped % 2 == 1, byte) {
            (true, b'\n') if *skipped > 2 * MAX_BLANK_LINES => return Err(ParseError::TooManyBlankLines),
            (false, b'\r') | (true, b'\n') => *skipped += 1,
            (false, b'\n') | (true, _) => return Err(ParseError::InvalidLineEnd),
            (false, _) => return Ok(true),
        }
        *input = rest;
    }
    Ok(false)
}
