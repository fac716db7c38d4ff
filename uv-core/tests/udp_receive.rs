//! Receiving datagrams: one after the other, in batches, and within bounds.

mod common;
mod datagrams;

use common::*;
use datagrams::*;
use std::cell::Cell;
use std::net::UdpSocket;
use std::rc::Rc;
use std::time::Duration;
use uv_core::udp::{SendOptions, Udp};
use uv_core::{Check, Errno, Timer};

// libuv: udp_recv_in_a_row
#[test]
fn each_datagram_is_one_call_and_nothing_follows_the_last() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (_udp, addr) = receiving(&event_loop, &seen);
    let (outside, from) = peer();
    for number in 0..10u8 {
        outside.send_to(&[number], addr).expect("send");
    }
    // An empty one ends no row, and is told like the others.
    outside.send_to(&[], addr).expect("send");
    let check = Check::new(&event_loop);
    let before = seen.clone();
    check
        .start(move |check: &Check| {
            assert_eq!(before.count(), 11, "all in one turn");
            check.close();
        })
        .expect("start");
    event_loop.turn();
    let sent = (0..10).map(|number| vec![number]).chain([Vec::new()]);
    assert_eq!(seen.data(), sent.collect::<Vec<_>>());
    event_loop.turn();
    assert_eq!(seen.count(), 11);
    for envelope in seen.envelopes() {
        assert_eq!((envelope.from, envelope.is_truncated), (from, false));
        assert_eq!((envelope.destination, envelope.ecn), (None, None), "nothing else was asked for");
    }
    event_loop.close_and_finish();
}

#[test]
fn receiving_starts_once_and_never_on_a_closing_handle() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    udp.receive_start().expect("receive_start binds");
    assert_ne!(udp.local_addr().expect("an address").port(), 0);
    assert_eq!(errno(udp.receive_start()), Errno::EALREADY);
    assert_eq!(errno(udp.bind(localhost(), &Default::default())), Errno::EINVAL, "bound already");
    udp.receive_stop();
    udp.receive_stop();
    assert!(!udp.is_active() && !udp.is_receiving());
    udp.receive_start().expect("again");
    udp.close();
    assert_eq!(errno(udp.receive_start()), Errno::EINVAL);
    event_loop.finish();
}

#[test]
fn a_stop_in_the_call_loses_nothing() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, addr) = receiving(&event_loop, &seen);
    udp.set_upcall(Watcher::new(&seen).on_receive(|udp, _, _| udp.receive_stop()));
    let (outside, _) = peer();
    for number in 0..3u8 {
        outside.send_to(&[number], addr).expect("send");
    }
    for expected in 1..=3 {
        event_loop.turn();
        event_loop.turn();
        assert_eq!(seen.count(), expected);
        udp.receive_start().expect("receive_start");
    }
    event_loop.close_and_finish();
}

// libuv: udp_mmsg
#[test]
fn a_batch_hands_over_each_datagram_in_the_order_of_arrival() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, addr) = receiving(&event_loop, &seen);
    udp.set_batch(20);
    let (outside, from) = peer();
    for number in 0..40u8 {
        outside.send_to(&vec![number; usize::from(number)], addr).expect("send");
    }
    event_loop.until(|| seen.count() == 40);
    assert_eq!(seen.data(), (0..40).map(|number| vec![number; usize::from(number)]).collect::<Vec<_>>());
    assert!(seen.envelopes().iter().all(|envelope| envelope.from == from));
    event_loop.close_and_finish();
}

// libuv: udp_mmsg_single_drain_cb. There is no call that says only that nothing is left, in a batch either.
#[test]
fn a_batch_that_is_not_full_makes_no_further_call() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, addr) = receiving(&event_loop, &seen);
    udp.set_batch(32);
    let (outside, _) = peer();
    outside.send_to(b"PING", addr).expect("send");
    event_loop.until(|| seen.count() == 1);
    event_loop.turn();
    assert_eq!(seen.data(), [b"PING".to_vec()]);
    event_loop.close_and_finish();
}

