//! What a kernel does for many datagrams at once, and what it tells of each: segments, ECN, and the destination.

mod common;
mod datagrams;

use common::*;
use datagrams::*;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use uv_core::Errno;
use uv_core::udp::{Ecn, Interface, SendOptions, Udp, UdpOptions};

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|number| (number % 253) as u8).collect()
}

#[test]
fn a_buffer_of_segments_arrives_as_datagrams() {
    let event_loop = test_loop();
    let (seen, sent) = (Seen::default(), Seen::default());
    let (_server, addr) = receiving(&event_loop, &seen);
    let (client, _) = bound_udp(&event_loop, &sent);
    let data = content(5000);
    let options = SendOptions::to(addr).segment(1200);
    client.send_with(data.clone(), &options).expect("send");
    client.send_copy(&[IoSlice::new(&data[..100]), IoSlice::new(&data[100..])], &options).expect("send");
    assert_eq!(client.send_queue_count(), 2);
    event_loop.until(|| seen.count() == 10);
    assert_eq!(client.try_send(&data, &options), Ok(5000));
    assert_eq!(client.try_send_many(&[(b"x", SendOptions::to(addr)), (&data, options)]), Ok(2));
    event_loop.until(|| seen.count() == 21);
    let mut expected: Vec<Vec<u8>> = data.chunks(1200).map(<[u8]>::to_vec).collect();
    let once = expected.clone();
    expected.extend(once.clone());
    expected.extend(once.clone());
    expected.push(b"x".to_vec());
    expected.extend(once);
    assert_eq!(seen.data(), expected);
    assert_eq!(sent.sends(), ["ok", "ok"], "one result for each send");
    event_loop.close_and_finish();
}

#[test]
fn a_segment_that_is_larger_than_its_buffer_is_one_datagram() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, addr) = receiving(&event_loop, &seen);
    udp.send_with("short", &SendOptions::to(addr).segment(1200)).expect("send");
    udp.send_with("", &SendOptions::to(addr).segment(1200)).expect("send");
    event_loop.until(|| seen.count() == 2);
    assert_eq!(seen.data(), [b"short".to_vec(), Vec::new()]);
    event_loop.close_and_finish();
}

#[test]
fn each_segment_of_a_received_buffer_is_one_call() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (server, addr) = receiving(&event_loop, &seen);
    server.set_gro(true).expect("an option");
    server.set_receive_ecn(true).expect("an option");
    server.set_batch(8);
    let (client, from) = bound_udp(&event_loop, &Seen::default());
    let data = content(62 * 1000 + 10);
    let options = SendOptions::to(addr).segment(1000).ecn(Ecn::Ect1);
    assert_eq!(client.try_send(&data, &options), Ok(data.len()));
    client.try_send(b"alone", &SendOptions::to(addr)).expect("send");
    event_loop.until(|| seen.count() == 64);
    let mut expected: Vec<Vec<u8>> = data.chunks(1000).map(<[u8]>::to_vec).collect();
    expected.push(b"alone".to_vec());
    assert_eq!(seen.data(), expected);
    for (number, envelope) in seen.envelopes().iter().enumerate() {
        assert_eq!((envelope.from, envelope.is_truncated), (from, false));
        assert_eq!(envelope.ecn, (number < 63).then_some(Ecn::Ect1));
    }
    event_loop.close_and_finish();
}

#[test]
fn a_small_room_for_datagrams_cuts_no_buffer_of_several() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (server, addr) = receiving(&event_loop, &seen);
    server.set_datagram_size(1000);
    server.set_gro(true).expect("an option");
    let client = Udp::new(&event_loop);
    let data = content(10_500);
    client.try_send(&data, &SendOptions::to(addr).segment(1000)).expect("send");
    event_loop.until(|| seen.count() == 11);
    assert_eq!(seen.data().concat(), data);
    assert!(seen.envelopes().iter().all(|envelope| !envelope.is_truncated));
    // Without the option a datagram has that room again.
    server.set_gro(false).expect("an option");
    client.try_send(&data[..1500], &SendOptions::to(addr)).expect("send");
    event_loop.until(|| seen.count() == 12);
    assert_eq!((seen.data()[11].len(), seen.envelopes()[11].is_truncated), (1000, true));
    event_loop.close_and_finish();
}

