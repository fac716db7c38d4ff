//! Socket addresses of IPv4 and IPv6 in the kernel's form, small enough to have many of them in one call.

use super::addr::SockAddr;
use std::mem::{align_of, size_of};
use std::net::SocketAddr;

/// An address of IPv4 or IPv6. The larger of the two structs has room for either.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Name(libc::sockaddr_in6);

/// The smaller struct fits into the larger one.
const _: () = assert!(
    size_of::<libc::sockaddr_in>() <= size_of::<libc::sockaddr_in6>()
        && align_of::<libc::sockaddr_in>() <= align_of::<libc::sockaddr_in6>()
);

/// The room for a name that the kernel fills in.
pub(super) const NAME_BYTES: libc::socklen_t = size_of::<Name>() as libc::socklen_t;

impl Name {
    /// An empty name for the kernel to fill in.
    pub(super) const fn empty() -> Self {
        Self(libc::sockaddr_in6 {
            sin6_family: libc::AF_UNSPEC as libc::sa_family_t,
            sin6_port: 0,
            sin6_flowinfo: 0,
            sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
            sin6_scope_id: 0,
        })
    }

    /// The name of an address, and its length.
    pub(super) fn of(addr: SocketAddr) -> (Self, libc::socklen_t) {
        let mut name = Self::empty();
        match addr {
            SocketAddr::V4(addr) => {
                let sin = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: addr.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: the struct is large enough for the smaller one, and aligned for it (checked above).
                unsafe { (&raw mut name.0).cast::<libc::sockaddr_in>().write(sin) };
                (name, size_of::<libc::sockaddr_in>() as libc::socklen_t)
            }
            SocketAddr::V6(addr) => {
                name.0.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                name.0.sin6_port = addr.port().to_be();
                name.0.sin6_flowinfo = addr.flowinfo().to_be();
                name.0.sin6_addr.s6_addr = addr.ip().octets();
                name.0.sin6_scope_id = addr.scope_id();
                (name, NAME_BYTES)
            }
        }
    }

    /// The address, unless the name is empty.
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        match libc::c_int::from(self.0.sin6_family) {
            libc::AF_INET => {
                // SAFETY: the struct is initialised throughout, large enough for the smaller one and aligned for it
                // (checked above), which is integers only.
                let sin = unsafe { (&raw const self.0).cast::<libc::sockaddr_in>().read() };
                Some(SocketAddr::from((sin.sin_addr.s_addr.to_ne_bytes(), u16::from_be(sin.sin_port))))
            }
            libc::AF_INET6 => SockAddr::inet6(self.0).as_inet(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_address_and_back() {
        for addr in ["192.0.2.7:53", "[2001:db8::7%3]:65535", "[::ffff:192.0.2.7]:1"] {
            let addr: SocketAddr = addr.parse().expect("an address");
            assert_eq!(Name::of(addr).0.addr(), Some(addr));
        }
        assert_eq!(Name::empty().addr(), None);
    }
}
