//! Datagrams to a host by name: the name is looked up first. Mirrors `lookup4`, `lookup6` and `doSend` of Node's
//! `lib/dgram.js` and `lib/internal/dgram.js`.
//!
//! What waits for a look-up is not in the socket's queue yet. So its results are told in ticks, and a close tells it as
//! cancelled, in order, before the handler's `on_close`.

use super::{CONNECTED, OnSent, UdpSocket, is_connected};
use crate::names::{Asked, Host, Resolver};
use crate::udp::SendOptions;
use crate::uv_core::names::{AddrQuery, Family, SocketType};
use crate::uv_core::{self, Errno};
use crate::{Error, LAYER, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

/// The state of a socket that sends to hosts by name.
#[derive(Default)]
pub(super) struct Hosts {
    resolver: Resolver,
    /// The datagrams that wait for a look-up, by their numbers.
    waiting: BTreeMap<u64, Waiting>,
    last: u64,
}

/// A datagram whose destination is being looked up.
struct Waiting {
    host: String,
    port: u16,
    data: Bytes,
    on_sent: OnSent,
    /// `None` until the resolver has returned.
    asked: Option<Asked>,
}

impl UdpSocket {
    /// Sets how [`send_to_host`](Self::send_to_host) looks hosts up (`lookup`). Default: the C library's `getaddrinfo(3)`, in
    /// the thread pool.
    pub fn set_resolver(&self, resolver: Resolver) {
        self.0.hosts.with(|hosts| hosts.resolver = resolver);
    }

    /// Looks a host up, sends a datagram to the first of its addresses in the socket's family, and calls `on_sent` with the
    /// result, never inside this call: also with the error of the look-up, and with `ECANCELED` if the socket is closed
    /// before. Each datagram is looked up, and leaves when that has ended. A numeric address is not looked up.
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
        match host.into() {
            Host::Ip(ip) => self.send_with(data, &SendOptions::to((ip, port).into()), on_sent),
            Host::Name(host) => {
                let (data, on_sent, asked) = (data.into(), Box::new(on_sent) as OnSent, None);
                self.look_up(Waiting { host, port, data, on_sent, asked })
            }
        }
    }

    fn look_up(&self, waiting: Waiting) -> Result<()> {
        let _down = LAYER.down("UdpSocket::look_up", || self.facts().bytes(waiting.data.len()));
        self.check_running()?;
        if self.0.flags.has(CONNECTED) {
            return Err(is_connected());
        }
        self.check_port(waiting.port)?;
        let query = AddrQuery::new(&*waiting.host).family(self.family()).socket_type(SocketType::Datagram);
        query.check()?;
        self.bind_if_unbound()?;
        let (number, resolver) = self.0.hosts.with(|hosts| {
            hosts.last += 1;
            hosts.waiting.insert(hosts.last, waiting);
            (hosts.last, hosts.resolver.clone())
        });
        let (env, weak) = (self.environment(), Rc::downgrade(&self.0));
        let then = move |found| {
            if let Some(inner) = weak.upgrade() {
                Self(inner).looked_up(number, found);
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

    fn family(&self) -> Family {
        if self.0.options.is_ipv6 { Family::V6 } else { Family::V4 }
    }

    /// Sends a datagram whose look-up has ended.
    fn looked_up(&self, number: u64, found: Result<Vec<SocketAddr>, uv_core::Error>) {
        let Some(waiting) = self.0.hosts.with(|hosts| hosts.waiting.remove(&number)) else { return };
        let Waiting { host, port, data, on_sent, asked } = waiting;
        drop(asked);
        let sent = found.map_err(Error::from).and_then(|addresses| {
            let options = SendOptions::to(self.choose(&addresses, &host, port)?);
            self.check_send(&options)?;
            Ok(self.0.udp.send(data, &options)?)
        });
        match sent {
            Ok(()) => self.0.sends.borrow_mut().push_back(Some(on_sent)),
            Err(error) => self.tell_later(on_sent, error),
        }
    }

    /// The first address of the socket's family, with the port.
    fn choose(&self, addresses: &[SocketAddr], host: &str, port: u16) -> Result<SocketAddr> {
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
        for Waiting { host, port, on_sent, asked, .. } in waiting.into_values() {
            drop(asked);
            let error = uv_core::Error::new("send", Errno::ECANCELED).on(format_args!("{host}:{port}"));
            self.tell_later(on_sent, error.into());
        }
    }
}
