//! One end of a connection, and what its program knows about it: which requests are open, which bytes are sent and received.
//! Every upcall is compared with that.

use super::{byte_at, bytes_at, dice, one_in, some_len};
use crate::is_repeated;
use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::rc::Rc;
use uv_core::upcall::StreamUpcall;
use uv_core::{Errno, Error, Result, Stream, Tcp};

/// All ends of a world, by their numbers.
#[derive(Default)]
pub(super) struct Ends {
    all: RefCell<Vec<Rc<End>>>,
    /// No end does anything of its own accord any more: it reads, shuts down, and closes at the end.
    pub(super) is_over: Cell<bool>,
    /// The connections that were accepted.
    pub(super) accepted: Cell<usize>,
    /// How often every loop has had a turn.
    turn: Rc<Cell<u64>>,
}

/// The state of a request of which there is one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    None,
    Open,
    Done,
}

pub(super) struct End {
    number: usize,
    pub(super) stream: Stream,
    pub(super) connect: Cell<Request>,
    /// The connect has failed or was cancelled.
    is_unconnected: Cell<bool>,
    /// Writes that are not reported.
    writes: Cell<usize>,
    shutdown: Cell<Request>,
    /// Bytes that were accepted for sending.
    sent: Cell<u64>,
    received: Cell<u64>,
    /// The number of the other end, once its first byte was received.
    other: Cell<Option<usize>>,
    is_reading: Cell<bool>,
    unread_end_told: Cell<bool>,
    has_ended: Cell<bool>,
    /// A request or the reading failed, or was cancelled.
    has_failed: Cell<bool>,
    /// The first error of a transfer, unless this end had closed.
    error: Cell<Option<Errno>>,
    turn: Rc<Cell<u64>>,
    /// When a notification was asked for that has not come.
    notified: Cell<Option<u64>>,
    closes: Cell<bool>,
    /// It was closed before both directions had ended, or with a reset.
    is_cut: Cell<bool>,
    is_closed: Cell<bool>,
}

/// The tower of an end.
struct Tower(Rc<Ends>, Rc<End>);

impl Ends {
    pub(super) fn add(self: &Rc<Self>, stream: &Stream, connect: Request) -> Rc<End> {
        let end = Rc::new(End {
            number: self.all.borrow().len(),
            stream: stream.clone(),
            connect: Cell::new(connect),
            is_unconnected: Cell::new(false),
            writes: Cell::new(0),
            shutdown: Cell::new(Request::None),
            sent: Cell::new(0),
            received: Cell::new(0),
            other: Cell::new(None),
            is_reading: Cell::new(false),
            unread_end_told: Cell::new(false),
            has_ended: Cell::new(false),
            has_failed: Cell::new(false),
            error: Cell::new(None),
            turn: Rc::clone(&self.turn),
            notified: Cell::new(None),
            closes: Cell::new(stream.is_closing()),
            is_cut: Cell::new(stream.is_closing()),
            is_closed: Cell::new(stream.is_closing()),
        });
        self.all.borrow_mut().push(Rc::clone(&end));
        stream.set_upcall(Tower(Rc::clone(self), Rc::clone(&end)));
        end
    }

    pub(super) fn get(&self, number: usize) -> Option<Rc<End>> {
        self.all.borrow().get(number).map(Rc::clone)
    }

    pub(super) fn any(&self) -> Option<Rc<End>> {
        self.get(dice(self.all.borrow().len() as u64) as usize)
    }

    pub(super) fn are_closed(&self) -> bool {
        self.all.borrow().iter().all(|end| end.is_closed.get())
    }

    /// From now on every end finishes, and closes when both directions have ended.
    pub(super) fn finish(&self) {
        self.is_over.set(true);
        let all = self.all.borrow().clone();
        all.iter().for_each(|end| end.finish());
    }

    /// Every loop has had a turn since the last call: what was asked for before that has come.
    pub(super) fn took_turn(&self) {
        let turn = self.turn.get();
        for end in self.all.borrow().iter().filter(|end| !end.closes.get()) {
            assert!(
                end.notified.get().is_none_or(|at| at == turn),
                "end {}: on_notify is missing",
                end.number
            );
        }
        self.turn.set(turn + 1);
    }

    /// The ends whose connect has succeeded.
    pub(super) fn connected(&self) -> usize {
        let all = self.all.borrow();
        all.iter().filter(|end| end.connect.get() == Request::Done && !end.is_unconnected.get()).count()
    }

    /// Whether every connect is reported.
    pub(super) fn have_connected(&self) -> bool {
        self.all.borrow().iter().all(|end| end.connect.get() != Request::Open)
    }

