//! What happens in a conversation: each request, what becomes of its body, and how and when it is answered.

use std::cell::Cell;
use std::time::Duration;
use testing::World;

/// A request, its answer, and what the handlers were told of it.
pub(super) struct Exchange {
    pub(super) client: usize,
    pub(super) number: usize,
    pub(super) method: &'static str,
    pub(super) is_http10: bool,
    /// The value of `Connection`, if there is one.
    pub(super) connection: Option<&'static str>,
    pub(super) framing: Framing,
    pub(super) body: Vec<u8>,
    pub(super) expects: Expects,
    /// An offer to change protocols, which is ignored.
    pub(super) offers_upgrade: bool,
    pub(super) intake: Intake,
    pub(super) answer: Answer,
    pub(super) seen: Seen,
}

/// How the request's body is delimited.
pub(super) enum Framing {
    None,
    Length,
    /// With chunks of this length, extensions, and so many trailer fields.
    Chunked {
        chunk: usize,
        has_extensions: bool,
        trailers: usize,
    },
}

/// `Expect: 100-continue`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expects {
    No,
    /// The body is sent without a wait.
    Eager,
    /// The body is sent once something has come back.
    Waits,
}

/// What the program does with the body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Intake {
    Ignored,
    Read,
    /// Pauses it behind every piece, for so long.
    Paused(Duration),
    /// Takes it after a while.
    Held(Duration),
}

/// When the answer begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    AtOnce,
    After(Duration),
    /// So long after the end of the body.
    AfterBody(Duration),
}

/// How the answer is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// By one call of `end`.
    Whole,
    /// In pieces, whatever is welcome.
    Burst,
    /// A piece after each pause.
    Timed(Duration),
    /// As long as more is welcome, and with each `on_drain`.
    Drained,
    /// A piece with each `on_drain`, which is asked for.
    Yielded,
}

/// How the answer ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    End,
    Dropped,
    Destroyed,
}

pub(super) struct Answer {
    pub(super) start: Start,
    pub(super) status: u16,
    pub(super) form: Form,
    /// The lengths of the pieces, one at least.
    pub(super) pieces: Vec<usize>,
    pub(super) sets_length: bool,
    pub(super) sets_close: bool,
    pub(super) has_field: bool,
    /// Behind a 103.
    pub(super) is_announced: bool,
    pub(super) has_trailer: bool,
    pub(super) ending: Ending,
    /// Its events go to a handler.
    pub(super) is_watched: bool,
}

/// What the handlers were told.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) requests: Cell<u32>,
    pub(super) finished: Cell<u32>,
    pub(super) closed: Cell<u32>,
    pub(super) client_ends: Cell<u32>,
    pub(super) bodies: Cell<u32>,
    pub(super) body_ended: Cell<u32>,
    pub(super) body_aborted: Cell<u32>,
    /// The body is paused now.
    pub(super) is_paused: Cell<bool>,
}

/// Adds one.
pub(super) fn count(counter: &Cell<u32>) {
    counter.set(counter.get() + 1);
}

impl Exchange {
    /// Whether the client lets another request follow.
    pub(super) fn may_stay(&self) -> bool {
        if self.is_http10 { self.connection == Some("keep-alive") } else { self.connection != Some("close") }
    }

    /// Whether the answer begins before the handler returns.
    pub(super) fn is_immediate(&self) -> bool {
        self.answer.start == Start::AtOnce && !matches!(self.answer.form, Form::Drained | Form::Yielded)
    }

    /// The answer's body. It differs from that of every other answer nearby.
    pub(super) fn piece(&self, index: usize) -> Vec<u8> {
        letters(self.client * 7 + self.number * 3 + index, self.answer.pieces[index])
    }

    /// The request's trailer fields.
    pub(super) fn trailers(&self) -> usize {
        match self.framing {
            Framing::Chunked { trailers, .. } => trailers,
            Framing::None | Framing::Length => 0,
        }
    }
}

/// So many letters, which go round from a first one.
pub(super) fn letters(first: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + ((first + at) % 26) as u8).collect()
}

/// The choices of a seed.
#[derive(Clone, Copy)]
pub(super) struct Dice<'a>(pub(super) &'a World);

