//! Writing to TCP connections.

mod common;

use bytes::Bytes;
use common::*;
use std::cell::Cell;
use std::io::{IoSlice, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Errno, Tcp, Timer};

/// A connection whose kernel buffers are small.
fn narrow(event_loop: &TestLoop) -> (Tcp, TcpStream) {
    let (tcp, peer) = connected(event_loop);
    tcp.set_send_buffer_size(128 * 1024).expect("option");
    (tcp, peer)
}

/// Reads everything in another thread.
fn read_all(mut peer: TcpStream) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).expect("read");
        all
    })
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

// libuv: tcp_write_queue_order
#[test]
fn every_write_is_reported_once_in_order() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = narrow(&event_loop);
    let order = Rc::new(Cell::new(0));
    let next = Rc::clone(&order);
    let sizes = tcp.clone();
    let left = Rc::new(Cell::new(usize::MAX));
    tcp.set_upcall(Tower::new(&log, "tcp").on_write(move |_| {
        next.set(next.get() + 1);
        assert!(sizes.write_queue_size() <= left.replace(sizes.write_queue_size()));
    }));
    for _ in 0..10 {
        tcp.write(vec![1; 200_000]).expect("write");
    }
    assert!(tcp.is_active() && tcp.write_queue_size() > 0);
    let reader = read_all(peer);
    tcp.shutdown().expect("shutdown");
    event_loop.until(|| log.has("tcp shutdown ok"));
    assert_eq!((order.get(), log.count("tcp write ok"), tcp.write_queue_size()), (10, 10, 0));
    assert_eq!(log.lines().last().map(String::as_str), Some("tcp shutdown ok"));
    assert!(!tcp.is_active());
    event_loop.close_and_finish();
    assert_eq!(reader.join().expect("join").len(), 2_000_000);
}

// libuv: tcp_write_in_a_row
#[test]
fn a_write_that_the_kernel_takes_whole_is_still_reported_later() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, _peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write("one").expect("write");
    tcp.write("two").expect("write");
    assert_eq!(tcp.write_queue_size(), 0);
    assert!(log.lines().is_empty() && !tcp.is_active() && event_loop.is_alive());
    event_loop.turn();
    assert_eq!(log.take(), ["tcp write ok", "tcp write ok"]);
    event_loop.close_and_finish();
}

// libuv: tcp_try_write
#[test]
fn try_write_may_be_partial_and_waits_behind_the_queue() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = narrow(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    assert_eq!(tcp.try_write(b""), Ok(0));
    let big = vec![0; 1 << 23];
    let taken = tcp.try_write(&big).expect("some of it");
    assert!(taken > 0 && taken < big.len());
    let mut total = taken + big.len() + 4;
    let full = loop {
        match tcp.try_write(&big) {
            Ok(taken) => total += taken,
            Err(error) => break error,
        }
    };
    assert_eq!(full.errno(), Errno::EAGAIN, "the kernel is full");
    tcp.write(big).expect("write");
    let reader = read_all(peer);
    assert_eq!(errno(tcp.try_write(b"x")), Errno::EAGAIN, "the queue is not empty");
    event_loop.until(|| log.has("tcp write ok"));
    assert_eq!(tcp.try_writev(&[IoSlice::new(b"la"), IoSlice::new(b""), IoSlice::new(b"st")]), Ok(4));
    event_loop.close_and_finish();
    assert_eq!(reader.join().expect("join").len(), total);
}

// libuv: tcp_try_write_error
#[test]
fn try_write_and_write_report_a_reset_every_time() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    reset(&event_loop, &tcp, peer);
    assert_eq!(errno(tcp.try_write(b"x")), Errno::ECONNRESET);
    assert_eq!(errno(tcp.try_write(b"x")), Errno::EPIPE);
    for round in 1..=2 {
        tcp.write("x").expect("write");
        event_loop.turn();
        assert_eq!(log.count("tcp write EPIPE"), round);
    }
    event_loop.close_and_finish();
}

