//! A flood of events. The only test of its file, because its process needs more descriptors than usual.

mod alone;
mod common;

use common::*;
use std::cell::Cell;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Pipe, Prepare, Timer};

/// More streams than one wait reports events.
const STREAMS: usize = 1100;

/// One stream of so many reads. The others are only watched.
const PER_READER: usize = 100;

// libuv: the 48 polls of `uv__io_poll`
#[test]
fn a_flood_of_events_is_cut_short_for_the_timers_and_counted() {
    let name = "a_flood_of_events_is_cut_short_for_the_timers_and_counted";
    let more = |command: &mut std::process::Command| {
        alone::wrap(command, &["sh", "-c", "ulimit -n 1400 && exec \"$0\" \"$@\""]);
    };
    let status = alone::status(name, more, || {
        let event_loop = test_loop();
        let (ours, mut peer) = UnixStream::pair().expect("a pair");
        // A byte is an event of every stream. The first reader that is called reads it, and another byte follows.
        let is_over = Rc::new(Cell::new(false));
        let again = Rc::new(peer.try_clone().expect("a descriptor"));
        for number in 0..STREAMS {
            let (stream, over, again) = (Pipe::new(&event_loop), Rc::clone(&is_over), Rc::clone(&again));
            stream.open(ours.as_fd().try_clone_to_owned().expect("a descriptor")).expect("open");
            stream.set_upcall(Tower::new(&Log::new(), "stream").on_read(move |data| {
                if !over.get() {
                    (&*again).write_all(data).expect("write");
                }
            }));
            stream.read_start().expect("read_start");
            event_loop.turn();
            if number % PER_READER > 0 {
                stream.read_stop();
            }
        }
        event_loop.turn();
        assert_eq!(event_loop.polls_cut_short(), 0, "nothing was sent");
        let turns = Rc::new(Cell::new(0));
        let counted = Rc::clone(&turns);
        let prepare = Prepare::new(&event_loop);
        prepare.start(move |_: &Prepare| counted.set(counted.get() + 1)).expect("start");
        let rung = Rc::clone(&is_over);
        let timer = Timer::new(&event_loop);
        timer.start(Duration::from_millis(1), Duration::ZERO, move |_: &Timer| rung.set(true)).unwrap();
        peer.write_all(b"x").expect("write");
        event_loop.until(|| is_over.get());
        // Each phase of the flood, and no other, was cut short.
        assert!(turns.get() > 0);
        assert_eq!(event_loop.polls_cut_short(), turns.get());
        event_loop.close_and_finish();
    });
    assert!(status.is_none_or(|status| status.success()));
}
