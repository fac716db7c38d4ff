//! Watching descriptors whose input and output are the program's own.

mod common;

use common::*;
use std::cell::Cell;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use uv_core::poll::{Poll, PollEvents};
use uv_core::{Errno, Loop, Prepare, Result, RunMode, Tcp, Timer};

const READABLE: PollEvents = PollEvents::READABLE;
const WRITABLE: PollEvents = PollEvents::WRITABLE;
const DISCONNECT: PollEvents = PollEvents::DISCONNECT;
const PRIORITIZED: PollEvents = PollEvents::PRIORITIZED;

/// A watched socket and its peer. What is reported is logged.
struct Watched {
    poll: Poll,
    ours: Rc<UnixStream>,
    theirs: UnixStream,
    log: Log,
}

fn watched(event_loop: &Loop, events: PollEvents) -> Watched {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("to set");
    let (ours, log) = (Rc::new(ours), Log::new());
    let poll = Poll::new(event_loop, Rc::clone(&ours)).expect("a socket can be watched");
    poll.start(events, log_events(&log)).expect("to start");
    Watched { poll, ours, theirs, log }
}

fn log_events(log: &Log) -> impl FnMut(&Poll, Result<PollEvents>) + use<> {
    let log = log.clone();
    move |_, events| match events {
        Ok(events) => log.add(format!("{events:?}")),
        Err(error) => log.add(error.to_string()),
    }
}

fn read_all(mut from: &UnixStream) -> usize {
    let mut total = 0;
    loop {
        match from.read(&mut [0; 1024]) {
            Ok(0) => return total,
            Ok(count) => total += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return total;
            }
        }
    }
}

#[test]
fn readiness_is_a_level_until_it_is_consumed() {
    let event_loop = test_loop();
    let mut watched = watched(&event_loop, READABLE);
    event_loop.turn();
    assert_eq!(watched.log.take(), [] as [&str; 0]);
    watched.theirs.write_all(b"xyz").expect("write");
    for _ in 0..5 {
        event_loop.turn();
    }
    assert_eq!(watched.log.take(), ["READABLE"; 5]);
    assert_eq!(read_all(&watched.ours), 3);
    event_loop.turn();
    assert_eq!(watched.log.take(), [] as [&str; 0]);
    watched.poll.close();
    event_loop.finish();
}

#[test]
fn a_stopped_handle_does_not_spin_the_loop_and_reports_again_when_it_is_started() {
    let event_loop = test_loop();
    let mut watched = watched(&event_loop, READABLE | WRITABLE);
    watched.theirs.write_all(b"x").expect("write");
    event_loop.turn();
    assert_eq!(watched.log.take(), ["READABLE | WRITABLE"]);
    watched.poll.stop();
    watched.poll.stop();
    assert!(!watched.poll.is_active());
    let (turns, count) = (Rc::new(Cell::new(0)), Prepare::new(&event_loop));
    let counted = Rc::clone(&turns);
    count.start(move |_: &Prepare| counted.set(counted.get() + 1)).expect("to start");
    count.unref();
    let timer = Timer::new(&event_loop);
    timer.start(Duration::from_millis(20), Duration::ZERO, |timer: &Timer| timer.close()).expect("to start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert!(turns.get() < 5, "{} turns", turns.get());
    assert_eq!(watched.log.take(), [] as [&str; 0]);
    watched.poll.start(READABLE, log_events(&watched.log)).expect("to start again");
    event_loop.turn();
    assert_eq!(watched.log.take(), ["READABLE"]);
    // Another set of events, and another callback, replace those of a started handle.
    let other = Log::new();
    watched.poll.start(WRITABLE, log_events(&other)).expect("to start with other events");
    event_loop.turn();
    assert_eq!((other.take(), watched.log.take()), (vec!["WRITABLE".to_owned()], vec![]));
    watched.poll.start(PollEvents::NONE, log_events(&other)).expect("to stop");
    assert!(!watched.poll.is_active());
    event_loop.close_and_finish();
}

#[test]
fn a_stop_drops_an_event_that_is_fetched_already_and_a_new_start_is_told_the_truth() {
    let event_loop = test_loop();
    let watched: Rc<Vec<Watched>> = Rc::new((0..4).map(|_| watched(&event_loop, READABLE)).collect());
    let (calls, log) = (Rc::new(Cell::new(0)), Log::new());
    for (index, one) in watched.iter().enumerate() {
        let (all, calls, log) = (Rc::downgrade(&watched), Rc::clone(&calls), log.clone());
        let on_event = move |_: &Poll, events: Result<PollEvents>| {
            assert_eq!(events, Ok(READABLE));
            calls.set(calls.get() + 1);
            // Whichever comes first ends the others: one is stopped, one started anew for what it is not ready for, and
            // one has nothing to read any more.
            let Some(all) = all.upgrade().filter(|_| calls.get() == 1) else { return };
            let others: Vec<&Watched> =
                all.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, one)| one).collect();
            others[0].poll.stop();
            others[1].poll.start(DISCONNECT, log_events(&log)).expect("to start");
            read_all(&others[2].ours);
            others[2].poll.stop();
            others[2].poll.start(READABLE, log_events(&log)).expect("to start");
            read_all(&all[index].ours);
        };
        one.poll.start(READABLE, on_event).expect("to start");
        (&one.theirs).write_all(b"x").expect("write");
    }
    for _ in 0..3 {
        event_loop.turn();
    }
    assert_eq!((calls.get(), log.take()), (1, vec![]));
    event_loop.close_and_finish();
}

