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
//! | `close` | Ignored | Ignored | Ignored | – | – | – | – |
//! | `refused` | Ignored | Ignored | Ignored | Ignored | – | – | – |
//! | `bytes_skipped` | – | Trailing | – | – | Trailing | – | – |
//! | `upgraded` | Ignored | Ignored | Ignored | Raw | – | – | – |
//!
//! A dash leaves the state as it is. "Clock" restarts the time that a request may take; it runs from the connection's start
//! for the first one. What limits the time: in Fresh and Head `headers_timeout` and `request_timeout`, in Body
//! `request_timeout`, in Idle `keep_alive_timeout`, in Ignored and Trailing the client's reading, in Raw nothing.
//!
//! [`Closing`] says how far the end is, and only moves to the right: `Open`, `LastRequest` (a response says close),
//! one of three reasons to end behind the turn of input, `Lingering` (this side has ended; see [`net::Linger`]).
//!
//! [`ClientSide`] is `Open`, `EndedUnread` (its FIN lies behind input that is not read, since decoding is stalled), or
//! `Ended`. Four more facts hold decoding back: the body is paused or held, the socket is full, and, in consequence,
//! decoding is stalled: see `Connection::must_stall`.
//!
//! All of it is one word, which only the methods of [`State`] change. What most requests meet is a comparison with one
//! value of it: see [`is_between_requests`](State::is_between_requests) and [`is_serving`](State::is_serving). The test
//! `http/tests/state.rs` goes through the table, for which it compiles this file by itself.

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
pub(crate) enum Closing {
    /// Requests are taken.
    Open,
    /// No further request is taken: the response that ends the connection is decided.
    LastRequest,
    /// The connection ends when the turn of input is over, as the server wants.
    ForServer,
    /// The same, as the client wants, which is at its end when the message at hand is over.
    ForClient,
    /// The same, behind a response that is not whole: only a reset can tell the client.
    Truncated,
    /// This side has ended, or the socket is closed. Input is thrown away until the client ends too.
    Lingering,
}

/// Whether the client still sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientSide {
    Open,
    EndedUnread,
    Ended,
}

/// The state at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) reading: Reading,
    pub(crate) closing: Closing,
    pub(crate) client: ClientSide,
    /// Input is being decoded: output is collected, and sent together at the end of the turn.
    pub(crate) in_turn: bool,
    /// The application paused the body that is being received.
    pub(crate) body_paused: bool,
    /// The application holds the body that is being received, and has not set its handler.
    pub(crate) body_held: bool,
    /// The socket holds more output than it should.
    pub(crate) socket_full: bool,
    /// Decoding stands still and the socket is paused.
    pub(crate) stalled: bool,
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

    const BEFORE_REQUESTS: Self = Self { reading: Reading::Fresh, ..Self::BETWEEN_REQUESTS };

    const SERVING: Self = Self { reading: Reading::Body, ..Self::BETWEEN_REQUESTS };
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct State(Cell<Word>);

const _: () = assert!(size_of::<State>() == 8);

impl State {
    pub(super) fn new() -> Self {
        Self(Cell::new(Word { in_turn: false, ..Word::BEFORE_REQUESTS }))
    }

    #[inline]
    pub(crate) fn get(&self) -> Word {
        self.0.get()
    }

    #[inline]
    fn change(&self, change: impl FnOnce(&mut Word)) {
        let mut word = self.get();
        change(&mut word);
        self.0.set(word);
    }

    /// Enters `to` if the state is one of `from`. Returns the state before.
    #[inline]
    fn read(&self, from: &[Reading], to: Reading) -> Reading {
        let before = self.get().reading;
        if from.contains(&before) {
            self.change(|word| word.reading = to);
        }
        before
    }

