//! Reading from TCP connections.

mod common;

use common::*;
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Check, Errno, Idle, Tcp, Timer};

/// A reading stream that logs its upcalls.
fn reader(event_loop: &TestLoop, log: &Log) -> (Tcp, std::net::TcpStream) {
    let (tcp, peer) = connected(event_loop);
    tcp.set_upcall(Tower::new(log, "tcp"));
    tcp.read_start().expect("read_start");
    (tcp, peer)
}

#[test]
fn input_is_read_when_it_comes_before_or_after_the_start() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    peer.write_all(b"early").expect("write");
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.read_start().expect("read_start");
    event_loop.until(|| log.has("tcp read 5"));
    for round in 1..=3 {
        event_loop.turn();
        peer.write_all(b"x").expect("write");
        event_loop.until(|| log.count("tcp read 1") == round);
    }
    event_loop.close_and_finish();
}

// libuv: shutdown_eof
#[test]
fn behind_a_shutdown_input_and_the_end_still_come_and_nothing_closes_the_stream() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = reader(&event_loop, &log);
    tcp.write("Q").expect("write");
    tcp.shutdown().expect("shutdown");
    event_loop.until(|| log.has("tcp shutdown ok"));
    let mut all = Vec::new();
    peer.read_to_end(&mut all).expect("the peer gets the end");
    assert_eq!(all, b"Q");
    assert!(tcp.is_active() && tcp.is_readable() && !tcp.is_writable());
    peer.write_all(b"Q").expect("write");
    drop(peer);
    let (timer, waited) = (Timer::new(&event_loop), log.clone());
    let later = move |timer: &Timer| {
        waited.add("later");
        timer.close();
    };
    timer.start(Duration::from_millis(10), Duration::ZERO, later).expect("start");
    event_loop.until(|| log.has("tcp end") && log.has("later"));
    assert!(!tcp.is_closing());
    tcp.close();
    event_loop.finish();
    let lines: Vec<_> = log.take().into_iter().filter(|line| line != "later").collect();
    assert_eq!(lines, ["tcp write ok", "tcp shutdown ok", "tcp read 1", "tcp end", "tcp close"]);
}

#[test]
fn the_end_stops_reading_and_neither_closes_nor_stops_writing() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = reader(&event_loop, &log);
    assert_eq!(errno(tcp.read_start()), Errno::EALREADY);
    peer.shutdown(Shutdown::Write).expect("shutdown");
    event_loop.until(|| log.has("tcp end"));
    assert!(!tcp.is_active() && !tcp.is_closing() && tcp.is_writable());
    tcp.read_stop();
    tcp.read_stop();
    tcp.write("still").expect("write");
    tcp.shutdown().expect("shutdown");
    event_loop.until(|| log.has("tcp shutdown ok"));
    event_loop.close_and_finish();
}

// libuv: readable_on_eof
#[test]
fn after_the_end_a_stream_is_still_readable_and_ends_again() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = connected(&event_loop);
    let (this, ends) = (tcp.clone(), Cell::new(0));
    tcp.set_upcall(Tower::new(&log, "tcp").on_end(move || {
        assert!(this.is_readable() && this.is_writable());
        ends.set(ends.get() + 1);
        if ends.get() < 3 {
            this.read_start().expect("read_start");
        } else {
            this.close();
            assert!(!this.is_readable() && !this.is_writable());
        }
    }));
    tcp.read_start().expect("read_start");
    drop(peer);
    event_loop.finish();
    assert_eq!(log.take(), ["tcp end", "tcp end", "tcp end", "tcp close"]);
}

// libuv: not_readable_nor_writable_on_read_error, tcp_rst
#[test]
fn a_reset_is_an_error_after_which_the_stream_is_neither_readable_nor_writable() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = reader(&event_loop, &log);
    event_loop.turn();
    reset(&event_loop, &tcp, peer);
    event_loop.until(|| log.has("tcp error ECONNRESET"));
    assert!(!tcp.is_readable() && !tcp.is_writable() && !tcp.is_active());
    assert_eq!(errno(tcp.read_start()), Errno::ENOTCONN);
    assert_eq!(errno(tcp.write("x")), Errno::EPIPE);
    event_loop.close_and_finish();
    assert_eq!(log.take(), ["tcp error ECONNRESET", "tcp close"]);
}

