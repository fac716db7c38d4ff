//! Reading with pauses and writing with a high-water mark.

mod common;

use bytes::Bytes;
use common::{Log, Peer, connection, new_loop, run_to_the_end, serve_one, to};
use net::{ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::rc::Rc;

/// More than the kernel takes at once between two sockets of one machine.
const A_LOT: usize = 16 * 1024 * 1024;

/// A handler that counts bytes.
fn counting(peer: Peer, received: &Rc<Cell<usize>>) -> Peer {
    let received = Rc::clone(received);
    peer.on_bytes(move |_, data| received.set(received.get() + data.len()))
}

// Node: test-net-server-pause-on-connect
#[test]
fn a_connection_that_starts_paused_gets_nothing_before_resume_and_loses_nothing() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let options = ServerOptions::default().pause_on_connect(true);
    let (late, later) = (log.clone(), env.clone());
    let server = serve_one(&env, options, move |socket| {
        assert!(socket.is_paused());
        Peer::new("here", &late).on("end", |socket| socket.end()).attach(&socket);
        // When this fires, the kernel has all bytes of the peer.
        later.set_timeout(std::time::Duration::from_millis(20), move || {
            late.push("resume");
            socket.resume();
            assert!(!socket.is_paused());
        });
    });
    Peer::new("there", &log)
        .on("connect", |socket| socket.end_with(b"hello").expect("it is open"))
        .connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    let here: Vec<_> =
        log.take().into_iter().filter(|entry| entry.starts_with("here") || entry == "resume").collect();
    assert_eq!(here, ["resume", "here data hello", "here end", "here finish", "here close"]);
}

// Node: test-net-connect-paused-connection, test-net-pause-resume-connecting
#[test]
fn a_pause_while_connecting_keeps_the_bytes_in_the_kernel() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let here = Peer::new("here", &Log::default());
    let server = serve_one(&env, ServerOptions::default(), move |socket| {
        here.attach(&socket);
        socket.end_with(b"hello").expect("it is open");
    });
    let there = Peer::new("there", &log).on("end", |socket| socket.end()).connect(&env, to(&server));
    there.pause();
    let noted = log.clone();
    env.set_timeout(std::time::Duration::from_millis(20), move || {
        noted.push("resume");
        there.resume();
    });
    run_to_the_end(&event_loop, &env);
    let expected =
        ["there connect", "resume", "there data hello", "there end", "there finish", "there close"];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_pause_inside_on_data_holds_at_once() {
    let (event_loop, env) = new_loop();
    let paused_at = Rc::new(Cell::new(0));
    let received = Rc::new(Cell::new(0));
    let (mark, sum, later) = (Rc::clone(&paused_at), Rc::clone(&received), env.clone());
    let here = Peer::new("here", &Log::default()).on_bytes(move |socket, data| {
        assert!(!socket.is_paused(), "a paused socket reads nothing");
        sum.set(sum.get() + data.len());
        if mark.get() == 0 {
            mark.set(sum.get());
            socket.pause();
            let resuming = socket.clone();
            later.set_timeout(std::time::Duration::from_millis(5), move || resuming.resume());
        }
    });
    let there = Peer::new("there", &Log::default())
        .on("connect", |socket| socket.end_with(&vec![b'x'; A_LOT]).expect("it is open"));
    connection(&env, ServerOptions::default(), here, there);
    run_to_the_end(&event_loop, &env);
    assert!(paused_at.get() < A_LOT);
    assert_eq!(received.get(), A_LOT);
}

// Node: test-net-pingpong-delay, test-net-write-slow; doc of writable.write
#[test]
fn a_write_beyond_the_mark_says_false_and_is_followed_by_one_drain() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let received = Rc::new(Cell::new(0));
    let here = counting(Peer::new("here", &Log::default()), &received);
    let there = Peer::new("there", &log)
        .on("connect", |socket| {
            assert_eq!(socket.high_water_mark(), 64 * 1024);
            assert!(socket.write(b"little").expect("it is open"));
            assert!(!socket.write(&vec![b'x'; A_LOT]).expect("it is open"));
            assert!(socket.buffered() >= socket.high_water_mark());
            assert!(
                !socket.write(b"").expect("it is open"),
                "nothing was written, and there is still no room"
            );
            assert!(!socket.write(b"more").expect("it is open"));
        })
        .on("drain", |socket| {
            assert_eq!(socket.buffered(), 0);
            socket.end();
        });
    connection(&env, ServerOptions::default(), here, there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(received.get(), 6 + A_LOT + 4);
    let expected = ["there connect", "there drain", "there finish", "there end", "there close"];
    assert_eq!(log.take(), expected);
}

