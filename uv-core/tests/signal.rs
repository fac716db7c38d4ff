//! Signals, through the public interface. Each test uses signals of its own, because signals belong to the whole
//! process.

mod alone;

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use uv_core::Stream;
use uv_core::process::kill;
use uv_core::upcall::StreamUpcall;
use uv_core::{Errno, Error, Loop, Pipe, RunMode, Signal};

fn raise(signum: i32) {
    let own = i32::try_from(std::process::id()).expect("process ids are positive");
    kill(own, signum).expect("a process may signal itself");
}

fn finish(event_loop: &Loop) {
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"), "nothing is left alive");
    event_loop.close().expect("nothing is left open");
}

fn counter() -> (Rc<Cell<u32>>, Rc<Cell<u32>>) {
    let count = Rc::new(Cell::new(0));
    (Rc::clone(&count), count)
}

// libuv: we_get_signals
#[test]
fn every_watcher_of_a_signal_gets_every_delivery_in_the_order_of_the_starts() {
    const ROUNDS: u32 = 3;
    let event_loop = Loop::new().expect("a loop");
    let calls = Rc::new(RefCell::new(Vec::new()));
    let first = Signal::new(&event_loop);
    let log = Rc::clone(&calls);
    let started = first.start(libc::SIGUSR1, move |_: &Signal, signum| log.borrow_mut().push((1, signum)));
    started.expect("SIGUSR1 may be watched");
    let (log, rounds) = (Rc::clone(&calls), Cell::new(0));
    let second = Signal::new(&event_loop);
    let started = second.start(libc::SIGUSR1, move |second: &Signal, signum| {
        log.borrow_mut().push((2, signum));
        rounds.set(rounds.get() + 1);
        if rounds.get() < ROUNDS {
            raise(signum);
        } else {
            first.close();
            second.close();
        }
    });
    started.expect("SIGUSR1 may be watched twice");
    raise(libc::SIGUSR1);
    finish(&event_loop);
    assert_eq!(*calls.borrow(), [(1, libc::SIGUSR1), (2, libc::SIGUSR1)].repeat(ROUNDS as usize));
}

// libuv: signal_multiple_loops
#[test]
fn watchers_on_loops_in_several_threads_all_get_a_signal() {
    const THREADS: usize = 4;
    let started = Arc::new(Barrier::new(THREADS + 1));
    let watch = |started: Arc<Barrier>| {
        let event_loop = Loop::new().expect("a loop");
        let (count, seen) = counter();
        let signal = Signal::new(&event_loop);
        let watching = signal.start(libc::SIGUSR2, move |signal: &Signal, _| {
            count.set(count.get() + 1);
            signal.close();
        });
        watching.expect("SIGUSR2 may be watched");
        started.wait();
        finish(&event_loop);
        seen.get()
    };
    for _round in 0..3 {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let started = Arc::clone(&started);
                std::thread::spawn(move || watch(started))
            })
            .collect();
        started.wait();
        raise(libc::SIGUSR2);
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), 1);
        }
    }
}

// libuv: we_get_signal
#[test]
fn a_stopped_watcher_gets_nothing_until_it_is_started_again() {
    const SIGNAL: i32 = libc::SIGHUP;
    let event_loop = Loop::new().expect("a loop");
    let (count, seen) = counter();
    let count_one = move |_: &Signal, _: i32| count.set(count.get() + 1);
    let watched = Signal::new(&event_loop);
    watched.start(SIGNAL, count_one.clone()).expect("SIGHUP may be watched");
    let rounds = Cell::new(0);
    let other = Signal::new(&event_loop);
    let started = other.start(SIGNAL, move |other: &Signal, _| {
        rounds.set(rounds.get() + 1);
        match rounds.get() {
            1 => watched.stop(),
            3 => watched.start(SIGNAL, count_one.clone()).expect("a stopped watcher may be started"),
            6 => {
                watched.close();
                return other.close();
            }
            _ => {}
        }
        assert_eq!(watched.is_active(), !matches!(rounds.get(), 1 | 2));
        raise(SIGNAL);
    });
    started.expect("SIGHUP may be watched twice");
    raise(SIGNAL);
    finish(&event_loop);
    assert_eq!(seen.get(), 3, "rounds 1, 4 and 5");
}

// libuv: we_get_signal_one_shot
#[test]
fn a_one_shot_watcher_fires_once_and_is_stopped_then() {
    let event_loop = Loop::new().expect("a loop");
    let (count, seen) = counter();
    let signal = Signal::new(&event_loop);
    let started = signal.start_oneshot(libc::SIGURG, move |signal: &Signal, signum| {
        assert_eq!((signum, signal.signum()), (libc::SIGURG, 0));
        assert!(!signal.is_active());
        count.set(count.get() + 1);
    });
    started.expect("SIGURG may be watched");
    raise(libc::SIGURG);
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    raise(libc::SIGURG);
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(seen.get(), 1);
    signal.close();
    finish(&event_loop);
}