#[test]
fn a_disconnect_is_reported_only_if_it_is_asked_for() {
    let event_loop = test_loop();
    for (asked, reported) in [
        (READABLE, "READABLE"),
        (DISCONNECT, "DISCONNECT"),
        (WRITABLE | DISCONNECT, "WRITABLE | DISCONNECT"),
        (READABLE | WRITABLE | DISCONNECT, "READABLE | WRITABLE | DISCONNECT"),
    ] {
        let (ours, peer) = sockets();
        let (ours, log) = (Rc::new(ours), Log::new());
        let poll = Poll::new(&event_loop, Rc::clone(&ours)).expect("a socket");
        poll.start(asked, log_events(&log)).expect("to start");
        peer.shutdown(Shutdown::Write).expect("shutdown");
        event_loop.until(|| log.has(reported));
        poll.close();
        drop(peer);
    }
    event_loop.close_and_finish();
}

// libuv: poll_oob
#[test]
fn urgent_data_is_prioritized_and_what_is_around_it_stays_readable() {
    let event_loop = test_loop();
    let (ours, mut peer) = sockets();
    peer.set_nodelay(true).expect("to set");
    ours.set_nonblocking(true).expect("to set");
    let (ours, log) = (Rc::new(ours), Log::new());
    let poll = Poll::new(&event_loop, Rc::clone(&ours)).expect("a socket");
    poll.start(READABLE | PRIORITIZED, log_events(&log)).expect("to start");
    peer.write_all(b"before").expect("write");
    unsafe_calls::send_urgent(&peer);
    event_loop.until(|| log.has("READABLE | PRIORITIZED"));
    peer.write_all(b"after").expect("write");
    let mut text = Vec::new();
    event_loop.until(|| {
        // An urgent byte is no part of the input.
        let mut buffer = [0; 64];
        while let Ok(count) = (&*ours).read(&mut buffer) {
            text.extend_from_slice(&buffer[..count]);
        }
        text == b"beforeafter"
    });
    poll.start(PRIORITIZED, log_events(&log)).expect("to start");
    log.take();
    event_loop.turn();
    assert!(!log.lines().iter().any(|line| line.contains("READABLE")), "{:?}", log.lines());
    poll.close();
    event_loop.finish();
}

// libuv: poll_multiple_handles
#[test]
fn a_second_handle_of_a_descriptor_is_refused_when_it_starts_while_the_first_is_started() {
    let event_loop = test_loop();
    let watched = watched(&event_loop, WRITABLE);
    let second = Poll::new(&event_loop, Rc::clone(&watched.ours)).expect("both may exist");
    let error = second.start(WRITABLE, |_: &Poll, _| {}).expect_err("the first is started");
    assert_eq!((error.op(), error.errno()), ("poll_start", Errno::EEXIST));
    assert!(error.target().is_some_and(|fd| fd.starts_with("fd ")) && error.note().is_some(), "{error}");
    assert!(!second.is_active());
    event_loop.turn();
    assert_eq!(watched.log.take(), ["WRITABLE"], "the first goes on");
    watched.poll.stop();
    let log = Log::new();
    second.start(WRITABLE, log_events(&log)).expect("the first is stopped");
    assert_eq!(errno(watched.poll.start(READABLE, |_: &Poll, _| {})), Errno::EEXIST);
    event_loop.turn();
    assert_eq!(log.take(), ["WRITABLE"]);
    // A stream of the loop watches its descriptor, too.
    let (tcp, _peer) = connected(&event_loop);
    tcp.read_start().expect("read_start");
    event_loop.turn();
    let borrowed = unsafe_calls::borrow(tcp.fileno().expect("a descriptor"));
    let third = Poll::new(&event_loop, borrowed).expect("it may exist");
    assert_eq!(errno(third.start(READABLE, |_: &Poll, _| {})), Errno::EEXIST);
    event_loop.close_and_finish();
}

