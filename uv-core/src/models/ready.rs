//! The still-ready set and the pending queue against a plain model: random reads, stops, writes, ends and closes, outside
//! of upcalls and inside, some of which panic. What a peer sent is read by a stream that reads, in order and without a
//! further event; a loop that has nothing to do has empty sets; and a stream is in a set once, as its flag says.

use super::{FED, QUEUED};
use crate::seeds::{Dice, each_seed};
use crate::upcall::StreamUpcall;
use crate::{Async, Error, Loop, Result, RunMode, Stream};
use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

const LINKS: usize = 6;
const STEPS: usize = 300;

/// Turns after which a loop without news must be at rest.
const PATIENCE: usize = 1000;

/// A stream, its peer, and what the model knows of them.
struct Link {
    stream: Stream,
    peer: RefCell<UnixStream>,
    known: RefCell<Known>,
}

/// Bytes and calls in each direction.
#[derive(Debug, Default)]
struct Known {
    sent: usize,
    read: usize,
    is_reading: bool,
    has_sent_fin: bool,
    written: usize,
    arrived: usize,
    writes: usize,
    completed: usize,
}

struct World {
    event_loop: Loop,
    dice: RefCell<Dice>,
    links: RefCell<Vec<Rc<Link>>>,
    /// All streams there ever were: a closed one may be in a set.
    streams: RefCell<Vec<Stream>>,
    upcalls: Cell<usize>,
    /// Upcalls only note what they are told.
    is_settling: Cell<bool>,
}

/// The bytes of a stream from a position on.
fn bytes(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|at| (at % 251) as u8).collect()
}

#[test]
fn streams_do_what_level_triggered_ones_do() {
    each_seed(10, |dice| {
        let world = Rc::new(World {
            event_loop: Loop::new().expect("a loop"),
            dice: RefCell::new(dice),
            links: RefCell::default(),
            streams: RefCell::default(),
            upcalls: Cell::new(0),
            is_settling: Cell::new(false),
        });
        // A loop in which nothing is active takes no turn.
        let _kept_alive = Async::new(&world.event_loop, |_: &Async| {});
        for _ in 0..LINKS {
            let link = world.link();
            world.links.borrow_mut().push(link);
        }
        for _ in 0..STEPS {
            for _ in 0..world.roll(6) {
                let link = Rc::clone(&world.links.borrow()[world.roll(LINKS)]);
                world.operate(&link);
            }
            world.turn();
            if world.roll(10) == 0 {
                world.settle();
            }
        }
        world.settle();
        world.event_loop.close_all();
        assert_eq!(world.event_loop.run(RunMode::Default), Ok(false));
        assert_eq!(world.event_loop.close(), Ok(()));
    });
}

impl World {
    fn roll(&self, sides: usize) -> usize {
        self.dice.borrow_mut().roll(sides)
    }

    fn link(self: &Rc<Self>) -> Rc<Link> {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        theirs.set_nonblocking(true).expect("to set");
        let stream = Stream::from_fd(&self.event_loop, ours.into()).expect("a stream");
        self.streams.borrow_mut().push(stream.clone());
        let link = Rc::new(Link { stream, peer: RefCell::new(theirs), known: RefCell::default() });
        link.stream.set_upcall(Tower { world: Rc::clone(self), link: Rc::clone(&link) });
        link
    }

    fn size(&self) -> usize {
        if self.roll(10) == 0 { 1 + self.roll(100_000) } else { 1 + self.roll(300) }
    }

    /// One random operation of a stream or of its peer.
    fn operate(self: &Rc<Self>, link: &Rc<Link>) {
        if link.stream.is_closing() {
            return;
        }
        let mut known = link.known.borrow_mut();
        match self.roll(16) {
            0..5 if !known.has_sent_fin => {
                let sent = link.peer.borrow_mut().write(&bytes(known.sent, self.size()));
                known.sent += sent.unwrap_or(0);
            }
            5 if self.roll(4) == 0 => {
                link.peer.borrow().shutdown(Shutdown::Write).expect("to end");
                known.has_sent_fin = true;
            }
            6 => link.receive(&mut known),
            7..10 if !known.is_reading => {
                link.stream.read_start().expect("to start");
                known.is_reading = true;
            }
            10 | 11 => {
                link.stream.read_stop();
                known.is_reading = false;
            }
            12 | 13 => {
                let size = self.size();
                link.stream.write(bytes(known.written, size)).expect("to write");
                known.written += size;
                known.writes += 1;
            }
            14 => link.stream.notify(),
            15 if self.roll(4) == 0 => {
                link.stream.close();
                let another = self.link();
                let place = self.links.borrow().iter().position(|other| Rc::ptr_eq(other, link));
                if let Some(place) = place {
                    self.links.borrow_mut()[place] = another;
                }
            }
            _ => {}
        }
    }