// libuv: we_get_signals_mixed
#[test]
fn one_shot_watchers_beside_a_regular_one_leave_it_working() {
    const SIGNAL: i32 = libc::SIGWINCH;
    let event_loop = Loop::new().expect("a loop");
    let (once, fired) = counter();
    let one_shots = [Signal::new(&event_loop), Signal::new(&event_loop)];
    for signal in &one_shots {
        let once = Rc::clone(&once);
        let started = signal.start_oneshot(SIGNAL, move |_: &Signal, _| once.set(once.get() + 1));
        started.expect("SIGWINCH may be watched");
    }
    let (count, seen) = counter();
    let regular = Signal::new(&event_loop);
    let started = regular.start(SIGNAL, move |regular: &Signal, _| {
        count.set(count.get() + 1);
        if count.get() < 3 {
            raise(SIGNAL);
        } else {
            regular.loop_handle().close_all();
        }
    });
    started.expect("SIGWINCH may be watched");
    raise(SIGNAL);
    finish(&event_loop);
    assert_eq!((fired.get(), seen.get()), (2, 3));
}

#[test]
fn a_one_shot_watcher_may_be_started_again_by_its_own_call() {
    let event_loop = Loop::new().expect("a loop");
    let (count, seen) = counter();
    let signal = Signal::new(&event_loop);
    fn again(signal: &Signal, count: Rc<Cell<u32>>) {
        let started = signal.start_oneshot(libc::SIGALRM, move |signal: &Signal, signum| {
            count.set(count.get() + 1);
            if count.get() < 3 {
                again(signal, Rc::clone(&count));
                raise(signum);
            } else {
                signal.close();
            }
        });
        started.expect("SIGALRM may be watched");
    }
    again(&signal, count);
    raise(libc::SIGALRM);
    finish(&event_loop);
    assert_eq!(seen.get(), 3);
}

// libuv: signal_pending_on_close, signal_close_loop_alive
#[test]
fn closing_with_an_undelivered_signal_completes_without_a_call() {
    let event_loop = Loop::new().expect("a loop");
    let (count, seen) = counter();
    let signal = Signal::new(&event_loop);
    signal.start(libc::SIGVTALRM, move |_: &Signal, _| count.set(1)).expect("SIGVTALRM may be watched");
    raise(libc::SIGVTALRM);
    // A second watcher keeps the default action away while the signal is in the pipe.
    let (other_count, other_seen) = counter();
    let other = Signal::new(&event_loop);
    let started = other.start(libc::SIGVTALRM, move |other: &Signal, _| {
        other_count.set(other_count.get() + 1);
        other.close();
    });
    started.expect("SIGVTALRM may be watched twice");
    let (closed, was_closed) = counter();
    signal.close_with(move || closed.set(closed.get() + 1));
    assert!(event_loop.is_alive());
    finish(&event_loop);
    assert_eq!((seen.get(), was_closed.get(), other_seen.get()), (0, 1, 1));
}

#[test]
fn a_watcher_closed_by_an_earlier_call_for_the_same_signal_is_not_called() {
    let event_loop = Loop::new().expect("a loop");
    let (first, second) = (Signal::new(&event_loop), Signal::new(&event_loop));
    let victim = second.clone();
    let started = first.start(libc::SIGPROF, move |first: &Signal, _| {
        victim.close();
        first.close();
    });
    started.expect("SIGPROF may be watched");
    let (count, seen) = counter();
    second.start(libc::SIGPROF, move |_: &Signal, _| count.set(1)).expect("SIGPROF may be watched twice");
    raise(libc::SIGPROF);
    finish(&event_loop);
    assert_eq!(seen.get(), 0);
}

