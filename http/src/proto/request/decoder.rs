//! The request side of one connection: a machine that is fed bytes and asked for events.
//!
//! # Theory of operation
//!
//! One state says what the next byte belongs to:
//!
//! ```text
//! Start      first byte of a request    Head; or at once on, if the head is in one piece (the usual case)
//! Head       empty line                 Length, ChunkLine, or End if there is no body
//! Length     last body byte             End
//! ChunkLine  CR LF after the size       ChunkData, or Trailers after size 0
//! ChunkData  last byte of the chunk     ChunkEnd
//! ChunkEnd   CR LF                      ChunkLine
//! Trailers   empty line                 as from End
//! End        (takes no byte)            Start, Closed after the last message, or Raw after an upgrade
//! ```
//!
//! [`Decoder::decode`] runs the machine until there is something to tell, takes the bytes for it off the
//! input, and returns one event. A fault ends the machine in `Failed`, which repeats the fault for ever.
//!
//! Two things are decided elsewhere. Where a body ends and whether a message is the last one is decided when
//! its head is read (`body.rs`, `framing_fields.rs`), and only carried out here. Whether an upgrade or a tunnel is
//! accepted is decided by the caller with [`Decoder::upgrade`]; it takes effect at the end of the message
//! (RFC 9110, 7.8).
//!
//! Only a head or a trailer section that arrives in pieces is ever copied, into a buffer that is released at
//! the next call after the section is complete. Body bytes are lent from the input.

use super::body::Framing;
use super::head::{self, RequestHead};
use crate::proto::chunked::ChunkLine;
use crate::proto::section::{Bounds, Cursor};
use crate::proto::{Fields, Limits, ParseError, Scratch};

/// Empty lines that are skipped before a request. RFC 9112, 2.2 asks for at least one, since old clients send
/// one after a body; the bound keeps a peer from holding a connection with nothing but line ends. Node has
/// none.
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
    /// The request is complete: follows every `Head`. Fields are those of the trailer section, without the
    /// ones that RFC 9110, 6.5.1 forbids there.
    End(Fields<'a>),
    /// No further request will come: the last message has ended, or the connection was handed over with
    /// [`Decoder::upgrade`]. The rest of the input is left where it is: in the first case it is to be ignored
    /// (answers may still be due for the requests before it), in the second it belongs to the other protocol.
    Done,
}

/// Reads one connection's requests.
///
/// Call [`decode`](Self::decode) until it says [`Event::NeedMore`] or [`Event::Done`]; feed more input when
/// it comes, and call [`finish`](Self::finish) at the end of it. A decoder that has asked for more between two
/// requests owns no memory.
///
/// ```
/// use http::proto::{Decoder, Event, Limits, Scratch};
///
/// let (mut decoder, mut scratch, limits) = (Decoder::new(), Scratch::new(), Limits::default());
/// let mut input: &[u8] = b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhiGET";
/// let Event::Head(head) = decoder.decode(&mut input, &mut scratch, &limits)? else { panic!() };
/// assert_eq!((head.method, head.path(), head.keep_alive), ("POST", "/a", true));
/// assert!(matches!(decoder.decode(&mut input, &mut scratch, &limits)?, Event::Body(b"hi")));
/// assert!(matches!(decoder.decode(&mut input, &mut scratch, &limits)?, Event::End(_)));
/// assert!(matches!(decoder.decode(&mut input, &mut scratch, &limits)?, Event::NeedMore));
/// assert!(decoder.finish().is_err(), "a head has begun");
/// # Ok::<(), http::proto::ParseError>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    machine: Machine,
    /// The section that is arriving in pieces. INVARIANT: empty in every state but `Head` and `Trailers`,
    /// save for a complete section that the last event may still borrow.
    partial: Vec<u8>,
}

/// The decoder without its buffer, so that an event can borrow the buffer while the machine moves on.
#[derive(Debug)]
struct Machine {
    state: State,
    /// What comes after the message at hand.
    next: Next,
    /// Bytes of chunk extensions in the message at hand.
    extensions: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between messages.
    Start(Blank),
    /// In a head whose bytes so far are in `partial`.
    Head(Cursor),
    /// In a body with so many bytes to come, at least one.
    Length(u64),
    ChunkLine(ChunkLine),
    /// In a chunk with so many bytes to come, at least one.
    ChunkData(u64),
    /// After a chunk's data; whether the CR was seen.
    ChunkEnd {
        cr: bool,
    },
    /// After the last chunk; bytes so far are in `partial`.
    Trailers(Cursor),
    /// The message is complete, and this is still to be said.
    End,
    /// After the last message.
    Closed,
    /// No longer HTTP.
    Raw,
    Failed(ParseError),
}

