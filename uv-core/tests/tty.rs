//! Terminals: their modes, their window, and their input and output, over pseudo terminals.

mod common;
mod pty;

use common::*;
use pty::{Pty, attributes, set_window_size};
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use uv_core::tty::{Mode, Tty, reset_mode};
use uv_core::{Errno, Pipe, RunMode};

/// Tests that change terminals run one at a time, since `reset_mode` is of the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_nonblocking(fd: i32) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).expect("proc");
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags").trim();
    i32::from_str_radix(flags, 8).expect("octal") & libc::O_NONBLOCK != 0
}

/// Collects what a terminal's stream reads.
fn collect(tty: &Tty, log: &Log) -> Rc<RefCell<Vec<u8>>> {
    let bytes = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&bytes);
    tty.set_upcall(Tower::new(log, "tty").on_read(move |data| into.borrow_mut().extend_from_slice(data)));
    tty.read_start().expect("read_start");
    bytes
}

// libuv: tty
#[test]
fn a_terminal_has_a_size_and_modes_that_end_where_they_began() {
    let _alone = alone();
    let Some(pty) = Pty::new() else { return };
    let event_loop = test_loop();
    let input = Tty::open(&event_loop, pty.open(true, false)).expect("a terminal");
    let output = Tty::open(&event_loop, pty.open(false, true)).expect("a terminal");
    assert!(input.is_readable() && !input.is_writable() && !output.is_readable() && output.is_writable());
    set_window_size(pty.control.as_raw_fd(), 132, 43);
    let size = output.window_size().expect("a size");
    assert_eq!((size.columns, size.rows), (132, 43));

    let normal = attributes(pty.control.as_raw_fd());
    assert_eq!((input.mode(), normal.2 & libc::ICANON), (Mode::Normal, libc::ICANON));
    input.set_mode(Mode::Raw).expect("to set");
    let raw = attributes(pty.control.as_raw_fd());
    assert_eq!(raw.2 & (libc::ICANON | libc::ECHO | libc::ISIG), 0);
    assert_eq!(raw.1 & libc::OPOST, libc::OPOST, "output is still processed");
    input.set_mode(Mode::Io).expect("to set");
    assert_eq!(attributes(pty.control.as_raw_fd()).1 & libc::OPOST, 0);
    input.set_mode(Mode::Normal).expect("to set");
    assert_eq!(attributes(pty.control.as_raw_fd()), normal);

    for _ in 0..3 {
        reset_mode().expect("nothing is to be reset");
    }
    input.set_mode(Mode::Raw).expect("to set");
    reset_mode().expect("to reset");
    assert_eq!((input.mode(), attributes(pty.control.as_raw_fd())), (Mode::Normal, normal));
    // Unlike in libuv the mode can be set again.
    input.set_mode(Mode::Raw).expect("to set");
    assert_eq!(attributes(pty.control.as_raw_fd()), raw);
    event_loop.close_and_finish();
    assert_eq!(attributes(pty.control.as_raw_fd()), normal, "the close restores it");
}

#[test]
fn the_last_handle_that_changed_a_terminal_restores_it_and_a_dropped_loop_does_too() {
    let _alone = alone();
    let Some(pty) = Pty::new() else { return };
    let control = pty.control.as_raw_fd();
    let normal = attributes(control);
    let event_loop = test_loop();
    let first = Tty::open(&event_loop, pty.open(true, true)).expect("a terminal");
    let second = Tty::open(&event_loop, pty.open(true, true)).expect("a terminal");
    first.set_mode(Mode::Raw).expect("to set");
    second.set_mode(Mode::Io).expect("to set");
    let io = attributes(control);
    first.close();
    assert_eq!(attributes(control), io, "the second handle has it so");
    assert_eq!(errno(first.set_mode(Mode::Raw)), Errno::EBADF);
    assert_eq!(errno(first.window_size()), Errno::EBADF);
    second.set_mode(Mode::Normal).expect("to set");
    assert_eq!(attributes(control), normal, "not what it was when the second handle changed it");
    second.set_mode(Mode::Raw).expect("to set");
    drop((second, event_loop));
    assert_eq!(attributes(control), normal);
}

// libuv: tty_file
#[test]
fn what_is_no_terminal_is_refused_and_closed() {
    let event_loop = test_loop();
    for path in ["Cargo.toml", ".", "/dev/random", "/dev/zero", "/dev/null"] {
        let file = File::open(path).expect("it is there");
        let error = Tty::open(&event_loop, file.into()).expect_err("no terminal");
        assert_eq!(
            (error.op(), error.errno(), error.note()),
            ("tty_init", Errno::EINVAL, Some("not a terminal"))
        );
    }
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    assert_eq!(errno(Tty::open(&event_loop, reader.into())), Errno::EINVAL);
    writer.write_all(b"x").expect_err("the descriptor is closed");
    assert!(event_loop.handles().is_empty());
    event_loop.finish();
}

