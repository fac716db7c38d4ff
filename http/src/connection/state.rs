//! What a connection is doing: what its next byte means, how far its end is, whether its client still sends, and what
//! stands still. Mirrors what Node spreads over its parser, `socket._httpMessage`, `state.outgoing` and the socket's flags.
//!
//! # Theory of operation
//!
//! [`Reading`] says what the next byte from the client means:
//!
//! | event | Fresh | Idle | Head | Body | Ignored | Trailing | Raw |
//! |---|---|---|---|---|---|---|---|
//! | `head_started` | Head | Head, clock | – | – | – | – | – |
//! | `head_completed` | Body | Body, clock | Body | – | – | – | – |
//! | `message_ended` | – | – | – | Idle; Ignored if no further request is taken | – | – | – |
//! | `last_request`, `end`, `linger` | Ignored | Ignored | Ignored | – | – | – | – |
//! | `refused` | Ignored | Ignored | Ignored | Ignored | – | – | – |
//! | `bytes_skipped` | – | Trailing | – | – | Trailing | – | – |
//! | `upgraded` | – | – | – | Raw | – | – | – |
//!
//! A dash leaves the state as it is. "Clock" restarts the time that a request may take; it runs from the connection's start
//! for the first one. What limits the time: in Fresh and Head `headers_timeout` and `request_timeout`, in Body
//! `request_timeout`, in Idle `keep_alive_timeout`, in Ignored and Trailing the client's reading, in Raw nothing.
//!
//! [`Closing`] says how far the end is, and only moves to the right: `Open`, `LastRequest` (a response says close),
//! one of three reasons to end behind the turn of input, `Lingering` (this side has ended; see [`net::Linger`]).
//!
//! The client's side is `Open`, `EndedUnread` (its FIN lies behind input that is not read, since decoding is stalled), or
//! `Ended`. Four more facts hold decoding back: the body is paused or held, the socket is full, and, in consequence,
//! decoding is stalled: see `Connection::must_stall`.
//!
//! All of it is one word. What most requests meet is a comparison with one value of it: see
//! [`is_between_requests`](State::is_between_requests) and [`is_serving`](State::is_serving).

use std::cell::Cell;

/// What the next byte from the client means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It begins the first request.
    Fresh,
    /// It begins another request: silence is idleness, not slowness.
    Idle,
    /// It belongs to a request whose head is not complete.
    Head,
    /// It belongs to a request whose head is complete, or that was received whole and has not ended yet.
    Body,
    /// It follows the last request.
    Ignored,
    /// It follows the last request, and it is not the first byte that does.
    Trailing,
    /// It is not HTTP: the socket was handed over.
    Raw,
}

/// How far the end of the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closing {
    /// Requests are taken.
    Open,
    /// No further request is taken: the response that ends the connection is decided.
    LastRequest,
    /// The connection ends when the turn of input is over, as the server wants.
    EndingForServer,
    /// The same, as the client wants: it expects the end.
    EndingForClient,
    /// The same, behind a response that is not whole: only a reset can tell the client.
    EndingTruncated,
    /// This side has ended. Input is thrown away until the client ends too.
    Lingering,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The client asked for it, and is at its end when the message at hand is over.
    Client,
    /// The server wants it.
    Server,
    /// The last response is not whole, and only a reset can tell the client.
    Truncated,
}

/// Whether the client still sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientSide {
    Open,
    EndedUnread,
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Word {
    reading: Reading,
    closing: Closing,
    client: ClientSide,
    /// Input is being decoded: output is collected, and sent together at the end of the turn.
    in_turn: bool,
    /// The application paused the body that is being received.
    body_paused: bool,
    /// The application holds the body that is being received, and has not set its handler.
    body_held: bool,
    /// The socket holds more output than it should.
    socket_full: bool,
    /// Decoding stands still and the socket is paused.
    stalled: bool,
}

impl Word {
    const BETWEEN_REQUESTS: Self = Self {
        reading: Reading::Idle,
        closing: Closing::Open,
        client: ClientSide::Open,
        in_turn: true,
        body_paused: false,
        body_held: false,
        socket_full: false,
        stalled: false,
    };

    const SERVING: Self = Self { reading: Reading::Body, ..Self::BETWEEN_REQUESTS };