#[test]
fn a_stop_within_a_received_buffer_keeps_its_rest() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (server, addr) = receiving(&event_loop, &seen);
    server.set_gro(true).expect("an option");
    server.set_upcall(Watcher::new(&seen).on_receive(|server, _, _| server.receive_stop()));
    let client = Udp::new(&event_loop);
    let data = content(3500);
    client.try_send(&data, &SendOptions::to(addr).segment(1000)).expect("send");
    client.try_send(b"next", &SendOptions::to(addr)).expect("send");
    for expected in 1..=5 {
        event_loop.turn();
        assert_eq!(seen.count(), expected);
        server.receive_start().expect("receive_start");
    }
    let expected: Vec<Vec<u8>> = data.chunks(1000).chain([&b"next"[..]]).map(<[u8]>::to_vec).collect();
    assert_eq!(seen.data(), expected);
    event_loop.close_and_finish();
}

#[test]
fn a_source_of_another_family_than_the_destination_is_refused() {
    let event_loop = test_loop();
    let (four, six) = (IpAddr::from([127, 0, 0, 1]), IpAddr::V6(Ipv6Addr::LOCALHOST));
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let addr = |ip| SocketAddr::new(ip, 9);
    let udp = Udp::new(&event_loop);
    for (to, source) in [(four, six), (six, four), (mapped, six), (six, mapped)] {
        let options = SendOptions::to(addr(to)).source(source);
        assert_eq!(errno(udp.send_with("a", &options)), Errno::EINVAL, "{to} from {source}");
        assert_eq!(errno(udp.try_send(b"a", &options)), Errno::EINVAL, "{to} from {source}");
    }
    assert_eq!(errno(udp.local_addr()), Errno::EBADF, "nothing was bound");
    // Of a peer, too.
    let (_outside, peer) = peer();
    udp.connect(peer).expect("connect");
    assert_eq!(errno(udp.send_with("a", &SendOptions::default().source(six))), Errno::EINVAL);
    for source in [four, mapped] {
        assert_eq!(udp.try_send(b"a", &SendOptions::default().source(source)), Ok(1));
    }
    event_loop.close_and_finish();
}

fn marks_and_destinations_are_told(any: IpAddr, own: IpAddr, others: &[IpAddr]) {
    let event_loop = test_loop();
    let seen = Seen::default();
    let udp = Udp::new(&event_loop);
    udp.bind(SocketAddr::new(any, 0), &UdpOptions::default()).expect("bind");
    udp.set_upcall(Watcher::new(&seen));
    udp.receive_start().expect("receive_start");
    udp.set_batch(4);
    udp.set_receive_ecn(true).expect("an option");
    udp.set_receive_destination(true).expect("an option");
    let port = udp.local_addr().expect("an address").port();
    let client = Udp::new(&event_loop);
    let Ok(Interface::Index(loopback)) = Interface::named("lo") else { panic!("no loopback interface") };
    for to in others.iter().copied().chain([own]) {
        let options = SendOptions::to(SocketAddr::new(to, port));
        for mark in [None, Some(Ecn::Ect0), Some(Ecn::Ect1), Some(Ecn::CongestionExperienced)] {
            let options = mark.map_or(options, |mark| options.ecn(mark));
            let before = seen.count();
            client.send_with("marked", &options).expect("send");
            event_loop.until(|| seen.count() > before);
            let envelope = seen.envelopes()[before];
            assert_eq!((envelope.ecn, envelope.destination), (mark, Some((to, loopback))), "{to}");
        }
    }
    udp.set_receive_ecn(false).expect("an option");
    client.send_with("marked", &SendOptions::to(SocketAddr::new(own, port)).ecn(Ecn::Ect0)).expect("send");
    let before = seen.count();
    event_loop.until(|| seen.count() > before);
    assert_eq!(seen.envelopes()[before].ecn, None);
    event_loop.close_and_finish();
}

#[test]
fn a_socket_of_the_wildcard_is_told_marks_and_destinations() {
    let others = [IpAddr::from([127, 0, 0, 2]), IpAddr::from([127, 1, 2, 3])];
    marks_and_destinations_are_told(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into(), &others);
}

