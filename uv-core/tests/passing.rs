//! Temporary failures of the system: the operation is kept and retried after a pause. Each test runs in a process of
//! its own, in which it makes system calls fail.

mod alone;
mod common;
mod shim;

use bytes::Bytes;
use common::*;
use shim::Failing;
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};
use uv_core::process::{ExitStatus, Process, SpawnOptions};
use uv_core::{Loop, Pipe, Prepare, Result, Stream, Tcp, Timer};

const EPERM: i32 = 1;
const EINTR: i32 = 4;
const EBADF: i32 = 9;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EPIPE: i32 = 32;
const EPROTO: i32 = 71;
const EOPNOTSUPP: i32 = 95;
const ENETDOWN: i32 = 100;
const ECONNABORTED: i32 = 103;
const ENOBUFS: i32 = 105;
const ETOOMANYREFS: i32 = 109;

/// Errors that the manual page of accept lists, and others.
const ACCEPT_ERRORS: [i32; 14] = [
    EPERM,
    EINTR,
    EBADF,
    ENOMEM,
    EACCES,
    EINVAL,
    ENFILE,
    EMFILE,
    EPROTO,
    EOPNOTSUPP,
    ENETDOWN,
    ECONNABORTED,
    ENOBUFS,
    133,
];

/// Long enough for several attempts.
const LONG: Duration = Duration::from_millis(450);

/// Runs the test of this name in a separate process, with calls that fail.
fn with_failures(name: &str, test: impl FnOnce(Failing)) {
    let status = alone::status(
        name,
        |command| {
            Failing::preload(command);
        },
        || test(Failing::here()),
    );
    assert!(status.is_none_or(|status| status.success()));
}

/// Runs the loop for this long. Returns the number of iterations.
fn turns_within(event_loop: &TestLoop, time: Duration) -> usize {
    let turns = Rc::new(Cell::new(0));
    let counted = Rc::clone(&turns);
    let prepare = Prepare::new(event_loop);
    prepare.start(move |_: &Prepare| counted.set(counted.get() + 1)).expect("start");
    let over = Rc::new(Cell::new(false));
    let rung = Rc::clone(&over);
    let timer = Timer::new(event_loop);
    timer.start(time, Duration::ZERO, move |_: &Timer| rung.set(true)).expect("start");
    event_loop.until(|| over.get());
    prepare.close();
    timer.close();
    turns.get()
}

/// A listener, and the results that it is told.
struct Listener {
    address: SocketAddr,
    told: Rc<RefCell<Vec<Result<()>>>>,
    accepted: Rc<RefCell<Vec<Stream>>>,
}

impl Listener {
    fn new(event_loop: &Loop) -> Self {
        let server = Tcp::new(event_loop);
        server.bind(localhost(), uv_core::BindOptions::default()).expect("bind");
        let address = server.local_addr().expect("an address");
        let (told, accepted) = (Rc::default(), Rc::default());
        let (tell, accept) = (Rc::clone(&told), Rc::clone(&accepted));
        let on_connection = move |listener: &Stream, status: Result<()>| {
            let told: &RefCell<Vec<Result<()>>> = &tell;
            told.borrow_mut().push(status.clone());
            if status.is_ok() {
                let accepted: &RefCell<Vec<Stream>> = &accept;
                accepted.borrow_mut().push(listener.accept().expect("announced"));
            }
        };
        server.listen(16, on_connection).expect("listen");
        Self { address, told, accepted }
    }

    fn is_served(&self) -> bool {
        self.told.borrow().last().is_some_and(Result::is_ok)
    }

    /// The numbers of the reported errors.
    fn errors(&self) -> Vec<i32> {
        let told = self.told.borrow();
        told.iter().filter_map(|told| told.as_ref().err()).map(|error| error.errno().raw()).collect()
    }

    fn finish(self, event_loop: TestLoop) {
        self.accepted.borrow_mut().clear();
        event_loop.close_and_finish();
    }
}