    /// What has to hold when all are closed: an end that was reached by the FIN has all bytes, unless one of the two failed;
    /// and none failed but by a fault or because the other end was cut.
    pub(super) fn check(&self, is_excused: bool) {
        for end in self.all.borrow().iter() {
            assert_eq!(end.writes.get(), 0, "end {}: writes are not reported", end.number);
            assert_ne!(end.shutdown.get(), Request::Open, "end {}: the shutdown is not reported", end.number);
            assert_ne!(end.connect.get(), Request::Open, "end {}: the connect is not reported", end.number);
            let other = self.other(end);
            if let Some(errno) = end.error.get() {
                let is_cut = |end: &Rc<End>| end.is_cut.get();
                let is_caused = match &other {
                    Some(other) => is_cut(other),
                    None => self.all.borrow().iter().any(|end| is_cut(end) && self.other(end).is_none()),
                };
                assert!(is_caused || is_excused, "end {} failed without a cause: {errno}", end.number);
            }
            let Some(other) = other else { continue };
            if end.has_ended.get() && !end.has_failed.get() && !other.has_failed.get() {
                let (received, sent) = (end.received.get(), other.sent.get());
                assert_eq!(received, sent, "end {} has lost bytes of end {}", end.number, other.number);
            }
        }
    }

    /// The other end of a connection that has carried a byte.
    fn other(&self, end: &End) -> Option<Rc<End>> {
        let heard_of = |other: &&Rc<End>| other.other.get() == Some(end.number);
        let other = end.other.get().and_then(|other| self.get(other));
        other.or_else(|| self.all.borrow().iter().find(heard_of).map(Rc::clone))
    }

    /// Drops the ends, which hold their streams.
    pub(super) fn clear(&self) {
        drop(self.all.take());
    }
}

impl End {
    fn fail(&self) {
        self.has_failed.set(true);
        self.close();
    }

    /// A transfer has failed.
    fn fail_by(&self, error: &Error) {
        let errno = error.errno();
        assert!(!is_repeated(errno), "end {}: {error} reached the program", self.number);
        if !self.closes.get() && self.error.get().is_none() {
            self.error.set(Some(errno));
        }
        self.fail();
    }

    /// Closes an end that never begins.
    pub(super) fn give_up(&self) {
        self.fail();
    }

    /// Closes the end as it may be closed.
    fn close(&self) {
        if !self.closes.replace(true) {
            self.is_cut.set(!self.has_ended.get() || self.shutdown.get() != Request::Done);
            self.is_reading.set(false);
            match (dice(3), Tcp::from_stream(&self.stream)) {
                (0, _) => self.stream.close_with_fin(),
                (1, Some(tcp)) if tcp.close_reset().is_ok() => {
                    // What is on its way may be lost.
                    self.is_cut.set(true);
                    self.has_failed.set(true);
                }
                _ => self.stream.close(),
            }
        }
    }

    /// The data that this end writes next.
    fn data(&self, len: u64) -> Vec<u8> {
        bytes_at(self.number, self.sent.get(), len)
    }

    /// Whether a write has to be refused.
    fn refuses_writes(&self) -> bool {
        self.closes.get() || self.shutdown.get() != Request::None
    }

    fn wrote(&self, len: u64, result: Result<()>) {
        match result {
            Ok(()) => {
                assert!(!self.refuses_writes(), "a write after shutdown or close was taken");
                self.sent.set(self.sent.get() + len);
                self.writes.set(self.writes.get() + 1);
            }
            Err(error) if self.closes.get() => assert_eq!(error.errno(), Errno::EBADF),
            Err(error) => assert_eq!(error.errno(), Errno::EPIPE),
        }
    }

    fn tried(&self, len: u64, result: Result<usize>) {
        match result {
            Ok(taken) => {
                assert!(taken as u64 <= len, "more was taken than there was");
                assert!(taken == 0 || !self.refuses_writes(), "a try after shutdown or close was taken");
                assert!(taken == 0 || self.writes_are_written(), "a try overtook queued writes");
                self.sent.set(self.sent.get() + taken as u64);
            }
            Err(error) if error.errno() == Errno::EAGAIN || self.refuses_writes() => {}
            Err(error) => self.fail_by(&error),
        }
    }

    fn writes_are_written(&self) -> bool {
        self.stream.write_queue_size() == 0
    }

    /// Does something of its own accord.
    pub(super) fn act(&self) {
        let len = some_len();
        match dice(16) {
            0..5 => self.wrote(len, self.stream.write(self.data(len))),
            5 => {
                let data = self.data(len);
                let pieces = data.chunks(1 + dice(9_000) as usize).map(|piece| piece.to_vec().into());
                let pieces: Vec<_> = pieces.chain((len == 0).then(|| Vec::new().into())).collect();
                self.wrote(len, self.stream.writev(pieces));
            }
            6 | 7 => self.tried(len, self.stream.try_write(&self.data(len))),
            8 => {
                let data = self.data(len);
                let (left, right) = data.split_at(dice(len + 1) as usize);
                self.tried(len, self.stream.try_writev(&[IoSlice::new(left), IoSlice::new(right)]));
            }
            9 => self.stop_reading(),
            10 | 11 => self.read(),
            12 => {
                self.stream.notify();
                self.notified.set(self.notified.get().or_else(|| Some(self.turn.get())));
            }
            13 if one_in(3) => self.shut_down(),
            14 if one_in(4) => self.close(),
            _ => {}
        }
    }

    fn stop_reading(&self) {
        self.stream.read_stop();
        self.is_reading.set(false);
        self.unread_end_told.set(false);
    }

