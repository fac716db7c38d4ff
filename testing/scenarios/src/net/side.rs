//! One side of a connection of `net`, and what its program knows about it.

use crate::core::{byte_at, bytes_at, dice, one_in, some_len};
use crate::is_repeated;
use ::net::upcall::SocketHandler;
use ::net::{Error, ErrorCode, ReadyState, Result, Socket};
use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

/// All sides of a world, by their numbers.
#[derive(Default)]
pub(super) struct Sides {
    all: RefCell<Vec<Rc<Side>>>,
    is_over: Cell<bool>,
    /// The server listens no longer: the kernel may ignore a connect, and its repetition takes real time.
    is_refused: Cell<bool>,
    /// How often every loop has had a turn.
    turn: Rc<Cell<u64>>,
}

/// Turns after which a notification has come: a pending `on_finish` and `on_timeout` come first.
const TURNS_TO_NOTIFY: u64 = 3;

#[derive(Default)]
pub(super) struct Side {
    number: usize,
    socket: RefCell<Option<Socket>>,
    sent: Cell<u64>,
    received: Cell<u64>,
    other: Cell<Option<usize>>,
    /// Whether it is the client's side.
    is_client: bool,
    is_connecting: Cell<bool>,
    has_connected: Cell<bool>,
    is_half_open: Cell<bool>,
    is_paused: Cell<bool>,
    /// `end` was called, by the program or for it.
    has_finished: Cell<bool>,
    needs_drain: Cell<bool>,
    /// Its queue was empty at the last turn, and `on_drain` has not come.
    is_drain_due: Cell<bool>,
    finishes: Cell<u64>,
    has_ended: Cell<bool>,
    /// It was destroyed by its program, and what was queued may be lost.
    is_cut: Cell<bool>,
    /// Its input is discarded once its output is sent.
    discards: Cell<bool>,
    turn: Rc<Cell<u64>>,
    /// When a notification was asked for that has not come.
    notified: Cell<Option<u64>>,
    /// Its handler is set.
    is_heard: Cell<bool>,
    /// It had finished when it got its handler, which perhaps does not hear of it.
    finished_unheard: Cell<bool>,
    is_timed: Cell<bool>,
    error: RefCell<Option<Error>>,
    is_closed: Cell<bool>,
}

pub(super) struct Handler(Rc<Sides>, Rc<Side>);

impl Sides {
    pub(super) fn add(self: &Rc<Self>, is_client: bool, is_half_open: bool) -> (Rc<Side>, Handler) {
        let number = self.all.borrow().len();
        let (is_connecting, is_half_open) = (Cell::new(is_client), Cell::new(is_half_open));
        let (turn, is_heard) = (Rc::clone(&self.turn), Cell::new(is_client));
        let side = Side { number, is_client, is_connecting, is_half_open, turn, is_heard, ..Side::default() };
        let side = Rc::new(side);
        self.all.borrow_mut().push(Rc::clone(&side));
        (Rc::clone(&side), Handler(Rc::clone(self), side))
    }

    pub(super) fn get(&self, number: usize) -> Option<Rc<Side>> {
        self.all.borrow().get(number).map(Rc::clone)
    }

    pub(super) fn any(&self) -> Option<Rc<Side>> {
        self.get(dice(self.all.borrow().len() as u64) as usize)
    }

    pub(super) fn are_closed(&self) -> bool {
        self.all.borrow().iter().all(|side| side.is_closed.get())
    }

    /// Whether every connect has come to its end.
    pub(super) fn have_connected(&self) -> bool {
        self.all.borrow().iter().all(|side| !side.is_connecting.get() || side.is_closed.get())
    }

    /// The clients that are connected or have been.
    pub(super) fn connected_clients(&self) -> usize {
        let all = self.all.borrow();
        all.iter().filter(|side| side.has_connected.get()).count()
    }

    /// The open sides of the server.
    pub(super) fn accepted(&self) -> usize {
        self.all.borrow().iter().filter(|side| !side.is_client && !side.is_closed.get()).count()
    }

    /// Every side ends, from now on.
    pub(super) fn finish(&self) {
        self.is_over.set(true);
        let all = self.all.borrow().clone();
        for side in &all {
            side.finish();
            if self.is_refused.get() && side.is_connecting.get() {
                side.cancel();
            }
        }
    }

