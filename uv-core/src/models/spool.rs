//! The model of the queue before an output: no line is lost, none comes twice, and the thread ends with the last clone.

use super::Spool;
use crate::models::check;
use crate::sync::thread;
use crate::sys::fd::set_nonblocking;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

#[test]
fn lines_of_two_threads_are_all_written_and_the_thread_ends() {
    check(|| {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let spool = Spool::new(writer);
        let other = spool.clone();
        let thread = thread::spawn(move || assert!(other.write(b"theirs\n")));
        assert!(spool.write(b"ours\n"));
        // In a model there is no time limit: a queue that is never reported as written is a deadlock.
        assert!(spool.flush(Duration::ZERO));
        thread.join().expect("the other writer");
        assert!(spool.flush(Duration::ZERO));
        let mut written = [0; 12];
        reader.read_exact(&mut written).expect("flushed");
        assert!([b"ours\ntheirs\n", b"theirs\nours\n"].contains(&&written), "{written:?}");
        drop(spool);
    });
}

/// An output that is closed with everything written.
struct Checked(io::PipeWriter, io::PipeReader);

impl AsFd for Checked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        set_nonblocking(self.1.as_fd(), true).expect("to set");
        let mut written = [0; 16];
        let count = self.1.read(&mut written).expect("something was written");
        assert!([&b"one\ntwo\n"[..], b"two\none\n"].contains(&&written[..count]), "{written:?}");
    }
}

#[test]
fn what_is_queued_is_written_before_the_thread_ends() {
    check(|| {
        let (reader, writer) = io::pipe().expect("a pipe");
        let spool = Spool::new(Checked(writer, reader));
        let other = spool.clone();
        let thread = thread::spawn(move || assert!(other.write(b"one\n")));
        assert!(spool.write(b"two\n"));
        drop(spool);
        thread.join().expect("the other owner");
        // loom waits for all threads: that of the output ends, too.
    });
}
