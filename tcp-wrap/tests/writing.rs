//! Writes: what the kernel takes now, what is queued, and how the result is reported.

mod common;

use common::{Logger, MUCH, new_loop, pipe_pair, run_to_the_end, tcp_pair};
use std::io::{IoSlice, Read};
use std::net::Shutdown;
use std::thread;
use tcp_wrap::{TcpWrap, Written};
use uv_core::{Errno, RunMode};

// Node: async-hooks/test-writewrap
#[test]
fn a_write_that_the_kernel_takes_is_over_at_once() {
    let event_loop = new_loop();
    let (wrap, mut peer) = tcp_pair(&event_loop);
    let log = Logger::set(&wrap);
    assert_eq!(wrap.write(b"hello").expect("connected"), Written { now: 5, later: 0 });
    assert_eq!(wrap.write(b"").expect("connected"), Written { now: 0, later: 0 });
    assert_eq!(wrap.write_bytes("again".into()).expect("connected"), Written { now: 5, later: 0 });
    assert_eq!((wrap.write_queue_size(), wrap.bytes_written()), (0, 10));
    assert!(!event_loop.is_alive(), "nothing waits");
    let mut received = [0; 10];
    peer.read_exact(&mut received).expect("it was sent");
    assert_eq!(&received, b"helloagain");
    wrap.close();
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["close"]);
}

// Node: test-net-bytes-written-large, test-net-socket-byteswritten, test-net-large-string
#[test]
fn the_rest_of_a_write_waits_but_all_of_it_counts_at_once() {
    let event_loop = new_loop();
    let (wrap, mut peer) = tcp_pair(&event_loop);
    let log = Logger::set(&wrap);
    let data: Vec<u8> = (0..MUCH).map(|index| (index % 251) as u8).collect();
    let written = wrap.write(&data).expect("connected");
    assert!(written.later > 0 && written.now + written.later == MUCH);
    // The kernel may have taken more bytes when the rest was queued.
    assert!(wrap.write_queue_size() <= written.later);
    assert_eq!(wrap.bytes_written(), MUCH as u64);
    assert_eq!(
        wrap.write(b"after").expect("connected"),
        Written { now: 0, later: 5 },
        "it waits for its turn"
    );
    wrap.shutdown().expect("connected");
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        peer.read_to_end(&mut received).expect("the connection lives");
        received
    });
    wrap.read_start().expect("connected");
    run_to_the_end(&event_loop);
    let received = reader.join().expect("the reader does not panic");
    assert!(received[..MUCH] == data && &received[MUCH..] == b"after");
    assert_eq!(wrap.bytes_written(), MUCH as u64 + 5);
    // The peer closes only after it has read everything, so the order is fixed.
    assert_eq!(log.take(), ["write", "write", "shutdown", "end", "close"]);
}

// Node: test-net-sync-cork, test-net-write-fully-async-buffer
#[test]
fn several_buffers_keep_their_order_wherever_the_kernel_cuts_them() {
    let event_loop = new_loop();
    let (wrap, mut peer) = pipe_pair(&event_loop);
    let log = Logger::set(&wrap);
    let buffers: Vec<Vec<u8>> =
        (0..100_u32).map(|index| vec![index as u8; 1 + index as usize * 997]).collect();
    let slices: Vec<IoSlice<'_>> = buffers.iter().map(|buffer| IoSlice::new(buffer)).collect();
    let written = wrap.writev(&slices).expect("connected");
    let all = buffers.concat();
    assert!(written.later > 0 && written.now + written.later == all.len());
    drop(slices);
    drop(buffers);
    wrap.shutdown().expect("connected");
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        peer.read_to_end(&mut received).expect("the connection lives");
        received
    });
    wrap.read_start().expect("connected");
    run_to_the_end(&event_loop);
    assert!(reader.join().expect("the reader does not panic") == all);
    assert_eq!(log.take(), ["write", "shutdown", "end", "close"]);
}

// What the kernel takes of the three ends in each of them once.
#[test]
fn a_shared_buffer_keeps_its_place_wherever_the_kernel_cuts() {
    for lens in [[0, 3, 0], [5, MUCH, 2], [MUCH, 5, 2], [2, 5, MUCH], [0, 0, MUCH], [MUCH, 0, 0]] {
        let event_loop = new_loop();
        let (wrap, mut peer) = pipe_pair(&event_loop);
        Logger::set(&wrap);
        let [front, data, back] = lens.map(|len| (0..len).map(|index| index as u8).collect::<Vec<_>>());
        let mut all = [&front[..], &data, &back].concat();
        // The second one is queued behind the first, if that has a rest.
        all.extend_from_slice(&all.clone());
        for _ in 0..2 {
            let written = wrap.write_shared(&front, data.clone().into(), &back).expect("connected");
            assert_eq!(written.now + written.later, all.len() / 2);
        }
        wrap.shutdown().expect("connected");
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).expect("the connection lives");
            received
        });
        wrap.read_start().expect("connected");
        run_to_the_end(&event_loop);
        assert!(reader.join().expect("the reader does not panic") == all, "{lens:?}");
    }
}

