//! A program whose terminal belongs to another one meanwhile: a change of the terminal's mode stops it, as by a shell (SIGTTOU),
//! and the restoring of the mode at its end does not. libuv has no test of it.
//!
//! Three processes take part: the test, a shell in a session of its own, and its job, each of which is this test again.

mod alone;
mod common;
mod pty;

use common::*;
use pty::{Pty, attributes, set_foreground, stopped_or_ended};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use uv_core::process::kill;
use uv_core::tty::{Mode, Tty, reset_mode};
use uv_core::{RunMode, Signal};

const TERMINAL: &str = "UV_CORE_TEST_TERMINAL";
const JOB: &str = "UV_CORE_TEST_JOB";

/// Runs the part that this process has.
fn with_a_shell(test: &str, shell: fn(&File, Job), job: fn(Tty, TestLoop)) {
    if std::env::var_os(JOB).is_some() {
        let event_loop = test_loop();
        let path = std::env::var(TERMINAL).expect("the path");
        let terminal = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path);
        let terminal = Tty::open(&event_loop, terminal.expect("the terminal").into()).expect("a terminal");
        return job(terminal, event_loop);
    }
    if let Ok(path) = std::env::var(TERMINAL) {
        // The terminal of the session, because its leader opens it.
        let terminal = File::options().read(true).write(true).open(&path).expect("the terminal");
        return shell(&terminal, Job::start(test, &path));
    }
    // Without terminals there is nothing to test.
    let Some(pty) = Pty::new() else { return };
    let normal = attributes(pty.control.as_raw_fd());
    let in_a_session = |command: &mut Command| {
        alone::wrap(command, &["setsid"]);
        command.env(TERMINAL, &pty.path);
    };
    let status = alone::status(test, in_a_session, || {}).expect("another process");
    assert!(status.success(), "{status}");
    assert_eq!(attributes(pty.control.as_raw_fd()), normal, "the mode is what it was");
}

/// The job of the shell, in a group of its own.
struct Job(Child);

impl Job {
    fn start(test: &str, path: &str) -> Self {
        let mut command = Command::new("/proc/self/exe");
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(JOB, "1").env(TERMINAL, path);
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().expect("a test binary runs itself"))
    }

    fn group(&self) -> i32 {
        self.0.id() as i32
    }

    /// Lets the job go on.
    fn tell(&mut self) {
        self.0.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("to write");
    }

    /// Waits until the job says that it has done a step.
    fn hear(&mut self) {
        let output = self.0.stdout.as_mut().expect("a pipe");
        assert!(BufReader::new(output).lines().any(|line| line.is_ok_and(|line| line.ends_with(DONE))));
    }
}

const DONE: &str = "done";

/// The job waits for the shell.
fn wait() {
    assert_eq!(std::io::stdin().read(&mut [0]).expect("to read"), 1);
}

fn background(terminal: &File) {
    set_foreground(terminal.as_raw_fd(), std::process::id() as i32);
}

/// A shell that takes the terminal back when its job has changed the mode, and lets it end.
fn take_back(terminal: &File, mut job: Job) {
    set_foreground(terminal.as_raw_fd(), job.group());
    job.tell();
    job.hear();
    assert_eq!(attributes(terminal.as_raw_fd()).2 & libc::ICANON, 0, "the job has changed the mode");
    background(terminal);
    job.tell();
    assert_eq!(stopped_or_ended(job.group()), Err(0), "it was neither stopped, nor has it failed");
}

fn set_raw(terminal: &Tty) {
    wait();
    terminal.set_mode(Mode::Raw).expect("it is in the foreground");
    println!("{DONE}");
    wait();
}

#[test]
fn the_close_restores_the_mode_in_the_background() {
    with_a_shell("the_close_restores_the_mode_in_the_background", take_back, |terminal, event_loop| {
        set_raw(&terminal);
        terminal.close();
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    });
}

#[test]
fn a_dropped_loop_restores_the_mode_in_the_background() {
    with_a_shell("a_dropped_loop_restores_the_mode_in_the_background", take_back, |terminal, event_loop| {
        set_raw(&terminal);
        drop((terminal, event_loop));
    });
}

#[test]
fn a_reset_restores_the_mode_in_the_background() {
    with_a_shell("a_reset_restores_the_mode_in_the_background", take_back, |terminal, event_loop| {
        set_raw(&terminal);
        reset_mode().expect("it is not stopped");
        drop((terminal, event_loop));
    });
}

#[test]
fn a_change_of_the_mode_in_the_background_stops_until_the_program_is_in_the_foreground() {
    let shell = |terminal: &File, mut job: Job| {
        background(terminal);
        job.tell();
        assert_eq!(stopped_or_ended(job.group()), Ok(libc::SIGTTOU));
        set_foreground(terminal.as_raw_fd(), job.group());
        kill(job.group(), Signal::SIGCONT).expect("it lives");
        job.hear();
        background(terminal);
        job.tell();
        assert_eq!(stopped_or_ended(job.group()), Err(0));
    };
    with_a_shell(
        "a_change_of_the_mode_in_the_background_stops_until_the_program_is_in_the_foreground",
        shell,
        |terminal, event_loop| {
            set_raw(&terminal);
            terminal.close();
            assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        },
    );
}
