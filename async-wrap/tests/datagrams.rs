//! Datagrams: each upcall runs in a scope, each send is a resource, and hooks see them come and go.

mod common;

use async_wrap::upcall::OnUdp;
use async_wrap::{AsyncUdp, Environment};
use common::{Log, Recorder, new_loop, run_to_the_end};
use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use uv_core::udp::{Envelope, SendOptions, UdpOptions};
use uv_core::{Error, Result, RunMode};

/// Logs each call with its context, and queues a tick that logs it again.
struct Contexts(Log);

impl Contexts {
    fn note(&self, udp: &AsyncUdp, what: &str) {
        let env = udp.environment();
        let place = if env.execution_async_id() == udp.async_id() {
            "itself"
        } else if env.trigger_async_id() == udp.async_id() {
            "a request"
        } else {
            "another resource"
        };
        self.0.push(format!("{what} in {place}"));
        env.next_tick(self.0.note(&format!("tick of {what}")));
    }
}

impl OnUdp for Contexts {
    fn on_receive(&mut self, udp: &AsyncUdp, data: &[u8], envelope: &Envelope) {
        self.note(udp, "receive");
        udp.send_copy(&[IoSlice::new(data)], &SendOptions::to(envelope.from)).expect("it is open");
    }

    fn on_send(&mut self, udp: &AsyncUdp, _: Result<()>) {
        self.note(udp, "send");
        udp.notify();
    }

    fn on_error(&mut self, udp: &AsyncUdp, _: Error, _: Option<SocketAddr>) {
        self.note(udp, "error");
    }

    fn on_notify(&mut self, udp: &AsyncUdp) {
        self.note(udp, "notify");
        udp.close();
    }

    fn on_close(&mut self, udp: &AsyncUdp) {
        self.note(udp, "close");
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn receiving(env: &Environment, log: &Log) -> (AsyncUdp, SocketAddr) {
    let udp = AsyncUdp::new(env);
    udp.bind(loopback(), &UdpOptions::default()).expect("a free port");
    udp.set_handler(Contexts(log.clone()));
    udp.receive_start().expect("it is bound");
    let addr = udp.local_addr().expect("bound");
    (udp, addr)
}

// Node: test-udpwrap, test-udpsendwrap of test/async-hooks
#[test]
fn every_upcall_runs_in_its_context_and_ticks_right_after_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (_udp, addr) = receiving(&env, &log);
    let peer = UdpSocket::bind(loopback()).expect("a free port");
    peer.send_to(b"hello", addr).expect("sent");
    run_to_the_end(&event_loop, &env);
    let calls = ["receive in itself", "send in a request", "notify in itself", "close in itself"];
    let expected: Vec<String> = calls
        .iter()
        .flat_map(|call| {
            let name = call.split(' ').next().unwrap_or_default();
            [(*call).to_owned(), format!("tick of {name}")]
        })
        .collect();
    assert_eq!(log.take(), expected);
    assert_eq!(peer.recv(&mut [0; 8]).expect("an answer"), 5);
}

#[test]
fn hooks_see_the_socket_and_each_of_its_sends() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let hook = env.hook(Recorder(log.clone()));
    hook.enable();
    let udp = AsyncUdp::new(&env);
    udp.bind(loopback(), &UdpOptions::default()).expect("a free port");
    let own = udp.async_id();
    let to = SendOptions::to(udp.local_addr().expect("bound"));
    for _ in 0..2 {
        udp.send("hello".into(), &to).expect("it is open");
    }
    // A socket without a handler is told of, too.
    udp.close();
    run_to_the_end(&event_loop, &env);
    hook.disable();
    let told = log.take();
    let of = |what: &str| told.iter().filter(|line| line.contains(what)).count();
    assert_eq!((of("init"), of(" UDPWRAP "), of(" UDPSENDWRAP ")), (3, 1, 2), "{told:?}");
    assert_eq!(told.iter().filter(|line| line.ends_with(&format!("UDPSENDWRAP {own}"))).count(), 2);
    assert_eq!((of("before"), of("after"), of("destroy")), (3, 3, 3), "{told:?}");
}

#[test]
fn sends_cancelled_by_a_close_end_in_their_own_contexts_before_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (udp, addr) = receiving(&env, &log);
    udp.receive_stop();
    for _ in 0..2 {
        udp.send("hello".into(), &SendOptions::to(addr)).expect("it is open");
    }
    udp.close();
    run_to_the_end(&event_loop, &env);
    let calls: Vec<_> = log.take().into_iter().filter(|line| !line.starts_with("tick")).collect();
    assert_eq!(calls, ["send in a request", "send in a request", "close in itself"]);
}

#[test]
fn the_sends_of_a_socket_without_a_handler_end_when_they_are_sent() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let hook = env.hook(Recorder(log.clone()));
    hook.enable();
    let udp = AsyncUdp::new(&env);
    udp.bind(loopback(), &UdpOptions::default()).expect("a free port");
    let to = SendOptions::to(udp.local_addr().expect("bound"));
    for _ in 0..3 {
        udp.send("hello".into(), &to).expect("it is open");
        udp.send_copy(&[IoSlice::new(b"hello")], &to).expect("it is open");
        env.run(RunMode::Default).expect("the loop runs");
    }
    assert_eq!((log.count("init"), log.count("destroy")), (7, 6), "all but the socket");
    hook.disable();
    // A handler that is set now is told of its own sends only.
    let contexts = Log::default();
    udp.set_handler(Contexts(contexts.clone()));
    udp.send("hello".into(), &to).expect("it is open");
    run_to_the_end(&event_loop, &env);
    assert_eq!(contexts.take()[0], "send in a request");
}
