//! How many connections each address has. The table has the addresses of open connections only, so its size is bounded by
//! theirs.

use super::rule::{is_ipv4, number_of};
use async_wrap::AsyncId;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What counts as one address: an IPv4 address, or an IPv6 network, since each host may use all addresses of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u128);

impl Place {
    /// The place of an address, of which the first `ipv6_prefix` bits count if it is an IPv6 address.
    pub(crate) fn of(address: IpAddr, ipv6_prefix: u8) -> Self {
        let number = number_of(address);
        if is_ipv4(number) {
            return Self(number);
        }
        let host = u128::MAX.checked_shr(ipv6_prefix.into()).unwrap_or(0);
        Self(number & !host)
    }
}

#[derive(Default)]
pub(crate) struct Places {
    connections: BTreeMap<Place, usize>,
    /// The place of each open connection, whose address may be unknown once it is closed.
    by_id: BTreeMap<AsyncId, Place>,
}

impl Places {
    pub(crate) fn connections(&self, place: Place) -> usize {
        self.connections.get(&place).copied().unwrap_or(0)
    }

    pub(crate) fn enter(&mut self, id: AsyncId, place: Place) {
        self.by_id.insert(id, place);
        *self.connections.entry(place).or_default() += 1;
    }

    pub(crate) fn leave(&mut self, id: AsyncId) {
        let Some(place) = self.by_id.remove(&id) else { return };
        if let Some(count) = self.connections.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.connections.remove(&place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: &str, ipv6_prefix: u8) -> Place {
        Place::of(address.parse().expect("an address"), ipv6_prefix)
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address_and_an_ipv4_address_as_itself() {
        assert_eq!(place("2001:db8::1", 64), place("2001:db8::2:3", 64));
        assert_ne!(place("2001:db8::1", 64), place("2001:db8:0:1::1", 64));
        assert_ne!(place("2001:db8::1", 128), place("2001:db8::2", 128));
        assert_eq!(place("2001:db8::1", 0), place("fe80::1", 0));
        assert_eq!(place("192.0.2.1", 64), place("::ffff:192.0.2.1", 64));
        assert_ne!(place("192.0.2.1", 0), place("192.0.2.2", 0));
        assert_ne!(place("::ffff:192.0.2.1", 64), place("::1", 64));
    }

    #[test]
    fn the_table_has_the_addresses_of_open_connections_only() {
        let (mut places, ids) = (Places::default(), [AsyncId::NONE; 1]);
        let at = place("192.0.2.1", 64);
        places.enter(ids[0], at);
        assert_eq!((places.connections(at), places.connections(place("::1", 64))), (1, 0));
        places.leave(ids[0]);
        places.leave(ids[0]);
        assert!(places.connections.is_empty() && places.by_id.is_empty());
    }
}
