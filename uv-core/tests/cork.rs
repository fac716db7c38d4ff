//! Small writes of one callback leave together, and nothing else about them changes.

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::mem::size_of;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Errno, LoopHandle, Pipe, RunMode, Tcp, Timer};

const SMALL: &[u8] = &[b's'; 64];

/// Writes of a callback, of which the first two leave at once.
const WRITES: usize = 16;

/// Acknowledgements that come in between send what the kernel holds back: at most one for each of the first two writes.
const EXTRA_PACKETS: u32 = 2;

/// A connection that the loop has accepted, without Nagle's algorithm.
fn accepted(event_loop: &TestLoop, log: &Log) -> (Tcp, TcpStream) {
    let taken = Rc::new(RefCell::new(None));
    let takes = Rc::clone(&taken);
    let (server, addr) = serve(event_loop, move |tcp| drop(takes.replace(Some(tcp))));
    let peer = TcpStream::connect(addr).expect("connect");
    event_loop.until(|| taken.borrow().is_some());
    server.close();
    event_loop.turn();
    let tcp = taken.take().expect("a connection");
    tcp.set_nodelay(true).expect("option");
    tcp.set_upcall(Tower::new(log, "tcp"));
    (tcp, peer)
}

/// Calls `work` from a callback of the loop, and runs the loop until it has been called.
fn in_a_callback(event_loop: &TestLoop, mut work: impl FnMut() + 'static) {
    let timer = Timer::new(event_loop);
    let is_done = Rc::new(Cell::new(false));
    let done = Rc::clone(&is_done);
    let run = move |timer: &Timer| {
        timer.close();
        work();
        done.set(true);
    };
    timer.start(Duration::ZERO, Duration::ZERO, run).expect("a timer");
    event_loop.until(|| is_done.get());
}

fn write_often(tcp: &Tcp) {
    for _ in 0..WRITES {
        assert_eq!(tcp.try_write(SMALL), Ok(SMALL.len()), "the kernel takes it at once");
    }
}

/// Reads what so many writes have sent.
fn expect_from(mut peer: &TcpStream, writes: usize) {
    let mut all = vec![0; writes * SMALL.len()];
    peer.read_exact(&mut all).expect("all of it");
    assert!(all.iter().all(|byte| *byte == b's'));
}

/// What the kernel knows of a connection.
#[allow(unsafe_code, reason = "the only way to see packets")]
fn facts(fd: i32) -> libc::tcp_info {
    // SAFETY: all zeroes is a valid value of a struct of integers.
    let mut facts: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to the struct, which outlives the call.
    let result = unsafe {
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut facts).cast(), &raw mut len)
    };
    assert_eq!(result, 0);
    facts
}

/// The packets with data that a loop's only connection has sent. The loop itself is not asked for the descriptor, which it would
/// then take for a shared one.
fn packets(event_loop: &LoopHandle) -> u32 {
    facts(descriptor(event_loop)).tcpi_data_segs_out
}

/// The bytes that the kernel holds back.
fn held_back(event_loop: &LoopHandle) -> u32 {
    facts(descriptor(event_loop)).tcpi_notsent_bytes
}

fn descriptor(event_loop: &LoopHandle) -> i32 {
    let fds: Vec<i32> = event_loop.handles().iter().filter_map(|handle| handle.fd).collect();
    assert_eq!(fds.len(), 1, "one connection");
    fds[0]
}

