//! What a server does not admit gets no byte and the end of its connection, what it admits is served, and all of it is counted
//! right: limits, block lists that change, limits for addresses, and decisions of the program.

use crate::core::{dice, one_in};
use crate::is_passing;
use ::net::admission::{BlockList, DropReason};
use ::net::upcall::{ServerHandler, SocketHandler};
use ::net::{Address, Dropped, Error, ListenOptions, Server, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use testing::{Peer, World};

/// What every served client gets.
const GREETING: &[u8] = b"served";

/// The addresses that clients come from.
const HOSTS: u64 = 4;

/// What the server has been told, and what it should do.
#[derive(Default)]
struct Seen {
    list: BlockList,
    limit: Cell<Option<usize>>,
    limit_of_address: Option<usize>,
    decides: bool,
    /// What the program has decided about the connection that comes next.
    decision: Cell<Option<bool>>,
    /// Open connections, by address.
    open: RefCell<BTreeMap<Option<IpAddr>, usize>>,
    served: Cell<usize>,
    dropped: RefCell<BTreeMap<u8, u64>>,
    closes: Cell<usize>,
    /// The server shuts down, which ends a pause.
    is_ending: Cell<bool>,
}

fn ip_of(address: Option<&Address>) -> Option<IpAddr> {
    address.and_then(Address::as_tcp).map(|addr| addr.ip())
}

fn row(reason: DropReason) -> u8 {
    match reason {
        DropReason::MaxConnections => 0,
        DropReason::Blocked => 1,
        DropReason::MaxPerAddress => 2,
        DropReason::NotAdmitted => 3,
        _ => 4,
    }
}

impl Seen {
    fn open_of(&self, ip: Option<IpAddr>) -> usize {
        self.open.borrow().get(&ip).copied().unwrap_or(0)
    }

    fn open(&self) -> usize {
        self.open.borrow().values().sum()
    }

    fn decide(&self) -> bool {
        let admits = !one_in(3);
        assert!(self.decision.replace(Some(admits)).is_none(), "asked twice about one connection");
        admits
    }

    fn dropped(&self) -> u64 {
        self.dropped.borrow().values().sum()
    }

    /// What the server counts is what was told.
    fn check(&self, server: &Server) {
        let (drops, known) =
            (server.drops(), |row: u8| self.dropped.borrow().get(&row).copied().unwrap_or(0));
        let counted = [
            drops.max_connections,
            drops.blocked,
            drops.max_per_address,
            drops.not_admitted,
            drops.no_address,
        ];
        assert_eq!(counted, [0, 1, 2, 3, 4].map(known), "drops");
        assert_eq!(server.connections(), self.open(), "open connections");
    }
}

struct Gates(Rc<Seen>);

impl ServerHandler for Gates {
    fn on_connection(&mut self, server: &Server, socket: Socket) {
        let seen = &self.0;
        assert_eq!(seen.closes.get(), 0, "a connection of a closed server");
        assert!(seen.is_ending.get() || !server.is_paused(), "a connection of a paused server");
        assert_eq!(seen.decision.take(), seen.decides.then_some(true), "a connection that was not admitted");
        // Unknown once the peer has reset the connection.
        let ip = ip_of(socket.remote_address().as_ref());
        assert!(!ip.is_some_and(|ip| seen.list.check(ip)), "a connection that is blocked");
        let is_within = |limit: Option<usize>, count| limit.is_none_or(|limit| count < limit);
        assert!(is_within(seen.limit.get(), seen.open()), "more connections than the limit");
        if ip.is_some() {
            assert!(is_within(seen.limit_of_address, seen.open_of(ip)), "more than the limit of an address");
        }
        *seen.open.borrow_mut().entry(ip).or_default() += 1;
        seen.served.set(seen.served.get() + 1);
        assert_eq!(server.connections(), seen.open(), "open connections");
        socket.set_handler(Served { seen: Rc::clone(seen), server: server.clone(), ip });
        // Fails if the peer has reset the connection.
        let _ = socket.write(GREETING);
        if one_in(4) {
            socket.destroy_soon();
        }
    }

    fn on_drop(&mut self, server: &Server, dropped: Dropped) {
        let seen = &self.0;
        *seen.dropped.borrow_mut().entry(row(dropped.reason)).or_default() += 1;
        let ip = ip_of(dropped.remote.as_ref());
        let decision = seen.decision.take();
        match dropped.reason {
            DropReason::MaxConnections => {
                assert!(
                    seen.limit.get().is_some_and(|limit| seen.open() >= limit),
                    "dropped below the limit"
                );
            }
            DropReason::Blocked => assert!(ip.is_some_and(|ip| seen.list.check(ip)), "{ip:?} is not blocked"),
            DropReason::MaxPerAddress => {
                let unknown = seen.open_of(None);
                let has_many = |limit| seen.open_of(ip) + unknown >= limit;
                assert!(seen.limit_of_address.is_some_and(has_many), "dropped below the limit of an address");
            }
            _ => {}
        }
        let is_decided = dropped.reason == DropReason::NotAdmitted;
        assert_eq!(decision, is_decided.then_some(false), "{:?} against the decision", dropped.reason);
        seen.check(server);
    }

    fn on_error(&mut self, _: &Server, _: Error) {
        assert_eq!(self.0.closes.get(), 0, "an error of a closed server");
    }

    fn on_close(&mut self, _: &Server) {
        self.0.closes.set(self.0.closes.get() + 1);
    }
}

/// An admitted connection.
struct Served {
    seen: Rc<Seen>,
    server: Server,
    ip: Option<IpAddr>,
}

impl SocketHandler for Served {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}

    fn on_close(&mut self, _: &Socket, _: bool) {
        if let Some(count) = self.seen.open.borrow_mut().get_mut(&self.ip) {
            *count -= 1;
        }
        self.seen.check(&self.server);
    }
}