// libuv: emfile; Linux: accept(2), "Error handling"
#[test]
fn an_accept_that_fails_for_long_is_told_once_and_tried_again_after_pauses() {
    let name = "an_accept_that_fails_for_long_is_told_once_and_tried_again_after_pauses";
    with_failures(name, |failing| {
        for errno in ACCEPT_ERRORS {
            let event_loop = test_loop();
            let listener = Listener::new(&event_loop);
            failing.fail_always("accept4", errno);
            let waiting = TcpStream::connect(listener.address).expect("connect");
            let turns = turns_within(&event_loop, LONG);
            assert!(turns < 50, "{errno}: {turns} turns");
            // On a busy machine the loop may be late.
            event_loop.until(|| failing.failed() > 1);
            // Errors of single connections are skipped up to a bound.
            let tried = failing.stop();
            assert!((2..=8 * 64).contains(&tried), "{errno}: tried {tried} times");
            assert_eq!(listener.errors(), [errno], "told once");
            let error = listener.told.borrow()[0].clone().expect_err("a failure");
            assert_eq!((error.op(), error.target()), ("accept", Some(&*listener.address.to_string())));
            event_loop.until(|| listener.is_served());
            drop(waiting);
            listener.finish(event_loop);
        }
    });
}

#[test]
fn a_connection_that_waits_behind_one_failure_is_accepted_without_another_one_to_come() {
    let name = "a_connection_that_waits_behind_one_failure_is_accepted_without_another_one_to_come";
    with_failures(name, |failing| {
        // With an error for lack of descriptors the connection would be closed.
        for errno in ACCEPT_ERRORS.into_iter().filter(|errno| ![EMFILE, ENFILE].contains(errno)) {
            let event_loop = test_loop();
            let listener = Listener::new(&event_loop);
            failing.fail("accept4", errno, 1);
            let waiting = TcpStream::connect(listener.address).expect("connect");
            event_loop.until(|| listener.is_served());
            assert!(failing.is_over());
            drop(waiting);
            listener.finish(event_loop);
        }
    });
}

#[test]
fn failed_connections_are_skipped_without_a_word() {
    with_failures("failed_connections_are_skipped_without_a_word", |failing| {
        for errno in [EPERM, EPROTO, EOPNOTSUPP, ENETDOWN, ECONNABORTED] {
            let event_loop = test_loop();
            let listener = Listener::new(&event_loop);
            failing.fail("accept4", errno, 40);
            let waiting = TcpStream::connect(listener.address).expect("connect");
            event_loop.until(|| listener.is_served());
            assert!(listener.errors().is_empty() && failing.is_over());
            drop(waiting);
            listener.finish(event_loop);
        }
    });
}

#[test]
fn every_listener_tells_of_a_trouble_once_and_again_when_it_comes_back() {
    let name = "every_listener_tells_of_a_trouble_once_and_again_when_it_comes_back";
    with_failures(name, |failing| {
        let event_loop = test_loop();
        let listeners = [Listener::new(&event_loop), Listener::new(&event_loop)];
        for rounds in 1..=2 {
            failing.fail_always("accept4", ENOBUFS);
            let waiting = listeners.each_ref().map(|one| TcpStream::connect(one.address).expect("connect"));
            event_loop.until(|| listeners.iter().all(|listener| listener.errors().len() == rounds));
            turns_within(&event_loop, LONG);
            failing.stop();
            event_loop.until(|| listeners.iter().all(Listener::is_served));
            for listener in &listeners {
                assert_eq!(listener.errors(), vec![ENOBUFS; rounds]);
            }
            // Longer than the calm after which a trouble is over.
            turns_within(&event_loop, Duration::from_millis(1200));
            drop(waiting);
        }
        let [one, other] = listeners;
        other.accepted.borrow_mut().clear();
        one.finish(event_loop);
    });
}

