//! Connecting before the address is known: a stream that takes the connection of one of several attempts.

mod common;

use common::*;
use std::io::Read;
use std::net::TcpListener;
use uv_core::{Errno, Tcp};

#[test]
fn a_stream_takes_the_connection_of_an_attempt_with_what_was_written_before() {
    let event_loop = test_loop();
    let log = Log::new();
    let listener = TcpListener::bind(LOCALHOST).expect("bind");
    let addr = listener.local_addr().expect("an address");
    let stream = Tcp::new(&event_loop);
    stream.set_upcall(Tower::new(&log, "stream"));
    stream.expect_connection("a host").expect("it begins");
    assert!(event_loop.is_alive() && stream.is_active(), "it keeps the loop alive");
    stream.write("hello").expect("it is queued");
    assert_eq!(errno(stream.try_write(b"hello")), Errno::EAGAIN);
    assert_eq!((stream.write_queue_size(), errno(stream.fileno())), (5, Errno::EBADF));
    let attempt = Tcp::new(&event_loop);
    let (taking, from) = (stream.clone(), attempt.clone());
    attempt.set_upcall(Tower::new(&log, "attempt").on_connect(move |result| {
        result.expect("it connects");
        taking.take_connection(&from).expect("it is connected");
        assert_eq!(errno(from.write("nothing is left")), Errno::EBADF);
        from.close();
    }));
    attempt.connect(addr).expect("connect");
    let (mut peer, _) = listener.accept().expect("accept");
    event_loop.until(|| log.has("stream write ok"));
    let expected = ["attempt close", "attempt connect ok", "stream connect ok", "stream write ok"];
    let mut all = log.take();
    all.sort_unstable();
    assert_eq!(all, expected);
    assert_eq!(stream.peer_addr(), Ok(addr));
    // The peer's end is reported to the new owner.
    stream.read_start().expect("it is connected");
    stream.shutdown().expect("it is connected");
    let mut received = String::new();
    peer.read_to_string(&mut received).expect("read");
    assert_eq!(received, "hello");
    drop(peer);
    event_loop.until(|| log.has("stream end"));
    event_loop.close_all();
    event_loop.until(|| log.has("stream close"));
    event_loop.finish();
}

#[test]
fn a_close_cancels_a_connect_whose_address_is_not_known_and_its_writes_in_order() {
    let event_loop = test_loop();
    let log = Log::new();
    let stream = Tcp::new(&event_loop);
    stream.set_upcall(Tower::new(&log, "stream").on_connect(|result| {
        let error = result.expect_err("cancelled");
        assert_eq!((error.op(), error.target()), ("connect", Some("a host")));
    }));
    stream.expect_connection("a host").expect("it begins");
    stream.write("a").expect("it is queued");
    stream.write("b").expect("it is queued");
    stream.close();
    assert_eq!(errno(stream.write("c")), Errno::EBADF);
    assert_eq!(errno(stream.take_connection(&Tcp::new(&event_loop))), Errno::EINVAL);
    event_loop.until(|| log.has("stream close"));
    let cancelled = "stream write ECANCELED";
    assert_eq!(log.take(), ["stream connect ECANCELED", cancelled, cancelled, "stream close"]);
    event_loop.close_and_finish();
}

#[test]
fn a_connection_is_taken_only_by_a_stream_that_expects_it_and_from_a_stream_that_has_it() {
    let event_loop = test_loop();
    let (connected, _peer) = connected(&event_loop);
    let stream = Tcp::new(&event_loop);
    assert_eq!(errno(stream.take_connection(&connected)), Errno::EINVAL, "it does not expect one");
    assert_eq!(errno(connected.expect_connection("a host")), Errno::EBUSY, "it has a socket");
    stream.expect_connection("a host").expect("it begins");
    assert_eq!(errno(stream.expect_connection("a host")), Errno::EALREADY);
    assert_eq!(errno(stream.connect(closed_port())), Errno::EALREADY);
    let fresh = Tcp::new(&event_loop);
    assert_eq!(errno(stream.take_connection(&fresh)), Errno::ENOTCONN);
    stream.take_connection(&connected).expect("it is connected");
    assert_eq!(errno(stream.take_connection(&connected)), Errno::EINVAL, "it has a socket now");
    connected.close();
    assert_eq!(
        errno(fresh.expect_connection("a host").and_then(|()| fresh.take_connection(&connected))),
        Errno::ENOTCONN
    );
    let closing = Tcp::new(&event_loop);
    closing.close();
    assert_eq!(errno(closing.expect_connection("a host")), Errno::EINVAL);
    event_loop.close_and_finish();
}