/// Empty lines seen before a request.
#[derive(Clone, Copy, Debug, Default)]
struct Blank {
    lines: u8,
    /// Whether the last byte was a CR.
    cr: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Nothing,
    OtherProtocol,
}

impl Decoder {
    /// A decoder for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes off the front of `input` up to the next event.
    ///
    /// `scratch` may be another one at each call. An error is final: messages can no longer be told apart, so
    /// the connection is to be closed once the answers due, and one with [`ParseError::status`], are out.
    pub fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        scratch: &'a mut Scratch,
        limits: &Limits,
    ) -> Result<Event<'a>, ParseError> {
        let Self { machine, partial } = self;
        if partial.capacity() > 0 && !matches!(machine.state, State::Head(_) | State::Trailers(_)) {
            *partial = Vec::new();
        }
        let result = machine.step(partial, input, scratch, limits);
        if let Err(fault) = result {
            machine.state = State::Failed(fault);
        }
        result
    }

    /// The next event, if it is a usual head with the fields of the one before it. `None` says nothing.
    #[inline(always)]
    pub(crate) fn next_usual_head<'a, 'i: 'a>(
        &mut self,
        input: &mut &'i [u8],
        scratch: &'a Scratch,
        limits: &Limits,
    ) -> Option<RequestHead<'a>> {
        if !self.machine.is_at_start() {
            return None;
        }
        let bounds = head_bounds(limits);
        let (head, len) = head::usual(bounds.window(input), &bounds, scratch)?;
        *input = &input[len..];
        (self.machine.state, self.machine.next) = (State::End, Next::Request);
        Some(head)
    }

    /// Takes the end of a message without trailers, if that is the next event. It takes no input.
    #[inline]
    pub(crate) fn take_end(&mut self) -> bool {
        let is_at_end = matches!(self.machine.state, State::End);
        if is_at_end {
            self.machine.end();
        }
        is_at_end
    }

    /// Whether only the end of a message without trailers is still to be told.
    pub(crate) fn is_at_end(&self) -> bool {
        matches!(self.machine.state, State::End)
    }

    /// Says that the peer has ended its side: an error if that is inside a message, even if only its head has
    /// begun.
    pub fn finish(&self) -> Result<(), ParseError> {
        match self.machine.state {
            State::Start(_) | State::End | State::Closed | State::Raw => Ok(()),
            State::Failed(fault) => Err(fault),
            _ => Err(ParseError::UnexpectedEof),
        }
    }

    /// Says that the connection leaves HTTP after the message at hand: its upgrade was accepted, or its
    /// tunnel opened.
    ///
    /// To be called after the message's [`Event::Head`], and before more is decoded than its [`Event::End`]:
    /// then every byte after the message is left in the input. Returns whether that was so; if not, nothing
    /// changes.
    #[must_use = "too late an upgrade does not happen"]
    pub fn upgrade(&mut self) -> bool {
        match self.machine.state {
            State::Start(Blank { lines: 0, cr: false }) | State::Closed => self.machine.state = State::Raw,
            State::Start(_) | State::Head(_) | State::Failed(_) => return false,
            State::Raw => {}
            _ => self.machine.next = Next::OtherProtocol,
        }
        true
    }

    /// Whether no byte of a next request has come since the last one ended; empty lines do not count.
    ///
    /// Also true before the first request, and never again after [`Event::Done`] or an error.
    pub fn is_idle(&self) -> bool {
        matches!(self.machine.state, State::Start(_))
    }

    /// Whether a request's first byte has come but its head is not complete: Node's `headersTimeout` runs.
    pub fn is_in_head(&self) -> bool {
        matches!(self.machine.state, State::Head(_))
    }

    /// Whether a request's first byte has come but not its last: Node's `requestTimeout` runs.
    pub fn has_started(&self) -> bool {
        !matches!(
            self.machine.state,
            State::Start(_) | State::End | State::Closed | State::Raw | State::Failed(_)
        )
    }

    /// Whether no memory is held. One that does lets go of what it needs no longer when it is asked for the next event.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.partial.capacity() == 0
    }

    /// Bytes held of a section that is arriving in pieces: never more than the limit for it.
    pub fn buffered(&self) -> usize {
        self.partial.len()
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self { state: State::Start(Blank::default()), next: Next::Request, extensions: 0 }
    }
}