#[test]
fn a_trouble_that_is_over_costs_nothing_while_another_one_lasts() {
    with_failures("a_trouble_that_is_over_costs_nothing_while_another_one_lasts", |failing| {
        let (event_loop, log) = (test_loop(), Log::new());
        let (stream, _peer) = stream(&event_loop, &log);
        let listener = Listener::new(&event_loop);
        failing.fail("accept4", ENOBUFS, 1);
        let waiting = TcpStream::connect(listener.address).expect("connect");
        event_loop.until(|| listener.is_served());
        failing.fail_always("send", ENOBUFS);
        stream.write("hello").expect("write");
        // Longer than the calm after which the first trouble is over.
        let turns = turns_within(&event_loop, Duration::from_millis(1500));
        assert!(turns < 50, "{turns} turns");
        failing.stop();
        event_loop.until(|| log.has("stream write ok"));
        drop(waiting);
        listener.finish(event_loop);
    });
}

#[test]
fn a_listener_that_pauses_is_closed_like_any_other() {
    with_failures("a_listener_that_pauses_is_closed_like_any_other", |failing| {
        let event_loop = test_loop();
        let listener = Listener::new(&event_loop);
        failing.fail_always("accept4", ENOMEM);
        let waiting = TcpStream::connect(listener.address).expect("connect");
        event_loop.until(|| !listener.errors().is_empty());
        failing.stop();
        drop(waiting);
        listener.finish(event_loop);
    });
}

/// A stream of the loop that logs its upcalls, and its peer.
fn stream(event_loop: &TestLoop, log: &Log) -> (Tcp, TcpStream) {
    let (stream, peer) = connected(event_loop);
    stream.set_upcall(Tower::new(log, "stream"));
    (stream, peer)
}

#[test]
fn what_is_written_while_the_kernel_has_no_memory_is_kept_and_sent_later() {
    let name = "what_is_written_while_the_kernel_has_no_memory_is_kept_and_sent_later";
    with_failures(name, |failing| {
        for (call, errno) in [("send", ENOBUFS), ("send", ENOMEM), ("send", EINTR), ("sendmsg", ENOMEM)] {
            let (event_loop, log) = (test_loop(), Log::new());
            let (stream, mut peer) = stream(&event_loop, &log);
            failing.fail_always(call, errno);
            let pieces = [Bytes::from_static(b"hel"), Bytes::from_static(b"lo")];
            match call {
                "send" => {
                    assert_eq!(errno_of(stream.try_write(b"hello")), "EAGAIN", "as good as full");
                    stream.write("hello").expect("write");
                }
                _ => stream.writev(pieces).expect("write"),
            }
            let turns = turns_within(&event_loop, LONG);
            let tried = failing.stop();
            assert!(turns < 50 && tried < 16 * 10, "{call} {errno}: {turns} turns, {tried} attempts");
            assert_eq!((log.take().len(), stream.write_queue_size()), (0, 5));
            event_loop.until(|| log.has("stream write ok"));
            let mut got = [0; 5];
            peer.read_exact(&mut got).expect("read");
            assert_eq!(&got, b"hello");
            event_loop.close_and_finish();
        }
    });
}

#[test]
fn streams_that_wait_for_memory_are_tried_again_together() {
    let name = "streams_that_wait_for_memory_are_tried_again_together";
    with_failures(name, |failing| {
        let (event_loop, log) = (test_loop(), Log::new());
        let streams: Vec<_> = (0..200).map(|_| stream(&event_loop, &log)).collect();
        failing.fail_always("send", ENOBUFS);
        for (stream, _) in &streams {
            stream.write("hello").expect("write");
            // Each fails at a time of its own.
            turns_within(&event_loop, Duration::from_micros(100));
        }
        let turns = turns_within(&event_loop, LONG);
        let tried = failing.stop();
        // Pauses end at multiples of ten milliseconds, each of which takes a turn or two. By themselves two hundred streams
        // would take more than a thousand turns.
        let most = LONG.as_millis() as usize / 10 * 2 + 20;
        assert!(turns < most && tried >= 600, "{turns} turns, {tried} attempts");
        event_loop.until(|| log.count("stream write ok") == streams.len());
        for (_, mut peer) in streams {
            let mut got = [0; 5];
            peer.read_exact(&mut got).expect("read");
            assert_eq!(&got, b"hello");
        }
        event_loop.close_and_finish();
    });
}