// Node: Writable's afterWrite: no 'drain' after end
#[test]
fn no_drain_follows_an_end() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let there = Peer::new("there", &log).on("connect", |socket| {
        assert!(!socket.write(&vec![b'x'; A_LOT]).expect("it is open"));
        socket.end();
    });
    let here = counting(Peer::new("here", &Log::default()), &Rc::default());
    connection(&env, ServerOptions::default(), here, there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "there finish", "there end", "there close"]);
}

#[test]
fn a_mark_of_one_asks_to_wait_for_every_rest_and_for_nothing_else() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), |socket| {
        counting(Peer::new("here", &Log::default()), &Rc::default()).attach(&socket);
    });
    let options = to(&server).high_water_mark(1);
    let there = Peer::new("there", &log)
        .on("connect", |socket| {
            assert!(socket.write(b"").expect("it is open"));
            assert!(socket.write(b"the kernel takes it").expect("it is open"));
            assert!(!socket.write(&vec![b'x'; A_LOT]).expect("it is open"));
        })
        .on("drain", |socket| socket.end());
    there.connect(&env, options);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.count("there drain"), 1);
}

// Node: test-net-connect-buffer, test-net-write-connect-write, test-net-access-byteswritten
#[test]
fn what_is_written_while_connecting_waits_counts_and_keeps_its_order() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let text = Rc::new(RefCell::new(Vec::new()));
    let all = Rc::clone(&text);
    let server = serve_one(&env, ServerOptions::default(), move |socket| {
        Peer::new("here", &Log::default())
            .on_bytes(move |_, data| all.borrow_mut().extend_from_slice(data))
            .attach(&socket);
    });
    let there = Peer::new("there", &log).on("connect", |socket| {
        socket.write(b" three").expect("it is open");
        socket.end();
    });
    let there = there.connect(&env, to(&server));
    assert!(there.write(b"one").expect("it is connecting"));
    assert!(there.write_bytes(Bytes::from_static(b" two")).expect("it is connecting"));
    assert_eq!((there.buffered(), there.bytes_written()), (7, 7));
    run_to_the_end(&event_loop, &env);
    assert_eq!(*text.borrow(), b"one two three");
    assert_eq!(there.bytes_written(), 13);
}

// Node: test-net-bytes-read, test-net-bytes-stats, test-net-bytes-written-large
#[test]
fn counters_outlive_the_connection() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let slot: Rc<RefCell<Option<Socket>>> = Rc::default();
    let keep = Rc::clone(&slot);
    let server = serve_one(&env, ServerOptions::default(), move |socket| {
        Peer::new("here", &Log::default())
            .on_bytes(|socket, data| assert!(socket.write(data).expect("it is open")))
            .attach(&socket);
        keep.replace(Some(socket));
    });
    let there = Peer::new("there", &log)
        .on("connect", |socket| {
            let three = [IoSlice::new(b"he"), IoSlice::new(b""), IoSlice::new(b"llo")];
            assert!(socket.writev(&three).expect("it is open"));
            socket.end();
        })
        .connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    let here = slot.take().expect("there was a connection");
    assert!(here.is_destroyed() && there.is_destroyed());
    for socket in [here, there] {
        assert_eq!((socket.bytes_read(), socket.bytes_written()), (5, 5));
    }
}

// Node: test-net-large-string, pummel/test-net-throttle
#[test]
fn an_echo_with_back_pressure_loses_nothing_and_stays_small() {
    let (event_loop, env) = new_loop();
    let most = Rc::new(Cell::new(0));
    let max = Rc::clone(&most);
    let here = Peer::new("here", &Log::default())
        .on_bytes(move |socket, data| {
            if !socket.write(data).expect("it is open") {
                socket.pause();
            }
            max.set(max.get().max(socket.buffered()));
        })
        .on("drain", |socket| socket.resume());
    let sum = Rc::new(Cell::new(0_u64));
    let total = Rc::clone(&sum);
    let there = Peer::new("there", &Log::default())
        .on("connect", |socket| socket.end_with(&vec![7; A_LOT]).expect("it is open"))
        .on_bytes(move |_, data| {
            total.set(total.get() + data.iter().map(|byte| u64::from(*byte)).sum::<u64>())
        });
    connection(&env, ServerOptions::default(), here, there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(sum.get(), 7 * A_LOT as u64);
    // The mark, and one read on top of almost as much.
    assert!(most.get() <= 128 * 1024, "{} bytes waited", most.get());
}