impl Machine {
    /// Whether the next byte begins a head, with none skipped before it.
    #[inline]
    fn is_at_start(&self) -> bool {
        matches!(self.state, State::Start(Blank { lines: 0, cr: false }))
    }

    /// Runs up to the next event.
    fn step<'a, 'i: 'a>(
        &mut self,
        partial: &'a mut Vec<u8>,
        input: &mut &'i [u8],
        scratch: &'a mut Scratch,
        limits: &Limits,
    ) -> Result<Event<'a>, ParseError> {
        // Every turn but the last takes at least one byte, or enters a state whose turn does.
        loop {
            match &mut self.state {
                State::Start(blank) => {
                    if !blank.skip(input)? {
                        return Ok(Event::NeedMore);
                    }
                    return self.start_head(partial, input, scratch, limits);
                }
                State::Head(_) => return self.continue_head(partial, input, scratch, limits),
                State::Length(left) => {
                    let Some(data) = take_data(left, input) else { return Ok(Event::NeedMore) };
                    if *left == 0 {
                        self.state = State::End;
                    }
                    return Ok(Event::Body(data));
                }
                State::ChunkLine(line) => match line.read(input, &mut self.extensions, limits)? {
                    None => return Ok(Event::NeedMore),
                    Some(0) => self.state = State::Trailers(Cursor::at_trailers()),
                    Some(size) => self.state = State::ChunkData(size),
                },
                State::ChunkData(left) => {
                    let Some(data) = take_data(left, input) else { return Ok(Event::NeedMore) };
                    if *left == 0 {
                        self.state = State::ChunkEnd { cr: false };
                    }
                    return Ok(Event::Body(data));
                }
                State::ChunkEnd { cr } => {
                    let Some((&byte, rest)) = input.split_first() else { return Ok(Event::NeedMore) };
                    *input = rest;
                    match (*cr, byte) {
                        (false, b'\r') => *cr = true,
                        (true, b'\n') => self.state = State::ChunkLine(ChunkLine::new()),
                        _ => return Err(ParseError::InvalidChunkEnd),
                    }
                }
                State::Trailers(_) => return self.trailers(partial, input, scratch, limits),
                State::End => {
                    self.end();
                    return Ok(Event::End(Fields::default()));
                }
                State::Closed => {
                    // Nothing answers these, so their number needs no bound.
                    let line_ends = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                    *input = &input[line_ends..];
                    return Ok(Event::Done);
                }
                State::Raw => return Ok(Event::Done),
                State::Failed(fault) => return Err(*fault),
            }
        }
    }

    /// Reads a head that starts with `input`: lent from there if it is all there, which is the usual case.
    fn start_head<'a, 'i: 'a>(
        &mut self,
        partial: &'a mut Vec<u8>,
        input: &mut &'i [u8],
        scratch: &'a mut Scratch,
        limits: &Limits,
    ) -> Result<Event<'a>, ParseError> {
        let bounds = head_bounds(limits);
        let whole = *input;
        let read = head::read(bounds.window(whole), &bounds, scratch, |head, len| {
            *input = &whole[len..];
            self.begin(head);
            Event::Head(*head)
        });
        if let Some(event) = read? {
            return Ok(event);
        }
        // It is faulty or incomplete.
        let mut cursor = Cursor::at_head();
        if gather(&mut cursor, partial, input, &bounds)?.is_some() {
            return Err(ParseError::InvalidFieldValue); // see `continue_head`
        }
        self.state = State::Head(cursor);
        Ok(Event::NeedMore)
    }

    /// Goes on with a head whose start is in `partial`.
    #[cold]
    fn continue_head<'a, 'i: 'a>(
        &mut self,
        partial: &'a mut Vec<u8>,
        input: &mut &'i [u8],
        scratch: &'a mut Scratch,
        limits: &Limits,
    ) -> Result<Event<'a>, ParseError> {
        let State::Head(cursor) = &mut self.state else { return Ok(Event::NeedMore) };
        let bounds = head_bounds(limits);
        let Some(bytes) = gather(cursor, partial, input, &bounds)? else { return Ok(Event::NeedMore) };
        // The cursor has found it complete and valid. Should the two readers ever differ, the stricter one
        // wins.
        let read = head::read(bytes, &bounds, scratch, |head, _| {
            self.begin(head);
            Event::Head(*head)
        });
        read?.ok_or(ParseError::InvalidFieldValue)
    }

    /// Reads the trailer section.
    fn trailers<'a, 'i: 'a>(
        &mut self,
        partial: &'a mut Vec<u8>,
        input: &mut &'i [u8],
        scratch: &'a mut Scratch,
        limits: &Limits,
    ) -> Result<Event<'a>, ParseError> {
        let State::Trailers(cursor) = &mut self.state else { return Ok(Event::NeedMore) };
        let bounds = trailer_bounds(limits);
        let Some(bytes) = gather(cursor, partial, input, &bounds)? else { return Ok(Event::NeedMore) };
        // The cursor has seen to the limits.
        scratch.read_trailers(bytes, bounds.fields).ok_or(ParseError::InvalidFieldValue)?;
        self.end();
        Ok(Event::End(scratch.fields(bytes)))
    }

    /// Enters the body of the request that `head` starts.
    fn begin(&mut self, head: &RequestHead<'_>) {
        self.next = if head.keep_alive { Next::Request } else { Next::Nothing };
        self.state = match head.framing {
            Framing::None | Framing::Length(0) => State::End,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => {
                self.extensions = 0;
                State::ChunkLine(ChunkLine::new())
            }
        };
    }

    /// Leaves the message.
    #[inline]
    fn end(&mut self) {
        self.state = match self.next {
            Next::Request => State::Start(Blank::default()),
            Next::Nothing => State::Closed,
            Next::OtherProtocol => State::Raw,
        };
    }
}