// libuv: poll_bad_fdtype
#[test]
fn files_directories_and_closed_descriptors_are_typed_errors() {
    let event_loop = test_loop();
    for path in [".", "Cargo.toml"] {
        let error = Poll::new(&event_loop, File::open(path).expect("it is there")).expect_err("always ready");
        assert_eq!((error.op(), error.errno()), ("poll_init", Errno::EPERM));
        assert!(error.to_string().contains("a file or directory is always ready"), "{error}");
    }
    let error = Poll::new(&event_loop, unsafe_calls::borrow(1_000_000)).expect_err("it is closed");
    assert_eq!((error.errno(), error.target()), (Errno::EBADF, Some("fd 1000000")));
    let own = unsafe_calls::borrow(event_loop.backend_fd());
    assert_eq!(errno(Poll::new(&event_loop, own)), Errno::EINVAL, "the loop's own");
    assert!(event_loop.handles().is_empty());
    // A library that closes its descriptor too early breaks its promise, and the handle works on.
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let early = Poll::new(&event_loop, unsafe_calls::borrow(ours.as_raw_fd())).expect("it is open");
    early.start(READABLE, |_: &Poll, _| {}).expect("to start");
    drop(ours);
    // `ENOENT` if another test has a descriptor of this number by now.
    let name = errno(early.start(WRITABLE, |_: &Poll, _| {})).name();
    assert!(["EBADF", "ENOENT"].contains(&name), "{name}");
    early.close();
    let watched = watched(&event_loop, READABLE);
    watched.poll.close();
    assert_eq!(errno(watched.poll.start(READABLE, |_: &Poll, _| {})), Errno::EINVAL);
    assert_eq!(errno(watched.poll.fileno()), Errno::EBADF);
    event_loop.finish();
}

// libuv: poll_nested_epoll
#[test]
fn an_epoll_instance_can_be_watched_itself() {
    let (event_loop, inner) = (test_loop(), Loop::new().expect("a loop"));
    let inner = Rc::new(inner);
    let (tcp, mut peer) = sockets();
    let stream = Tcp::new(&inner);
    stream.open(tcp.into()).expect("open");
    let log = Log::new();
    stream.set_upcall(Tower::new(&log, "inner"));
    stream.read_start().expect("read_start");
    let poll = Poll::new(&event_loop, Backend(Rc::clone(&inner))).expect("an epoll instance");
    let driven = Rc::clone(&inner);
    let on_event = move |_: &Poll, events: Result<PollEvents>| {
        assert_eq!(events, Ok(READABLE));
        driven.run(RunMode::NoWait).expect("it runs");
    };
    poll.start(READABLE, on_event).expect("to start");
    inner.run(RunMode::NoWait).expect("the read finds nothing, and the socket is watched");
    peer.write_all(b"hello").expect("write");
    event_loop.until(|| log.has("inner read 5"));
    stream.close();
    inner.run(RunMode::Default).expect("it ends");
    event_loop.close_and_finish();
}

/// The epoll instance of a loop.
struct Backend(Rc<Loop>);

impl AsFd for Backend {
    fn as_fd(&self) -> BorrowedFd<'_> {
        unsafe_calls::borrow(self.0.backend_fd())
    }
}

// libuv: poll_close
#[test]
fn many_started_handles_that_are_closed_before_the_first_turn_report_nothing_but_their_close() {
    let event_loop = test_loop();
    let (closed, mut peers) = (Rc::new(Cell::new(0)), Vec::new());
    for _ in 0..64 {
        let watched = watched(&event_loop, READABLE | WRITABLE);
        watched.poll.start(READABLE | WRITABLE, |_: &Poll, _| panic!("it is closed")).expect("to start");
        peers.push(watched.theirs);
    }
    event_loop.walk(|handle| {
        let closed = Rc::clone(&closed);
        handle.close_with(move || closed.set(closed.get() + 1));
    });
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(closed.get(), 64);
    for mut peer in peers {
        assert_eq!(peer.read(&mut [0]).expect("the handle has dropped its descriptor"), 0);
    }
    event_loop.finish();
}

