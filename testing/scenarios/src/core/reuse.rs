//! Handles that take the places of closed ones while events of those are still under way: no handle gets what was meant for
//! its predecessor.

use super::{dice, one_in};
use crate::{is_passing, is_repeated};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::upcall::StreamUpcall;
use uv_core::{Error, LoopHandle, Pipe, Result, Stream};

/// A connection: its near end has the place of an earlier one, and its far end writes its number.
struct Pair {
    number: u8,
    near: Pipe,
    far: Pipe,
    sent: Cell<u64>,
    received: Cell<u64>,
    /// The far end has shut down or closed.
    has_ended: Cell<bool>,
    was_told: Cell<bool>,
    /// It has failed, or an end was told, although the far end had not ended.
    has_failed: Cell<bool>,
}

struct Near(Rc<Pair>);
struct Far;

/// Near ends are closed and replaced, in one loop, while their far ends in another write, end and close.
pub(crate) fn places(world: &World) -> std::result::Result<(), String> {
    let (Ok(here), Ok(there)) = (world.event_loop("here"), world.event_loop("there")) else { return Ok(()) };
    let mut all = Vec::new();
    for number in 0..1 + dice(4) {
        all.extend(Pair::open(&here, &there, number as u8));
    }
    for number in 4..4 + dice(80) {
        let Some(place) = all.get(dice(all.len() as u64) as usize).map(Rc::clone) else { break };
        match dice(8) {
            0..3 => place.write(),
            3 => place.end(),
            4 => place.stop_or_go_on(),
            5 | 6 => {
                if one_in(2) {
                    // What the near end is about to hear of may come when it is closed.
                    place.end();
                    world.run_for(Duration::from_micros(1))?;
                }
                place.near.close();
                // Its place is free behind a turn.
                world.run_for(Duration::from_micros(1))?;
                all.extend(Pair::open(&here, &there, number as u8));
            }
            _ => world.run_for(Duration::from_micros(1 + dice(1_500)))?,
        }
    }
    // Late events come to the handles that are there now.
    world.run_for(Duration::from_millis(dice(20)))?;
    let is_excused = world.has_met(|fault| !is_passing(fault));
    for pair in &all {
        let is_caused = !pair.has_failed.get() || is_excused;
        assert!(is_caused, "pair {} has failed, or heard of an end, without a cause", pair.number);
        pair.near.close();
        pair.far.close();
    }
    world.run()
}

impl Pair {
    /// `None` if a fault keeps it from opening.
    fn open(here: &LoopHandle, there: &LoopHandle, number: u8) -> Option<Rc<Self>> {
        let (near, far) = (Pipe::new(here), Pipe::new(there));
        if near.open_pair().and_then(|other| far.open(other)).is_err() {
            near.close();
            far.close();
            return None;
        }
        let pair = Rc::new(Self {
            number,
            near,
            far,
            sent: Cell::new(0),
            received: Cell::new(0),
            has_ended: Cell::new(false),
            was_told: Cell::new(false),
            has_failed: Cell::new(false),
        });
        pair.near.set_upcall(Near(Rc::clone(&pair)));
        pair.far.set_upcall(Far);
        pair.stop_or_go_on();
        Some(pair)
    }

    fn write(&self) {
        let len = 1 + dice(300);
        // Fails once it has ended, and by a fault.
        if self.far.write(vec![self.number; len as usize]).is_ok() {
            self.sent.set(self.sent.get() + len);
        }
    }

    /// Shuts the far end down, or closes it.
    fn end(&self) {
        self.has_ended.set(true);
        if one_in(2) || self.far.shutdown().is_err() {
            self.far.close();
        }
    }

    fn stop_or_go_on(&self) {
        self.was_told.set(false);
        self.near.read_stop();
        if one_in(2) {
            // Fails once it is closed.
            let _ = self.near.read_start();
        }
    }

    /// An end is told, which needs one: the other end's, or a fault, which the end of the run knows.
    fn note_end(&self) {
        if !self.has_ended.get() {
            self.has_failed.set(true);
        }
    }
}

impl StreamUpcall for Near {
    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        let pair = &self.0;
        assert!(data.iter().all(|byte| *byte == pair.number), "pair {} reads another's bytes", pair.number);
        pair.received.set(pair.received.get() + data.len() as u64);
        assert!(pair.received.get() <= pair.sent.get(), "pair {} reads more than was sent", pair.number);
    }

    fn on_end(&mut self, _: &Stream) {
        self.0.note_end();
    }

    fn on_unread_end(&mut self, _: &Stream) {
        self.0.note_end();
        assert!(!self.0.was_told.replace(true), "on_unread_end twice");
    }

    fn on_read_error(&mut self, stream: &Stream, error: Error) {
        assert!(!is_repeated(error.errno()), "{error} reached the program");
        // What was not read when the other end closed makes the close a reset.
        self.0.note_end();
        stream.close();
    }
}

impl StreamUpcall for Far {
    fn on_read(&mut self, _: &Stream, _: &[u8]) {
        panic!("nothing was sent to the far end");
    }

    fn on_end(&mut self, _: &Stream) {}

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        stream.close();
    }

    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
        // The near end has closed, or a fault.
        if result.is_err() {
            stream.close();
        }
    }
}