// libuv: tcp_write_fail, io_64_safe
#[test]
fn no_buffer_and_too_many_bytes_are_refused() {
    let event_loop = test_loop();
    let (tcp, _peer) = connected(&event_loop);
    assert_eq!(errno(tcp.writev([])), Errno::EINVAL);
    let megabyte = Bytes::from(vec![0; 1 << 20]);
    let too_much = std::iter::repeat_n(megabyte, 2048);
    assert_eq!(errno(tcp.writev(too_much)), Errno::EINVAL);
    assert!(!event_loop.is_alive() || tcp.is_active());
    assert_eq!(tcp.write_queue_size(), 0);
    event_loop.close_and_finish();
}

// libuv: tcp_write_to_half_open_connection
#[test]
fn a_write_to_a_peer_that_closed_completes_and_then_reading_ends() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    drop(peer);
    tcp.write("into the void").expect("write");
    tcp.read_start().expect("read_start");
    event_loop.until(|| log.lines().iter().any(|line| line == "tcp end" || line == "tcp error ECONNRESET"));
    assert_eq!(log.lines()[0], "tcp write ok");
    event_loop.close_and_finish();
}

// libuv: tcp_write_ready
#[test]
fn an_endless_chain_of_writes_can_be_shut_down_and_arrives_to_its_end() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = connected(&event_loop);
    let (reader, count) = (read_all(peer), Rc::new(Cell::new(0)));
    let (this, writes) = (tcp.clone(), Rc::clone(&count));
    let tower = Tower::new(&log, "tcp").on_write(move |result| {
        result.expect("the peer reads");
        writes.set(writes.get() + 1);
        if this.is_writable() {
            this.write("PING").expect("write");
        }
    });
    tcp.set_upcall(tower);
    tcp.write("PING").expect("write");
    let (timer, ending) = (Timer::new(&event_loop), tcp);
    timer
        .start(Duration::from_millis(5), Duration::ZERO, move |timer: &Timer| {
            timer.close();
            ending.shutdown().expect("shutdown");
        })
        .expect("start");
    event_loop.until(|| log.has("tcp shutdown ok"));
    let sent = reader.join().expect("join").len();
    assert_eq!((sent, log.count("tcp write ok")), (4 * count.get(), count.get()));
    assert_eq!(log.lines().last().map(String::as_str), Some("tcp shutdown ok"), "behind all writes");
    event_loop.close_and_finish();
}

#[test]
fn an_endless_chain_of_writes_does_not_starve_a_timer() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = connected(&event_loop);
    let reader = read_all(peer);
    let this = tcp.clone();
    tcp.set_upcall(Tower::new(&Log::new(), "tcp").on_write(move |result| {
        if result.is_ok() {
            this.write("again").expect("write");
        }
    }));
    tcp.write("first").expect("write");
    let timer = Timer::new(&event_loop);
    let fired = log.clone();
    timer
        .start(Duration::from_millis(1), Duration::ZERO, move |timer: &Timer| {
            fired.add("fired");
            timer.loop_handle().stop();
        })
        .expect("start");
    assert_eq!(event_loop.run(uv_core::RunMode::Default), Ok(true));
    assert_eq!(log.take(), ["fired"]);
    // The last write has completed: its report starts no other write on a closing stream.
    tcp.set_upcall(Tower::new(&log, "tcp"));
    event_loop.close_and_finish();
    reader.join().expect("join");
}

