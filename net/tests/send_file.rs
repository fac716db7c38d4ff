//! Files as output of a socket: counted, drained, and broken off if they become shorter.

mod common;

use common::{Log, Peer, TempPath, connection, new_loop, run_to_the_end};
use net::uv_core::file::{File, FileRange};
use net::uv_core::{Errno, LoopHandle};
use net::{ErrorCode, ServerOptions, Socket};
use std::cell::Cell;
use std::fs;
use std::rc::Rc;

/// More than the kernel takes at once between two sockets of one machine.
const A_LOT: usize = 16 * 1024 * 1024;

/// A file of so many bytes.
fn file(name: &str, len: usize) -> TempPath {
    let path = TempPath::new(name);
    fs::write(&path.0, vec![b'x'; len]).expect("a file");
    path
}

fn whole(event_loop: &LoopHandle, path: &TempPath) -> FileRange {
    let opened = fs::File::open(&path.0).expect("it exists");
    let file = File::from_std(event_loop, opened, &path.0).expect("a file");
    file.range(..).expect("a regular file")
}

fn counting(peer: Peer, received: &Rc<Cell<usize>>) -> Peer {
    let received = Rc::clone(received);
    peer.on_bytes(move |_, data| received.set(received.get() + data.len()))
}

#[test]
fn a_large_file_is_counted_and_drained_whatever_the_high_water_mark_is() {
    let (event_loop, env) = new_loop();
    let (log, received) = (Log::default(), Rc::new(Cell::new(0)));
    let path = file("large", A_LOT);
    let range = whole(&event_loop, &path);
    let send = move |socket: &Socket| {
        assert_eq!(socket.write(b"front"), Ok(true));
        assert_eq!(socket.write_file(range.clone()), Ok(false));
        assert_eq!(socket.bytes_written(), A_LOT as u64 + 5);
        assert!(socket.buffered() > 0 && socket.buffered() <= A_LOT);
    };
    let there = Peer::new("there", &log).on("connect", send).on("drain", |socket| {
        assert_eq!(socket.buffered(), 0);
        socket.end();
    });
    let here = counting(Peer::new("here", &Log::default()), &received);
    connection(&env, ServerOptions::default().high_water_mark(usize::MAX), here, there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(received.get(), A_LOT + 5);
    assert_eq!(log.take(), ["there connect", "there drain", "there finish", "there end", "there close"]);
}

#[test]
fn a_small_file_is_with_the_kernel_at_once_and_needs_no_drain() {
    let (event_loop, env) = new_loop();
    let (log, received) = (Log::default(), Rc::new(Cell::new(0)));
    let (path, empty) = (file("small", 1000), file("empty", 0));
    let (range, nothing) = (whole(&event_loop, &path), whole(&event_loop, &empty));
    let there = Peer::new("there", &log).on("connect", move |socket| {
        assert_eq!(socket.write_more(b"front"), Ok(true));
        assert_eq!(socket.write_file(range.clone()), Ok(true));
        assert_eq!(socket.write_file(nothing.clone()), Ok(true));
        socket.end();
        let error = socket.write_file(range.clone()).expect_err("it has ended");
        assert_eq!(error.code(), ErrorCode::WriteAfterEnd);
    });
    let here = counting(Peer::new("here", &Log::default()), &received);
    connection(&env, ServerOptions::default(), here, there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(received.get(), 1005);
    assert_eq!(log.take(), ["there connect", "there finish", "there end", "there close"]);
}

#[test]
fn a_file_that_becomes_shorter_resets_the_connection_and_is_named() {
    let (event_loop, env) = new_loop();
    let (log, other) = (Log::default(), Log::default());
    let path = file("shorter", A_LOT);
    let (range, cut) = (whole(&event_loop, &path), path.0.clone());
    let there = Peer::new("there", &log).on("connect", move |socket| {
        assert_eq!(socket.write_file(range.clone()), Ok(false));
        assert_eq!(socket.write(b"behind"), Ok(false));
        fs::OpenOptions::new().write(true).open(&cut).and_then(|file| file.set_len(1000)).expect("cut");
        socket.end();
    });
    let here = Peer::new("here", &other).on_bytes(|_, _| {});
    connection(&env, ServerOptions::default().high_water_mark(usize::MAX), here, there);
    run_to_the_end(&event_loop, &env);
    let told = log.take();
    let named = format!("there error sendfile {} (the file has become shorter)", path.0.display());
    assert!(told.iter().any(|line| line.starts_with(&named)), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("there close after an error"));
    assert!(!told.iter().any(|line| line == "there finish"), "{told:?}");
    let heard = other.take();
    assert!(!heard.iter().any(|line| line == "here end"), "no orderly end: {heard:?}");
    assert!(heard.iter().any(|line| line.contains("ECONNRESET")), "{heard:?}");
}

#[test]
fn a_file_that_is_shorter_already_is_an_error_of_the_call_too() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let path = file("already", 1000);
    let range = whole(&event_loop, &path);
    fs::write(&path.0, "").expect("cut");
    let there = Peer::new("there", &log).on("connect", move |socket| {
        let error = socket.write_file(range.clone()).expect_err("it is shorter");
        assert_eq!(error.errno(), Some(Errno::ENODATA));
        assert!(socket.is_destroyed());
    });
    connection(&env, ServerOptions::default(), Peer::new("here", &Log::default()), there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take().last().map(String::as_str), Some("there close after an error"));
}