#[test]
fn more_buffers_than_one_system_call_takes_are_written_all_the_same() {
    let event_loop = new_loop();
    let (wrap, mut peer) = tcp_pair(&event_loop);
    Logger::set(&wrap);
    let slices = vec![IoSlice::new(b"ab"); 5000];
    let written = wrap.writev(&slices).expect("connected");
    assert_eq!(written.now + written.later, 10_000);
    wrap.shutdown().expect("connected");
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        peer.read_to_end(&mut received).expect("the connection lives");
        received
    });
    wrap.read_start().expect("connected");
    run_to_the_end(&event_loop);
    assert_eq!(reader.join().expect("the reader does not panic"), b"ab".repeat(5000));
}

// Node: async-hooks/test-shutdownwrap, test-net-end-close
#[test]
fn a_shutdown_is_reported_by_the_loop_and_makes_writing_an_error() {
    let event_loop = new_loop();
    let (wrap, mut peer) = tcp_pair(&event_loop);
    let log = Logger::set(&wrap);
    wrap.shutdown().expect("connected");
    assert_eq!(log.take(), [""; 0], "never from within the call");
    assert_eq!(wrap.write(b"x").expect_err("finished").errno(), Errno::EPIPE);
    assert_eq!(wrap.shutdown().expect_err("finished").errno(), Errno::ENOTCONN);
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), ["shutdown"]);
    assert_eq!(peer.read(&mut [0; 1]).expect("a FIN"), 0);
    wrap.close();
    run_to_the_end(&event_loop);
}

// Node: test-net-end-without-connect. The layer above treats this error as success.
#[test]
fn a_shutdown_without_a_connection_is_refused() {
    let event_loop = new_loop();
    let wrap = TcpWrap::new(&event_loop);
    assert_eq!(wrap.shutdown().expect_err("not connected").errno(), Errno::ENOTCONN);
    assert_eq!(wrap.write(b"x").expect_err("no socket").errno(), Errno::EBADF);
    wrap.close();
    run_to_the_end(&event_loop);
}

// Node: test-net-write-cb-on-destroy-before-connect, test-net-socket-write-error
#[test]
fn close_cancels_what_waits_in_order_and_reports_itself_last() {
    let event_loop = new_loop();
    let (wrap, _peer) = tcp_pair(&event_loop);
    let log = Logger::set(&wrap);
    assert!(wrap.write(&vec![0; MUCH]).expect("connected").later > 0);
    assert_eq!(wrap.write(b"more").expect("connected").later, 4);
    wrap.shutdown().expect("connected");
    wrap.close();
    assert_eq!(log.take(), [""; 0], "never from within the call");
    run_to_the_end(&event_loop);
    let expected =
        ["write failed: ECANCELED", "write failed: ECANCELED", "shutdown failed: ECANCELED", "close"];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_write_to_a_closed_peer_is_an_error_not_a_signal() {
    let event_loop = new_loop();
    let (wrap, peer) = pipe_pair(&event_loop);
    let log = Logger::set(&wrap);
    peer.shutdown(Shutdown::Both).expect("connected");
    drop(peer);
    assert_eq!(wrap.write(b"x").expect_err("the peer is closed").errno(), Errno::EPIPE);
    assert_eq!(wrap.bytes_written(), 0);
    wrap.close();
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["close"]);
}

// Node: test-net-write-slow
#[test]
fn writes_while_connecting_go_out_once_connected() {
    let event_loop = new_loop();
    let (server, addr) = common::bound_tcp(&event_loop);
    let listener = server.clone();
    let received = std::rc::Rc::new(std::cell::RefCell::new(None));
    let slot = std::rc::Rc::clone(&received);
    server
        .listen_with(8, move |_, connection| {
            let connection = connection.expect("descriptors are left");
            slot.replace(Some(Logger::set_reading(&connection, |stream, _| stream.close())));
            connection.read_start().expect("connected");
            listener.close();
        })
        .expect("bound");
    let client = TcpWrap::new(&event_loop);
    let log = Logger::set(&client);
    client.connect(addr).expect("loopback is reachable");
    assert_eq!(client.write(b"early").expect("connecting"), Written { now: 0, later: 5 });
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    client.close();
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["connect", "write", "close"]);
    assert_eq!(received.take().expect("a connection came").bytes(), b"early");
}