// libuv: udp_mmsg_small_buf. Unlike in libuv a room that is too small cuts the datagram, and a batch stays a batch.
// unpinned in libuv: a truncated datagram is partial
#[test]
fn the_end_of_a_datagram_that_is_too_long_for_its_room_is_lost_and_this_is_told() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, addr) = receiving(&event_loop, &seen);
    let (outside, _) = peer();
    for batch in [1, 8] {
        udp.set_batch(batch);
        udp.set_datagram_size(64);
        for len in [10, 64, 65, 1000] {
            outside.send_to(&vec![b'x'; len], addr).expect("send");
        }
        let before = seen.count();
        event_loop.until(|| seen.count() == before + 4);
        let lens: Vec<_> = seen.data()[before..].iter().map(Vec::len).collect();
        assert_eq!(lens, [10, 64, 64, 64]);
        let cut: Vec<_> = seen.envelopes()[before..].iter().map(|envelope| envelope.is_truncated).collect();
        assert_eq!(cut, [false, false, true, true]);
        udp.set_datagram_size(usize::MAX);
        outside.send_to(&[b'x'; 1000], addr).expect("send");
        event_loop.until(|| seen.count() == before + 5);
        assert_eq!(seen.data()[before + 4].len(), 1000);
    }
    event_loop.close_and_finish();
}

#[test]
fn of_a_batch_the_rest_waits_for_the_next_start_and_a_close_drops_it() {
    let event_loop = test_loop();
    let (outside, _) = peer();
    for closes in [false, true] {
        let seen = Seen::default();
        let (udp, addr) = receiving(&event_loop, &seen);
        udp.set_upcall(Watcher::new(&seen).on_receive(
            move |udp, _, _| {
                if closes { udp.close() } else { udp.receive_stop() }
            },
        ));
        for number in 0..5u8 {
            outside.send_to(&[number], addr).expect("send");
        }
        event_loop.turn();
        assert_eq!(seen.data(), [[0]]);
        if !closes {
            outside.send_to(&[9], addr).expect("send");
            for expected in 2..=6 {
                event_loop.turn();
                assert_eq!(seen.count(), expected - 1, "it does not receive");
                udp.receive_start().expect("receive_start");
                event_loop.turn();
                assert_eq!(seen.count(), expected);
            }
            assert_eq!(seen.data(), [[0], [1], [2], [3], [4], [9]]);
            assert!(
                seen.envelopes()
                    .iter()
                    .all(|envelope| Ok(envelope.from) == outside.local_addr().map_err(drop))
            );
        }
    }
    event_loop.close_and_finish();
}

/// Fills a socket's receive buffer with datagrams. Returns how many.
fn flood(from: &UdpSocket, to: &Udp, datagrams: usize) {
    let addr = to.local_addr().expect("an address");
    for _ in 0..datagrams {
        from.send_to(b"flood", addr).expect("send");
    }
}

// unpinned in libuv: at most 32 datagrams per turn
#[test]
fn a_turn_has_its_bound_of_datagrams_and_the_rest_comes_in_the_next_ones() {
    let event_loop = test_loop();
    let (outside, _) = peer();
    for batch in [1, 5, 32] {
        let seen = Seen::default();
        let (udp, _) = receiving(&event_loop, &seen);
        udp.set_batch(batch);
        flood(&outside, &udp, 100);
        for expected in [32, 64, 96, 100] {
            event_loop.turn();
            assert_eq!(seen.count(), expected);
        }
        event_loop.turn();
        assert_eq!(seen.count(), 100);
        udp.close();
    }
    event_loop.finish();
}