    /// A turn of input begins, or ends.
    #[inline]
    pub(super) fn set_in_turn(&self, in_turn: bool) {
        self.change(|word| word.in_turn = in_turn);
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

    /// The end comes nearer: no further request is taken. Once this side has ended nothing is held back any more.
    pub(super) fn close(&self, to: Closing) {
        self.change(|word| {
            word.closing = word.closing.max(to);
            if to == Closing::Lingering {
                (word.body_paused, word.body_held, word.socket_full, word.stalled) =
                    (false, false, false, false);
            }
        });
        self.read(&[Reading::Fresh, Reading::Idle, Reading::Head], Reading::Ignored);
    }

    /// The message at hand, or what came in place of one, is not received any further.
    pub(super) fn refused(&self) {
        self.close(Closing::LastRequest);
        self.read(&[Reading::Body], Reading::Ignored);
    }

    /// Input was not looked at, since nothing is to come any more.
    pub(super) fn bytes_skipped(&self) {
        self.read(&[Reading::Idle, Reading::Ignored], Reading::Trailing);
    }

    /// The connection leaves HTTP.
    pub(super) fn upgraded(&self) {
        self.close(Closing::LastRequest);
        self.read(&[Reading::Body], Reading::Raw);
    }

    /// The client has ended its side; with `is_unread` behind what is not read.
    pub(super) fn client_ended(&self, is_unread: bool) {
        self.change(|word| match (is_unread, word.client) {
            (true, ClientSide::Open) => word.client = ClientSide::EndedUnread,
            (true, _) => {}
            (false, _) => word.client = ClientSide::Ended,
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
        let was_held = self.get().body_held;
        self.change(|word| word.body_held = false);
        was_held
    }

    /// The body may come. Returns whether it was paused or held.
    pub(crate) fn resume_body(&self) -> bool {
        let stood = self.is_body_stopped();
        self.change(|word| (word.body_paused, word.body_held) = (false, false));
        stood
    }

    /// The socket holds more output than it should, or no longer.
    pub(super) fn set_socket_full(&self, is_full: bool) {
        self.change(|word| word.socket_full = is_full);
    }

    /// Decoding stands still, or goes on.
    pub(super) fn set_stalled(&self, is_stalled: bool) {
        self.change(|word| word.stalled = is_stalled);
    }

    /// Whether a turn of input is going on in which the next byte begins a request, and nothing beside.
    #[inline]
    pub(super) fn is_between_requests(&self) -> bool {
        self.get() == Word::BETWEEN_REQUESTS || self.is_before_requests()
    }

    /// The same before the first request.
    #[cold]
    fn is_before_requests(&self) -> bool {
        self.get() == Word::BEFORE_REQUESTS
    }

    /// Whether a turn of input is going on in which a request is being served, and nothing beside.
    #[inline]
    pub(super) fn is_serving(&self) -> bool {
        self.get() == Word::SERVING
    }

    /// Whether the head of a message was decoded, and its end was not.
    #[inline]
    pub(crate) fn is_in_message(&self) -> bool {
        self.get().reading == Reading::Body
    }

    /// Whether nothing that may still come is of interest.
    pub(crate) fn is_deaf(&self) -> bool {
        self.is_lingering() || matches!(self.get().reading, Reading::Ignored | Reading::Trailing)
    }

    /// Whether the client is at its end: the last request is received, and nothing came behind it.
    pub(super) fn is_at_end(&self) -> bool {
        !matches!(self.get().reading, Reading::Body | Reading::Trailing) && !self.is_stalled()
    }

    /// Whether the connection left HTTP.
    pub(crate) fn is_raw(&self) -> bool {
        self.get().reading == Reading::Raw
    }

    /// Whether further requests are taken.
    pub(super) fn is_open(&self) -> bool {
        self.get().closing == Closing::Open
    }

    /// Whether the connection ends or has ended, so that nothing can be sent any more.
    #[inline]
    pub(super) fn is_ending(&self) -> bool {
        self.get().closing >= Closing::ForServer
    }

    pub(crate) fn is_lingering(&self) -> bool {
        self.get().closing == Closing::Lingering
    }

    /// Whether the client has ended its side, and all that it sent was read.
    pub(crate) fn has_client_ended(&self) -> bool {
        self.get().client == ClientSide::Ended
    }

    /// Whether the client has ended its side behind what is not read, since decoding is stalled.
    pub(crate) fn has_ended_unread(&self) -> bool {
        self.get().client == ClientSide::EndedUnread && self.is_stalled()
    }

    /// Whether the body is paused or held.
    pub(crate) fn is_body_stopped(&self) -> bool {
        self.get().body_paused || self.get().body_held
    }

    #[inline]
    pub(crate) fn is_stalled(&self) -> bool {
        self.get().stalled
    }
}