// libuv: tcp_read_stop
#[test]
fn a_stop_in_on_read_ends_the_reading_at_once_and_nothing_is_lost() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    // More than one read of the loop.
    peer.write_all(&[7; 100_000]).expect("write");
    let total = Rc::new(Cell::new(0));
    let (sum, this) = (Rc::clone(&total), tcp.clone());
    tcp.set_upcall(Tower::new(&log, "tcp").on_read(move |data| {
        sum.set(sum.get() + data.len());
        this.read_stop();
    }));
    let mut reads = 0;
    while total.get() < 100_000 {
        tcp.read_start().expect("read_start");
        event_loop.until(|| log.lines().len() > reads);
        reads += 1;
        event_loop.turn();
        assert_eq!(log.lines().len(), reads, "one read for each start");
    }
    assert!(!tcp.is_active());
    event_loop.close_and_finish();
}

// libuv: tcp_read_stop
#[test]
fn a_stop_with_a_write_on_its_way_reads_nothing_and_the_write_is_reported() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = reader(&event_loop, &log);
    event_loop.turn();
    peer.write_all(b"not read").expect("write");
    tcp.write("PING").expect("write");
    tcp.read_stop();
    event_loop.until(|| log.has("tcp write ok"));
    tcp.close();
    event_loop.finish();
    assert_eq!(log.take(), ["tcp write ok", "tcp close"]);
}

// libuv: tcp_close_after_read_timeout
#[test]
fn a_silent_connection_closed_by_a_timer_is_closed_once_and_ends_at_its_peer() {
    let event_loop = test_loop();
    let log = Log::new();
    let seen = log.clone();
    let (server, addr) = serve(&event_loop, move |connection| {
        let this = connection.clone();
        connection.set_upcall(Tower::new(&seen, "server").on_end(move || this.close()));
        connection.read_start().expect("read_start");
    });
    server.unref();
    let (client, timer) = (Tcp::new(&event_loop), Timer::new(&event_loop));
    let (connected, silent) = (client.clone(), log.clone());
    client.set_upcall(Tower::new(&log, "client").on_connect(move |_| {
        connected.read_start().expect("read_start");
        let (client, silent) = (connected.clone(), silent.clone());
        let give_up = move |timer: &Timer| {
            assert!(!silent.lines().iter().any(|line| line.contains("read")), "the peer has sent nothing");
            client.read_stop();
            client.close();
            timer.close();
        };
        timer.start(Duration::from_millis(20), Duration::ZERO, give_up).expect("start");
    }));
    client.connect(addr).expect("connect");
    // The listener does not hold the loop: it ends when both ends of the connection are closed.
    assert_eq!(event_loop.run(uv_core::RunMode::Default), Ok(false));
    let of = |end: &str| log.lines().into_iter().filter(|line| line.starts_with(end)).collect::<Vec<_>>();
    assert_eq!(of("client"), ["client connect ok", "client close"]);
    assert_eq!(of("server"), ["server end", "server close"]);
    event_loop.close_and_finish();
}

// libuv: tcp_read_stop_start: with a write to a peer that has closed, and a second reader.
#[test]
fn a_start_after_a_write_to_a_closed_peer_is_told_the_end() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    let (this, first) = (tcp.clone(), Cell::new(true));
    tcp.set_upcall(Tower::new(&log, "tcp").on_read(move |_| {
        assert!(first.replace(false), "there is one message");
        this.write("into the void").expect("write");
        this.read_stop();
        this.read_start().expect("read_start");
    }));
    tcp.read_start().expect("read_start");
    peer.write_all(b"1234567").expect("write");
    drop(peer);
    event_loop.until(|| log.has("tcp end") || log.has("tcp error ECONNRESET"));
    assert_eq!(log.count("tcp read 7"), 1);
    event_loop.close_and_finish();
}