    fn read(&self) {
        match self.stream.read_start() {
            Ok(()) => {
                assert!(
                    !self.closes.get() && !self.is_reading.get(),
                    "reading started twice, or when closed"
                );
                self.is_reading.set(true);
            }
            Err(error) => match error.errno() {
                Errno::EALREADY => assert!(self.is_reading.get(), "it reads already, unexpectedly"),
                Errno::ENOTCONN => assert!(!self.stream.is_readable()),
                Errno::EINVAL => assert!(self.closes.get(), "reading is refused as if it was closed"),
                _ => self.fail_by(&error),
            },
        }
    }

    fn shut_down(&self) {
        match self.stream.shutdown() {
            Ok(()) => {
                assert!(!self.refuses_writes(), "a second shutdown, or one of a closed stream, was taken");
                self.shutdown.set(Request::Open);
            }
            Err(error) => assert_eq!(error.errno(), Errno::ENOTCONN),
        }
    }

    fn finish(&self) {
        if self.closes.get() || self.connect.get() == Request::Open {
            return;
        }
        if !self.has_ended.get() && !self.is_reading.get() {
            self.read();
        }
        if self.shutdown.get() == Request::None {
            self.shut_down();
        }
        let cannot_finish = !self.stream.is_readable();
        if cannot_finish || self.has_ended.get() && self.shutdown.get() == Request::Done {
            self.close();
        }
    }
}

impl Tower {
    fn then(&self) {
        if self.0.is_over.get() {
            self.1.finish();
        } else if one_in(3) {
            let other = if one_in(4) { self.0.any() } else { None };
            other.as_ref().unwrap_or(&self.1).act();
        }
    }

    /// Learns who sent these bytes, and checks that they are the next ones of that end.
    fn receive(&self, data: &[u8]) {
        let end = &self.1;
        assert!(!data.is_empty(), "a read without data");
        let place = end.received.get();
        if place == 0 {
            end.other.set(Some(data[0].into()));
        }
        let number = end.other.get().unwrap_or(usize::MAX);
        let Some(other) = self.0.get(number) else { panic!("bytes from end {number}") };
        let told = other.other.get();
        assert!(told.is_none_or(|told| told == end.number), "end {number} has two other ends");
        assert!(place + data.len() as u64 <= other.sent.get(), "more was received than was sent");
        for (place, byte) in (place..).zip(data) {
            assert_eq!(*byte, byte_at(number, place), "the byte at {place} is of another place");
        }
        end.received.set(place + data.len() as u64);
    }
}

impl StreamUpcall for Tower {
    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        assert!(self.1.is_reading.get(), "on_read without read_start");
        assert!(!self.1.has_ended.get(), "on_read after on_end");
        self.receive(data);
        self.then();
    }

    fn on_end(&mut self, _: &Stream) {
        assert!(self.1.is_reading.replace(false), "on_end without read_start");
        self.1.has_ended.set(true);
        self.then();
    }

    fn on_read_error(&mut self, _: &Stream, error: Error) {
        self.1.is_reading.set(false);
        self.1.fail_by(&error);
        self.then();
    }

    fn on_unread_end(&mut self, _: &Stream) {
        assert!(!self.1.is_reading.get(), "on_unread_end of a stream that reads");
        assert!(!self.1.unread_end_told.replace(true), "on_unread_end twice");
        self.then();
    }

    fn on_connect(&mut self, _: &Stream, result: Result<()>) {
        assert_eq!(self.1.connect.replace(Request::Done), Request::Open, "on_connect without a connect");
        if let Err(error) = result {
            let is_cancelled = error.errno() == Errno::ECANCELED;
            assert_eq!(is_cancelled, self.1.closes.get(), "on_connect: {error}");
            self.1.is_unconnected.set(true);
            self.1.fail();
        }
        self.then();
    }

    fn on_write(&mut self, _: &Stream, result: Result<()>) {
        let Some(left) = self.1.writes.get().checked_sub(1) else { panic!("on_write without a write") };
        self.1.writes.set(left);
        if let Err(error) = result {
            self.1.fail_by(&error);
        }
        self.then();
    }

    fn on_shutdown(&mut self, _: &Stream, result: Result<()>) {
        assert_eq!(self.1.shutdown.replace(Request::Done), Request::Open, "on_shutdown without a shutdown");
        assert_eq!(self.1.writes.get(), 0, "on_shutdown before on_write");
        if let Err(error) = result {
            self.1.fail_by(&error);
        }
        self.then();
    }

    fn on_notify(&mut self, _: &Stream) {
        assert!(self.1.notified.take().is_some(), "on_notify without a notify");
        self.then();
    }

    fn on_close(&mut self, _: &Stream) {
        assert!(self.1.closes.get(), "on_close without a close");
        assert!(!self.1.is_closed.replace(true), "on_close twice");
        assert_eq!(self.1.writes.get(), 0, "on_close before on_write");
        assert_ne!(self.1.shutdown.get(), Request::Open, "on_close before on_shutdown");
        assert_ne!(self.1.connect.get(), Request::Open, "on_close before on_connect");
        // Whatever is called now is refused.
        self.1.act();
    }
}
