//! Reading, closing and resetting.

mod common;

use common::{Logger, new_loop, pipe_pair, run_to_the_end, tcp_pair};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{PipeWrap, StreamWrap, TcpWrap};
use uv_core::{Check, Errno, Error, Idle, RunMode, Timer};

// Node: test-net-pause-resume-connecting, pummel/test-net-pause
#[test]
fn read_stop_within_a_read_means_no_further_read() {
    let event_loop = new_loop();
    let (wrap, mut peer) = tcp_pair(&event_loop);
    let log = Logger::set_reading(&wrap, |stream, _| stream.read_stop());
    peer.write_all(&vec![7; 200_000]).expect("the buffers are that large");
    wrap.read_start().expect("connected");
    // A stream that does not read does not keep the loop alive, even with input in the kernel.
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), ["read"]);
    assert!(wrap.bytes_read() < 200_000);
    drop(peer);
    while !wrap.is_closing() {
        wrap.read_start().expect("still open");
        event_loop.run(RunMode::Default).expect("the loop runs");
    }
    run_to_the_end(&event_loop);
    assert_eq!(log.bytes().len(), 200_000, "all bytes arrive after reading resumes");
    assert_eq!(wrap.bytes_read(), 200_000);
}

// libuv: a read of 0 bytes is not the end
#[test]
fn nothing_to_read_is_not_the_end() {
    let event_loop = new_loop();
    let (wrap, mut peer) = tcp_pair(&event_loop);
    let log = Logger::set(&wrap);
    wrap.read_start().expect("connected");
    assert_eq!(wrap.read_start().expect_err("reading").errno(), Errno::EALREADY);
    for _ in 0..3 {
        assert!(
            event_loop.run(RunMode::NoWait).expect("the loop runs"),
            "a reading stream keeps the loop alive"
        );
    }
    assert_eq!(log.take(), [""; 0]);
    peer.write_all(b"x").expect("connected");
    drop(peer);
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["read", "end", "close"]);
}

// Node: test-net-end-destroyed
#[test]
fn the_end_is_reported_once_and_stops_reading() {
    let event_loop = new_loop();
    let (wrap, peer) = pipe_pair(&event_loop);
    let log = Logger::set_reading(&wrap, |_, _| {});
    drop(peer);
    wrap.read_start().expect("connected");
    for _ in 0..3 {
        event_loop.run(RunMode::NoWait).expect("the loop runs");
    }
    assert_eq!(log.take(), ["end", "close"]);
    assert_eq!(wrap.read_start().expect_err("closed").errno(), Errno::EINVAL);
    run_to_the_end(&event_loop);
}

// Node: test-handle-wrap-close-abort, test-handle-wrap-hasref
#[test]
fn closing_twice_changes_nothing() {
    let event_loop = new_loop();
    let (wrap, _peer) = tcp_pair(&event_loop);
    let log = Logger::set(&wrap);
    wrap.close();
    wrap.close();
    wrap.reset().expect("a closing wrap stays as it is");
    assert!(wrap.is_closing() && !wrap.has_ref());
    run_to_the_end(&event_loop);
    wrap.close();
    wrap.ref_();
    assert!(!wrap.has_ref());
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["close"]);
}

// Node: test-net-socket-destroy-twice, async-hooks/test-tcpwrap
#[test]
fn on_close_comes_after_poll_and_check() {
    let event_loop = new_loop();
    let (wrap, _peer) = tcp_pair(&event_loop);
    let log = Logger::set(&wrap);
    let check = Check::new(&event_loop);
    let at_check = log.clone();
    check
        .start(move |check: &Check| {
            at_check.push("check");
            check.close();
        })
        .expect("new");
    let idle = Idle::new(&event_loop);
    let at_idle = log.clone();
    idle.start(move |idle: &Idle| {
        wrap.close();
        at_idle.push("close was called");
        idle.close();
    })
    .expect("new");
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["close was called", "check", "close"]);
}

// Node: test-net-connect-reset, test-net-server-reset, test-net-socket-reset-twice
#[test]
fn reset_sends_a_reset_and_closes() {
    let event_loop = new_loop();
    let (wrap, mut peer) = tcp_pair(&event_loop);
    let log = Logger::set(&wrap);
    wrap.reset().expect("open");
    wrap.reset().expect("closing");
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["close"]);
    assert_eq!(peer.read(&mut [0; 1]).expect_err("a RST").kind(), ErrorKind::ConnectionReset);
}

#[test]
fn reset_is_refused_while_a_shutdown_is_pending_and_to_a_pipe() {
    let event_loop = new_loop();
    let (wrap, _peer) = tcp_pair(&event_loop);
    let log = Logger::set(&wrap);
    wrap.shutdown().expect("connected");
    assert_eq!(wrap.reset().expect_err("shutting down").errno(), Errno::EINVAL);
    assert!(!wrap.is_closing());
    wrap.close();
    let (pipe, _peer) = pipe_pair(&event_loop);
    assert_eq!(pipe.reset().expect_err("not TCP").errno(), Errno::ENOTSUP);
    pipe.close();
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["shutdown", "close"]);
}

