//! Conversations of sockets that are watched, whose programs leave input, pause and change what they watch for at random.

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use uv_core::poll::{Poll, PollEvents};
use uv_core::{Loop, Result, RunMode, Timer};

const READABLE: PollEvents = PollEvents::READABLE;
const WRITABLE: PollEvents = PollEvents::WRITABLE;
const DISCONNECT: PollEvents = PollEvents::DISCONNECT;

/// One side of a conversation: reads and writes at random, stops, and starts again. As in libuv's test.
struct Side {
    socket: Rc<TcpStream>,
    poll: Poll,
    pauses: Timer,
    events: Cell<PollEvents>,
    delayed: Cell<PollEvents>,
    to_send: Cell<usize>,
    received: Cell<usize>,
    got_fin: Cell<bool>,
    sent_fin: Cell<bool>,
    got_disconnect: Cell<bool>,
    dice: Rc<RefCell<Dice>>,
}

/// Pseudo-random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

const TRANSFER: usize = 1 << 16;

fn without(events: PollEvents, one: PollEvents) -> PollEvents {
    let each = [READABLE, WRITABLE, DISCONNECT].into_iter();
    each.filter(|event| events.has(*event) && *event != one).fold(PollEvents::NONE, |sum, event| sum | event)
}

impl Side {
    fn begin(event_loop: &Loop, socket: TcpStream, to_send: usize, dice: &Rc<RefCell<Dice>>) -> Rc<Self> {
        socket.set_nonblocking(true).expect("to set");
        let socket = Rc::new(socket);
        let all = READABLE | WRITABLE | DISCONNECT;
        let side = Rc::new(Self {
            poll: Poll::new(event_loop, Rc::clone(&socket)).expect("a socket"),
            pauses: Timer::new(event_loop),
            socket,
            events: Cell::new(all),
            delayed: Cell::default(),
            to_send: Cell::new(to_send),
            received: Cell::default(),
            got_fin: Cell::default(),
            sent_fin: Cell::default(),
            got_disconnect: Cell::default(),
            dice: Rc::clone(dice),
        });
        side.restart(all);
        side
    }

    fn restart(self: &Rc<Self>, events: PollEvents) {
        self.events.set(events);
        let this = Rc::clone(self);
        self.poll.start(events, move |_: &Poll, events| this.on_events(events)).expect("to start");
    }

    fn on_events(self: &Rc<Self>, events: Result<PollEvents>) {
        let (events, asked) = (events.expect("no error"), self.events.get());
        assert!(!events.is_empty() && events | asked == asked, "{events:?} of {asked:?}");
        let mut next = asked;
        if events.has(READABLE) {
            next = self.read(next);
        }
        if events.has(WRITABLE) && next.has(WRITABLE) {
            next = self.write(next);
        }
        if events.has(DISCONNECT) {
            self.got_disconnect.set(true);
            next = without(next, DISCONNECT);
        }
        if self.got_fin.get() && self.sent_fin.get() && self.got_disconnect.get() {
            self.events.set(PollEvents::NONE);
            self.poll.close();
            self.pauses.close();
        } else if next != self.events.get() {
            self.restart(next);
        }
        assert_eq!(self.poll.is_active(), !self.events.get().is_empty());
    }

    fn read(self: &Rc<Self>, next: PollEvents) -> PollEvents {
        let action = self.dice.borrow_mut().roll(7);
        match action {
            0..4 => {
                let mut buffer = [0; 931];
                let size = if action < 2 { 74 } else { 931 };
                loop {
                    match (&*self.socket).read(&mut buffer[..size]) {
                        Ok(0) => {
                            self.got_fin.set(true);
                            return without(next, READABLE);
                        }
                        Ok(count) => self.received.set(self.received.get() + count),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::WouldBlock);
                            return next;
                        }
                    }
                    if action < 2 {
                        return next;
                    }
                }
            }
            4 => next,
            5 => self.pause(READABLE, next),
            _ => {
                self.restart(WRITABLE);
                self.restart(next);
                next
            }
        }
    }

    fn write(self: &Rc<Self>, next: PollEvents) -> PollEvents {
        if self.to_send.get() == 0 {
            self.socket.shutdown(Shutdown::Write).expect("shutdown");
            self.sent_fin.set(true);
            return without(next, WRITABLE);
        }
        let action = self.dice.borrow_mut().roll(6);
        match action {
            0..4 => {
                let size = if action < 2 { 103 } else { 1234 };
                while self.to_send.get() > 0 {
                    match (&*self.socket).write(&vec![7; size.min(self.to_send.get())]) {
                        Ok(count) => self.to_send.set(self.to_send.get() - count),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::WouldBlock);
                            break;
                        }
                    }
                    if action < 2 {
                        break;
                    }
                }
                next
            }
            4 => next,
            _ => self.pause(WRITABLE, next),
        }
    }

    /// Goes on without one of the events, which the timer adds again.
    fn pause(self: &Rc<Self>, event: PollEvents, next: PollEvents) -> PollEvents {
        if !self.pauses.is_active() {
            self.delayed.set(PollEvents::NONE);
            let this = Rc::clone(self);
            let on_timeout = move |_: &Timer| this.restart(this.events.get() | this.delayed.get());
            self.pauses.start(Duration::from_millis(1), Duration::ZERO, on_timeout).expect("to start");
        }
        self.delayed.set(self.delayed.get() | event);
        without(next, event)
    }
}

fn converse(both_send: bool) {
    let event_loop = test_loop();
    let dice = Rc::new(RefCell::new(Dice(17)));
    let sides: Vec<Rc<Side>> = (0..10)
        .flat_map(|_| {
            let (ours, peer) = sockets();
            let back = if both_send { TRANSFER } else { 0 };
            [Side::begin(&event_loop, ours, TRANSFER, &dice), Side::begin(&event_loop, peer, back, &dice)]
        })
        .collect();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    for (index, side) in sides.iter().enumerate() {
        let expected = if both_send || index % 2 == 1 { TRANSFER } else { 0 };
        assert_eq!((side.received.get(), side.to_send.get()), (expected, 0));
    }
    event_loop.finish();
}

// libuv: poll_duplex
#[test]
fn both_sides_of_connections_transfer_everything_whatever_they_leave() {
    converse(true);
}

// libuv: poll_unidirectional
#[test]
fn one_side_of_connections_transfers_everything_whatever_it_leaves() {
    converse(false);
}