// libuv: tcp_writealot
#[test]
fn large_vectored_writes_arrive_byte_for_byte() {
    const BUFFERS: usize = 300;
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = narrow(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    let data = Bytes::from(pattern(3_000_000));
    let chunk = data.len() / BUFFERS;
    // A write of one buffer, a write of many buffers with empty ones among them, and single writes behind them.
    tcp.write(data.slice(..chunk)).expect("write");
    let many =
        (1..BUFFERS - 50).flat_map(|index| [data.slice(index * chunk..(index + 1) * chunk), Bytes::new()]);
    tcp.writev(many).expect("writev");
    for index in BUFFERS - 50..BUFFERS {
        tcp.write(data.slice(index * chunk..(index + 1) * chunk)).expect("write");
    }
    tcp.write("").expect("write");
    tcp.shutdown().expect("shutdown");
    let reader = read_all(peer);
    event_loop.until(|| log.has("tcp shutdown ok"));
    event_loop.close_and_finish();
    assert!(reader.join().expect("join") == data[..]);
    assert_eq!(log.count("tcp write ok"), 53);
}

// unpinned in libuv
#[test]
fn a_failed_write_releases_its_bytes_before_its_report_and_those_behind_it_wait_for_the_close() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = narrow(&event_loop);
    let sizes = tcp.clone();
    let seen = Rc::new(Cell::new(usize::MAX));
    let size = Rc::clone(&seen);
    tcp.set_upcall(Tower::new(&log, "tcp").on_write(move |_| size.set(sizes.write_queue_size())));
    tcp.write(vec![0; 1 << 23]).expect("write");
    tcp.write("behind it").expect("write");
    event_loop.turn();
    // Unread input turns the peer's close into a reset.
    drop(peer);
    event_loop.until(|| !log.lines().is_empty());
    assert_eq!(seen.get(), 9);
    assert!(
        log.lines() == ["tcp write ECONNRESET"] || log.lines() == ["tcp write EPIPE"],
        "{:?}",
        log.lines()
    );
    log.take();
    event_loop.turn();
    assert!(log.lines().is_empty());
    tcp.close();
    event_loop.finish();
    assert_eq!(log.take(), ["tcp write ECANCELED", "tcp close"]);
}

#[test]
fn a_shutdown_behind_a_write_that_fails_is_reported() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = narrow(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write(vec![0; 1 << 23]).expect("write");
    tcp.shutdown().expect("shutdown");
    event_loop.turn();
    drop(peer);
    event_loop.until(|| log.lines().len() == 2);
    let lines = log.take();
    assert!(lines[0].starts_with("tcp write E") && lines[1].starts_with("tcp shutdown "), "{lines:?}");
    event_loop.close_and_finish();
}

#[test]
fn a_zero_length_write_completes_in_its_place() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, _peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write("").expect("write");
    tcp.writev([Bytes::new(), Bytes::new()]).expect("writev");
    event_loop.turn();
    assert_eq!(log.take(), ["tcp write ok", "tcp write ok"]);
    event_loop.close_and_finish();
}

#[test]
fn reading_and_writing_at_once_loses_nothing() {
    const BYTES: usize = 4 << 20;
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = narrow(&event_loop);
    let echo = tcp.clone();
    tcp.set_upcall(
        Tower::new(&log, "tcp")
            .on_read({
                let echo = echo.clone();
                move |data| echo.write(data.to_vec()).expect("write")
            })
            .on_end(move || echo.shutdown().expect("shutdown")),
    );
    tcp.read_start().expect("read_start");
    let mut writer = peer.try_clone().expect("clone");
    let reader = read_all(peer);
    let data = pattern(BYTES);
    let expected = data.clone();
    let writer = std::thread::spawn(move || {
        writer.write_all(&data).expect("write");
        writer.shutdown(std::net::Shutdown::Write).expect("shutdown");
    });
    event_loop.until(|| log.has("tcp shutdown ok"));
    event_loop.close_and_finish();
    writer.join().expect("join");
    assert!(reader.join().expect("join") == expected);
}

#[test]
fn small_writes_behind_a_full_buffer_are_all_sent_once_there_is_room() {
    // More than one system call takes.
    const SMALL: usize = 1000;
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = narrow(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    let large = 4 << 20;
    tcp.write(vec![0; large]).expect("write");
    for _ in 0..SMALL {
        tcp.write("x").expect("write");
    }
    assert!(tcp.write_queue_size() > SMALL, "the peer does not read");
    let reader = read_all(peer);
    // The peer sends nothing, so nothing else tells that there is room.
    event_loop.until(|| log.count("tcp write ok") == 1 + SMALL);
    tcp.close();
    event_loop.finish();
    assert_eq!(reader.join().expect("the peer reads").len(), large + SMALL);
}