#[test]
fn a_peer_that_resets_is_a_read_error() {
    let event_loop = new_loop();
    let (wrap, peer) = tcp_pair(&event_loop);
    let other = new_loop();
    let resetting = TcpWrap::new(&other);
    resetting.open(peer.into()).expect("a socket");
    let log = Logger::set(&wrap);
    wrap.read_start().expect("connected");
    resetting.reset().expect("open");
    run_to_the_end(&other);
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["read failed: ECONNRESET", "close"]);
}

#[test]
fn a_handler_set_within_a_call_takes_over_after_it() {
    let event_loop = new_loop();
    let (wrap, mut peer) = tcp_pair(&event_loop);
    let second = Rc::new(Cell::new(None));
    let slot = Rc::clone(&second);
    let first = Logger::set_reading(&wrap, move |stream, _| {
        slot.set(Some(Logger::set(stream)));
    });
    peer.write_all(b"first").expect("connected");
    wrap.read_start().expect("connected");
    event_loop.run(RunMode::Once).expect("the loop runs");
    peer.write_all(b"second").expect("connected");
    drop(peer);
    run_to_the_end(&event_loop);
    assert_eq!((first.take(), first.bytes()), (vec!["read".to_owned()], b"first".to_vec()));
    let second = second.take().expect("set by the first");
    assert_eq!((second.take().join(" "), second.bytes()), ("read end close".to_owned(), b"second".to_vec()));
}

#[test]
fn a_notification_comes_from_the_loop_and_once_for_several() {
    let event_loop = new_loop();
    let (wrap, _peer) = tcp_pair(&event_loop);
    let log = Logger::set(&wrap);
    wrap.notify();
    wrap.notify();
    assert_eq!(log.take(), [""; 0], "never from within the call");
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), ["notify"]);
    wrap.close();
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["close"]);
}

#[test]
fn an_unreferenced_stream_does_not_keep_the_loop_alive() {
    let event_loop = new_loop();
    let (wrap, _peer) = tcp_pair(&event_loop);
    Logger::set(&wrap);
    wrap.read_start().expect("connected");
    assert!(event_loop.is_alive());
    wrap.unref();
    assert!(!event_loop.is_alive() && !wrap.has_ref());
    wrap.ref_();
    assert!(event_loop.is_alive() && wrap.has_ref());
    wrap.close();
    run_to_the_end(&event_loop);
}

#[test]
fn a_wrap_can_be_cast_to_what_it_is() {
    let event_loop = new_loop();
    let (tcp, pipe) = (TcpWrap::new(&event_loop), PipeWrap::new(&event_loop));
    let streams: [&StreamWrap; 2] = [&tcp, &pipe];
    assert!(streams[0].is_tcp() && streams[0].as_tcp().is_some() && streams[0].as_pipe().is_none());
    assert!(!streams[1].is_tcp() && streams[1].as_tcp().is_none() && streams[1].as_pipe().is_some());
    // The casts share one wrap, with its counters and its state.
    streams[0].as_tcp().expect("it is one").close();
    assert!(tcp.is_closing());
    pipe.close();
    run_to_the_end(&event_loop);
}

#[test]
fn dropping_the_loop_drops_handlers_without_a_call() {
    let event_loop = new_loop();
    let (wrap, mut peer) = tcp_pair(&event_loop);
    let held = Rc::new(());
    let inner = Rc::clone(&held);
    let log = Logger::set_reading(&wrap, move |_, _| _ = &inner);
    wrap.read_start().expect("connected");
    let timer = Timer::new(&event_loop);
    timer.start(Duration::from_secs(3600), Duration::ZERO, |_: &Timer| {}).expect("new");
    event_loop.run(RunMode::NoWait).expect("the loop runs");
    drop(event_loop);
    assert_eq!((Rc::strong_count(&held), log.take().len()), (1, 0));
    assert_eq!(peer.read(&mut [0; 1]).expect("a FIN"), 0, "the descriptor is closed");
}

#[test]
fn a_stream_may_be_pulled_instead_of_read() {
    struct Puller(Rc<Cell<usize>>);
    impl OnStream for Puller {
        fn on_read(&mut self, _: &StreamWrap, _: &[u8]) {
            panic!("the loop does not read");
        }
        fn on_readable(&mut self, stream: &StreamWrap) {
            match stream.try_read(&mut [0; 4]) {
                Ok(0) => stream.close(),
                result => self.0.set(self.0.get() + result.expect("something is there")),
            }
        }
        fn on_end(&mut self, _: &StreamWrap) {}
        fn on_error(&mut self, _: &StreamWrap, error: Error) {
            panic!("{error}");
        }
    }
    let event_loop = new_loop();
    let (wrap, mut peer) = tcp_pair(&event_loop);
    let pulled = Rc::new(Cell::new(0));
    wrap.set_handler(Puller(Rc::clone(&pulled)));
    assert_eq!(wrap.try_read(&mut [0]).expect_err("nothing is there").errno(), Errno::EAGAIN);
    wrap.readable_start().expect("connected");
    peer.write_all(b"more than four").expect("connected");
    drop(peer);
    run_to_the_end(&event_loop);
    assert_eq!((pulled.get(), wrap.bytes_read()), (14, 14));
}
