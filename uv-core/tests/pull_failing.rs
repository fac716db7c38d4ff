//! Streams whose program reads by itself, when the system cannot read now. Each test runs in a process of its own, in which it
//! makes system calls fail.

mod alone;
mod common;
mod shim;

use common::*;
use shim::Failing;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;
use uv_core::upcall::StreamUpcall;
use uv_core::{Errno, Error, Stream, Timer};

const ENOMEM: i32 = 12;

/// Long enough for several attempts.
const LONG: Duration = Duration::from_millis(300);

/// Reads as a task does that waits for input: the reports end with the first, the read comes behind, and if it finds nothing the
/// reports begin again.
struct Waits {
    reports: Rc<Cell<u32>>,
    read: Rc<RefCell<Vec<u8>>>,
}

impl StreamUpcall for Waits {
    fn on_read(&mut self, _: &Stream, _: &[u8]) {}

    fn on_end(&mut self, _: &Stream) {}

    fn on_read_error(&mut self, _: &Stream, error: Error) {
        panic!("{error}");
    }

    fn on_readable(&mut self, stream: &Stream) {
        self.reports.set(self.reports.get() + 1);
        stream.read_stop();
        let mut buffer = [0; 100];
        match stream.try_read(&mut buffer) {
            Ok(count) => self.read.borrow_mut().extend_from_slice(&buffer[..count]),
            Err(error) => {
                assert_eq!(error.errno(), Errno::EAGAIN);
                stream.readable_start().expect("it is open");
            }
        }
    }
}

#[test]
fn a_reader_that_waits_between_its_reads_does_not_spin_while_memory_is_lacking() {
    let name = "a_reader_that_waits_between_its_reads_does_not_spin_while_memory_is_lacking";
    let test = || {
        let failing = Failing::here();
        let event_loop = test_loop();
        let (stream, mut peer) = connected(&event_loop);
        let (reports, read) = (Rc::new(Cell::new(0)), Rc::default());
        stream.set_upcall(Waits { reports: Rc::clone(&reports), read: Rc::clone(&read) });
        stream.readable_start().expect("it is open");
        failing.fail_always("recv", ENOMEM);
        peer.write_all(b"hello").expect("write");
        let over = Rc::new(Cell::new(false));
        let (rung, timer) = (Rc::clone(&over), Timer::new(&event_loop));
        timer.start(LONG, Duration::ZERO, move |_: &Timer| rung.set(true)).expect("start");
        event_loop.until(|| over.get());
        assert!(reports.get() >= 3, "it is tried again");
        assert!(reports.get() < 30, "{} reports", reports.get());
        failing.stop();
        event_loop.until(|| !read.borrow().is_empty());
        assert_eq!(*read.borrow(), b"hello");
        event_loop.close_and_finish();
    };
    let status = alone::status(
        name,
        |command| {
            Failing::preload(command);
        },
        test,
    );
    assert!(status.is_none_or(|status| status.success()));
}
