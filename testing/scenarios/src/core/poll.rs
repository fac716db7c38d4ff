//! Descriptors that a loop only watches: what is there to be read, written or ended is reported as long as it is there, to the
//! handle that is started, and to no other.

use super::{dice, one_in};
use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, PipeReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::poll::{Poll, PollEvents};
use uv_core::{Errno, LoopHandle, Result};

/// A socket that is watched, and its peer. Neither meets a fault.
struct Watched {
    poll: Poll,
    ours: Rc<UnixStream>,
    theirs: UnixStream,
    /// What the handle is started for.
    asked: Cell<PollEvents>,
    /// Bytes that the peer has sent, and those that are read.
    sent: Cell<usize>,
    read: Cell<usize>,
    has_shut: Cell<bool>,
    disconnect_told: Cell<bool>,
    writable_told: Cell<u64>,
    /// It consumes everything, and asks for the rest.
    is_over: Cell<bool>,
}

impl Watched {
    fn new(event_loop: &LoopHandle) -> Option<Rc<Self>> {
        let (ours, theirs) = UnixStream::pair().ok()?;
        ours.set_nonblocking(true).and_then(|()| theirs.set_nonblocking(true)).ok()?;
        let ours = Rc::new(ours);
        let poll = Poll::new(event_loop, Rc::clone(&ours)).ok()?;
        Some(Rc::new(Self {
            poll,
            ours,
            theirs,
            asked: Cell::default(),
            sent: Cell::new(0),
            read: Cell::new(0),
            has_shut: Cell::new(false),
            disconnect_told: Cell::new(false),
            writable_told: Cell::new(0),
            is_over: Cell::new(false),
        }))
    }

    /// Starts, stops or changes the watch.
    fn start(self: &Rc<Self>, events: PollEvents) {
        let this = Rc::clone(self);
        let started = self.poll.start(events, move |poll: &Poll, events| this.on_events(poll, events));
        match started {
            Ok(()) => self.asked.set(events),
            // A shortage: the handle is as it was.
            Err(error) => assert!(is_shortage(error.errno()) || self.poll.is_closing(), "{error}"),
        }
        let is_started = !self.asked.get().is_empty();
        assert!(self.poll.is_closing() || self.poll.is_active() == is_started, "active, but not started");
    }

    fn on_events(self: &Rc<Self>, poll: &Poll, events: Result<PollEvents>) {
        let asked = self.asked.get();
        let events = events.expect("a socket has no error");
        assert!(
            !poll.is_closing() && !asked.is_empty(),
            "a handle that is not started is told of {events:?}"
        );
        assert!(!events.is_empty() && events | asked == asked, "{events:?}, but asked for {asked:?}");
        if events.has(PollEvents::DISCONNECT) {
            assert!(self.has_shut.get(), "a disconnect");
            self.disconnect_told.set(true);
        }
        if events.has(PollEvents::WRITABLE) {
            self.writable_told.set(self.writable_told.get() + 1);
        }
        if events.has(PollEvents::READABLE) && (self.is_over.get() || !one_in(3)) {
            self.receive(if one_in(2) { 1 << 16 } else { 7 });
        }
        // What is reported in every turn is not asked for any more, or the loop would spin.
        let mut next = asked;
        for once in [PollEvents::WRITABLE, PollEvents::DISCONNECT] {
            if events.has(once) && (self.is_over.get() || !one_in(4)) {
                next = without(next, once);
            }
        }
        if events.has(PollEvents::READABLE) && self.is_at_end() {
            next = without(next, PollEvents::READABLE);
        }
        if next != asked || one_in(6) {
            self.start(next);
            if self.asked.get() != next {
                // The start was refused, and what is not asked for any more would be reported in every turn.
                poll.stop();
                self.asked.set(PollEvents::NONE);
            }
        }
    }