// libuv: tcp_read_stop_start
#[test]
fn a_stop_and_start_in_on_read_goes_on_without_loss() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    let total = Rc::new(Cell::new(0));
    let (sum, this) = (Rc::clone(&total), tcp.clone());
    tcp.set_upcall(Tower::new(&log, "tcp").on_read(move |data| {
        sum.set(sum.get() + data.len());
        this.read_stop();
        this.read_start().expect("read_start");
    }));
    tcp.read_start().expect("read_start");
    let writer = std::thread::spawn(move || peer.write_all(&[7; 1 << 20]));
    event_loop.until(|| log.has("tcp end"));
    writer.join().expect("join").expect("write");
    assert_eq!(total.get(), 1 << 20);
    event_loop.close_and_finish();
}

// libuv: tcp_unexpected_read
#[test]
fn input_that_nobody_reads_does_not_spin_the_loop() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = reader(&event_loop, &log);
    event_loop.turn();
    tcp.read_stop();
    peer.write_all(b"unexpected").expect("write");
    let rounds = Rc::new(Cell::new(0));
    let count = Rc::clone(&rounds);
    let check = Check::new(&event_loop);
    check.start(move |_: &Check| count.set(count.get() + 1)).expect("start");
    let timer = Timer::new(&event_loop);
    timer
        .start(Duration::from_millis(20), Duration::ZERO, |timer: &Timer| timer.loop_handle().stop())
        .expect("start");
    assert_eq!(event_loop.run(uv_core::RunMode::Default), Ok(true));
    assert!(rounds.get() <= 3, "{} iterations", rounds.get());
    tcp.read_start().expect("read_start");
    event_loop.until(|| log.has("tcp read 10"));
    event_loop.close_and_finish();
}

// libuv: tcp_oob
#[test]
fn urgent_data_splits_the_input_and_loses_none_of_the_rest() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = connected(&event_loop);
    let total = Rc::new(Cell::new(0));
    let sum = Rc::clone(&total);
    tcp.set_upcall(Tower::new(&log, "tcp").on_read(move |data| sum.set(sum.get() + data.len())));
    tcp.read_start().expect("read_start");
    event_loop.turn();
    let sender = urgent::Sender(&peer);
    for round in 1..=5 {
        // All three are in the kernel before the loop reads: the first read ends at the urgent mark.
        sender.send(b"abc");
        sender.send_urgent();
        sender.send(b"def");
        // The urgent byte of the previous round may arrive as a normal byte once it is no longer urgent.
        event_loop.until(|| total.get() >= 6 * round);
        event_loop.turn();
    }
    let idle = Idle::new(&event_loop);
    let ticks = Rc::new(Cell::new(0));
    let count = Rc::clone(&ticks);
    idle.start(move |idle: &Idle| {
        count.set(count.get() + 1);
        if count.get() == 10 {
            idle.loop_handle().close_all();
        }
    })
    .expect("start");
    event_loop.finish();
    assert!(!log.lines().iter().any(|line| line.contains("error")));
}

/// Sending urgent data, which the standard library does not support.
mod urgent {
    use std::io::Write;
    use std::net::TcpStream;
    use std::os::fd::AsRawFd;

    pub(crate) struct Sender<'a>(pub(crate) &'a TcpStream);

    impl Sender<'_> {
        pub(crate) fn send(&self, data: &[u8]) {
            let mut stream = self.0;
            stream.write_all(data).expect("write");
        }

        #[allow(unsafe_code, reason = "the only way to send urgent data")]
        pub(crate) fn send_urgent(&self) {
            // SAFETY: one byte is read from a literal of one byte.
            let sent = unsafe { libc::send(self.0.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
            assert_eq!(sent, 1);
        }
    }
}