#[test]
fn a_flood_on_one_socket_delays_neither_a_timer_nor_another_socket() {
    let event_loop = test_loop();
    let (outside, _) = peer();
    let (flooded, quiet) = (Seen::default(), Seen::default());
    let (udp, addr) = receiving(&event_loop, &flooded);
    udp.set_batch(32);
    let source = outside.try_clone().expect("a clone");
    // Whenever a datagram is received, two others arrive.
    udp.set_upcall(Watcher::new(&flooded).on_receive(move |_, _, _| {
        for _ in 0..2 {
            let _ = source.send_to(b"flood", addr);
        }
    }));
    outside.send_to(b"flood", addr).expect("send");
    let (_other, other_addr) = receiving(&event_loop, &quiet);
    let fired = Rc::new(Cell::new(0));
    let (timer, count) = (Timer::new(&event_loop), Rc::clone(&fired));
    let period = Duration::from_millis(5);
    let (source, victim) = (outside.try_clone().expect("a clone"), udp);
    timer
        .start(period, period, move |timer: &Timer| {
            count.set(count.get() + 1);
            source.send_to(b"quiet", other_addr).expect("send");
            if count.get() == 4 {
                victim.close();
                timer.close();
            }
        })
        .expect("start");
    event_loop.until(|| quiet.count() == 4);
    assert_eq!(fired.get(), 4);
    assert!(flooded.count() > 100);
    event_loop.close_and_finish();
}

#[test]
fn a_panic_in_the_call_leaves_the_loop_usable_and_the_next_datagram_comes() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, addr) = receiving(&event_loop, &seen);
    let panics = Cell::new(true);
    udp.set_upcall(Watcher::new(&seen).on_receive(move |_, _, _| {
        if panics.take() {
            std::panic::resume_unwind(Box::new("the handler's"));
        }
    }));
    let (outside, _) = peer();
    for data in ["first", "second", "third"] {
        outside.send_to(data.as_bytes(), addr).expect("send");
    }
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| event_loop.turn()));
    assert!(unwound.is_err());
    event_loop.until(|| seen.count() == 3);
    assert_eq!(seen.data(), [b"first".to_vec(), b"second".to_vec(), b"third".to_vec()]);
    event_loop.close_and_finish();
}

#[test]
fn sockets_with_rooms_of_different_sizes_share_the_buffers() {
    let event_loop = test_loop();
    let (large, small) = (Seen::default(), Seen::default());
    let (one, one_addr) = receiving(&event_loop, &large);
    let (other, other_addr) = receiving(&event_loop, &small);
    other.set_datagram_size(100);
    let (outside, _) = peer();
    for (round, batches) in [(1, (1, 32)), (2, (32, 2)), (3, (3, 7)), (4, (1, 1))] {
        one.set_batch(batches.0);
        other.set_batch(batches.1);
        one.set_receive_destination(round % 2 == 0).expect("an option");
        for len in 0..10usize {
            outside.send_to(&vec![1; len * 1000], one_addr).expect("send");
            outside.send_to(&vec![2; len * 10], other_addr).expect("send");
        }
        event_loop.until(|| large.count() == round * 10 && small.count() == round * 10);
    }
    let lens = |seen: &Seen| seen.data().iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lens(&large), (0..40).map(|number| number % 10 * 1000).collect::<Vec<_>>());
    assert_eq!(lens(&small), (0..40).map(|number| number % 10 * 10).collect::<Vec<_>>());
    assert!(large.data().iter().all(|data| data.iter().all(|byte| *byte == 1)));
    assert!(small.data().iter().all(|data| data.iter().all(|byte| *byte == 2)));
    event_loop.close_and_finish();
}

#[test]
fn an_answer_to_each_datagram_of_a_batch_goes_to_its_sender() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, addr) = receiving(&event_loop, &seen);
    udp.set_batch(32);
    udp.set_upcall(Watcher::new(&seen).on_receive(|udp, data, envelope| {
        udp.send_copy(&[std::io::IoSlice::new(data)], &SendOptions::to(envelope.from)).expect("send");
    }));
    let clients: Vec<_> = (0..50).map(|_| peer().0).collect();
    for (number, client) in clients.iter().enumerate() {
        client.send_to(format!("{number}").as_bytes(), addr).expect("send");
    }
    event_loop.until(|| seen.sends().len() == 50);
    for (number, client) in clients.iter().enumerate() {
        let mut buffer = [0; 16];
        let (count, from) = client.recv_from(&mut buffer).expect("an answer");
        assert_eq!((&buffer[..count], from), (format!("{number}").as_bytes(), addr));
    }
    assert_eq!(seen.sends(), vec!["ok"; 50]);
    event_loop.close_and_finish();
}
