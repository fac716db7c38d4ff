//! The end of sockets of datagrams: what is queued, what arrives meanwhile, and closes in every upcall.

mod common;
mod datagrams;

use common::*;
use datagrams::*;
use std::cell::Cell;
use std::net::UdpSocket;
use std::rc::Rc;
use uv_core::udp::{Udp, UdpOptions};

#[test]
fn a_close_sends_what_is_queued_and_reports_it_before_on_close() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    let (outside, addr) = peer();
    let order = seen.clone();
    udp.set_upcall(Watcher::new(&seen).on_close(move |_| assert_eq!(order.sends(), ["ok"; 3])));
    for _ in 0..3 {
        udp.send_to("last", addr).expect("send");
    }
    let closed = Rc::new(Cell::new(false));
    let told = Rc::clone(&closed);
    udp.close_with(move || told.set(true));
    udp.close();
    assert!(udp.is_closing() && !udp.is_active() && seen.sends().is_empty());
    event_loop.finish();
    assert!(closed.get());
    for _ in 0..3 {
        assert_eq!(outside.recv(&mut [0; 8]).expect("a datagram"), 4);
    }
}

#[test]
fn a_close_in_each_upcall_is_the_end() {
    let event_loop = test_loop();
    let (outside, addr) = peer();
    for at in ["receive", "send", "notify"] {
        let seen = Seen::default();
        let (udp, ours) = receiving(&event_loop, &seen);
        let close_at = move |now: &'static str| {
            move |udp: &Udp| {
                if at == now {
                    udp.close()
                }
            }
        };
        let on_receive = close_at("receive");
        udp.set_upcall(
            Watcher::new(&seen).on_receive(move |udp, _, _| on_receive(udp)).on_send(close_at("send")),
        );
        for _ in 0..3 {
            outside.send_to(b"in", ours).expect("send");
            udp.send_to("out", addr).expect("send");
        }
        udp.notify();
        event_loop.until(|| at == "notify" && seen.notes() == 1 || udp.is_closing());
        udp.close();
        event_loop.until(|| seen.closes() == 1);
        assert_eq!(seen.sends(), ["ok"; 3]);
        assert!(at != "receive" || seen.count() == 1);
    }
    event_loop.finish();
}

#[test]
fn a_close_by_another_socket_of_the_same_batch_of_events_suppresses_its_datagrams() {
    let event_loop = test_loop();
    let (one, other) = (Seen::default(), Seen::default());
    let (first, first_addr) = receiving(&event_loop, &one);
    let (second, second_addr) = receiving(&event_loop, &other);
    for (udp, seen, victim) in [(&first, &one, second.clone()), (&second, &other, first.clone())] {
        udp.set_upcall(Watcher::new(seen).on_receive(move |_, _, _| victim.close()));
    }
    let (outside, _) = peer();
    outside.send_to(b"in", first_addr).expect("send");
    outside.send_to(b"in", second_addr).expect("send");
    event_loop.until(|| one.count() + other.count() == 1);
    event_loop.close_and_finish();
    assert_eq!(one.count() + other.count(), 1);
}

#[test]
fn a_tower_replaced_in_its_own_call_is_followed_by_the_new_one() {
    let event_loop = test_loop();
    let (old, new) = (Seen::default(), Seen::default());
    let (udp, addr) = receiving(&event_loop, &old);
    let next = new.clone();
    udp.set_upcall(Watcher::new(&old).on_receive(move |udp, _, _| udp.set_upcall(Watcher::new(&next))));
    let (outside, _) = peer();
    outside.send_to(b"old", addr).expect("send");
    outside.send_to(b"new", addr).expect("send");
    event_loop.until(|| new.count() == 1);
    assert_eq!((old.data(), new.data()), (vec![b"old".to_vec()], vec![b"new".to_vec()]));
    event_loop.close_and_finish();
    assert_eq!((old.closes(), new.closes()), (0, 1));
}

#[test]
fn a_panic_in_a_report_loses_no_other_report() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    let (_outside, addr) = peer();
    let panics = Cell::new(true);
    udp.set_upcall(Watcher::new(&seen).on_send(move |_| {
        if panics.take() {
            std::panic::resume_unwind(Box::new("the handler's"));
        }
    }));
    for _ in 0..3 {
        udp.send_to("out", addr).expect("send");
    }
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| event_loop.turn()));
    assert!(unwound.is_err());
    event_loop.until(|| seen.sends().len() == 3);
    assert_eq!(event_loop.active_requests(), 0);
    event_loop.close_and_finish();
}

#[test]
fn a_close_frees_the_port_for_the_next_socket() {
    let event_loop = test_loop();
    let (udp, addr) = bound_udp(&event_loop, &Seen::default());
    udp.close();
    let next = UdpSocket::bind(addr).expect("free at once");
    drop(next);
    let again = Udp::new(&event_loop);
    again.bind(addr, &UdpOptions::default()).expect("free");
    event_loop.close_and_finish();
}

#[test]
fn a_dropped_loop_drops_the_tower_and_sends_what_was_queued() {
    let event_loop = uv_core::Loop::new().expect("a loop");
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    let (outside, addr) = peer();
    udp.send_to("last", addr).expect("send");
    assert_eq!(event_loop.active_requests(), 1);
    drop(event_loop);
    assert_eq!(outside.recv(&mut [0; 8]).expect("a datagram"), 4);
    assert_eq!((seen.sends(), seen.closes()), (vec![], 0), "no call");
    assert_eq!(udp.loop_handle().active_requests(), 0);
}