#[test]
fn a_socket_of_ipv6_is_told_them_for_both_families() {
    if has_ipv6() {
        let (any, own) = (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into());
        marks_and_destinations_are_told(any, own, &[]);
        let event_loop = test_loop();
        let seen = Seen::default();
        let udp = Udp::new(&event_loop);
        udp.bind(SocketAddr::new(any, 0), &UdpOptions::default()).expect("bind");
        udp.set_upcall(Watcher::new(&seen));
        udp.receive_start().expect("receive_start");
        udp.set_receive_ecn(true).expect("an option");
        udp.set_receive_destination(true).expect("an option");
        let port = udp.local_addr().expect("an address").port();
        let client = Udp::new(&event_loop);
        let to = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 3), port));
        client.send_with("four", &SendOptions::to(to).ecn(Ecn::Ect0)).expect("send");
        event_loop.until(|| seen.count() == 1);
        let envelope = seen.envelopes()[0];
        assert_eq!(envelope.ecn, Some(Ecn::Ect0));
        let (to, _) = envelope.destination.expect("it was asked for");
        assert_eq!(to.to_canonical(), IpAddr::from([127, 0, 0, 3]));
        event_loop.close_and_finish();
    }
}

#[test]
fn sockets_of_ipv6_mark_cut_and_join_the_ipv4_that_they_carry() {
    if has_ipv6() {
        let event_loop = test_loop();
        let seen = Seen::default();
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let (server, client) = (Udp::new(&event_loop), Udp::new(&event_loop));
        for udp in [&server, &client] {
            udp.bind(any, &UdpOptions::default()).expect("bind");
        }
        server.set_upcall(Watcher::new(&seen));
        server.receive_start().expect("receive_start");
        // All that the kernel can tell of one buffer.
        server.set_gro(true).expect("an option");
        server.set_receive_ecn(true).expect("an option");
        server.set_receive_destination(true).expect("an option");
        let port = server.local_addr().expect("an address").port();
        let data = content(5000);
        let (to, source) = (Ipv4Addr::new(127, 0, 0, 3), IpAddr::from([127, 0, 0, 4]));
        for to in [IpAddr::V4(to), to.to_ipv6_mapped().into()] {
            let options = SendOptions::to(SocketAddr::new(to, port)).segment(1200);
            let options = options.ecn(Ecn::CongestionExperienced).source(source);
            let before = seen.count();
            assert_eq!(client.try_send(&data, &options), Ok(5000));
            event_loop.until(|| seen.count() == before + 5);
            assert_eq!(seen.data()[before..].concat(), data);
            for envelope in &seen.envelopes()[before..] {
                assert_eq!(envelope.ecn, Some(Ecn::CongestionExperienced));
                let destination = envelope.destination.map(|(ip, _)| ip.to_canonical());
                assert_eq!(
                    (destination, envelope.from.ip().to_canonical()),
                    (Some(to.to_canonical()), source)
                );
            }
        }
        event_loop.close_and_finish();
    }
}

#[test]
fn an_answer_can_leave_from_the_address_to_which_the_question_was_sent() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let server = Udp::new(&event_loop);
    server.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), &UdpOptions::default()).expect("bind");
    server.set_upcall(Watcher::new(&seen).on_receive(|server, data, envelope| {
        let (asked, interface) = envelope.destination.expect("it was asked for");
        let options = SendOptions::to(envelope.from).source(asked).interface(interface);
        server.send_with(data.to_vec(), &options).expect("send");
    }));
    server.receive_start().expect("receive_start");
    server.set_receive_destination(true).expect("an option");
    let asked = SocketAddr::from(([127, 9, 8, 7], server.local_addr().expect("an address").port()));
    let (outside, _) = peer();
    outside.send_to(b"question", asked).expect("send");
    event_loop.until(|| seen.sends() == ["ok"]);
    assert_eq!(outside.recv_from(&mut [0; 16]).expect("an answer"), (8, asked));
    // An address of another machine.
    let elsewhere = IpAddr::from([192, 0, 2, 77]);
    let options = SendOptions::to(outside.local_addr().expect("an address")).source(elsewhere);
    server.send_with("forged", &options).expect("send");
    event_loop.until(|| seen.sends().len() == 2);
    assert_eq!(seen.sends()[0], "ok");
    assert!(["EINVAL", "ENETUNREACH"].contains(&seen.sends()[1]), "{:?}", seen.sends());
    event_loop.close_and_finish();
}
