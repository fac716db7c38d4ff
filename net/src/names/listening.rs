//! Listening on a host by name: the first of its addresses. Mirrors `lookupAndListen`, Node's `lib/net.js`.

use super::{Asked, Resolver};
use crate::uv_core::Error;
use crate::uv_core::names::{AddrQuery, SocketType};
use async_wrap::Environment;
use std::net::SocketAddr;

/// The question for the addresses of a host to listen on.
pub(crate) fn query_to_listen(host: &str) -> AddrQuery {
    AddrQuery::new(host).socket_type(SocketType::Stream)
}

/// Looks up where to listen, and then calls `then` with it.
pub(crate) fn look_up_to_listen(
    env: &Environment,
    resolver: &Resolver,
    (host, port): (&str, u16),
    then: impl FnOnce(Result<SocketAddr, Error>) + 'static,
) -> Asked {
    resolver
        .ask(env, query_to_listen(host), move |found| then(found.map(|addresses| choose(&addresses, port))))
}

/// The first address that is not link-local, which would need a scope; of those, the first. An answer has an address.
fn choose(addresses: &[SocketAddr], port: u16) -> SocketAddr {
    let is_link_local =
        |addr: &SocketAddr| matches!(addr, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local());
    let chosen = addresses.iter().find(|addr| !is_link_local(addr)).or_else(|| addresses.first());
    let mut addr = chosen.copied().unwrap_or_else(|| ([0, 0, 0, 0], port).into());
    addr.set_port(if addr.port() == 0 { port } else { addr.port() });
    addr
}
