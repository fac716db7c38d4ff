//! The addresses of a master's host. Mirrors the look-up in Node's `net.connect`.

use async_wrap::Environment;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// The most addresses of one host that are tried: a name server can answer with any number.
const MAX_ADDRESSES: usize = 16;

/// Looks a host up; calls back at once for an address and for `localhost`, else from a tick.
pub(crate) fn resolve(
    env: &Environment,
    host: &str,
    port: u16,
    then: impl FnOnce(Result<Vec<SocketAddr>, String>) + 'static,
) {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return then(Ok(vec![(ip, port).into()]));
    }
    if host == "localhost" {
        return then(Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]));
    }
    let (name, env_then) = ((host.to_owned(), port), env.clone());
    env.loop_handle().queue_work(
        // The system's look-up blocks, so it runs in the thread pool, as in libuv.
        move || {
            let found = name.to_socket_addrs().map_err(|error| format!("{}: {error}", name.0))?;
            Ok(found.take(MAX_ADDRESSES).collect::<Vec<_>>())
        },
        move |found| {
            let found = found.unwrap_or_else(|error| Err(error.to_string()));
            env_then.next_tick(move || then(found));
        },
    );
}
