//! Datagrams that the program receives itself.

mod common;
mod datagrams;

use common::*;
use datagrams::*;
use uv_core::Errno;
use uv_core::udp::{Envelope, SendOptions, Udp, UdpOptions};

#[test]
fn a_datagram_is_received_at_once_or_not_at_all() {
    let event_loop = test_loop();
    let (udp, addr) = bound_udp(&event_loop, &Seen::default());
    let (outside, from) = peer();
    let mut buffer = [0; 8];
    assert_eq!(errno(udp.try_receive(&mut buffer)), Errno::EAGAIN);
    for text in [&b"one"[..], b"", b"longer than that"] {
        outside.send_to(text, addr).expect("send");
    }
    let mut next = || {
        let (count, envelope) = udp.try_receive(&mut buffer).expect("it is there");
        assert_eq!(envelope.from, from);
        (String::from_utf8_lossy(&buffer[..count]).into_owned(), envelope.is_truncated)
    };
    assert_eq!(next(), ("one".to_owned(), false));
    assert_eq!(next(), (String::new(), false));
    assert_eq!(next(), ("longer t".to_owned(), true));
    assert_eq!(errno(udp.try_receive(&mut buffer)), Errno::EAGAIN);
    assert!(!event_loop.is_alive(), "nothing is waited for");
    event_loop.close_and_finish();
}

#[test]
fn mistakes_are_errors() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    assert_eq!(errno(udp.try_receive(&mut [0; 8])), Errno::EBADF);
    udp.bind(localhost(), &UdpOptions::default()).expect("a free port");
    udp.receive_start_with(|_, _, _| unreachable!("nothing is sent")).expect("receive_start");
    assert_eq!(errno(udp.try_receive(&mut [0; 8])), Errno::EALREADY);
    udp.close();
    assert_eq!(errno(udp.try_receive(&mut [0; 8])), Errno::EBADF);
    event_loop.close_and_finish();
}

// What a batch has brought and its handler has left comes first, in order.
#[test]
fn what_was_kept_comes_before_what_is_in_the_kernel() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    udp.bind(localhost(), &UdpOptions::default()).expect("a free port");
    let addr = udp.local_addr().expect("bound");
    let (outside, _) = peer();
    for number in 0..5_u8 {
        outside.send_to(&[number], addr).expect("send");
    }
    udp.receive_start_with(|udp: &Udp, data: &[u8], _: &Envelope| {
        assert_eq!(data, [0]);
        udp.receive_stop();
    })
    .expect("receive_start");
    event_loop.until(|| !udp.is_receiving());
    outside.send_to(&[5], addr).expect("send");
    let mut buffer = [0; 8];
    for number in 1..=5 {
        assert_eq!(udp.try_receive(&mut buffer).map(|(count, _)| count), Ok(1));
        assert_eq!(buffer[0], number);
    }
    assert_eq!(errno(udp.try_receive(&mut buffer)), Errno::EAGAIN);
    event_loop.close_and_finish();
}

// A buffer of GRO is several datagrams, each of which is received by itself.
#[test]
fn a_buffer_of_several_is_received_one_by_one() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    udp.bind(localhost(), &UdpOptions::default()).expect("a free port");
    udp.set_gro(true).expect("an option");
    let client = Udp::new(&event_loop);
    let data: Vec<u8> = (0..5000).map(|number| (number % 253) as u8).collect();
    let to = SendOptions::to(udp.local_addr().expect("bound")).segment(1200);
    assert_eq!(client.try_send(&data, &to), Ok(5000));
    let (mut buffer, mut all) = ([0; 2000], Vec::new());
    while let Ok((count, envelope)) = udp.try_receive(&mut buffer) {
        assert!(count <= 1200 && !envelope.is_truncated);
        all.extend_from_slice(&buffer[..count]);
    }
    assert!(all == data);
    event_loop.close_and_finish();
}

// Each datagram that the program leaves to the loop is told, whether events came before or after.
#[test]
fn the_loop_and_the_program_receive_by_turns() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, addr) = bound_udp(&event_loop, &seen);
    let (outside, _) = peer();
    let mut buffer = [0; 8];
    for round in 1..=20 {
        outside.send_to(b"pulled", addr).expect("send");
        outside.send_to(b"told", addr).expect("send");
        assert_eq!(udp.try_receive(&mut buffer).map(|(count, _)| count), Ok(6));
        if round % 2 == 0 {
            assert_eq!(udp.try_receive(&mut buffer).map(|(count, _)| count), Ok(4));
            assert_eq!(errno(udp.try_receive(&mut buffer)), Errno::EAGAIN);
            outside.send_to(b"told", addr).expect("send");
        }
        udp.receive_start().expect("receive_start");
        event_loop.until(|| seen.count() == round);
        udp.receive_stop();
    }
    event_loop.close_and_finish();
}