fn errno_of<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    errno(result).name()
}

#[test]
fn the_peers_end_ends_a_write_at_once() {
    with_failures("the_peers_end_ends_a_write_at_once", |failing| {
        let (event_loop, log) = (test_loop(), Log::new());
        let (stream, _peer) = stream(&event_loop, &log);
        failing.fail("send", EPIPE, 1);
        stream.write("hello").expect("write");
        event_loop.turn();
        assert_eq!(log.take(), ["stream write EPIPE"]);
        event_loop.close_and_finish();
    });
}

#[test]
fn a_read_for_which_the_kernel_has_no_memory_is_made_later() {
    with_failures("a_read_for_which_the_kernel_has_no_memory_is_made_later", |failing| {
        for errno in [ENOMEM, ENOBUFS, EINTR] {
            let (event_loop, log) = (test_loop(), Log::new());
            let (stream, mut peer) = stream(&event_loop, &log);
            peer.write_all(b"hello").expect("write");
            failing.fail_always("recv", errno);
            stream.read_start().expect("read");
            let turns = turns_within(&event_loop, LONG);
            let tried = failing.stop();
            assert!(turns < 50 && tried < 16 * 10, "{errno}: {turns} turns, {tried} attempts");
            assert!(log.take().is_empty(), "the stream goes on");
            event_loop.until(|| log.has("stream read 5"));
            event_loop.close_and_finish();
        }
    });
}

// epoll_ctl(2): `max_user_watches`
#[test]
fn a_stream_that_cannot_be_watched_is_watched_later() {
    with_failures("a_stream_that_cannot_be_watched_is_watched_later", |failing| {
        for errno in [ENOSPC, ENOMEM] {
            let (event_loop, log) = (test_loop(), Log::new());
            let (stream, mut peer) = stream(&event_loop, &log);
            failing.fail("epoll_ctl", errno, 2);
            stream.read_start().expect("read");
            event_loop.until(|| failing.is_over());
            peer.write_all(b"hello").expect("write");
            event_loop.until(|| log.has("stream read 5"));
            // The same when the kernel's buffer is full.
            let big = vec![0; 8 << 20];
            failing.fail("epoll_ctl", errno, 1);
            stream.write(big.clone()).expect("write");
            event_loop.until(|| failing.is_over());
            let reader = std::thread::spawn(move || peer.read_exact(&mut vec![0; 8 << 20]).map(|()| peer));
            event_loop.until(|| log.has("stream write ok"));
            let _peer = reader.join().expect("no panic").expect("all of it");
            assert_eq!(log.take(), ["stream read 5", "stream write ok"]);
            event_loop.close_and_finish();
        }
    });
}

/// Both ends of an IPC pipe.
fn ipc(event_loop: &TestLoop, log: &Log) -> (Pipe, Pipe) {
    let (one, other) = (Pipe::new_ipc(event_loop), Pipe::new_ipc(event_loop));
    let theirs = one.open_pair().expect("a pair");
    other.open(theirs).expect("open");
    one.set_upcall(Tower::new(log, "one"));
    other.set_upcall(Tower::new(log, "other"));
    (one, other)
}

fn a_descriptor() -> Rc<OwnedFd> {
    Rc::new(std::fs::File::open("/dev/null").expect("a file").into())
}

fn send_fd(stream: &Stream, data: &'static str) {
    let pipe = Pipe::from_stream(stream).expect("a pipe");
    pipe.write_fds(data, vec![a_descriptor()]).expect("write");
}