#[test]
fn an_error_of_the_descriptor_stops_the_handle() {
    let event_loop = test_loop();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let log = Log::new();
    let poll = Poll::new(&event_loop, writer).expect("a pipe can be watched");
    poll.start(WRITABLE, log_events(&log)).expect("to start");
    event_loop.turn();
    assert_eq!(log.take(), ["WRITABLE"]);
    drop(reader);
    event_loop.turn();
    let lines = log.take();
    assert!(lines.len() == 1 && lines[0].starts_with("poll fd ") && lines[0].contains("EBADF"), "{lines:?}");
    assert!(!poll.is_active());
    event_loop.turn();
    assert_eq!(log.take(), [] as [&str; 0]);
    // The other end's hang-up, by contrast, is reported as what was asked for.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let poll = Poll::new(&event_loop, reader).expect("a pipe can be watched");
    poll.start(READABLE, log_events(&log)).expect("to start");
    drop(writer);
    event_loop.turn();
    assert_eq!(log.take(), ["READABLE"]);
    event_loop.close_and_finish();
}

#[test]
fn the_owner_of_the_descriptor_is_kept_until_the_close_and_no_longer() {
    let event_loop = test_loop();
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let ours = Rc::new(ours);
    let poll = Poll::new(&event_loop, Rc::clone(&ours)).expect("a socket");
    assert_eq!(poll.fileno(), Ok(ours.as_raw_fd()));
    poll.start(READABLE, |_: &Poll, _| {}).expect("to start");
    let kept = poll.clone();
    poll.close();
    assert_eq!(Rc::strong_count(&ours), 2);
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(Rc::strong_count(&ours), 1, "although a clone of the handle is left");
    drop(kept);
    // A loop that is dropped closes the descriptors of its handles, and a handle of a dropped loop has none.
    let owned = OwnedFd::from(theirs);
    let left = Poll::new(&event_loop, owned).expect("a socket");
    left.start(READABLE, |_: &Poll, _| {}).expect("to start");
    let handle = left.loop_handle().clone();
    drop(event_loop);
    assert_eq!((&*ours).read(&mut [0]).expect("its peer is closed"), 0);
    let late = Poll::new(&handle, Rc::clone(&ours)).expect("it is closed from the start");
    assert!(late.is_closing() && Rc::strong_count(&ours) == 1);
}

#[test]
fn a_callback_may_close_its_handle_and_a_panic_loses_no_event() {
    let event_loop = test_loop();
    let log = Log::new();
    let mut peers = Vec::new();
    for index in 0..3 {
        let mut watched = watched(&event_loop, READABLE);
        watched.theirs.write_all(b"x").expect("write");
        peers.push(watched.theirs);
        let log = log.clone();
        let mut calls = 0;
        let on_event = move |poll: &Poll, events: Result<PollEvents>| {
            assert_eq!(events, Ok(READABLE));
            calls += 1;
            log.add(format!("{index}"));
            if calls == 1 && index == 0 {
                std::panic::resume_unwind(Box::new("meant"));
            }
            poll.close();
        };
        watched.poll.start(READABLE, on_event).expect("to start");
    }
    let run = std::panic::AssertUnwindSafe(|| event_loop.run(RunMode::Default));
    std::panic::catch_unwind(run).expect_err("a callback panics");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    let mut lines = log.take();
    lines.sort();
    assert_eq!(lines, ["0", "0", "1", "2"]);
    event_loop.finish();
}

#[test]
fn ten_thousand_starts_stops_and_closes_leave_no_handle_and_no_memory() {
    let event_loop = test_loop();
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let ours = Rc::new(ours);
    let use_some = |times: u32| {
        for number in 1..=times {
            let poll = Poll::new(&event_loop, Rc::clone(&ours)).expect("a socket");
            for events in [READABLE, WRITABLE, PollEvents::NONE, READABLE | DISCONNECT] {
                poll.start(events, |_: &Poll, _| {}).expect("to start");
            }
            poll.close();
            if number % 100 == 0 {
                event_loop.turn();
            }
        }
    };
    use_some(100);
    let counted = allocation_counter::measure(|| use_some(10_000));
    assert_eq!(counted.bytes_current, 0, "{counted:?}");
    assert_eq!((event_loop.handles().len(), Rc::strong_count(&ours)), (0, 1));
    event_loop.finish();
}

/// What the standard library does not offer.
mod unsafe_calls {
    use super::*;

    /// A descriptor that another part of the program owns, or that is closed.
    #[allow(unsafe_code, reason = "the way to give a descriptor that code of another language owns")]
    pub(crate) fn borrow(number: RawFd) -> BorrowedFd<'static> {
        // SAFETY: the tests keep the owner for as long as the handle is open; a closed number is only asked about.
        unsafe { BorrowedFd::borrow_raw(number) }
    }

    #[allow(unsafe_code, reason = "the only way to send urgent data")]
    pub(crate) fn send_urgent(socket: &TcpStream) {
        // SAFETY: pointer and length describe one byte of a constant.
        let sent = unsafe { libc::send(socket.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
        assert_eq!(sent, 1);
    }
}