    /// Reads once.
    fn receive(&self, room: usize) {
        match (&*self.ours).read(&mut vec![0; room]) {
            Ok(count) => self.read.set(self.read.get() + count),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        assert!(self.read.get() <= self.sent.get(), "more than was sent");
    }

    fn is_at_end(&self) -> bool {
        self.has_shut.get() && self.read.get() == self.sent.get()
    }

    fn send(&self, len: usize) {
        if !self.has_shut.get() {
            let written = (&self.theirs).write(&vec![7; len]).unwrap_or(0);
            self.sent.set(self.sent.get() + written);
        }
    }

    fn act(self: &Rc<Self>) {
        match dice(10) {
            0 | 1 => self.start(some_events()),
            2 => {
                self.poll.stop();
                self.asked.set(PollEvents::NONE);
            }
            3..7 => self.send(1 + dice(2_000) as usize),
            7 => self.receive(1 + dice(100) as usize),
            8 => self.compete(),
            _ if one_in(4) => {
                let shut = self.theirs.shutdown(Shutdown::Write);
                assert!(shut.is_ok(), "shutdown");
                self.has_shut.set(true);
            }
            _ if one_in(6) => self.poll.close(),
            _ => {}
        }
    }

    /// A second handle of the descriptor can be made, and starts only if the first is stopped.
    fn compete(&self) {
        if self.poll.is_closing() {
            return;
        }
        let Ok(second) = Poll::new(self.poll.loop_handle(), Rc::clone(&self.ours)) else { return };
        let started =
            second.start(PollEvents::READABLE, |_: &Poll, _| panic!("a handle that is closed is called"));
        match started {
            Ok(()) => assert!(self.asked.get().is_empty(), "two handles of a descriptor are started"),
            Err(error) => {
                let is_watched = error.errno() == Errno::EEXIST && !self.asked.get().is_empty();
                assert!(is_watched || is_shortage(error.errno()), "{error}");
            }
        }
        second.close();
    }
}

fn is_shortage(errno: Errno) -> bool {
    errno == Errno::ENOMEM || errno.name() == "ENOSPC"
}

fn some_events() -> PollEvents {
    let all = [PollEvents::READABLE, PollEvents::WRITABLE, PollEvents::DISCONNECT, PollEvents::PRIORITIZED];
    all.into_iter().filter(|_| one_in(2)).fold(PollEvents::NONE, |sum, event| sum | event)
}

fn without(events: PollEvents, one: PollEvents) -> PollEvents {
    let all = [PollEvents::READABLE, PollEvents::WRITABLE, PollEvents::DISCONNECT, PollEvents::PRIORITIZED];
    let kept = all.into_iter().filter(|event| events.has(*event) && *event != one);
    kept.fold(PollEvents::NONE, |sum, event| sum | event)
}

pub(crate) fn watching(world: &World) -> std::result::Result<(), String> {
    let Ok(event_loop) = world.event_loop("watcher") else { return Ok(()) };
    let all: Vec<Rc<Watched>> = (0..=dice(4)).filter_map(|_| Watched::new(&event_loop)).collect();
    let failing = Failing::new(&event_loop);
    let fails_at = dice(30);
    for step in 0..dice(60) {
        if step == fails_at {
            drop(failing.reader.take());
        }
        if let Some(one) = all.get(dice(all.len() as u64) as usize) {
            one.act();
        }
        if one_in(2) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    drop(failing.reader.take());
    for one in &all {
        one.is_over.set(true);
        one.poll.stop();
        one.asked.set(PollEvents::NONE);
        let asked_before = one.writable_told.get();
        one.disconnect_told.set(false);
        let is_done = || {
            let is_told = one.read.get() == one.sent.get()
                && one.writable_told.get() > asked_before
                && (!one.has_shut.get() || one.disconnect_told.get());
            is_told || one.poll.is_closing()
        };
        while !is_done() {
            // Refused starts are repeated: a shortage has an end.
            if one.asked.get().is_empty() {
                one.start(PollEvents::READABLE | PollEvents::WRITABLE | PollEvents::DISCONNECT);
            }
            world.run_for(Duration::from_millis(1))?;
        }
        one.poll.close();
    }
    failing.finish(world)?;
    world.run()?;
    for one in &all {
        let owners = Rc::strong_count(&one.ours);
        assert_eq!(owners, 1, "a closed handle keeps its descriptor");
    }
    Ok(())
}

/// The writing end of a pipe whose reading end is closed: its handle stops, and tells it once.
struct Failing {
    poll: Option<Poll>,
    reader: RefCell<Option<PipeReader>>,
    told: Rc<Cell<u64>>,
    is_started: bool,
}

impl Failing {
    fn new(event_loop: &LoopHandle) -> Self {
        let told = Rc::new(Cell::new(0));
        let nothing =
            Self { poll: None, reader: RefCell::new(None), told: Rc::clone(&told), is_started: false };
        let Ok((reader, writer)) = std::io::pipe() else { return nothing };
        let Ok(poll) = Poll::new(event_loop, writer) else { return nothing };
        let count = Rc::clone(&told);
        let started = poll.start(PollEvents::DISCONNECT, move |poll: &Poll, events| {
            let errno = events.map_err(|error| error.errno());
            assert_eq!(errno, Err(Errno::EBADF), "a pipe without a reader has an error");
            assert!(!poll.is_active(), "it has stopped");
            count.set(count.get() + 1);
        });
        Self { poll: Some(poll), reader: RefCell::new(Some(reader)), told, is_started: started.is_ok() }
    }

    fn finish(&self, world: &World) -> std::result::Result<(), String> {
        let Some(poll) = &self.poll else { return Ok(()) };
        world.run_until(|| self.told.get() == u64::from(self.is_started))?;
        poll.close();
        world.run()?;
        assert_eq!(self.told.get(), u64::from(self.is_started), "told again");
        Ok(())
    }
}
