//! Network interfaces. Mirrors `uv__ipv6_link_local_scope_id`, libuv's `src/unix/tcp.c`.

use std::fs;
use std::net::Ipv6Addr;

/// The kernel's list of the IPv6 addresses of this network namespace, one a line: see proc_net(5).
const IPV6_ADDRESSES: &str = "/proc/net/if_inet6";

/// The index of the first interface with a link-local IPv6 address.
pub(crate) fn first_link_local() -> Option<u32> {
    fs::read_to_string(IPV6_ADDRESSES).ok()?.lines().find_map(link_local)
}

/// The index of the interface of this line, if the line's address is link-local. All numbers are hexadecimal.
fn link_local(line: &str) -> Option<u32> {
    let mut fields = line.split_ascii_whitespace();
    let address = Ipv6Addr::from_bits(u128::from_str_radix(fields.next()?, 16).ok()?);
    let index = u32::from_str_radix(fields.next()?, 16).ok()?;
    address.is_unicast_link_local().then_some(index)
}

#[cfg(test)]
mod tests {
    use super::link_local;

    #[test]
    fn only_a_link_local_address_names_an_interface() {
        let line = |address: &str| format!("{address} 1f 40 20 80     eth0");
        assert_eq!(link_local(&line("fe8000000000000000fc00fffe000001")), Some(0x1f));
        assert_eq!(link_local(&line("fd000000000000000000000000000002")), None);
        assert_eq!(link_local(&line("00000000000000000000000000000001")), None);
        assert_eq!((link_local(""), link_local("fe80"), link_local("not hexadecimal")), (None, None, None));
    }
}
