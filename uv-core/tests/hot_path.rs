//! What one exchange on a connection costs: no allocation, and no system call but `recv`, `send` and the wait.

mod common;

use common::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use uv_core::upcall::StreamUpcall;
use uv_core::{Error, Loop, RunMode, Tcp};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

#[allow(unsafe_code, reason = "an allocator cannot be without")]
// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED.try_with(Cell::get) == Ok(true) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Answers with the same static bytes, in one of two ways.
struct Answer {
    connection: Tcp,
    at_once: bool,
}

impl StreamUpcall for Answer {
    fn on_read(&mut self, _: &[u8]) {
        if self.at_once {
            assert_eq!(self.connection.try_write(b"answer"), Ok(6));
        } else {
            self.connection.write("answer").expect("write");
        }
    }

    fn on_end(&mut self) {
        self.connection.close();
    }

    fn on_read_error(&mut self, _: Error) {
        self.connection.close();
    }
}

fn answering(lp: &Loop, at_once: bool) -> TcpStream {
    let (ours, peer) = sockets();
    let connection = Tcp::new(lp);
    connection.open(ours.into()).expect("open");
    connection.set_upcall(Answer { connection: connection.clone(), at_once });
    connection.read_start().expect("read_start");
    peer
}

fn exchange(lp: &Loop, peer: &mut TcpStream) {
    peer.write_all(b"request").expect("write");
    assert_eq!(lp.run(RunMode::Once), Ok(true));
    let mut answer = [0; 6];
    peer.read_exact(&mut answer).expect("read");
    assert_eq!(&answer, b"answer");
}

#[test]
fn an_exchange_allocates_nothing() {
    for at_once in [true, false] {
        let lp = test_loop();
        let mut peer = answering(&lp, at_once);
        for _ in 0..10 {
            exchange(&lp, &mut peer);
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        COUNTED.set(true);
        for _ in 0..100 {
            exchange(&lp, &mut peer);
        }
        COUNTED.set(false);
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "at once: {at_once}");
        lp.close_and_finish();
    }
}
