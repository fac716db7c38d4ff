//! What sockets of datagrams cost: no allocation for an exchange, and nothing that is left after many of each operation.

mod alone;
mod common;
mod datagrams;

use common::*;
use datagrams::*;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use uv_core::udp::{Envelope, Interface, SendOptions, Udp, UdpOptions};
use uv_core::{Loop, RunMode};

fn echo(event_loop: &Loop, batch: u32) -> Udp {
    let udp = Udp::new(event_loop);
    udp.bind(localhost(), &UdpOptions::default()).expect("bind");
    udp.set_batch(batch);
    udp.receive_start_with(|udp, data, envelope| {
        udp.send_copy(&[IoSlice::new(data)], &SendOptions::to(envelope.from)).expect("send");
    })
    .expect("receive_start");
    udp
}

fn exchange(event_loop: &Loop, client: &UdpSocket, addr: std::net::SocketAddr) {
    for _ in 0..10 {
        client.send_to(b"question", addr).expect("send");
    }
    assert_eq!(event_loop.run(RunMode::Once), Ok(true));
    for _ in 0..10 {
        assert_eq!(client.recv(&mut [0; 16]).expect("an answer"), 8);
    }
}

#[test]
fn an_exchange_allocates_nothing() {
    for batch in [1, 32] {
        let event_loop = test_loop();
        let udp = echo(&event_loop, batch);
        let addr = udp.local_addr().expect("an address");
        let (client, _) = peer();
        for _ in 0..10 {
            exchange(&event_loop, &client, addr);
        }
        let counted = allocation_counter::measure(|| {
            for _ in 0..100 {
                exchange(&event_loop, &client, addr);
            }
        });
        assert_eq!(counted.count_total, 0, "batch {batch}");
        event_loop.close_and_finish();
    }
}

#[test]
fn ten_thousand_of_each_operation_leave_descriptors_and_handles_as_they_were() {
    let name = "ten_thousand_of_each_operation_leave_descriptors_and_handles_as_they_were";
    let status = alone::status(name, |_| {}, ten_thousand_of_each_operation);
    assert!(status.is_none_or(|status| status.success()));
}

/// In a process in which no other code opens descriptors.
fn ten_thousand_of_each_operation() {
    let event_loop = test_loop();
    let (outside, addr) = peer();
    let mut known = None;
    for number in 0..10_000u32 {
        let udp = Udp::new(&event_loop);
        match number % 4 {
            0 => udp.send_to("hello", addr).expect("send"),
            1 => udp.connect(addr).and_then(|()| udp.send("hello")).expect("send"),
            2 => udp.bind(localhost(), &UdpOptions::default().error_queue(true)).expect("bind"),
            _ => udp.receive_start_with(|_, _, _| {}).expect("receive_start"),
        }
        udp.close();
        if number % 100 == 99 {
            event_loop.turn();
            outside.set_nonblocking(true).expect("a mode");
            while outside.recv(&mut [0; 8]).is_ok() {}
            let now = (open_fds(), event_loop.handles().len());
            assert_eq!(*known.get_or_insert(now), now, "after {number}");
        }
    }
    event_loop.finish();
}

#[test]
fn ten_thousand_operations_of_one_socket_leave_descriptors_handles_and_memory_as_they_were() {
    let name = "ten_thousand_operations_of_one_socket_leave_descriptors_handles_and_memory_as_they_were";
    let status = alone::status(name, |_| {}, ten_thousand_operations_of_one_socket);
    assert!(status.is_none_or(|status| status.success()));
}

fn ten_thousand_operations_of_one_socket() {
    let event_loop = test_loop();
    let (outside, addr) = peer();
    let udp = Udp::new(&event_loop);
    udp.bind(localhost(), &UdpOptions::default().error_queue(true)).expect("bind");
    let ours = udp.local_addr().expect("an address");
    // It stops within a batch, each time.
    udp.set_upcall(|udp: &Udp, _: &[u8], _: &Envelope| udp.receive_stop());
    let group = IpAddr::from([239, 255, 0, 7]);
    let (here, to) = (Interface::Address(Ipv4Addr::LOCALHOST), SendOptions::to(addr));
    let round = || {
        udp.connect(addr).expect("connect");
        udp.send("hello").expect("send");
        udp.disconnect().expect("disconnect");
        udp.join(group, here).expect("join");
        udp.leave(group, here).expect("leave");
        udp.send_copy(&[IoSlice::new(b"he"), IoSlice::new(b"llo")], &to).expect("send");
        assert_eq!(udp.try_send(b"hello", &to), Ok(5));
        for data in ["one", "two"] {
            outside.send_to(data.as_bytes(), ours).expect("send");
        }
        for _ in 0..2 {
            udp.receive_start().expect("receive_start");
            event_loop.turn();
            assert!(!udp.is_receiving(), "it has received one");
        }
        for _ in 0..3 {
            assert_eq!(outside.recv(&mut [0; 8]).expect("a datagram"), 5);
        }
    };
    (0..100).for_each(|_| round());
    let before = (open_fds(), event_loop.handles().len());
    let counted = allocation_counter::measure(|| (0..10_000).for_each(|_| round()));
    assert_eq!((counted.count_current, counted.bytes_current), (0, 0));
    assert_eq!((open_fds(), event_loop.handles().len()), before);
    event_loop.close_and_finish();
}

#[test]
fn a_flood_costs_bounded_memory() {
    let event_loop = test_loop();
    let udp = echo(&event_loop, 32);
    let addr = udp.local_addr().expect("an address");
    let (client, _) = peer();
    client.set_nonblocking(true).expect("a mode");
    let giant = vec![0; 65_507];
    let counted = allocation_counter::measure(|| {
        for _ in 0..200 {
            for len in [65_507, 0, 1] {
                let _ = client.send_to(&giant[..len], addr);
            }
            event_loop.turn();
            let mut buffer = [0; 1];
            while client.recv(&mut buffer).is_ok() {}
        }
    });
    // The buffers of a batch, and copies of what a turn answers.
    assert!(counted.bytes_max < 8 << 20, "{counted:?}");
    event_loop.close_and_finish();
}

#[test]
fn what_waits_for_a_handler_that_has_stopped_has_the_bound_of_one_batch() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    udp.receive_start_with(|udp, _, _| udp.receive_stop()).expect("receive_start");
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], udp.local_addr().expect("an address").port()));
    udp.set_recv_buffer_size(8 << 20).expect("an option");
    let (client, _) = peer();
    client.set_nonblocking(true).expect("a mode");
    let giant = vec![0; 65_507];
    let counted = allocation_counter::measure(|| {
        for _ in 0..200 {
            for _ in 0..3 {
                let _ = client.send_to(&giant, addr);
            }
            let _ = udp.receive_start();
            event_loop.turn();
        }
    });
    // The buffers of a batch, and one batch that is kept.
    assert!(counted.bytes_max < 5 << 20, "{counted:?}");
    event_loop.close_and_finish();
}