    /// Every loop has had a turn since the last call: what was due before that has come.
    pub(super) fn took_turn(&self) {
        let turn = self.turn.get();
        self.all.borrow().iter().for_each(|side| side.check_due(turn));
        self.turn.set(turn + 1);
    }

    /// When all are closed: each has had all of its events, and none failed but by a fault, or because the other was cut off.
    /// `are_known`: the server has taken every connection before it closed.
    pub(super) fn check_completions(&self, are_known: bool, is_excused: bool) {
        let all = self.all.borrow();
        for side in all.iter().filter(|side| side.is_heard.get()) {
            let number = side.number;
            let has_failed = side.error.borrow().is_some();
            let is_connected = !side.is_client || side.has_connected.get();
            if is_connected && side.has_finished.get() && !side.is_cut.get() && !has_failed {
                let finishes = side.finishes.get();
                // A handler that comes behind the end hears of it, unless it was told to none before.
                let is_told = finishes == 1 || finishes == 0 && side.finished_unheard.get();
                assert!(is_told, "side {number} ended with on_finish {finishes} times");
            }
            assert!(is_connected || side.is_cut.get() || has_failed, "side {number}: on_connect is missing");
            // A side that has discarded its input has perhaps not waited for the end of the other.
            let is_cut = |side: &Rc<Side>| side.is_cut.get() || side.discards.get();
            let is_caused = match self.other(side) {
                Some(other) => is_cut(&other),
                None => !are_known || all.iter().any(|one| is_cut(one) && self.other(one).is_none()),
            };
            if has_failed && !side.is_cut.get() && !is_caused && !is_excused {
                panic!("side {number} failed without a cause: {:?}", side.error.borrow());
            }
        }
    }

    /// The other side of a connection that has carried a byte.
    fn other(&self, side: &Side) -> Option<Rc<Side>> {
        let heard_of = |other: &&Rc<Side>| other.other.get() == Some(side.number);
        let other = side.other.get().and_then(|other| self.get(other));
        other.or_else(|| self.all.borrow().iter().find(heard_of).map(Rc::clone))
    }

    /// When all are closed: a side that got the FIN has all bytes, unless one of the two was cut off.
    pub(super) fn check(&self) {
        for side in self.all.borrow().iter() {
            let Some(other) = self.other(side) else { continue };
            let was_cut = |side: &Side| side.is_cut.get() || side.error.borrow().is_some();
            if side.has_ended.get() && !was_cut(side) && !was_cut(&other) {
                let (received, sent) = (side.received.get(), other.sent.get());
                assert_eq!(received, sent, "side {} has lost bytes of side {}", side.number, other.number);
            }
        }
    }

    /// From now on connects that are not answered are given up.
    pub(super) fn refuse(&self) {
        self.is_refused.set(true);
    }

    /// Drops the sockets.
    pub(super) fn clear(&self) {
        drop(self.all.take());
    }
}

impl Side {
    pub(super) fn set(&self, socket: &Socket) {
        *self.socket.borrow_mut() = Some(socket.clone());
    }

    /// There is no socket, or no handler hears of it.
    pub(super) fn give_up(&self) {
        drop(self.socket.take());
        self.is_connecting.set(false);
        self.is_cut.set(true);
        self.is_closed.set(true);
    }

    /// The handler is about to be set: it gets the events from now on, and a notification that was asked for before.
    pub(super) fn begin_to_hear(&self) {
        self.is_heard.set(true);
        self.notified.set(self.notified.get().map(|_| self.turn.get()));
        self.needs_drain.set(false);
        self.finished_unheard.set(self.has_finished.get());
    }

    /// After a turn of every loop.
    fn check_due(&self, turn: u64) {
        let Some(socket) = self.socket().filter(|socket| self.is_heard.get() && !socket.is_destroyed())
        else {
            return;
        };
        let is_told = self.notified.get().is_none_or(|at| at + TURNS_TO_NOTIFY >= turn);
        assert!(is_told, "side {}: on_notify is missing", self.number);
        let is_due = self.needs_drain.get() && !self.has_finished.get() && socket.buffered() == 0;
        let was_due = self.is_drain_due.replace(is_due);
        assert!(!is_due || !was_due, "side {}: on_drain is missing", self.number);
    }

