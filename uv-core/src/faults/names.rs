//! The answers of look-ups: those that a test gives, so that no name server is asked.

use super::{is_on, refuse, with};
use crate::Errno;
use crate::names::{AddrInfo, NameInfo};
use crate::sys::names::{Asked, AskedName};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What the name server of a world knows.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, Vec<IpAddr>>);

/// Gives a host its addresses, in the order of the answer. A host without addresses is not found.
pub fn set_addresses(host: &str, addresses: &[IpAddr]) {
    with(|state| state.names.0.insert(host.to_owned(), addresses.to_vec()));
}

/// The answer to a look-up of addresses. `None` without a world.
pub(crate) fn find_addresses(asked: &Asked) -> Option<Result<AddrInfo, Errno>> {
    is_on().then(|| {
        refuse("getaddrinfo(3)")?;
        let port = asked.service.as_ref().map_or(Ok(0), |service| {
            service.to_str().ok().and_then(|service| service.parse().ok()).ok_or(Errno::EAI_SERVICE)
        })?;
        let host = asked.host.as_ref().map_or("localhost", |host| host.to_str().unwrap_or_default());
        let known = match host.parse::<IpAddr>() {
            Ok(address) => Some(vec![address]),
            Err(_) => with(|state| state.names.0.get(host).cloned()).flatten(),
        };
        let is_wanted = |address: &IpAddr| match asked.family {
            libc::AF_INET => address.is_ipv4(),
            libc::AF_INET6 => address.is_ipv6(),
            _ => true,
        };
        let known = known.ok_or(Errno::EAI_NONAME)?.into_iter().filter(is_wanted);
        let addresses: Vec<SocketAddr> = known.map(|address| (address, port).into()).collect();
        if addresses.is_empty() {
            return Err(Errno::EAI_NODATA);
        }
        Ok(AddrInfo { addresses, canonical_name: None })
    })
}

/// The answer to a look-up of names. `None` without a world.
pub(crate) fn find_name(asked: &AskedName) -> Option<Result<NameInfo, Errno>> {
    is_on().then(|| {
        refuse("getnameinfo(3)")?;
        let (address, port) = (asked.addr.ip(), asked.addr.port());
        let has = |(_, addresses): &(&String, &Vec<IpAddr>)| addresses.contains(&address);
        let host = with(|state| state.names.0.iter().find(has).map(|(host, _)| host.clone())).flatten();
        Ok(NameInfo { host: host.unwrap_or_else(|| address.to_string()), service: port.to_string() })
    })
}
