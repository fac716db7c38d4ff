//! Sockets of datagrams: what arrives, what is sent, and the end.

mod common;

use common::{Log, loopback, new_loop, run_to_the_end};
use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use tcp_wrap::UdpWrap;
use tcp_wrap::upcall::OnUdp;
use uv_core::udp::{Envelope, SendOptions, UdpOptions};
use uv_core::{Errno, Error, Result};

/// Logs every call, sends what arrives back, and closes after three datagrams.
struct Logger {
    log: Log,
    left: u32,
}

impl OnUdp for Logger {
    fn on_receive(&mut self, udp: &UdpWrap, data: &[u8], envelope: &Envelope) {
        self.log.push(format!("receive {}", data.len()));
        udp.send_copy(&[IoSlice::new(data)], &SendOptions::to(envelope.from)).expect("it is open");
        self.left -= 1;
        if self.left == 0 {
            udp.close();
        }
    }

    fn on_send(&mut self, _: &UdpWrap, result: Result<()>) {
        self.log.push(format!("send {}", result.is_ok()));
    }

    fn on_error(&mut self, udp: &UdpWrap, error: Error, to: Option<SocketAddr>) {
        self.log.push(format!("error {} {}", error.errno().name(), to.is_some()));
        udp.close();
    }

    fn on_notify(&mut self, _: &UdpWrap) {
        self.log.push("notify");
    }

    fn on_close(&mut self, udp: &UdpWrap) {
        assert!(udp.is_closing());
        self.log.push("close");
    }
}

fn bound(event_loop: &uv_core::Loop, log: &Log, options: &UdpOptions) -> (UdpWrap, SocketAddr) {
    let udp = UdpWrap::new(event_loop);
    udp.bind(loopback(), options).expect("a free port");
    udp.set_handler(Logger { log: log.clone(), left: 3 });
    udp.receive_start().expect("it is bound");
    let addr = udp.local_addr().expect("bound");
    (udp, addr)
}

// Node: test-dgram-send-callback-multi-buffer, test-dgram-close
#[test]
fn each_call_comes_in_order_and_the_close_last() {
    let event_loop = new_loop();
    let log = Log::default();
    let (udp, addr) = bound(&event_loop, &log, &UdpOptions::default());
    udp.handle().set_batch(8);
    udp.notify();
    let peer = UdpSocket::bind(loopback()).expect("a free port");
    for len in [0, 1, 65_507] {
        peer.send_to(&vec![0; len], addr).expect("sent");
    }
    run_to_the_end(&event_loop);
    let expected =
        ["notify", "receive 0", "receive 1", "receive 65507", "send true", "send true", "send true", "close"];
    let mut told = log.take();
    // Where the answer to `notify` stands depends on when the datagrams arrive.
    told.retain(|line| line != "notify");
    assert_eq!(told, expected[1..]);
    let mut buffer = vec![0; 70_000];
    for len in [0, 1, 65_507] {
        assert_eq!(peer.recv(&mut buffer).expect("an answer"), len);
    }
}

#[test]
fn an_error_of_an_earlier_datagram_is_told_with_its_destination() {
    let event_loop = new_loop();
    let log = Log::default();
    let (udp, _) = bound(&event_loop, &log, &UdpOptions::default().error_queue(true));
    let closed = UdpSocket::bind(loopback()).and_then(|socket| socket.local_addr()).expect("a port");
    udp.send("lost".into(), &SendOptions::to(closed)).expect("it is open");
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["send true", "error ECONNREFUSED true", "close"]);
}

#[test]
fn a_wrap_has_a_peer_adopts_sockets_and_refuses_mistakes() {
    let event_loop = new_loop();
    let peer = UdpSocket::bind(loopback()).expect("a free port");
    let addr = peer.local_addr().expect("bound");
    let udp = UdpWrap::new(&event_loop);
    udp.open(UdpSocket::bind(loopback()).expect("a free port").into()).expect("a socket");
    udp.connect(addr).expect("an address of this machine");
    assert_eq!(udp.peer_addr(), Ok(addr));
    assert_eq!(udp.try_send(b"now", &SendOptions::default()), Ok(3));
    udp.disconnect().expect("it has a peer");
    let refused = udp.try_send(b"now", &SendOptions::default()).expect_err("no peer");
    assert_eq!(refused.errno(), Errno::EDESTADDRREQ);
    udp.receive_start().expect("it is bound");
    udp.receive_stop();
    assert!(udp.loop_handle().is_alive() == udp.handle().is_active());
    udp.close();
    run_to_the_end(&event_loop);
}
