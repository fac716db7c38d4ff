//! Streams that are not reading and whose peer has closed. libuv reports nothing before reading starts again, so such a
//! stream stays open without a limit: libuv has no tests for this.

mod common;

use common::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use uv_core::upcall::StreamUpcall;
use uv_core::{Error, Pipe, RunMode, Stream, Timer};

/// Logs its upcalls; stops reading at the first byte if `stops` is set.
struct Watcher {
    log: Log,
    stops: bool,
}

impl StreamUpcall for Watcher {
    fn on_read(&mut self, stream: &Stream, data: &[u8]) {
        self.log.add(format!("read {}", data.len()));
        if self.stops {
            stream.read_stop();
        }
    }

    fn on_end(&mut self, _: &Stream) {
        self.log.add("end");
    }

    fn on_read_error(&mut self, stream: &Stream, error: Error) {
        self.log.add(format!("{} {}", error.op(), error.errno().name()));
        stream.close();
    }

    fn on_unread_end(&mut self, _: &Stream) {
        self.log.add("unread end");
    }

    fn on_close(&mut self, _: &Stream) {
        self.log.add("close");
    }
}

fn watch(log: &Log, stream: &Stream, stops: bool) {
    stream.set_upcall(Watcher { log: log.clone(), stops });
}

/// Runs until `done`. A timer keeps the loop alive, because a stream that is not reading does not.
fn until(event_loop: &TestLoop, done: impl Fn() -> bool) {
    let timer = Timer::new(event_loop);
    timer.start(Duration::from_millis(1), Duration::from_millis(1), |_: &Timer| {}).expect("to start");
    event_loop.until(done);
    timer.close();
}

/// Some turns in which nothing may happen.
fn idle_turns(event_loop: &TestLoop) {
    for _ in 0..10 {
        event_loop.run(RunMode::NoWait).expect("the loop runs");
    }
}

/// Closes the peer with a reset, by leaving a byte unread.
fn reset_by(ours: &Stream, peer: TcpStream) {
    assert_eq!(ours.try_write(b"x"), Ok(1));
    assert_eq!(peer.peek(&mut [0]).expect("the byte is there"), 1);
    drop(peer);
}

#[test]
fn a_reset_is_told_to_a_stream_that_never_read() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, peer) = connected(&event_loop);
    watch(&log, &tcp, false);
    tcp.read_stop();
    reset_by(&tcp, peer);
    until(&event_loop, || log.has("close"));
    assert_eq!(log.take(), ["read ECONNRESET", "close"]);
    event_loop.close_and_finish();
}

#[test]
fn a_reset_is_told_to_a_stream_that_stopped_in_its_first_read_and_to_one_that_stopped_later() {
    for stops_at_once in [true, false] {
        let (event_loop, log) = (test_loop(), Log::new());
        let (tcp, mut peer) = connected(&event_loop);
        watch(&log, &tcp, stops_at_once);
        tcp.read_start().expect("to read");
        peer.write_all(b"abc").expect("to write");
        until(&event_loop, || log.has("read 3"));
        tcp.read_stop();
        reset_by(&tcp, peer);
        until(&event_loop, || log.has("close"));
        assert_eq!(log.take(), ["read 3", "read ECONNRESET", "close"]);
        event_loop.close_and_finish();
    }
}

#[test]
fn an_end_behind_unread_input_is_told_once_and_comes_behind_it() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    watch(&log, &tcp, false);
    tcp.read_stop();
    peer.write_all(b"abc").expect("to write");
    drop(peer);
    until(&event_loop, || log.has("unread end"));
    idle_turns(&event_loop);
    assert_eq!(log.take(), ["unread end"]);
    tcp.read_start().expect("to read");
    until(&event_loop, || log.has("end"));
    idle_turns(&event_loop);
    assert_eq!(log.take(), ["read 3", "end"]);
    tcp.close();
    event_loop.close_and_finish();
}

#[test]
fn an_end_that_an_earlier_event_spoke_of_is_told_when_reading_stops() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    watch(&log, &tcp, true);
    // One event reports both the bytes and the FIN; reading stops in the upcall for the bytes.
    tcp.read_stop();
    peer.write_all(b"abc").expect("to write");
    peer.shutdown(std::net::Shutdown::Write).expect("to shut down");
    until(&event_loop, || log.has("unread end"));
    log.take();
    tcp.read_start().expect("to read");
    until(&event_loop, || log.has("unread end"));
    idle_turns(&event_loop);
    assert_eq!(log.take(), ["read 3", "unread end"]);
    // Writing continues meanwhile.
    assert_eq!(tcp.try_write(b"back"), Ok(4));
    peer.read_exact(&mut [0; 4]).expect("to read");
    tcp.close();
    event_loop.close_and_finish();
}

#[test]
fn a_reset_is_told_after_the_end_was_read() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, peer) = connected(&event_loop);
    watch(&log, &tcp, false);
    tcp.read_start().expect("to read");
    peer.shutdown(std::net::Shutdown::Write).expect("to shut down");
    until(&event_loop, || log.has("end"));
    idle_turns(&event_loop);
    reset_by(&tcp, peer);
    until(&event_loop, || log.has("close"));
    // The error that Linux reports for a reset after a FIN.
    assert_eq!(log.take(), ["end", "read EPIPE", "close"]);
    event_loop.close_and_finish();
}

#[test]
fn a_unix_socket_tells_too() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (ours, mut peer) = UnixStream::pair().expect("a pair");
    let pipe = Pipe::new(&event_loop);
    pipe.open(OwnedFd::from(ours)).expect("to open");
    watch(&log, &pipe, false);
    pipe.read_stop();
    peer.write_all(b"abc").expect("to write");
    drop(peer);
    until(&event_loop, || log.has("unread end"));
    pipe.read_start().expect("to read");
    until(&event_loop, || log.has("end"));
    assert_eq!(log.take(), ["unread end", "read 3", "end"]);
    pipe.close();
    event_loop.close_and_finish();
}

#[test]
fn a_close_in_the_call_is_the_last_of_it() {
    struct Closing(Log);
    impl StreamUpcall for Closing {
        fn on_read(&mut self, _: &Stream, _: &[u8]) {}
        fn on_end(&mut self, _: &Stream) {
            self.0.add("end");
        }
        fn on_read_error(&mut self, _: &Stream, _: Error) {
            self.0.add("error");
        }
        fn on_unread_end(&mut self, stream: &Stream) {
            self.0.add("unread end");
            stream.close();
        }
        fn on_close(&mut self, _: &Stream) {
            self.0.add("close");
        }
    }
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, peer) = connected(&event_loop);
    tcp.set_upcall(Closing(log.clone()));
    tcp.read_stop();
    drop(peer);
    until(&event_loop, || log.has("close"));
    assert_eq!(log.take(), ["unread end", "close"]);
    event_loop.close_and_finish();
}