    /// All fields at once, so that comparing two words is one comparison.
    const fn bits(self) -> u64 {
        u64::from_le_bytes([
            self.reading as u8,
            self.closing as u8,
            self.client as u8,
            self.in_turn as u8,
            self.body_paused as u8,
            self.body_held as u8,
            self.socket_full as u8,
            self.stalled as u8,
        ])
    }
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct State(Cell<Word>);

const _: () = assert!(size_of::<State>() == 8);

impl State {
    pub(super) fn new() -> Self {
        Self(Cell::new(Word { reading: Reading::Fresh, in_turn: false, ..Word::BETWEEN_REQUESTS }))
    }

    fn change(&self, change: impl FnOnce(&mut Word)) {
        let mut word = self.0.get();
        change(&mut word);
        self.0.set(word);
    }

    /// Enters `to` if the state is one of `from`. Returns the state before.
    fn read(&self, from: &[Reading], to: Reading) -> Reading {
        let before = self.reading();
        if from.contains(&before) {
            self.change(|word| word.reading = to);
        }
        before
    }

    fn close(&self, to: Closing) {
        self.change(|word| word.closing = word.closing.max(to));
        self.read(&[Reading::Fresh, Reading::Idle, Reading::Head], Reading::Ignored);
    }

    /// A turn of input begins.
    #[inline]
    pub(super) fn turn_began(&self) {
        self.change(|word| word.in_turn = true);
    }

    /// The turn of input is over.
    #[inline]
    pub(super) fn turn_ended(&self) {
        self.change(|word| word.in_turn = false);
    }

    /// The first byte of a request has come, but not all of its head. Returns whether its time begins now.
    pub(super) fn head_started(&self) -> bool {
        self.read(&[Reading::Fresh, Reading::Idle], Reading::Head) == Reading::Idle
    }

    /// The head of a request is complete. Returns whether its time begins now.
    #[inline]
    pub(super) fn head_completed(&self) -> bool {
        self.read(&[Reading::Fresh, Reading::Idle, Reading::Head], Reading::Body) == Reading::Idle
    }

    /// The message at hand is received.
    #[inline]
    pub(super) fn message_ended(&self) {
        self.change(|word| {
            if word.reading == Reading::Body {
                word.reading = if word.closing == Closing::Open { Reading::Idle } else { Reading::Ignored };
            }
            (word.body_paused, word.body_held) = (false, false);
        });
    }

    /// No further request is taken: a response that says close is written, or decided.
    pub(super) fn last_request(&self) {
        self.close(Closing::LastRequest);
    }

    /// The message at hand, or what came in place of one, is not received any further.
    pub(super) fn refused(&self) {
        self.last_request();
        self.read(&[Reading::Body], Reading::Ignored);
    }

    /// Input was not looked at, since nothing is to come any more.
    pub(super) fn bytes_skipped(&self) {
        self.read(&[Reading::Idle, Reading::Ignored], Reading::Trailing);
    }

    /// The connection leaves HTTP.
    pub(super) fn upgraded(&self) {
        self.last_request();
        self.read(&[Reading::Body], Reading::Raw);
    }

    /// The connection ends when the turn of input is over.
    pub(super) fn end(&self, why: Why) {
        self.close(match why {
            Why::Server => Closing::EndingForServer,
            Why::Client => Closing::EndingForClient,
            Why::Truncated => Closing::EndingTruncated,
        });
    }

    /// This side has ended, or the socket is closed. Nothing is held back any more.
    pub(super) fn linger(&self) {
        self.close(Closing::Lingering);
        self.change(|word| {
            (word.body_paused, word.body_held, word.socket_full, word.stalled) = (false, false, false, false);
        });
    }

    /// The client has ended its side, and all that it sent was read.
    pub(super) fn client_ended(&self) {
        self.change(|word| word.client = ClientSide::Ended);
    }

    /// The client has ended its side behind what is not read.
    pub(super) fn client_ended_unread(&self) {
        self.change(|word| {
            if word.client == ClientSide::Open {
                word.client = ClientSide::EndedUnread;
            }
        });
    }

    pub(crate) fn pause_body(&self) {
        self.change(|word| word.body_paused = true);
    }

    pub(crate) fn hold_body(&self) {
        self.change(|word| word.body_held = true);
    }

    /// The body has a handler. Returns whether it was held.
    pub(crate) fn claim_body(&self) -> bool {
        let was_held = self.0.get().body_held;
        self.change(|word| word.body_held = false);
        was_held
    }

    /// The body may come. Returns whether it was paused or held.
    pub(crate) fn resume_body(&self) -> bool {
        let stood = self.is_body_stopped();
        self.change(|word| (word.body_paused, word.body_held) = (false, false));
        stood
    }

