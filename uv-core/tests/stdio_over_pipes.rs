//! A child that is a program of this loop, too: it reads and writes its standard streams through pipes of its loop.

mod common;
mod helper;

use common::*;
use helper::{Helper, is_helper_of};
use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use uv_core::process::Stdio;
use uv_core::{Pipe, RunMode, os};

/// Two pairs of pipes on the same standard input and output, one pair after the other: all writes complete although the
/// pipes are unreferenced, and the reading ends with its `read_stop`.
fn echo_over_standard_streams(event_loop: &TestLoop) {
    let input = || {
        let pipe = Pipe::new(event_loop);
        pipe.open(os::standard_input().expect("standard input")).expect("open");
        pipe
    };
    let output = || {
        let pipe = Pipe::new(event_loop);
        pipe.open(io::stdout().as_fd().try_clone_to_owned().expect("standard output")).expect("open");
        pipe
    };
    let pairs = [(input(), output()), (input(), output())];
    let all = || pairs.iter().flat_map(|(input, output)| [input, output]);
    for (input, output) in &pairs {
        let log = Log::new();
        let reading = input.clone();
        input.set_upcall(Tower::new(&log, "input").on_read(move |data| {
            assert_eq!(data, b"hello world\n");
            reading.read_stop();
        }));
        output.set_upcall(Tower::new(&log, "output"));
        all().for_each(|pipe| pipe.unref());
        for part in ["he", "ll", "o ", "wo", "rl", "d", "\n"] {
            output.write(part).expect("write");
        }
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        assert_eq!(log.take(), ["output write ok"; 7]);
        all().for_each(|pipe| pipe.ref_());
        input.read_start().expect("read_start");
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        assert_eq!(log.take(), ["input read 12"]);
    }
}

// libuv: stdio_over_pipes, stdio_emulate_iocp: with a flag for pipes that has a meaning on Windows only.
#[test]
fn a_child_that_uses_the_loop_reads_and_writes_its_standard_streams() {
    let test = "a_child_that_uses_the_loop_reads_and_writes_its_standard_streams";
    let event_loop = test_loop();
    if is_helper_of(test) {
        echo_over_standard_streams(&event_loop);
        return event_loop.close_and_finish();
    }
    let (stdin, stdout) = (Pipe::new(&event_loop), Pipe::new(&event_loop));
    let slots = [Stdio::Pipe(stdin.clone()), Stdio::Pipe(stdout.clone())];
    let helper = Helper::start(&event_loop, test, slots);
    let greetings = Rc::new(Cell::new(0));
    // The test harness of the child writes to its output as well.
    let (greeted, mut text) = (Rc::clone(&greetings), Vec::new());
    let (answered, ended) = (stdin.clone(), stdout.clone());
    let tower = Tower::new(&Log::new(), "stdout").on_read(move |data| {
        text.extend_from_slice(data);
        let count = String::from_utf8_lossy(&text).matches("hello world\n").count();
        if count > greeted.replace(count) {
            answered.write("hello world\n").expect("write");
        }
    });
    stdout.set_upcall(tower.on_end(move || {
        ended.close();
        stdin.close();
    }));
    stdout.read_start().expect("read_start");
    event_loop.finish();
    assert_eq!(greetings.get(), 2);
    assert!(helper.succeeded());
}