// unpinned in libuv
#[test]
fn a_peer_that_sends_without_end_does_not_block_another() {
    let event_loop = test_loop();
    let log = Log::new();
    let (hose, mut sender) = connected(&event_loop);
    let (tcp, mut peer) = connected(&event_loop);
    let quiet = Rc::new(Cell::new(false));
    let ended = Rc::clone(&quiet);
    hose.set_upcall(Tower::new(&Log::new(), "hose"));
    hose.read_start().expect("read_start");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let writer = std::thread::spawn(move || {
        let data = vec![0; 1 << 20];
        while !stopped.load(std::sync::atomic::Ordering::SeqCst) && sender.write_all(&data).is_ok() {}
    });
    let this = tcp.clone();
    tcp.set_upcall(Tower::new(&log, "tcp").on_read(move |data| {
        assert_eq!(this.try_write(data), Ok(data.len()));
        ended.set(data == b"z");
    }));
    tcp.read_start().expect("read_start");
    let client = std::thread::spawn(move || {
        use std::io::Read;
        let mut answer = [0];
        for byte in [b"a", b"b", b"c", b"z"] {
            peer.write_all(byte).expect("write");
            peer.read_exact(&mut answer).expect("the answer");
            assert_eq!(&answer, byte);
        }
    });
    event_loop.until(|| quiet.get());
    client.join().expect("join");
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    event_loop.close_all();
    event_loop.turn();
    writer.join().expect("join");
    event_loop.finish();
}

// unpinned in libuv: input that a turn leaves is remembered, because no further edge reports it.
#[test]
fn input_beyond_the_bound_of_a_turn_is_read_in_the_next_ones() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    let total = Rc::new(Cell::new(0));
    let sum = Rc::clone(&total);
    tcp.set_upcall(Tower::new(&log, "tcp").on_read(move |data| sum.set(sum.get() + data.len())));
    tcp.read_start().expect("read_start");
    const BYTES: usize = 32 << 20;
    let writer = std::thread::spawn(move || {
        let sent = peer.write_all(&vec![0; BYTES]);
        (peer, sent)
    });
    event_loop.until(|| total.get() == BYTES);
    let (peer, sent) = writer.join().expect("join");
    sent.expect("write");
    drop(peer);
    event_loop.until(|| log.has("tcp end"));
    event_loop.close_and_finish();
}

#[test]
fn the_end_follows_the_last_input_even_if_both_are_there() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_tcp, mut peer) = reader(&event_loop, &log);
    event_loop.turn();
    peer.write_all(b"last").expect("write");
    drop(peer);
    event_loop.until(|| log.has("tcp end"));
    assert_eq!(log.take(), ["tcp read 4", "tcp end"]);
    event_loop.close_and_finish();
}

#[test]
fn a_notice_comes_once_in_the_next_pending_phase() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, _peer) = connected(&event_loop);
    let again = tcp.clone();
    let first = Cell::new(true);
    tcp.set_upcall(Tower::new(&log, "tcp").on_notify(move || {
        if first.replace(false) {
            again.notify();
        }
    }));
    tcp.notify();
    tcp.notify();
    assert!(log.lines().is_empty() && event_loop.is_alive());
    event_loop.turn();
    assert_eq!(log.take(), ["tcp notify", "tcp notify"], "twice together, and once from inside");
    tcp.notify();
    tcp.close();
    event_loop.finish();
    assert_eq!(log.take(), ["tcp close"]);
}

#[test]
fn a_turn_has_its_bound_of_reads_however_many_events_announce_more() {
    let event_loop = test_loop();
    let (tcp, mut peer) = connected(&event_loop);
    let (total, reads, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (sum, count) = (Rc::clone(&total), Rc::clone(&reads));
    tcp.set_upcall(Tower::new(&Log::new(), "tcp").on_read(move |data| {
        sum.set(sum.get() + data.len());
        count.set(count.get() + 1);
    }));
    tcp.read_start().expect("read_start");
    let highest = Rc::clone(&most);
    let check = Check::new(&event_loop);
    check.start(move |_: &Check| highest.set(highest.get().max(reads.replace(0)))).expect("start");
    const BYTES: usize = 64 << 20;
    let writer = std::thread::spawn(move || peer.write_all(&vec![0; BYTES]));
    event_loop.until(|| total.get() == BYTES);
    writer.join().expect("join").expect("write");
    assert!(most.get() <= 32, "{} reads", most.get());
    event_loop.close_and_finish();
}