    /// The socket was accepted without being read.
    pub(super) fn begin_paused(&self) {
        self.is_paused.set(true);
    }

    fn socket(&self) -> Option<Socket> {
        self.socket.borrow().clone()
    }

    /// Writes by `write`, and compares its answer with what is known.
    fn write(&self, socket: &Socket, len: u64, write: impl FnOnce() -> Result<bool>) {
        let was_destroyed = socket.is_destroyed();
        match write() {
            Ok(has_room) => {
                assert!(!was_destroyed && !self.has_finished.get(), "a write after the end was taken");
                self.sent.set(self.sent.get() + len);
                let is_full = socket.buffered() > 0 && socket.buffered() >= socket.high_water_mark();
                assert_eq!(has_room, !is_full, "the answer of write is not that of the mark");
                self.needs_drain.set(self.needs_drain.get() || !has_room);
            }
            Err(error) => match error.code() {
                ErrorCode::SocketClosed | ErrorCode::SocketClosedBeforeConnection => {
                    assert!(was_destroyed, "an open socket is called closed");
                }
                ErrorCode::WriteAfterEnd | ErrorCode::EndedByPeer => {
                    assert!(self.has_finished.get(), "a socket is called ended that is not");
                }
                // This has destroyed it, for `on_error`.
                _ => self.is_cut.set(true),
            },
        }
    }

    pub(super) fn act(&self) {
        let Some(socket) = self.socket() else { return };
        let len = some_len();
        let data = bytes_at(self.number, self.sent.get(), len);
        match dice(22) {
            0..5 => self.write(&socket, len, || socket.write(&data)),
            5 | 6 => self.write(&socket, len, || socket.write_bytes(data.into())),
            7 => {
                let (left, right) = data.split_at(dice(len + 1) as usize);
                let pieces = [IoSlice::new(left), IoSlice::new(right)];
                self.write(&socket, len, || socket.writev(&pieces));
            }
            8 | 9 => {
                socket.pause();
                self.is_paused.set(true);
            }
            10 | 11 => {
                socket.resume();
                self.is_paused.set(false);
            }
            12 => {
                socket.notify();
                self.notified.set(self.notified.get().or_else(|| Some(self.turn.get())));
            }
            13 => {
                let after = Duration::from_millis(dice(20));
                socket.set_timeout(after);
                self.is_timed.set(!after.is_zero());
            }
            14..17 if one_in(3) => self.end(&socket),
            17.. if one_in(6) => self.destroy(&socket),
            _ => self.look(&socket),
        }
    }

    fn look(&self, socket: &Socket) {
        let (read, received) = (socket.bytes_read(), self.received.get());
        assert!(
            read == received || self.discards.get() && read > received,
            "bytes_read of side {}",
            self.number
        );
        let is_open = socket.ready_state() == ReadyState::Open;
        let can_be_open = !socket.is_destroyed() && !self.has_finished.get() && !self.has_ended.get();
        assert!(!is_open || can_be_open, "side {} is called open", self.number);
        drop((socket.remote_address(), socket.local_address(), socket.unacknowledged()));
    }

    fn end(&self, socket: &Socket) {
        if one_in(2) {
            socket.end();
        } else {
            socket.destroy_soon();
            self.discards.set(true);
        }
        self.has_finished.set(true);
    }

    fn destroy(&self, socket: &Socket) {
        match dice(4) {
            0 => socket.destroy_with_fin(),
            // Refused for a Unix socket.
            1 if socket.reset_and_destroy().is_ok() => {}
            _ => socket.destroy(),
        }
        self.is_cut.set(true);
    }

    fn cancel(&self) {
        if let Some(socket) = self.socket() {
            self.is_cut.set(true);
            socket.destroy();
        }
    }

    /// Ends, and reads up to the peer's end.
    fn finish(&self) {
        let Some(socket) = self.socket() else { return };
        socket.resume();
        self.is_paused.set(false);
        self.has_finished.set(true);
        socket.end();
    }
}

