//! Helpers of the tests of datagrams: a tower that records every upcall, and sockets.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its share")]

use super::common::{localhost, outcome};
use std::cell::{Cell, RefCell};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;
use uv_core::udp::{Envelope, Udp, UdpOptions};
use uv_core::upcall::UdpUpcall;
use uv_core::{Error, LoopHandle, Result};

/// What a socket was told, in order.
#[derive(Clone, Default)]
pub struct Seen(Rc<SeenInner>);

#[derive(Default)]
struct SeenInner {
    data: RefCell<Vec<Vec<u8>>>,
    envelopes: RefCell<Vec<Envelope>>,
    sends: RefCell<Vec<&'static str>>,
    targets: RefCell<Vec<Option<String>>>,
    errors: RefCell<Vec<(Error, Option<SocketAddr>)>>,
    notes: Cell<u32>,
    closes: Cell<u32>,
    in_upcall: Cell<bool>,
}

impl Seen {
    pub fn data(&self) -> Vec<Vec<u8>> {
        self.0.data.borrow().clone()
    }

    pub fn count(&self) -> usize {
        self.0.data.borrow().len()
    }

    pub fn envelopes(&self) -> Vec<Envelope> {
        self.0.envelopes.borrow().clone()
    }

    pub fn sends(&self) -> Vec<&'static str> {
        self.0.sends.borrow().clone()
    }

    /// What the errors of sends name.
    pub fn targets(&self) -> Vec<Option<String>> {
        self.0.targets.borrow().clone()
    }

    pub fn errors(&self) -> Vec<(&'static str, Option<SocketAddr>)> {
        self.0.errors.borrow().iter().map(|(error, to)| (error.errno().name(), *to)).collect()
    }

    pub fn notes(&self) -> u32 {
        self.0.notes.get()
    }

    pub fn closes(&self) -> u32 {
        self.0.closes.get()
    }

    fn enter(&self) -> Entered {
        assert!(!self.0.in_upcall.replace(true), "an upcall inside of an upcall");
        assert_eq!(self.closes(), 0, "nothing follows on_close");
        Entered(self.clone())
    }
}

struct Entered(Seen);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.in_upcall.set(false);
    }
}

type OnUdp = Box<dyn FnMut(&Udp)>;
type OnReceive = Box<dyn FnMut(&Udp, &[u8], &Envelope)>;

/// A tower that records each upcall and then calls the test's closure.
pub struct Watcher {
    seen: Seen,
    receive: OnReceive,
    send: OnUdp,
    error: OnUdp,
    close: OnUdp,
}

impl Watcher {
    pub fn new(seen: &Seen) -> Self {
        Self {
            seen: seen.clone(),
            receive: Box::new(|_, _, _| {}),
            send: Box::new(|_| {}),
            error: Box::new(|_| {}),
            close: Box::new(|_| {}),
        }
    }

    pub fn on_receive(self, call: impl FnMut(&Udp, &[u8], &Envelope) + 'static) -> Self {
        Self { receive: Box::new(call), ..self }
    }

    pub fn on_send(self, call: impl FnMut(&Udp) + 'static) -> Self {
        Self { send: Box::new(call), ..self }
    }

    pub fn on_error(self, call: impl FnMut(&Udp) + 'static) -> Self {
        Self { error: Box::new(call), ..self }
    }

    pub fn on_close(self, call: impl FnMut(&Udp) + 'static) -> Self {
        Self { close: Box::new(call), ..self }
    }
}

impl UdpUpcall for Watcher {
    fn on_receive(&mut self, udp: &Udp, data: &[u8], envelope: &Envelope) {
        let _entered = self.seen.enter();
        self.seen.0.data.borrow_mut().push(data.to_vec());
        self.seen.0.envelopes.borrow_mut().push(*envelope);
        (self.receive)(udp, data, envelope);
    }

    fn on_send(&mut self, udp: &Udp, result: Result<()>) {
        let _entered = self.seen.enter();
        self.seen.0.sends.borrow_mut().push(outcome(&result));
        let target = result.err().map(|error| error.target().map(str::to_owned));
        self.seen.0.targets.borrow_mut().extend(target);
        (self.send)(udp);
    }

    fn on_error(&mut self, udp: &Udp, error: Error, to: Option<SocketAddr>) {
        let _entered = self.seen.enter();
        self.seen.0.errors.borrow_mut().push((error, to));
        (self.error)(udp);
    }

    fn on_notify(&mut self, _: &Udp) {
        let _entered = self.seen.enter();
        self.seen.0.notes.set(self.seen.notes() + 1);
    }

    fn on_close(&mut self, udp: &Udp) {
        let _entered = self.seen.enter();
        self.seen.0.closes.set(self.seen.closes() + 1);
        (self.close)(udp);
    }
}

/// A socket of the loop on a port of this machine, with a tower that records.
pub fn bound_udp(event_loop: &LoopHandle, seen: &Seen) -> (Udp, SocketAddr) {
    bound_with(event_loop, seen, &UdpOptions::default())
}

pub fn bound_with(event_loop: &LoopHandle, seen: &Seen, options: &UdpOptions) -> (Udp, SocketAddr) {
    let udp = Udp::new(event_loop);
    udp.bind(localhost(), options).expect("bind");
    udp.set_upcall(Watcher::new(seen));
    let addr = udp.local_addr().expect("an address");
    (udp, addr)
}

/// A socket of the loop that receives.
pub fn receiving(event_loop: &LoopHandle, seen: &Seen) -> (Udp, SocketAddr) {
    let (udp, addr) = bound_udp(event_loop, seen);
    udp.receive_start().expect("receive_start");
    (udp, addr)
}

/// A socket outside of the loop, which waits for what the test expects, within a limit.
pub fn peer() -> (UdpSocket, SocketAddr) {
    let peer = UdpSocket::bind(localhost()).expect("bind");
    peer.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let addr = peer.local_addr().expect("an address");
    (peer, addr)
}

/// A port of this machine at which no socket receives.
pub fn closed_udp_port() -> SocketAddr {
    peer().1
}

pub fn localhost6() -> SocketAddr {
    SocketAddr::from((Ipv6Addr::LOCALHOST, 0))
}

/// Whether this machine has an address of IPv6 for itself.
pub fn has_ipv6() -> bool {
    let has = UdpSocket::bind(localhost6()).is_ok();
    if !has {
        println!("skipped: no IPv6");
    }
    has
}
