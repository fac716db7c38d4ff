//! Datagrams to a host by name, and a peer by name: the name is looked up first. Mirrors `lookup4`, `lookup6`, `doSend` and
//! `doConnect` of Node's `lib/dgram.js` and `lib/internal/dgram.js`.
//!
//! Each call is looked up, and takes effect in its order among those to the same host. Hosts do not wait for each other.
//!
//! What waits for a look-up is not in the socket's queue yet. So its results are told in ticks, and a close tells it as
//! cancelled, in order, before the handler's `on_close`.

use super::{CONNECTED, CONNECTING, OnSent, UdpSocket, is_connected};
use crate::names::{Asked, Host, Resolver};
use crate::udp::SendOptions;
use crate::uv_core::names::{AddrQuery, Family, SocketType};
use crate::uv_core::{self, Errno};
use crate::{Error, LAYER, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

/// The state of a socket that sends to hosts by name.
#[derive(Default)]
pub(super) struct Hosts {
    resolver: Resolver,
    /// What waits for a look-up, by the numbers of the calls.
    waiting: BTreeMap<u64, Waiting>,
    last: u64,
    /// Why the last connect by name has failed, until it is told.
    failed: Option<Error>,
}

/// A call whose destination is being looked up.
struct Waiting {
    host: String,
    port: u16,
    what: What,
    /// `None` until the resolver has returned.
    asked: Option<Asked>,
    /// The answer, while an earlier call for the same host waits.
    found: Option<Result<Vec<SocketAddr>, uv_core::Error>>,
}

enum What {
    Send(Bytes, OnSent),
    Connect,
}

impl Hosts {
    /// Takes the first call for this host if its look-up has ended.
    fn take_first(&mut self, host: &str) -> Option<Waiting> {
        let (number, first) = self.waiting.iter().find(|(_, waiting)| waiting.host == host)?;
        let (number, is_answered) = (*number, first.found.is_some());
        if is_answered { self.waiting.remove(&number) } else { None }
    }

    /// The numbers of datagrams and bytes that wait.
    fn size(&self) -> (usize, usize) {
        self.waiting.values().fold((0, 0), |(count, bytes), waiting| match &waiting.what {
            What::Send(data, _) => (count + 1, bytes + data.len()),
            What::Connect => (count, bytes),
        })
    }
}

impl UdpSocket {
    /// Sets how [`send_to_host`](Self::send_to_host) looks hosts up (`lookup`). Default: the C library's `getaddrinfo(3)`, in
    /// the thread pool.
    pub fn set_resolver(&self, resolver: Resolver) {
        self.0.hosts.with(|hosts| hosts.resolver = resolver);
    }

    /// Looks a host up, sends a datagram to the first of its addresses in the socket's family, and calls `on_sent` with the
    /// result, never inside this call: also with the error of the look-up, and with `ECANCELED` if the socket is closed
    /// before. Each datagram is looked up; those to one host leave in the order of the calls. A numeric address is not looked
    /// up, and an empty host is this machine: `127.0.0.1`, or `::1`.
    ///
    /// ```
    /// use net::async_wrap::Environment;
    /// use net::udp::{Envelope, UdpSocket, UdpSocketOptions};
    ///
    /// let env = Environment::with_new_loop()?;
    /// let socket = UdpSocket::new_with(&env, UdpSocketOptions::v4(), |socket, data, _: &Envelope| {
    ///     assert_eq!(data, b"to myself");
    ///     let _ = socket.close();
    /// });
    /// socket.bind(([127, 0, 0, 1], 0).into())?;
    /// let port = socket.address()?.port();
    /// socket.send_to_host("to myself", "localhost", port, |_, sent| sent.expect("it is found"))?;
    /// env.run_to_end()?;
    /// # Ok::<(), net::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`IsConnected`](crate::ErrorCode::IsConnected) with a peer, [`BadPort`](crate::ErrorCode::BadPort) for port 0,
    /// [`NotRunning`](crate::ErrorCode::NotRunning) after `close`; the errors of [`AddrQuery::check`] for the host; any error
    /// of binding the socket. `on_sent` is not called then.
    pub fn send_to_host(
        &self,
        data: impl Into<Bytes>,
        host: impl Into<Host>,
        port: u16,
        on_sent: impl FnOnce(&Self, Result<()>) + 'static,
    ) -> Result<()> {
        match self.named(host.into()) {
            Ok(ip) => self.send_with(data, &SendOptions::to((ip, port).into()), on_sent),
            Err(host) => self.look_up(host, port, What::Send(data.into(), Box::new(on_sent))),
        }
    }

    /// Looks a host up, and sets the first of its addresses in the socket's family as the peer, with this port. `on_connect`
    /// follows, or `on_error`, after which the socket has no peer. An empty host is this machine.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect), and those of [`AddrQuery::check`] for the host.
    pub fn connect_to_host(&self, host: impl Into<Host>, port: u16) -> Result<()> {
        let host = match self.named(host.into()) {
            Ok(ip) => return self.connect((ip, port).into()),
            Err(host) => host,
        };
        self.check_free()?;
        self.0.flags.set(CONNECTING);
        // The resolver may answer at once.
        self.look_up(host, port, What::Connect).inspect_err(|_| self.0.flags.clear(CONNECTING))
    }

    /// The address of a host that needs no look-up, or the name to look up.
    pub(super) fn named(&self, host: Host) -> Result<IpAddr, String> {
        match host {
            Host::Ip(ip) => Ok(ip),
            Host::Name(name) if !name.is_empty() => Err(name),
            Host::Name(_) if self.0.options.is_ipv6 => Ok(Ipv6Addr::LOCALHOST.into()),
            Host::Name(_) => Ok(Ipv4Addr::LOCALHOST.into()),
        }
    }

    fn look_up(&self, host: String, port: u16, what: What) -> Result<()> {
        let _down = LAYER.down("UdpSocket::look_up", || self.facts());
        self.check_running()?;
        if self.0.flags.has(CONNECTED) {
            return Err(is_connected());
        }
        self.check_port(port)?;
        let query = AddrQuery::new(&*host).family(self.family()).socket_type(SocketType::Datagram);
        query.check()?;
        self.bind_if_unbound()?;
        let (number, resolver) = self.0.hosts.with(|hosts| {
            hosts.last += 1;
            hosts.waiting.insert(hosts.last, Waiting { host, port, what, asked: None, found: None });
            (hosts.last, hosts.resolver.clone())
        });
        let (env, weak) = (self.environment(), Rc::downgrade(&self.0));
        let then = move |found| {
            if let Some(inner) = weak.upgrade() {
                Self(inner).answered(number, found);
            }
        };
        let asked = env.with_default_trigger(self.async_id(), || resolver.ask(env, query, then));
        // It may have answered, or the socket may be closed, by now: then the answer is not wanted.
        self.0.hosts.with(|hosts| {
            if let Some(waiting) = hosts.waiting.get_mut(&number) {
                waiting.asked = Some(asked);
            }
        });
        Ok(())
    }

    pub(super) fn resolver(&self) -> Resolver {
        self.0.hosts.peek(|hosts| hosts.resolver.clone()).unwrap_or_default()
    }

    pub(super) fn family(&self) -> Family {
        if self.0.options.is_ipv6 { Family::V6 } else { Family::V4 }
    }

    /// A look-up has ended: does what waits for its host, up to the first call that still waits.
    fn answered(&self, number: u64, found: Result<Vec<SocketAddr>, uv_core::Error>) {
        let noted = self.0.hosts.with(|hosts| {
            let waiting = hosts.waiting.get_mut(&number)?;
            waiting.found = Some(found);
            Some((waiting.host.clone(), waiting.asked.take()))
        });
        let Some((host, asked)) = noted else { return };
        // Outside of the state, since it runs destructors of the resolver.
        drop(asked);
        while let Some(first) = self.0.hosts.with(|hosts| hosts.take_first(&host)) {
            self.looked_up(first);
        }
    }

    fn looked_up(&self, waiting: Waiting) {
        let Waiting { host, port, what, found, .. } = waiting;
        let found = found.unwrap_or_else(|| Ok(Vec::new()));
        let addr = found.map_err(Error::from).and_then(|addresses| self.choose(&addresses, &host, port));
        let (data, on_sent) = match what {
            What::Connect => return self.end_connect(addr),
            What::Send(data, on_sent) => (data, on_sent),
        };
        let sent = addr.and_then(|addr| {
            let options = SendOptions::to(addr);
            self.check_send(&options)?;
            Ok(self.0.udp.send(data, &options)?)
        });
        match sent {
            Ok(()) => self.0.sends.borrow_mut().push_back(Some(on_sent)),
            Err(error) => self.tell_later(on_sent, error),
        }
    }

    fn end_connect(&self, addr: Result<SocketAddr>) {
        self.0.flags.clear(CONNECTING);
        if let Err(error) = addr.and_then(|addr| self.set_peer(addr)) {
            self.0.hosts.with(|hosts| hosts.failed = Some(error));
            self.0.udp.notify();
        }
    }

    /// Why a connect by name has failed, to be told by `on_error`.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.0.hosts.peek(|hosts| hosts.failed.take()).flatten()
    }

    /// The numbers of datagrams and bytes that wait for look-ups.
    pub(super) fn size_of_waiting(&self) -> (usize, usize) {
        self.0.hosts.peek(|hosts| hosts.size()).unwrap_or_default()
    }

    /// The first address of the socket's family, with the port.
    pub(super) fn choose(&self, addresses: &[SocketAddr], host: &str, port: u16) -> Result<SocketAddr> {
        let Some(addr) = addresses.iter().find(|addr| addr.is_ipv6() == self.0.options.is_ipv6) else {
            let message = "send: the look-up has found no address of the socket's family";
            return Err(Error::no_address(message, host));
        };
        let mut addr = *addr;
        addr.set_port(port);
        Ok(addr)
    }

    /// Tells that a datagram is not sent, in a tick of its own.
    fn tell_later(&self, on_sent: OnSent, error: Error) {
        let socket = self.clone();
        self.environment().next_tick(move || on_sent(&socket, Err(error)));
    }

    /// Ends the look-ups of a socket that closes.
    pub(super) fn cancel_look_ups(&self) {
        let Some(waiting) = self.0.hosts.take().map(|hosts| hosts.waiting) else { return };
        for Waiting { host, port, what, asked, .. } in waiting.into_values() {
            drop(asked);
            let What::Send(_, on_sent) = what else { continue };
            let error = uv_core::Error::new("send", Errno::ECANCELED).on(format_args!("{host}:{port}"));
            self.tell_later(on_sent, error.into());
        }
    }
}