// unpinned in libuv
#[test]
fn small_writes_of_a_callback_leave_in_three_packets_when_it_is_over() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = accepted(&event_loop, &log);
    let most_held = Rc::new(Cell::new(0));
    let seen = Rc::clone(&most_held);
    in_a_callback(&event_loop, move || {
        write_often(&tcp);
        assert_eq!((tcp.write_queue_size(), tcp.bytes_written()), (0, 1024));
        seen.set(held_back(tcp.loop_handle()));
    });
    event_loop.turn();
    assert_eq!(held_back(&event_loop), 0, "it has left");
    assert!((3..=3 + EXTRA_PACKETS).contains(&packets(&event_loop)), "{}", packets(&event_loop));
    assert!(most_held.get() as usize <= (WRITES - 2) * SMALL.len());
    expect_from(&peer, WRITES);
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn requests_are_reported_one_by_one_although_they_leave_together() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = accepted(&event_loop, &log);
    in_a_callback(&event_loop, move || {
        for _ in 0..WRITES {
            tcp.write(SMALL).expect("write");
        }
    });
    event_loop.turn();
    assert_eq!((log.count("tcp write ok"), held_back(&event_loop)), (WRITES, 0));
    assert!((3..=3 + EXTRA_PACKETS).contains(&packets(&event_loop)), "{}", packets(&event_loop));
    expect_from(&peer, WRITES);
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn nothing_is_held_back_outside_of_callbacks_or_behind_a_large_write_or_of_a_shared_socket() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = accepted(&event_loop, &log);
    write_often(&tcp);
    assert_eq!(packets(&event_loop) as usize, WRITES, "the loop does not run");
    expect_from(&peer, WRITES);
    let writer = tcp.clone();
    in_a_callback(&event_loop, move || {
        write_often(&writer);
        assert_eq!(writer.try_write(&[b's'; 64 * 128]), Ok(64 * 128));
        assert_eq!(held_back(writer.loop_handle()), 0, "behind a large write");
    });
    expect_from(&peer, WRITES + 128);
    let (before, writer) = (packets(&event_loop), tcp.clone());
    let _duplicate = tcp.try_clone_fd().expect("a duplicate");
    in_a_callback(&event_loop, move || {
        write_often(&writer);
        assert_eq!((packets(writer.loop_handle()) - before) as usize, WRITES);
    });
    expect_from(&peer, WRITES);
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn what_is_held_back_leaves_before_a_close_with_unread_input() {
    for with_fin in [false, true] {
        let event_loop = test_loop();
        let log = Log::new();
        let (tcp, mut peer) = accepted(&event_loop, &log);
        peer.write_all(b"unread").expect("write");
        let writer = tcp.clone();
        in_a_callback(&event_loop, move || {
            write_often(&writer);
            if with_fin { writer.close_with_fin() } else { writer.close() }
        });
        event_loop.finish();
        expect_from(&peer, WRITES);
    }
}

// unpinned in libuv
#[test]
fn a_fin_follows_what_is_held_back() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = accepted(&event_loop, &log);
    in_a_callback(&event_loop, move || {
        write_often(&tcp);
        tcp.shutdown().expect("shutdown");
    });
    expect_from(&peer, WRITES);
    assert_eq!(peer.read(&mut [0]).expect("read"), 0, "the end");
    event_loop.until(|| log.has("tcp shutdown ok"));
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn a_panic_holds_nothing_back() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = accepted(&event_loop, &log);
    let timer = Timer::new(&event_loop);
    let panicking = move |timer: &Timer| {
        timer.close();
        write_often(&tcp);
        panic!("of a callback");
    };
    timer.start(Duration::ZERO, Duration::ZERO, panicking).expect("a timer");
    let run = AssertUnwindSafe(|| event_loop.run(RunMode::Default));
    assert!(catch_unwind(run).is_err());
    assert_eq!(held_back(&event_loop), 0);
    expect_from(&peer, WRITES);
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn streams_that_one_callback_writes_to_in_turn_hold_nothing_back() {
    let event_loop = test_loop();
    let log = Log::new();
    let connections: Vec<_> = (0..3).map(|_| accepted(&event_loop, &log)).collect();
    let writers: Vec<Tcp> = connections.iter().map(|(tcp, _)| tcp.clone()).collect();
    in_a_callback(&event_loop, move || {
        writers.iter().for_each(write_often);
        writers.iter().for_each(|writer| assert_eq!(writer.try_write(SMALL), Ok(SMALL.len())));
    });
    event_loop.turn();
    for handle in event_loop.handles() {
        assert_eq!(handle.fd.map(|fd| facts(fd).tcpi_notsent_bytes), Some(0));
    }
    connections.iter().for_each(|(_, peer)| expect_from(peer, WRITES + 1));
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn a_pipe_sends_at_once_what_more_could_follow() {
    let event_loop = test_loop();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let pipe = Pipe::new(&event_loop);
    pipe.open(writer.into()).expect("open");
    assert_eq!(pipe.try_write_more(b"another kind"), Ok(12));
    assert_eq!(reader.read(&mut [0; 20]).expect("read"), 12);
    pipe.close();
    assert_eq!(errno(pipe.try_write_more(b"late")), Errno::EBADF);
    event_loop.finish();
}