impl Dice<'_> {
    pub(super) fn below(self, bound: usize) -> usize {
        self.0.choose(bound as u64) as usize
    }

    /// Whether one of so many cases is there.
    pub(super) fn one_in(self, cases: u64) -> bool {
        self.0.choose(cases) == 0
    }

    pub(super) fn pick<T: Copy>(self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Mostly milliseconds.
    pub(super) fn pause(self) -> Duration {
        let longest = self.pick(&[2_000, 20_000, 900_000]);
        Duration::from_micros(self.0.choose(longest))
    }

    fn size(self) -> usize {
        let bound = self.pick(&[1, 10, 100, 1_000, 20_000]);
        self.below(bound + 1)
    }

    /// A request and its answer.
    pub(super) fn exchange(self, client: usize, number: usize) -> Exchange {
        let method = self.pick(&["GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "OPTIONS"]);
        let is_http10 = self.one_in(8);
        let connections = if is_http10 { [None, Some("keep-alive"), Some("keep-alive")] } else { [None; 3] };
        let connection = if self.one_in(12) { Some("close") } else { self.pick(&connections) };
        let has_body = matches!(method, "POST" | "PUT") || (method == "GET" && self.one_in(16));
        let framing = match self.below(2) {
            _ if !has_body => Framing::None,
            0 if !is_http10 => Framing::Chunked {
                chunk: 1 + self.size(),
                has_extensions: self.one_in(2),
                trailers: self.below(3),
            },
            _ => Framing::Length,
        };
        let len = if has_body { self.size() } else { 0 };
        let intake = match self.below(5) {
            0 => Intake::Ignored,
            1 => Intake::Paused(self.pause() / 20),
            2 => Intake::Held(self.pause()),
            _ => Intake::Read,
        };
        let mut exchange = Exchange {
            client,
            number,
            method,
            is_http10,
            connection,
            framing: shorter(framing, len),
            body: letters(client + number, len),
            expects: Expects::No,
            offers_upgrade: false,
            intake,
            answer: self.answer(intake),
            seen: Seen::default(),
        };
        self.complicate(&mut exchange);
        exchange
    }

    fn answer(self, intake: Intake) -> Answer {
        let start = match self.below(4) {
            0 if intake != Intake::Ignored => Start::AfterBody(self.pause()),
            1 if intake != Intake::Ignored => Start::AfterBody(Duration::ZERO),
            2 => Start::After(self.pause()),
            _ => Start::AtOnce,
        };
        let form = match self.below(8) {
            0 => Form::Burst,
            1 => Form::Timed(self.pause() / 4),
            2 => Form::Drained,
            3 => Form::Yielded,
            _ => Form::Whole,
        };
        let pieces = if form == Form::Whole { 1 } else { 1 + self.below(6) };
        let mut pieces: Vec<usize> = (0..pieces).map(|_| self.size()).collect();
        if self.one_in(64) {
            // More than the kernel holds.
            pieces[0] = 400_000;
        }
        Answer {
            start,
            status: self.pick(&[200, 200, 200, 200, 200, 404, 204, 304, 205]),
            form,
            pieces,
            sets_length: self.one_in(4),
            sets_close: self.one_in(16),
            has_field: self.one_in(3),
            is_announced: self.one_in(12),
            has_trailer: self.one_in(6),
            ending: match self.below(40) {
                0 | 1 => Ending::Dropped,
                2 => Ending::Destroyed,
                _ => Ending::End,
            },
            is_watched: form != Form::Whole || self.one_in(2),
        }
    }

    /// What goes together with certain others only.
    fn complicate(self, exchange: &mut Exchange) {
        let may_expect = !exchange.is_http10 && !exchange.body.is_empty() && exchange.connection.is_none();
        if may_expect && self.one_in(3) {
            exchange.expects = if self.one_in(2) { Expects::Eager } else { Expects::Waits };
            exchange.answer.is_announced = false;
            if matches!(exchange.intake, Intake::Held(_)) {
                exchange.answer.start = Start::AfterBody(Duration::ZERO);
            }
            // Whether some of the body has come with the head decides whether the connection stays.
            exchange.answer.sets_close |= exchange.is_immediate();
        } else if !exchange.is_http10 && exchange.connection.is_none() && self.one_in(10) {
            exchange.offers_upgrade = true;
        }
    }
}

/// A body has a hundred chunks at most.
fn shorter(framing: Framing, len: usize) -> Framing {
    match framing {
        Framing::Chunked { chunk, has_extensions, trailers } => {
            Framing::Chunked { chunk: chunk.max(len / 100), has_extensions, trailers }
        }
        other => other,
    }
}
