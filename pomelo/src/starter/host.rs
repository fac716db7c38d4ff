//! The hosts that are this host. Mirrors `isLocal` of pomelo's `lib/util/utils.js`.

use crate::record::text;
use crate::{Application, ServerInfo};
use std::net::{IpAddr, UdpSocket};

/// Whether a server's host is this host: the master's host, `localhost`, a loopback address or the address of an interface
/// of this machine.
#[must_use]
pub fn is_local(app: &Application, info: &ServerInfo) -> bool {
    let host = text(info, "host").unwrap_or_default();
    host == "localhost" || Some(host) == text(app.master(), "host") || host.parse().is_ok_and(is_own)
}

/// Whether an address is this machine's: only then can a socket be bound to it.
pub(crate) fn is_own(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified() || UdpSocket::bind((address, 0)).is_ok()
}
