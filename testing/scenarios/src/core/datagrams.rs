//! Datagrams: each send completes once and in order, before `on_close`; what arrives was sent to the socket that gets it, whole,
//! and not twice; what was sent to a socket that receives on does arrive.

use super::{dice, mark, one_in};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::udp::{Envelope, SendOptions, Udp, UdpOptions};
use uv_core::upcall::UdpUpcall;
use uv_core::{Error, LoopHandle};

/// So much is sent that no receive buffer overflows, which would lose a datagram.
const OPERATIONS: u64 = 40;
const LONGEST: u64 = 1_200;

/// A datagram begins with the mark of this process, the number of its receiver and its own.
const HEAD: usize = 13;

/// A datagram as the model knows it.
struct Sent {
    to: usize,
    len: usize,
    /// Whether its send has succeeded, once that is known.
    result: Option<bool>,
    /// One of the segments of a buffer that was not sent as a whole: the kernel may have taken it.
    may_come: bool,
    received: u64,
}

/// All datagrams, by their numbers.
#[derive(Default)]
struct Model {
    datagrams: RefCell<BTreeMap<u64, Sent>>,
    next: Cell<u64>,
    /// A socket has lost its port with its peer.
    has_moved: Cell<bool>,
}

/// A socket, as its program sees it.
struct Party {
    udp: Udp,
    addr: SocketAddr,
    /// The sends that are not reported, each with its datagrams.
    sends: RefCell<VecDeque<Vec<u64>>>,
    /// It has had a peer: it may miss what was sent to it.
    misses: Cell<bool>,
    closes: Cell<u64>,
}

struct Tower {
    own: usize,
    parties: Rc<RefCell<Vec<Rc<Party>>>>,
    model: Rc<Model>,
}

impl Model {
    /// The content of a new datagram to a party.
    fn content(&self, to: usize, len: usize) -> (u64, Vec<u8>) {
        let number = self.next.replace(self.next.get() + 1);
        let mut content = mark().to_vec();
        content.push(to as u8);
        content.extend(number.to_be_bytes());
        content.extend((HEAD..len).map(|at| (at as u64 * 7 + number) as u8));
        let sent = Sent { to, len: content.len(), result: None, may_come: false, received: 0 };
        self.datagrams.borrow_mut().insert(number, sent);
        (number, content)
    }

    fn finish(&self, numbers: &[u64], is_ok: bool) {
        for number in numbers {
            let mut datagrams = self.datagrams.borrow_mut();
            let sent = datagrams.get_mut(number).expect("it was made");
            assert_eq!(sent.result.replace(is_ok), None, "datagram {number} is reported twice");
        }
    }

    fn receive(&self, by: usize, data: &[u8]) {
        let number = data.get(5..HEAD).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes);
        let number = number.expect("a datagram without a head");
        let mut datagrams = self.datagrams.borrow_mut();
        let sent = datagrams.get_mut(&number).expect("a datagram that was not sent");
        assert_eq!((sent.to, sent.len), (by, data.len()), "datagram {number} is another's, or not whole");
        let is_right = (HEAD..data.len()).all(|at| data[at] == (at as u64 * 7 + number) as u8);
        assert!(is_right, "datagram {number} has other bytes");
        sent.received += 1;
        assert_eq!(sent.received, 1, "datagram {number} came twice");
    }

    /// What was sent to a party that misses nothing and has not arrived: its numbers, and those of the parties.
    fn missing(&self, parties: &[Rc<Party>]) -> Vec<(u64, usize)> {
        let is_missing =
            |sent: &Sent| sent.received == 0 && sent.result == Some(true) && !parties[sent.to].misses.get();
        let datagrams = self.datagrams.borrow();
        datagrams
            .iter()
            .filter(|(_, sent)| is_missing(sent))
            .map(|(number, sent)| (*number, sent.to))
            .collect()
    }
}

impl Party {
    fn is_told_all(&self) -> bool {
        self.sends.borrow().is_empty()
    }
}