/// Over Unix sockets, whose peers have no address.
pub(crate) fn unix(world: &World) -> Result<(), String> {
    let path = world.path();
    let connect = |_: &Server, _: Ipv4Addr| world.peer(&path).ok();
    visit(world, ListenOptions::path(&path), false, connect)
}

/// Over TCP, from several addresses.
pub(crate) fn tcp(world: &World) -> Result<(), String> {
    let connect = |server: &Server, host| {
        let address: SocketAddr = server.address()?.as_tcp()?;
        world.tcp_peer_from(host, address).ok()
    };
    visit(world, ListenOptions::addr((world.loopback(), 0).into()), true, connect)
}

/// An address that clients come from: beside that of the server.
fn host(world: &World, number: u64) -> Ipv4Addr {
    let [first, second, third, _] = world.loopback().octets();
    Ipv4Addr::new(first, second, third, number as u8 + 1)
}

fn visit(
    world: &World,
    mut listen: ListenOptions,
    is_tcp: bool,
    connect: impl Fn(&Server, Ipv4Addr) -> Option<Peer>,
) -> Result<(), String> {
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let limits = |most| one_in(3).then(|| dice(most) as usize);
    let seen = Rc::new(Seen {
        limit: Cell::new(limits(6)),
        limit_of_address: limits(4),
        decides: one_in(3),
        ..Seen::default()
    });
    // The first one is blocked from the beginning to the end, the others now and then.
    let blocks = one_in(2);
    if blocks {
        seen.list.add_address(host(world, 0).into());
    }
    let mut options = ServerOptions::default()
        .accept_batch(1 + dice(4) as u32)
        .max_connections(seen.limit.get())
        .max_connections_per_address(seen.limit_of_address);
    options.block_list = (blocks || one_in(2)).then(|| seen.list.clone());
    if seen.decides {
        let deciding = Rc::clone(&seen);
        listen = listen.admit(move |_| deciding.decide());
    }
    let has_list = options.block_list.is_some();
    let server = Server::new(&env, options);
    if server.listen(listen, Gates(Rc::clone(&seen))).is_err() {
        return Ok(());
    }
    let mut visitors = Vec::new();
    for _ in 0..=dice(8) {
        // Now and then a flood from one address.
        let (number, count) = (dice(HOSTS), if one_in(4) { 20 } else { 1 });
        for _ in 0..count {
            let Some(peer) = connect(&server, host(world, number)) else { continue };
            if one_in(2) {
                peer.send("hello");
            }
            peer.finish();
            visitors.push((peer, number == 0 && blocks && is_tcp));
        }
        world.run_for(Duration::from_micros(1 + dice(3_000)))?;
        let rule = host(world, 1 + dice(HOSTS - 1)).into();
        match dice(4) {
            0 if has_list => seen.list.add_address(rule),
            1 if has_list => drop(seen.list.remove(::net::admission::Rule::address(rule))),
            2 if one_in(2) => server.pause(),
            2 => server.resume(),
            3 if seen.limit.get().is_some() => {
                seen.limit.set(Some(dice(6) as usize));
                server.set_max_connections(seen.limit.get());
            }
            _ => {}
        }
    }
    // Over TCP the kernel may still be at a handshake when the server shuts down.
    let is_awaited = is_tcp || one_in(2);
    end(world, &server, &seen, &visitors, is_awaited)
}

/// Everything comes to its end. The visitors are awaited, or those in the queue are taken by the shutdown.
fn end(
    world: &World,
    server: &Server,
    seen: &Seen,
    visitors: &[(Peer, bool)],
    is_awaited: bool,
) -> Result<(), String> {
    let have_ended = || visitors.iter().all(|(peer, _)| peer.is_ended());
    if is_awaited {
        server.resume();
        world.run_until(|| have_ended() || !server.is_listening())?;
    }
    seen.is_ending.set(true);
    let is_promised = server.shutdown().is_ok();
    world.run_until(have_ended)?;
    world.run()?;
    seen.check(server);
    assert_eq!((seen.open(), seen.closes.get()), (0, 1), "open connections, and closes of the server");
    let mut served = 0;
    for (peer, is_blocked) in visitors {
        let received = peer.received();
        assert!(GREETING.starts_with(&received), "received {received:?}");
        assert!(!is_blocked || received.is_empty(), "a blocked peer was served");
        served += usize::from(received == GREETING);
    }
    let is_excused = world.has_met(|fault| !is_passing(fault));
    let told = seen.served.get() as u64 + seen.dropped();
    if !is_excused && is_promised && (served, told) != (seen.served.get(), visitors.len() as u64) {
        let (all, admitted, dropped) = (visitors.len(), seen.served.get(), seen.dropped());
        return Err(format!(
            "of {all} clients {admitted} were admitted, {served} served and {dropped} dropped"
        ));
    }
    Ok(())
}
