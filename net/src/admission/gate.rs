//! The decision about one connection, and what becomes of a refused one. Mirrors `onconnection` up to the place where it makes
//! the socket.

use super::Place;
use crate::listening::Listening;
use crate::server::ServerInner;
use crate::uv_core::socket::SocketName;
use crate::{Address, Dropped, LAYER};
use async_wrap::layer::trace::Facts;
use async_wrap::{AsyncContext, AsyncStream};
use std::fmt;
use std::os::fd::BorrowedFd;

/// A program's decision about each connection, by the peer's address: see
/// [`ListenOptions::admit`](crate::ListenOptions::admit).
pub(crate) struct Admit(pub(crate) Box<dyn FnMut(&Address) -> bool>);

impl fmt::Debug for Admit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admit")
    }
}

/// Why a connection was closed instead of being passed to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The server has `max_connections`.
    MaxConnections,
    /// Its block list has the peer's address.
    Blocked,
    /// The peer's address has `max_connections_per_address`.
    MaxPerAddress,
    /// The program did not admit it.
    NotAdmitted,
    /// The peer's address, which has to be known for the decision, is not: the peer has reset the connection.
    NoAddress,
}

/// How many connections a server has dropped, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drops {
    /// [`DropReason::MaxConnections`].
    pub max_connections: u64,
    /// [`DropReason::Blocked`].
    pub blocked: u64,
    /// [`DropReason::MaxPerAddress`].
    pub max_per_address: u64,
    /// [`DropReason::NotAdmitted`].
    pub not_admitted: u64,
    /// [`DropReason::NoAddress`].
    pub no_address: u64,
}

impl Drops {
    /// The number of all dropped connections.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.max_connections + self.blocked + self.max_per_address + self.not_admitted + self.no_address
    }

    fn count(mut self, reason: DropReason) -> Self {
        *match reason {
            DropReason::MaxConnections => &mut self.max_connections,
            DropReason::Blocked => &mut self.blocked,
            DropReason::MaxPerAddress => &mut self.max_per_address,
            DropReason::NotAdmitted => &mut self.not_admitted,
            DropReason::NoAddress => &mut self.no_address,
        } += 1;
        self
    }
}

/// A connection that is not decided on yet.
#[derive(Clone, Copy)]
pub(crate) enum Arrival<'a> {
    /// It has no stream yet. The program is called in this context.
    Descriptor(BorrowedFd<'a>, AsyncContext),
    /// A source has made the stream, and calls in a scope.
    Stream(&'a AsyncStream),
}

impl Arrival<'_> {
    fn peer(self) -> Option<Address> {
        match self {
            Self::Descriptor(fd, _) => address_of(SocketName::of_peer(fd)),
            Self::Stream(stream) => Address::peer(stream),
        }
    }

    fn local(self) -> Option<Address> {
        match self {
            Self::Descriptor(fd, _) => address_of(SocketName::of(fd)),
            Self::Stream(stream) => Address::local(stream),
        }
    }

    /// Calls the program.
    fn call<R>(self, server: &ServerInner, name: &'static str, call: impl FnOnce() -> R) -> R {
        let call = || {
            let _up = LAYER.up(name, Facts::default);
            call()
        };
        match self {
            Self::Descriptor(_, context) => server.env.make_callback(context, call),
            Self::Stream(_) => call(),
        }
    }
}

fn address_of(name: crate::uv_core::Result<SocketName>) -> Option<Address> {
    #[cfg(upcall_faults)]
    if name.is_err() {
        crate::uv_core::faults::reached(crate::uv_core::faults::Branch::ArrivalUnnamed);
    }
    name.ok().map(|name| match name {
        SocketName::Inet(addr) => Address::Tcp(addr),
        SocketName::Unix(name) => name.into(),
    })
}

impl Listening {
    /// Whether the server takes every connection now, from any address.
    pub(crate) fn takes_all(&self) -> bool {
        self.server().0.room() > 0 && !self.asks_for_address()
    }

    /// Decides on a connection, and looks up its peer if that is necessary. Returns the place where it counts.
    fn judge(&self, arrival: Arrival<'_>, peer: &mut Option<Address>) -> Result<Option<Place>, DropReason> {
        let server = &self.server().0;
        if server.room() == 0 {
            return Err(DropReason::MaxConnections);
        }
        if !self.asks_for_address() {
            return Ok(None);
        }
        let peer: &Address = peer.insert(arrival.peer().ok_or(DropReason::NoAddress)?);
        let ip = peer.as_tcp().map(|addr| addr.ip());
        if let (Some(list), Some(ip)) = (&server.options.block_list, ip)
            && list.check(ip)
        {
            return Err(DropReason::Blocked);
        }
        let mut place = None;
        if let (Some(limit), Some(ip)) = (server.options.max_connections_per_address, ip) {
            let of_peer = Place::of(ip, server.options.ipv6_prefix);
            if server.places.borrow().connections(of_peer) >= limit {
                return Err(DropReason::MaxPerAddress);
            }
            place = Some(of_peer);
        }
        if self.has_admit() && !arrival.call(server, "ListenOptions::admit", || self.ask(peer)) {
            return Err(DropReason::NotAdmitted);
        }
        Ok(place)
    }

    /// Decides on a connection. A refused connection is closed by `close`, unless its descriptor is lent, and reported. Returns
    /// the place where an admitted one counts.
    pub(crate) fn admit(&self, arrival: Arrival<'_>, close: impl FnOnce()) -> Option<Option<Place>> {
        let (server, mut peer) = (&self.server().0, None);
        let reason = match self.judge(arrival, &mut peer) {
            Ok(place) => return Some(place),
            Err(reason) => reason,
        };
        server.drops.set(server.drops.get().count(reason));
        let remote = peer.or_else(|| arrival.peer());
        let dropped = Dropped { local: arrival.local(), remote, reason };
        close();
        arrival.call(server, "ServerHandler::on_drop", || {
            self.call(|handler, server| handler.on_drop(server, dropped));
        });
        None
    }
}