    /// A turn of the loop, which a panic may end early.
    fn turn(&self) {
        let turn = catch_unwind(AssertUnwindSafe(|| self.event_loop.run(RunMode::NoWait)));
        if let Err(panic) = turn
            && !panic.is::<Meant>()
        {
            resume_unwind(panic);
        }
        let (inner, streams) = (self.event_loop.inner(), self.streams.borrow());
        let count = |flag| streams.iter().filter(|stream| stream.0.has(flag)).count();
        assert_eq!(inner.still_ready.len(), count(QUEUED), "in the still-ready set");
        assert_eq!(inner.pending.len(), count(FED), "in the pending queue");
    }

    /// Runs the loop until nothing happens, and compares what has happened with what should have.
    fn settle(&self) {
        self.is_settling.set(true);
        let (mut quiet, mut turns) = (0, 0);
        while quiet < 3 {
            let before = self.upcalls.get();
            self.turn();
            self.links.borrow().iter().for_each(|link| link.receive(&mut link.known.borrow_mut()));
            let inner = self.event_loop.inner();
            let rests = inner.still_ready.is_empty() && inner.pending.is_empty();
            quiet = if self.upcalls.get() == before && rests { quiet + 1 } else { 0 };
            turns += 1;
            assert!(turns < PATIENCE, "the loop does not come to rest");
        }
        for link in &*self.links.borrow() {
            let known = link.known.borrow();
            assert!(
                !known.is_reading || known.read == known.sent && !known.has_sent_fin,
                "unread: {known:?}"
            );
            assert!(known.arrived == known.written && known.completed == known.writes, "unsent: {known:?}");
        }
        self.is_settling.set(false);
    }
}

impl Link {
    /// The peer reads what there is.
    fn receive(&self, known: &mut Known) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.peer.borrow_mut().read(&mut buffer) {
                Ok(count) if count > 0 => {
                    assert!(buffer[..count] == bytes(known.arrived, count), "other bytes arrived");
                    known.arrived += count;
                }
                Ok(_) => break,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    break;
                }
            }
        }
    }
}

/// The panic of an upcall that is meant to.
struct Meant;

struct Tower {
    world: Rc<World>,
    link: Rc<Link>,
}

impl Tower {
    fn called(&self) {
        self.world.upcalls.set(self.world.upcalls.get() + 1);
        if self.world.is_settling.get() {
            return;
        }
        (0..self.world.roll(3)).for_each(|_| self.world.operate(&self.link));
        if self.world.roll(50) == 0 {
            resume_unwind(Box::new(Meant));
        }
    }
}

impl StreamUpcall for Tower {
    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        let mut known = self.link.known.borrow_mut();
        assert!(known.is_reading, "it does not read");
        assert!(data == bytes(known.read, data.len()), "other bytes were read");
        known.read += data.len();
        drop(known);
        self.called();
    }

    fn on_end(&mut self, _: &Stream) {
        let mut known = self.link.known.borrow_mut();
        assert!(known.is_reading && known.has_sent_fin && known.read == known.sent, "not at its end");
        known.is_reading = false;
        drop(known);
        self.called();
    }

    fn on_unread_end(&mut self, _: &Stream) {
        assert!(!self.link.known.borrow().is_reading, "it reads");
        self.called();
    }

    fn on_read_error(&mut self, _: &Stream, error: Error) {
        panic!("{error}");
    }

    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
        // A closing stream cancels what the kernel has not taken.
        assert!(result.is_ok() || stream.is_closing(), "{result:?}");
        self.link.known.borrow_mut().completed += 1;
        self.called();
    }

    fn on_notify(&mut self, _: &Stream) {
        self.called();
    }
}