    /// The socket holds more output than it should.
    pub(super) fn socket_filled(&self) {
        self.change(|word| word.socket_full = true);
    }

    pub(super) fn socket_drained(&self) {
        self.change(|word| word.socket_full = false);
    }

    pub(super) fn stall(&self) {
        self.change(|word| word.stalled = true);
    }

    pub(super) fn unstall(&self) {
        self.change(|word| word.stalled = false);
    }

    /// Whether a turn of input is going on in which the next byte begins a request or goes on with a head, and nothing
    /// beside.
    #[inline]
    pub(super) fn is_between_requests(&self) -> bool {
        let word = self.0.get();
        matches!(word.reading, Reading::Fresh | Reading::Idle | Reading::Head)
            && Word { reading: Reading::Idle, ..word }.bits() == Word::BETWEEN_REQUESTS.bits()
    }

    /// Whether a turn of input is going on in which a request is being served, and nothing beside.
    #[inline]
    pub(super) fn is_serving(&self) -> bool {
        self.0.get().bits() == Word::SERVING.bits()
    }

    pub(crate) fn reading(&self) -> Reading {
        self.0.get().reading
    }

    #[inline]
    pub(super) fn in_turn(&self) -> bool {
        self.0.get().in_turn
    }

    /// Whether the head of a message was decoded, and its end was not.
    #[inline]
    pub(super) fn is_in_message(&self) -> bool {
        self.reading() == Reading::Body
    }

    /// Whether nothing that may still come is of interest.
    pub(crate) fn is_deaf(&self) -> bool {
        self.is_lingering() || matches!(self.reading(), Reading::Ignored | Reading::Trailing)
    }

    /// Whether no part of a request was received that is not complete, and none may be on its way to a handler.
    pub(crate) fn is_quiet(&self) -> bool {
        !matches!(self.reading(), Reading::Head | Reading::Body | Reading::Raw) && !self.is_lingering()
    }

    /// Whether the client is at its end: the last request is received, and nothing came behind it.
    pub(super) fn is_at_end(&self) -> bool {
        !matches!(self.reading(), Reading::Body | Reading::Trailing) && !self.is_stalled()
    }

    /// Whether the connection left HTTP.
    pub(crate) fn is_raw(&self) -> bool {
        self.reading() == Reading::Raw
    }

    /// Whether further requests are taken.
    pub(super) fn is_open(&self) -> bool {
        self.0.get().closing == Closing::Open
    }

    /// Whether the connection ends or has ended, so that nothing can be answered any more.
    #[inline]
    pub(super) fn is_ending(&self) -> bool {
        self.0.get().closing >= Closing::EndingForServer
    }

    /// Why the connection is to end, if this side has not ended yet.
    #[inline]
    pub(super) fn due_end(&self) -> Option<Why> {
        match self.0.get().closing {
            Closing::EndingForServer => Some(Why::Server),
            Closing::EndingForClient => Some(Why::Client),
            Closing::EndingTruncated => Some(Why::Truncated),
            Closing::Open | Closing::LastRequest | Closing::Lingering => None,
        }
    }

    pub(crate) fn is_lingering(&self) -> bool {
        self.0.get().closing == Closing::Lingering
    }

    /// Whether the client has ended its side, and all that it sent was read.
    pub(crate) fn has_client_ended(&self) -> bool {
        self.0.get().client == ClientSide::Ended
    }

    /// Whether the client has ended its side behind what is not read, since decoding is stalled.
    pub(crate) fn has_ended_unread(&self) -> bool {
        self.0.get().client == ClientSide::EndedUnread && self.is_stalled()
    }

    /// Whether the client has ended its side, as far as that is known.
    pub(crate) fn is_client_end_known(&self) -> bool {
        self.0.get().client != ClientSide::Open
    }

    pub(crate) fn is_body_paused(&self) -> bool {
        self.0.get().body_paused
    }

    pub(super) fn is_body_held(&self) -> bool {
        self.0.get().body_held
    }

    /// Whether the body is paused or held.
    pub(crate) fn is_body_stopped(&self) -> bool {
        let word = self.0.get();
        word.body_paused || word.body_held
    }

    pub(crate) fn is_socket_full(&self) -> bool {
        self.0.get().socket_full
    }

    #[inline]
    pub(crate) fn is_stalled(&self) -> bool {
        self.0.get().stalled
    }
}

#[cfg(test)]
mod tests;