impl Handler {
    fn then(&self) {
        if self.0.is_over.get() {
            self.1.finish();
        } else if one_in(3) {
            let other = if one_in(4) { self.0.any() } else { None };
            other.as_ref().unwrap_or(&self.1).act();
        }
    }

    /// No call but `on_error` and `on_close` follows a destruction.
    fn is_alive(&self, socket: &Socket, call: &str) {
        assert!(!self.1.is_closed.get(), "{call} after on_close");
        assert!(!socket.is_destroyed(), "{call} of a destroyed socket");
        assert!(!self.1.is_connecting.get(), "{call} before on_connect");
    }
}

impl SocketHandler for Handler {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        self.is_alive(socket, "on_data");
        let side = &self.1;
        assert!(!side.is_paused.get() && !side.has_ended.get(), "on_data of a paused or ended socket");
        let place = side.received.get();
        if place == 0 {
            side.other.set(Some(data[0].into()));
        }
        let number = side.other.get().unwrap_or(usize::MAX);
        let Some(other) = self.0.get(number) else { panic!("bytes of side {number}") };
        assert!(place + data.len() as u64 <= other.sent.get(), "more was received than was sent");
        for (place, byte) in (place..).zip(data) {
            assert_eq!(*byte, byte_at(number, place), "the byte at {place} is of another place");
        }
        side.received.set(place + data.len() as u64);
        self.then();
    }

    fn on_connect(&mut self, socket: &Socket) {
        assert!(self.1.is_connecting.replace(false), "on_connect twice, or without a connect");
        self.is_alive(socket, "on_connect");
        self.1.has_connected.set(true);
        self.then();
    }

    fn on_end(&mut self, socket: &Socket) {
        self.is_alive(socket, "on_end");
        assert!(!self.1.has_ended.replace(true), "on_end twice");
        self.then();
        if !self.1.is_half_open.get() {
            // The layer ends this side too.
            self.1.has_finished.set(true);
        }
    }

    fn on_unread_end(&mut self, socket: &Socket) {
        self.is_alive(socket, "on_unread_end");
        assert!(self.1.is_paused.get(), "on_unread_end of a socket that reads");
        self.then();
    }

    fn on_drain(&mut self, socket: &Socket) {
        self.is_alive(socket, "on_drain");
        assert!(self.1.needs_drain.replace(false), "on_drain although write returned true");
        self.1.is_drain_due.set(false);
        assert_eq!(socket.buffered(), 0, "on_drain with data in the queue");
        self.then();
    }

    fn on_finish(&mut self, socket: &Socket) {
        self.is_alive(socket, "on_finish");
        assert!(self.1.has_finished.get(), "on_finish without an end");
        self.1.finishes.set(self.1.finishes.get() + 1);
        assert_eq!(self.1.finishes.get(), 1, "on_finish twice");
        self.then();
    }

    fn on_timeout(&mut self, socket: &Socket) {
        assert!(!self.1.is_closed.get() && !socket.is_destroyed(), "on_timeout of a destroyed socket");
        assert!(self.1.is_timed.get(), "on_timeout without a timeout");
        self.then();
    }

    fn on_notify(&mut self, _: &Socket) {
        assert!(self.1.notified.take().is_some(), "on_notify without a notify");
        self.then();
    }

    fn on_error(&mut self, socket: &Socket, error: Error) {
        assert!(
            socket.is_destroyed() && !self.1.is_closed.get(),
            "on_error of an open socket, or after on_close"
        );
        let is_connected = !self.1.is_connecting.get();
        let is_one = error.system().is_some_and(|error| is_connected && is_repeated(error.errno()));
        assert!(!is_one, "{error} reached the program");
        let before = self.1.error.replace(Some(error));
        assert!(before.is_none(), "on_error twice");
        self.then();
    }

    fn on_close(&mut self, socket: &Socket, had_error: bool) {
        assert!(!self.1.is_closed.replace(true), "on_close twice");
        assert!(socket.is_destroyed(), "on_close of an open socket");
        assert_eq!(had_error, self.1.error.borrow().is_some(), "had_error is wrong");
        if !self.0.is_over.get() {
            // Whatever is called now is refused.
            self.1.act();
        }
        drop(self.1.socket.take());
    }
}