impl UdpUpcall for Tower {
    fn on_receive(&mut self, udp: &Udp, data: &[u8], envelope: &Envelope) {
        if !data.starts_with(&mark()) {
            return;
        }
        let parties = self.parties.borrow().clone();
        let is_known = parties.iter().any(|party| party.addr == envelope.from);
        assert!(is_known || self.model.has_moved.get(), "from {}", envelope.from);
        assert!(!envelope.is_truncated);
        self.model.receive(self.own, data);
        if one_in(12) {
            // Within a batch the rest waits.
            udp.receive_stop();
            if one_in(2) {
                let _ = udp.receive_start();
            }
        }
        if one_in(6) {
            act(&parties, self.own, &self.model);
        }
    }

    fn on_send(&mut self, _: &Udp, result: uv_core::Result<()>) {
        let parties = self.parties.borrow().clone();
        let numbers = parties[self.own].sends.borrow_mut().pop_front();
        self.model.finish(&numbers.expect("a report without a send"), result.is_ok());
        if one_in(8) {
            act(&parties, self.own, &self.model);
        }
    }

    fn on_error(&mut self, udp: &Udp, _: Error, _: Option<SocketAddr>) {
        if one_in(20) {
            udp.close();
        }
    }

    fn on_close(&mut self, _: &Udp) {
        let party = Rc::clone(&self.parties.borrow()[self.own]);
        assert!(party.is_told_all(), "a send was not reported before the close");
        party.closes.set(party.closes.get() + 1);
    }
}

/// Sockets that send to each other, and to a port where no socket receives, in every way that there is.
pub(crate) fn datagrams(world: &World) -> Result<(), String> {
    let Ok(event_loop) = world.event_loop("datagrams") else { return Ok(()) };
    let (parties, model) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Model::default()));
    for own in 0..2 + dice(3) as usize {
        let tower = Tower { own, parties: Rc::clone(&parties), model: Rc::clone(&model) };
        let Some(party) = party(world, &event_loop, tower) else {
            event_loop.close_all();
            return world.run();
        };
        parties.borrow_mut().push(party);
    }
    let all = parties.borrow().clone();
    for _ in 0..dice(OPERATIONS) {
        act(&all, dice(all.len() as u64) as usize, &model);
        if one_in(3) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    // What a party does in its upcalls may stop or close it, still.
    let settle = || {
        for party in &all {
            if party.udp.is_closing() {
                party.misses.set(true);
            } else if !party.udp.is_receiving() {
                let _ = party.udp.receive_start();
            }
        }
    };
    let is_done = || {
        settle();
        model.missing(&all).is_empty()
            && all.iter().all(|party| party.is_told_all() || party.udp.is_closing())
    };
    world.run_until(is_done).map_err(|error| format!("{error}; missing: {:?}", model.missing(&all)))?;
    all.iter().for_each(|party| party.udp.close());
    world.run()?;
    assert!(all.iter().all(|party| party.closes.get() == 1 && party.is_told_all()));
    for (number, sent) in &*model.datagrams.borrow() {
        let may_come = sent.result == Some(true) || sent.may_come;
        assert!(sent.received == 0 || may_come, "datagram {number} failed, and arrived");
    }
    parties.borrow_mut().clear();
    Ok(())
}

fn party(world: &World, event_loop: &LoopHandle, tower: Tower) -> Option<Rc<Party>> {
    let udp = Udp::new(event_loop);
    // Not with `reuse_address`: the kernel may choose the port of another such socket then.
    let options = UdpOptions::default().error_queue(one_in(3));
    udp.bind((world.loopback(), 0).into(), &options).ok()?;
    let addr = udp.local_addr().ok()?;
    udp.set_upcall(tower);
    udp.set_batch(1 + dice(32) as u32);
    // Twice the system's default.
    let _ = udp.set_recv_buffer_size(212_992);
    if one_in(3) {
        let _ = udp.set_gro(true);
    }
    if !one_in(4) {
        udp.receive_start().ok()?;
    }
    let (sends, misses) = (RefCell::default(), Cell::new(false));
    Some(Rc::new(Party { udp, addr, sends, misses, closes: Cell::new(0) }))
}