// unix(7): ETOOMANYREFS
#[test]
fn descriptors_that_cannot_be_sent_now_are_sent_later_and_in_order() {
    with_failures("descriptors_that_cannot_be_sent_now_are_sent_later_and_in_order", |failing| {
        for errno in [ETOOMANYREFS, ENOMEM, ENOBUFS, EPERM, EMFILE] {
            let (event_loop, log) = (test_loop(), Log::new());
            let (one, other) = ipc(&event_loop, &log);
            failing.fail_always("sendmsg+fds", errno);
            send_fd(&one, "a");
            one.write("bb").expect("write");
            send_fd(&one, "c");
            let turns = turns_within(&event_loop, LONG);
            let tried = failing.stop();
            assert!(turns < 50 && tried < 10, "{errno}: {turns} turns, {tried} attempts");
            assert!(log.take().is_empty(), "nothing failed");
            other.read_start().expect("read");
            event_loop.until(|| other.bytes_read() == 4 && log.count("one write ok") == 3);
            assert_eq!(other.pending_count(), 2);
            event_loop.close_and_finish();
        }
    });
}

// A filter of system calls may return any error.
#[test]
fn a_refused_descriptor_is_tried_again_some_times_and_then_passed_over() {
    with_failures("a_refused_descriptor_is_tried_again_some_times_and_then_passed_over", |failing| {
        let (event_loop, log) = (test_loop(), Log::new());
        let (one, other) = ipc(&event_loop, &log);
        other.read_start().expect("read");
        failing.fail("sendmsg+fds", EINVAL, 2);
        send_fd(&one, "a");
        event_loop.until(|| other.bytes_read() == 1 && log.has("one write ok"));
        assert!(failing.is_over());
        assert_eq!((log.count("one write EINVAL"), other.pending_count()), (0, 1));
        log.take();
        failing.fail_always("sendmsg+fds", EINVAL);
        send_fd(&one, "b");
        one.write("cc").expect("write");
        event_loop.until(|| log.has("one write EINVAL"));
        assert_eq!(failing.stop(), 6);
        event_loop.until(|| other.bytes_read() == 3 && log.has("one write ok"));
        assert_eq!(other.pending_count(), 1, "only the first arrived");
        event_loop.close_and_finish();
    });
}

// Linux 5.3 has pidfds but cannot wait for them.
#[test]
fn a_child_is_collected_by_its_id_where_the_system_cannot_wait_by_pidfd() {
    with_failures("a_child_is_collected_by_its_id_where_the_system_cannot_wait_by_pidfd", |failing| {
        failing.fail_always("waitid", EINVAL);
        for (script, expected) in [("exit 5", (5, 0)), ("kill -TERM $$", (0, 15))] {
            let event_loop = test_loop();
            let status = Rc::new(Cell::new(None));
            let into = Rc::clone(&status);
            let options = SpawnOptions::new("/bin/sh").args(["-c", script]);
            let on_exit = move |process: &Process, status: ExitStatus| {
                into.set(Some((status.code, status.signal)));
                process.close();
            };
            Process::spawn(&event_loop, &options, on_exit).expect("a child");
            event_loop.finish();
            assert_eq!(status.get(), Some(expected));
        }
        assert!(failing.stop() >= 2);
    });
}

#[test]
fn the_pool_makes_do_with_the_threads_that_there_are_and_pauses_before_it_tries_for_more() {
    let name = "the_pool_makes_do_with_the_threads_that_there_are_and_pauses_before_it_tries_for_more";
    with_failures(name, |failing| {
        let event_loop = test_loop();
        let log = Log::new();
        failing.fail_always("pthread_create", EAGAIN);
        let told = log.clone();
        event_loop.queue_work(|| {}, move |result| told.add(errno_of(result)));
        event_loop.until(|| !log.lines().is_empty());
        assert_eq!(log.take(), ["EAGAIN"], "there is none");
        failing.fail_always_after(1, "pthread_create", EAGAIN);
        let (done, began) = (Rc::new(Cell::new(0)), Instant::now());
        for _ in 0..1000 {
            let done = Rc::clone(&done);
            event_loop.queue_work(|| {}, move |result| done.set(done.get() + result.map_or(0, |()| 1)));
        }
        event_loop.until(|| done.get() == 1000);
        let (tried, lasted) = (failing.stop(), began.elapsed());
        assert!(u128::from(tried) <= 2 + lasted.as_millis() / 100, "{tried} attempts within {lasted:?}");
        event_loop.close_and_finish();
    });
}
