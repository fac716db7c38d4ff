//! Output that never blocks the loop: its order, dropped lines and their report, and the end of the process.

mod alone;
mod shim;

use shim::Failing;
use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;
use uv_core::os::Spool;

/// The time that any step may take. Reached only by a failing test.
const DEADLINE: Duration = Duration::from_secs(30);

/// Size in bytes of a pipe without a reader.
const PIPE_TAKES: usize = 64 * 1024;

fn pipe() -> (PipeReader, PipeWriter) {
    io::pipe().expect("the system has descriptors left")
}

fn line(number: usize) -> String {
    format!("line {number} of some length, as a log has them\n")
}

/// Reads until the other end is closed.
fn text(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).expect("the pipe is readable");
    text
}

#[test]
fn lines_come_out_whole_and_in_order_and_the_last_clone_lets_go_of_the_output() {
    let (reader, writer) = pipe();
    let reading = std::thread::spawn(move || text(reader));
    let spool = Spool::new(writer);
    for number in 0..10_000 {
        assert!(spool.clone().write(line(number).as_bytes()));
    }
    drop(spool);
    // The reader's text ends when the thread has closed the pipe.
    let expected: String = (0..10_000).map(line).collect();
    assert!(reading.join().expect("the pipe is readable") == expected);
}

#[test]
fn an_output_that_is_not_read_holds_nobody_up_and_what_was_dropped_is_said_in_its_place() {
    let (reader, mut writer) = pipe();
    // The pipe is full from the start.
    writer.write_all(&vec![b'x'; PIPE_TAKES]).expect("the pipe takes it");
    let spool = Spool::with_room(writer, 10_000);
    // Far more than pipe, thread and queue hold together.
    let written = (0..20_000).filter(|number| spool.write(line(*number).as_bytes())).count();
    assert!(written < 20_000);
    assert!(!spool.flush(Duration::from_millis(10)), "the pipe is not read");
    let mut reader = BufReader::new(reader);
    reader.read_exact(&mut [0; PIPE_TAKES]).expect("the pipe is readable");
    let mut next = 0;
    while next < 20_000 {
        let mut found = String::new();
        reader.read_line(&mut found).expect("the pipe is readable");
        match found.strip_prefix('[').and_then(|said| said.split(' ').next()) {
            Some(dropped) => next += dropped.parse::<usize>().expect("a number"),
            None => {
                assert_eq!(found, line(next));
                next += 1;
            }
        }
    }
    assert_eq!(next, 20_000);
    assert!(spool.flush(DEADLINE), "it is read");
    assert!(spool.write(b"and on\n"), "there is room again");
    drop(spool);
    assert_eq!(text(reader), "and on\n");
}

#[test]
fn a_line_larger_than_the_queue_is_dropped_and_said_at_once() {
    let (reader, writer) = pipe();
    let spool = Spool::with_room(writer, 100);
    assert!(!spool.write(&[b'x'; 101]));
    let mut said = String::new();
    BufReader::new(reader).read_line(&mut said).expect("the pipe is readable");
    assert_eq!(said, "[1 line was dropped: the output was blocked]\n");
}

#[test]
fn lines_are_not_cut_where_others_write_to_the_same_pipe() {
    let (reader, writer) = pipe();
    let spools = [0; 2].map(|_| Spool::new(writer.try_clone().expect("the system has descriptors left")));
    drop(writer);
    let reading = std::thread::spawn(move || text(reader));
    for number in 0..20_000 {
        for (own, spool) in spools.iter().enumerate() {
            assert!(spool.write(format!("{own} {}", line(number)).as_bytes()));
        }
    }
    drop(spools);
    let text = reading.join().expect("the pipe is readable");
    for own in ["0 ", "1 "] {
        let lines = text.lines().filter_map(|line| line.strip_prefix(own));
        assert!(lines.eq((0..20_000).map(line).collect::<String>().lines()));
    }
}

