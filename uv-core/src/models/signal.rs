//! The model of the signal handler beside a loop that comes and goes. The handler runs on a thread of its own, as it may;
//! that it may also interrupt the thread that it concerns is a special case, since it waits for nothing.

use super::{SignalPipe, on_signal};
use crate::models::{before_system_call, check};
use crate::sync::thread;
use crate::sys::fd::set_nonblocking;
use std::io::{self, Read};
use std::os::fd::AsFd;

const SIGNAL: i32 = libc::SIGUSR2;

#[test]
fn a_handler_writes_into_no_pipe_that_is_closed() {
    check(|| {
        let pipe = SignalPipe::open().expect("a pipe");
        pipe.watch(SIGNAL, false).expect("to watch");
        let handler = thread::spawn(|| on_signal(SIGNAL));
        // It watches still, which leaves all to its destructor.
        drop(pipe);
        before_system_call();
        // It gets the numbers of the pipe's descriptors.
        let (mut reader, _writer) = io::pipe().expect("a pipe");
        set_nonblocking(reader.as_fd(), true).expect("to set");
        handler.join().expect("the handler");
        let error = reader.read(&mut [0]).expect_err("nothing was written");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    });
}

#[test]
fn a_signal_reaches_every_pipe_that_watches_it_and_no_other() {
    check(|| {
        let watching = SignalPipe::open().expect("a pipe");
        watching.watch(SIGNAL, false).expect("to watch");
        let handler = thread::spawn(|| on_signal(SIGNAL));
        let other = SignalPipe::open().expect("a pipe");
        handler.join().expect("the handler");
        assert_eq!((watching.take(), watching.take()), (Some(SIGNAL), None));
        assert_eq!(other.take(), None);
        watching.unwatch(SIGNAL, false, true);
    });
}

#[test]
fn loops_that_begin_at_the_same_time_get_a_mailbox_each() {
    check(|| {
        let begin = || {
            let pipe = SignalPipe::open().expect("a pipe");
            pipe.watch(SIGNAL, false).expect("to watch");
            pipe
        };
        let other = thread::spawn(begin);
        let ours = begin();
        let theirs = other.join().expect("the other loop");
        on_signal(SIGNAL);
        for pipe in [&ours, &theirs] {
            assert_eq!((pipe.take(), pipe.take()), (Some(SIGNAL), None));
        }
        ours.unwatch(SIGNAL, false, true);
        theirs.unwatch(SIGNAL, false, true);
    });
}