/// Takes what is there of `left` more body bytes.
fn take_data<'a>(left: &mut u64, input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    let (data, rest) = input.split_at(len);
    *input = rest;
    *left -= len as u64;
    (!data.is_empty()).then_some(data)
}

/// Collects a section: returns it once it is complete, lent from `input` if it all came at once, else from
/// `partial`.
fn gather<'a, 'i: 'a>(
    cursor: &mut Cursor,
    partial: &'a mut Vec<u8>,
    input: &mut &'i [u8],
    bounds: &Bounds,
) -> Result<Option<&'a [u8]>, ParseError> {
    if partial.is_empty() {
        let window = bounds.window(input);
        if let Some(end) = cursor.advance(window, bounds)? {
            let (section, rest) = input.split_at(end);
            *input = rest;
            return Ok(Some(section));
        }
        // An incomplete section within its bounds is all of the input.
        partial.extend_from_slice(window);
        *input = &[];
        return Ok(None);
    }
    let held = partial.len();
    let room = (bounds.size + 1).saturating_sub(held);
    partial.extend_from_slice(&input[..input.len().min(room)]);
    let Some(end) = cursor.advance(partial, bounds)? else {
        *input = &[];
        return Ok(None);
    };
    *input = &input[end.saturating_sub(held)..];
    partial.truncate(end);
    Ok(Some(partial))
}

fn head_bounds(limits: &Limits) -> Bounds {
    Bounds { size: limits.head_size(), fields: limits.max_headers, too_large: ParseError::HeadTooLarge }
}

fn trailer_bounds(limits: &Limits) -> Bounds {
    Bounds {
        size: limits.trailer_size(),
        fields: limits.max_headers,
        too_large: ParseError::TrailersTooLarge,
    }
}

impl Blank {
    /// Skips empty lines; returns whether a request's first byte follows.
    #[inline]
    fn skip(&mut self, input: &mut &[u8]) -> Result<bool, ParseError> {
        while let Some((&byte, rest)) = input.split_first() {
            match (self.cr, byte) {
                (false, b'\r') => self.cr = true,
                (true, b'\n') if self.lines == MAX_BLANK_LINES => return Err(ParseError::TooManyBlankLines),
                (true, b'\n') => *self = Self { lines: self.lines + 1, cr: false },
                (true, _) | (false, b'\n') => return Err(ParseError::InvalidLineEnd),
                (false, _) => return Ok(true),
            }
            *input = rest;
        }
        Ok(false)
    }
}