#[test]
fn an_output_that_somebody_made_non_blocking_loses_nothing() {
    let (mut reader, writer) = UnixStream::pair().expect("the system has descriptors left");
    writer.set_nonblocking(true).expect("a socket may not block");
    let spool = Spool::new(writer);
    let expected: String = (0..20_000).map(line).collect();
    assert!(spool.write(expected.as_bytes()));
    // Read only now, so the socket was full before.
    let mut found = vec![0; expected.len()];
    reader.read_exact(&mut found).expect("the socket is readable");
    assert!(found == expected.as_bytes());
    assert!(spool.flush(DEADLINE));
}

#[test]
fn the_mode_of_the_output_is_left_alone() {
    let (reader, writer) = pipe();
    let own = writer.try_clone().expect("the system has descriptors left");
    let spool = Spool::new(own);
    assert!(spool.write(b"line\n"));
    assert!(spool.flush(DEADLINE));
    drop(reader);
    // In non-blocking mode a write to a full pipe would fail now; without a reader it always fails.
    let flags = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", writer.as_raw_fd()))
        .expect("the descriptor is open");
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags").trim();
    let flags = u32::from_str_radix(flags, 8).expect("an octal number");
    assert_eq!(flags & 0o4000, 0, "O_NONBLOCK");
}

#[test]
fn an_output_whose_reader_is_gone_holds_nobody_up() {
    let (reader, writer) = pipe();
    drop(reader);
    let spool = Spool::new(writer);
    for number in 0..10 * PIPE_TAKES / line(0).len() {
        spool.write(line(number).as_bytes());
    }
    assert!(spool.flush(DEADLINE), "lines that cannot be written are dropped");
}

#[test]
fn what_a_full_disk_refuses_does_not_stay() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let spool = Spool::new(full);
    for number in 0..100_000 {
        spool.write(line(number).as_bytes());
    }
    assert!(spool.flush(DEADLINE));
}

#[test]
fn a_flush_waits_for_what_is_written_and_no_longer_than_it_may() {
    let (reader, mut writer) = pipe();
    let spool = Spool::new(writer.try_clone().expect("the system has descriptors left"));
    assert!(spool.flush(DEADLINE), "nothing was ever written");
    writer.write_all(&vec![b'x'; PIPE_TAKES]).expect("the pipe takes it");
    assert!(spool.write(b"last words\n"));
    assert!(!spool.flush(Duration::from_millis(1)), "the pipe is full");
    let reading = std::thread::spawn(move || text(reader));
    assert!(spool.flush(DEADLINE));
    drop((spool, writer));
    assert!(reading.join().expect("the pipe is readable").ends_with("last words\n"));
}

#[test]
fn what_is_queued_for_a_standard_output_is_written_although_the_process_ends() {
    let (reader, writer) = pipe();
    let reading = std::thread::spawn(move || text(reader));
    let queued: String = (0..10_000).map(line).collect();
    let status = alone::status(
        "what_is_queued_for_a_standard_output_is_written_although_the_process_ends",
        |command| {
            command.stdout(writer);
        },
        || assert!(Spool::stdout().write(queued.as_bytes())),
    );
    let Some(status) = status else { return };
    assert!(status.success());
    // Output of the test harness stands between the lines.
    let written = reading.join().expect("the reader");
    assert_eq!(written.matches("of some length, as a log has them\n").count(), 10_000);
}

#[test]
fn a_line_is_dropped_if_the_output_cannot_be_waited_for() {
    let prepare = |command: &mut Command| drop(Failing::preload(command));
    let status = alone::status("a_line_is_dropped_if_the_output_cannot_be_waited_for", prepare, || {
        let (reader, mut writer) = UnixStream::pair().expect("the system has descriptors left");
        writer.set_nonblocking(true).expect("a socket may not block");
        while writer.write(&[b'x'; 1000]).is_ok() {}
        let spool = Spool::new(writer);
        Failing::here().fail_always("poll", libc::ENOMEM);
        assert!(spool.write(b"dropped\n"));
        assert!(spool.flush(DEADLINE), "it is not tried without end");
        Failing::here().fail("poll", libc::EINTR, 1);
        let reading = std::thread::spawn(move || text(reader));
        assert!(spool.write(b"written\n"));
        drop(spool);
        let text = reading.join().expect("the socket is readable");
        assert!(text.ends_with("x[1 line was dropped: the output was blocked]\nwritten\n"));
    });
    assert!(status.is_none_or(|status| status.success()));
}