/// An operation on a socket.
fn act(parties: &[Rc<Party>], own: usize, model: &Model) {
    let party = &parties[own];
    match dice(24) {
        0 => party.udp.receive_stop(),
        1 => drop(party.udp.receive_start()),
        2 => party.udp.set_batch(1 + dice(32) as u32),
        3 => {
            // From its peer alone it receives now.
            party.misses.set(true);
            if one_in(2) {
                // What waits for the old peer is not for the new one.
                send(parties, own, model);
                disconnect(party, model);
            }
            let _ = party.udp.connect(parties[dice(parties.len() as u64) as usize].addr);
        }
        // A port where no socket receives: an ICMP message follows each datagram.
        4 => {
            party.misses.set(true);
            let _ = party.udp.connect(SocketAddr::new(party.addr.ip(), 1));
        }
        5 | 6 => disconnect(party, model),
        7 if one_in(6) => party.udp.close(),
        8..12 => try_send(parties, own, model),
        12..15 => segments(parties, own, model),
        _ => send(parties, own, model),
    }
}

fn disconnect(party: &Party, model: &Model) {
    if party.udp.disconnect().is_err() && party.udp.local_addr().ok() != Some(party.addr) {
        party.misses.set(true);
        model.has_moved.set(true);
    }
}

/// The destination of the next datagram of a socket: its peer if it has one. `None` for the port where no socket receives.
fn destination(parties: &[Rc<Party>], own: usize) -> Option<(usize, SendOptions)> {
    match parties[own].udp.peer_addr() {
        Ok(peer) => {
            let to = parties.iter().position(|party| party.addr == peer)?;
            Some((to, SendOptions::default()))
        }
        Err(_) => {
            let to = dice(parties.len() as u64) as usize;
            Some((to, SendOptions::to(parties[to].addr)))
        }
    }
}

fn some_len() -> usize {
    HEAD + dice(if one_in(4) { LONGEST } else { 60 }) as usize
}

fn send(parties: &[Rc<Party>], own: usize, model: &Model) {
    let party = &parties[own];
    let Some((to, options)) = destination(parties, own) else {
        // Its report has no datagram of the model.
        if party.udp.send("nowhere").is_ok() {
            party.sends.borrow_mut().push_back(Vec::new());
        }
        return;
    };
    let (number, content) = model.content(to, some_len());
    let cut = dice(content.len() as u64) as usize;
    let queued = match dice(3) {
        0 => party.udp.send_copy(&[IoSlice::new(&content[..cut]), IoSlice::new(&content[cut..])], &options),
        _ => party.udp.send_with(content, &options),
    };
    queue(party, vec![number], queued, model);
}

/// Several datagrams of one buffer.
fn segments(parties: &[Rc<Party>], own: usize, model: &Model) {
    let Some((to, options)) = destination(parties, own) else { return };
    let len = HEAD + dice(200) as usize;
    let (mut numbers, mut buffer) = (Vec::new(), Vec::new());
    for _ in 0..1 + dice(4) {
        let (number, content) = model.content(to, len);
        numbers.push(number);
        buffer.extend(content);
    }
    let options = options.segment(len as u16);
    if one_in(3) {
        let is_sent = parties[own].udp.try_send_many(&[(&buffer, options)]) == Ok(1);
        for number in &numbers {
            model.datagrams.borrow_mut().get_mut(number).expect("it was made").may_come = true;
        }
        return model.finish(&numbers, is_sent);
    }
    let queued = parties[own].udp.send_with(buffer, &options);
    queue(&parties[own], numbers, queued, model);
}

fn queue(party: &Party, numbers: Vec<u64>, queued: uv_core::Result<()>, model: &Model) {
    match queued {
        Ok(()) => party.sends.borrow_mut().push_back(numbers),
        Err(_) => model.finish(&numbers, false),
    }
}

fn try_send(parties: &[Rc<Party>], own: usize, model: &Model) {
    let Some((to, options)) = destination(parties, own) else {
        let _ = parties[own].udp.try_send(b"nowhere", &SendOptions::default());
        return;
    };
    let made: Vec<_> = (0..1 + dice(3)).map(|_| model.content(to, some_len())).collect();
    if let [(number, content)] = &made[..] {
        let sent = parties[own].udp.try_send(content, &options);
        assert!(sent.as_ref().is_ok_and(|sent| *sent == content.len()) || sent.is_err());
        return model.finish(&[*number], sent.is_ok());
    }
    let all: Vec<(&[u8], SendOptions)> = made.iter().map(|(_, content)| (&content[..], options)).collect();
    let sent = parties[own].udp.try_send_many(&all).unwrap_or(0);
    for (at, (number, _)) in made.iter().enumerate() {
        model.finish(&[*number], at < sent);
    }
}