// libuv: tty_pty
#[test]
fn a_terminal_is_opened_again_and_the_side_that_controls_it_is_not() {
    let _alone = alone();
    let Some(pty) = Pty::new() else { return };
    let event_loop = test_loop();
    let shared = pty.open(true, true);
    let terminal = Tty::open(&event_loop, shared.try_clone().expect("dup")).expect("a terminal");
    assert!(terminal.is_readable() && terminal.is_writable());
    assert!(is_nonblocking(terminal.fileno().expect("a descriptor")) && !is_nonblocking(shared.as_raw_fd()));
    let others = pty.control.try_clone().expect("dup");
    let control = Tty::open(&event_loop, pty.control).expect("a terminal too");
    assert!(control.is_readable() && control.is_writable());
    assert!(is_nonblocking(others.as_raw_fd()), "it is the same open file");
    let log = Log::new();
    let (typed, shown) = (collect(&terminal, &log), collect(&control, &log));
    control.write("ls\n").expect("write");
    event_loop.until(|| *typed.borrow() == b"ls\n");
    event_loop.until(|| *shown.borrow() == b"ls\r\n");
    terminal.write("a\nb").expect("write");
    event_loop.until(|| *shown.borrow() == b"ls\r\na\r\nb");
    event_loop.close_and_finish();
    assert!(!is_nonblocking(others.as_raw_fd()), "the close restores the mode of the open file");
}

// libuv: tty_pty_partial
#[test]
fn everything_that_a_terminal_showed_is_read_before_its_end() {
    let _alone = alone();
    for _ in 0..10 {
        let Some(pty) = Pty::new() else { return };
        let mut terminal = File::from(pty.open(true, true));
        let feeder = thread::spawn(move || {
            for _ in 0..8 {
                terminal.write_all(&[b'x'; 1 << 13]).expect("write");
            }
        });
        let event_loop = test_loop();
        let control = Tty::open(&event_loop, pty.control).expect("a terminal");
        let log = Log::new();
        let shown = collect(&control, &log);
        event_loop.until(|| log.has("tty error EIO"));
        assert_eq!(shown.borrow().len(), 8 << 13);
        feeder.join().expect("it has written all of it");
        event_loop.close_and_finish();
    }
}

#[test]
fn raw_keys_come_one_by_one_without_an_echo() {
    let _alone = alone();
    let Some(pty) = Pty::new() else { return };
    let event_loop = test_loop();
    let terminal = Tty::open(&event_loop, pty.open(true, true)).expect("a terminal");
    terminal.set_mode(Mode::Raw).expect("to set");
    let log = Log::new();
    let typed = collect(&terminal, &log);
    let mut control = File::from(pty.control);
    // Ctrl-C is input too, and no signal.
    control.write_all(b"k\x03").expect("write");
    event_loop.until(|| *typed.borrow() == b"k\x03");
    terminal.write("shown\n").expect("write");
    let mut shown = [0; 7];
    control.read_exact(&mut shown).expect("read");
    assert_eq!(&shown, b"shown\r\n");
    // The other side closes: reading fails, and the close has nothing to restore.
    drop(control);
    event_loop.until(|| log.lines().iter().any(|line| line.starts_with("tty error") || line == "tty end"));
    terminal.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.finish();
}

#[test]
fn a_terminal_can_be_pulled_and_is_told_from_other_streams() {
    let _alone = alone();
    let Some(pty) = Pty::new() else { return };
    let event_loop = test_loop();
    let terminal = Tty::open(&event_loop, pty.open(true, true)).expect("a terminal");
    let mut buffer = [0; 64];
    assert_eq!(errno(terminal.try_read(&mut buffer)), Errno::EAGAIN);
    let mut control = File::from(pty.control);
    control.write_all(b"one\ntwo\n").expect("write");
    assert_eq!(terminal.try_read(&mut buffer), Ok(4), "a line at a time");
    assert_eq!(terminal.try_read(&mut buffer), Ok(4));
    assert!(Tty::from_stream(&terminal).is_some() && Pipe::from_stream(&terminal).is_none());
    assert!(event_loop.why_alive().starts_with("nothing"));
    event_loop.close_and_finish();
}