/// Logs its input, and closes its pipe.
struct Note(Rc<RefCell<Vec<&'static str>>>);

impl StreamUpcall for Note {
    fn on_read(&mut self, stream: &Stream, _: &[u8]) {
        self.0.borrow_mut().push("data");
        stream.close();
    }

    fn on_end(&mut self, _: &Stream) {}

    fn on_read_error(&mut self, _: &Stream, error: Error) {
        panic!("{error}");
    }
}

#[test]
fn signals_are_reported_after_all_other_input_of_the_same_batch() {
    let event_loop = Loop::new().expect("a loop");
    let events = Rc::new(RefCell::new(Vec::new()));
    let signal = Signal::new(&event_loop);
    let log = Rc::clone(&events);
    let started = signal.start(libc::SIGIO, move |signal: &Signal, _| {
        log.borrow_mut().push("signal");
        signal.close();
    });
    started.expect("SIGIO may be watched");
    let pipe = Pipe::new(&event_loop);
    let mut peer = UnixStream::from(pipe.open_pair().expect("a pair of sockets"));
    pipe.set_upcall(Note(Rc::clone(&events)));
    pipe.read_start().expect("an open pipe may be read");
    // The signal first: when another loop has seen it, it is in this loop's pipe. Then the data.
    let other = Loop::new().expect("another loop");
    let witness = Signal::new(&other);
    witness.start(libc::SIGIO, |witness: &Signal, _| witness.close()).expect("SIGIO may be watched twice");
    raise(libc::SIGIO);
    finish(&other);
    peer.write_all(b"x").expect("the peer is open");
    finish(&event_loop);
    assert_eq!(*events.borrow(), ["data", "signal"]);
}

#[test]
fn after_the_last_watcher_stopped_the_default_action_is_back() {
    let name = "after_the_last_watcher_stopped_the_default_action_is_back";
    let status = alone::status(
        name,
        |_| {},
        || {
            let event_loop = Loop::new().expect("a loop");
            let (first, second) = (Signal::new(&event_loop), Signal::new(&event_loop));
            first.start(libc::SIGTERM, |first: &Signal, _| first.close()).expect("SIGTERM may be watched");
            second.start(libc::SIGTERM, |second: &Signal, _| second.close()).expect("and twice");
            raise(libc::SIGTERM);
            finish(&event_loop);
            raise(libc::SIGTERM);
            unreachable!("SIGTERM ends a process that does not watch it");
        },
    );
    assert_eq!(status.and_then(|status| status.signal()), Some(libc::SIGTERM));
}

#[test]
fn with_one_shot_watchers_only_a_second_signal_takes_the_default_action() {
    let name = "with_one_shot_watchers_only_a_second_signal_takes_the_default_action";
    let status = alone::status(
        name,
        |_| {},
        || {
            let event_loop = Loop::new().expect("a loop");
            let signal = Signal::new(&event_loop);
            signal.start_oneshot(libc::SIGINT, |_: &Signal, _| {}).expect("SIGINT may be watched");
            // The loop is stuck: it never reads its pipe.
            raise(libc::SIGINT);
            loop {
                raise(libc::SIGINT);
            }
        },
    );
    assert_eq!(status.and_then(|status| status.signal()), Some(libc::SIGINT));
}

// libuv: kill_invalid_signum
#[test]
fn kill_refuses_numbers_that_are_no_signals() {
    let own = i32::try_from(std::process::id()).expect("process ids are positive");
    for signum in [-1, 4096] {
        assert_eq!(kill(own, signum).expect_err("no signal").errno(), Errno::EINVAL);
    }
    // libuv: kill
    kill(own, 0).expect("0 only asks whether the process is there");
}

/// Stores the result of its write, and closes its pipe.
struct WriteEnd(Rc<Cell<Option<Errno>>>);

impl StreamUpcall for WriteEnd {
    fn on_read(&mut self, _: &Stream, _: &[u8]) {}

    fn on_end(&mut self, _: &Stream) {}

    fn on_read_error(&mut self, _: &Stream, _: Error) {}

    fn on_write(&mut self, stream: &Stream, result: uv_core::Result<()>) {
        self.0.set(result.err().map(|error| error.errno()));
        stream.close();
    }
}

#[test]
fn writing_to_a_socket_without_a_reader_fails_and_raises_no_sigpipe() {
    let event_loop = Loop::new().expect("a loop");
    let signal = Signal::new(&event_loop);
    signal.start(libc::SIGPIPE, |_: &Signal, _| panic!("SIGPIPE")).expect("SIGPIPE may be watched");
    signal.unref();
    let pipe = Pipe::new(&event_loop);
    drop(pipe.open_pair().expect("a pair of sockets"));
    let outcome = Rc::new(Cell::new(None));
    pipe.set_upcall(WriteEnd(Rc::clone(&outcome)));
    pipe.write("x").expect("an open pipe takes a write");
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    event_loop.run(RunMode::NoWait).expect("the loop runs");
    assert_eq!(outcome.get(), Some(Errno::EPIPE));
    signal.close();
    finish(&event_loop);
}

#[test]
fn what_cannot_be_watched_is_refused_and_leaves_the_watcher_as_it_was() {
    let event_loop = Loop::new().expect("a loop");
    let signal = Signal::new(&event_loop);
    for signum in [0, -1, 65, i32::MAX, libc::SIGKILL, libc::SIGSTOP] {
        let error = signal.start(signum, |_: &Signal, _| {}).expect_err("no signal to watch");
        assert_eq!((error.op(), error.errno()), ("signal_start", Errno::EINVAL));
        assert!(!signal.is_active());
    }
    let (count, seen) = counter();
    let started = signal.start(libc::SIGPWR, move |signal: &Signal, _| {
        count.set(count.get() + 1);
        signal.close();
    });
    started.expect("SIGPWR may be watched");
    signal.start(libc::SIGKILL, |_: &Signal, _| unreachable!()).expect_err("SIGKILL may not");
    assert_eq!(signal.signum(), libc::SIGPWR);
    raise(libc::SIGPWR);
    finish(&event_loop);
    assert_eq!(seen.get(), 1);
    let error = signal.start(libc::SIGPWR, |_: &Signal, _| {}).expect_err("it is closed");
    assert_eq!(error.errno(), Errno::EINVAL);
}

#[test]
fn starting_again_replaces_the_signal_and_the_upcall() {
    let event_loop = Loop::new().expect("a loop");
    let signal = Signal::new(&event_loop);
    let (first, second) = (libc::SIGRTMIN() + 1, libc::SIGRTMIN() + 2);
    signal.start(first, |_: &Signal, _| unreachable!("replaced")).expect("may be watched");
    signal.start(first, |_: &Signal, _| unreachable!("replaced")).expect("may be watched again");
    let (count, seen) = counter();
    let started = signal.start(second, move |signal: &Signal, signum: i32| {
        count.set(signum.unsigned_abs());
        signal.close();
    });
    started.expect("another may be watched");
    assert_eq!(signal.signum(), second);
    raise(second);
    finish(&event_loop);
    assert_eq!(seen.get(), second.unsigned_abs());
}

#[test]
fn the_same_signal_started_again_on_the_same_watcher_still_comes() {
    let event_loop = Loop::new().expect("a loop");
    let signal = Signal::new(&event_loop);
    let signum = libc::SIGRTMIN() + 3;
    signal.start_oneshot(signum, |_: &Signal, _| unreachable!("replaced")).expect("may be watched");
    let (count, seen) = counter();
    let started = signal.start(signum, move |signal: &Signal, signum| {
        count.set(count.get() + 1);
        if count.get() < 2 { raise(signum) } else { signal.close() }
    });
    started.expect("may be watched again");
    raise(signum);
    finish(&event_loop);
    assert_eq!(seen.get(), 2);
}

#[test]
fn a_flood_of_signals_is_delivered_whole_over_several_turns() {
    const FLOOD: u32 = 300;
    let event_loop = Loop::new().expect("a loop");
    let (count, seen) = counter();
    let signal = Signal::new(&event_loop);
    let started = signal.start(libc::SIGRTMIN() + 4, move |signal: &Signal, _| {
        count.set(count.get() + 1);
        if count.get() == FLOOD {
            signal.close();
        }
    });
    started.expect("real-time signals may be watched");
    // The kernel queues real-time signals instead of merging them.
    (0..FLOOD).for_each(|_| raise(libc::SIGRTMIN() + 4));
    finish(&event_loop);
    assert_eq!(seen.get(), FLOOD);
}

#[test]
fn a_panic_in_a_call_leaves_the_other_calls_for_the_next_run() {
    let event_loop = Loop::new().expect("a loop");
    let signum = libc::SIGRTMIN() + 5;
    let (bad, good) = (Signal::new(&event_loop), Signal::new(&event_loop));
    let started = bad.start(signum, |bad: &Signal, _| {
        bad.close();
        resume_unwind(Box::new("expected by the test"));
    });
    started.expect("may be watched");
    let (count, seen) = counter();
    let started = good.start(signum, move |good: &Signal, _| {
        count.set(count.get() + 1);
        good.close();
    });
    started.expect("may be watched twice");
    raise(signum);
    catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Default)))
        .expect_err("the panic comes out of run");
    finish(&event_loop);
    assert_eq!(seen.get(), 1);
}

#[test]
fn a_watcher_keeps_its_loop_alive_while_started_and_referenced() {
    let event_loop = Loop::new().expect("a loop");
    let signal = Signal::new(&event_loop);
    assert!(!event_loop.is_alive());
    signal.start(libc::SIGTTIN, |_: &Signal, _| {}).expect("SIGTTIN may be watched");
    assert!(event_loop.is_alive());
    signal.unref();
    assert!(!event_loop.is_alive());
    signal.ref_();
    signal.stop();
    assert!(!event_loop.is_alive() && signal.signum() == 0);
    signal.close();
    finish(&event_loop);
}

#[test]
fn dropping_a_loop_ends_its_watches() {
    let name = "dropping_a_loop_ends_its_watches";
    let status = alone::status(
        name,
        |_| {},
        || {
            let event_loop = Loop::new().expect("a loop");
            let signal = Signal::new(&event_loop);
            signal.start(libc::SIGTERM, |_: &Signal, _| unreachable!()).expect("SIGTERM may be watched");
            drop(event_loop);
            raise(libc::SIGTERM);
            unreachable!("SIGTERM ends a process that does not watch it");
        },
    );
    assert_eq!(status.and_then(|status| status.signal()), Some(libc::SIGTERM));
}
