//! Options of sockets that take more than a number: the groups of multicast, and the interface to which it is sent. See
//! ip(7) and ipv6(7).

use super::addr::SockAddr;
use super::fd::check;
use super::{call, socket};
use crate::Errno;
use std::ffi::CString;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

/// An interface of this machine: one of its addresses, or its index. Both unspecified leave the choice to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) addr: Ipv4Addr,
    pub(crate) index: u32,
}

/// What can be asked of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    Join,
    Leave,
}

impl Membership {
    fn option(self, join: libc::c_int, leave: libc::c_int) -> libc::c_int {
        match self {
            Self::Join => join,
            Self::Leave => leave,
        }
    }
}

/// Joins or leaves a group, for all of its sources.
pub(crate) fn set_membership(
    fd: BorrowedFd<'_>,
    group: IpAddr,
    place: Place,
    membership: Membership,
) -> Result<(), Errno> {
    match group {
        IpAddr::V4(group) => {
            let option = membership.option(libc::IP_ADD_MEMBERSHIP, libc::IP_DROP_MEMBERSHIP);
            set(fd, libc::IPPROTO_IP, option, &of_group(group, place))
        }
        IpAddr::V6(group) => {
            let option = membership.option(libc::IPV6_ADD_MEMBERSHIP, libc::IPV6_DROP_MEMBERSHIP);
            let request =
                libc::ipv6_mreq { ipv6mr_multiaddr: in6(group), ipv6mr_interface: place.index as _ };
            set(fd, libc::IPPROTO_IPV6, option, &request)
        }
    }
}

/// Joins or leaves a group, for one of its sources. Both are of one family.
pub(crate) fn set_source_membership(
    fd: BorrowedFd<'_>,
    group: IpAddr,
    source: IpAddr,
    place: Place,
    membership: Membership,
) -> Result<(), Errno> {
    if let (IpAddr::V4(group), IpAddr::V4(source), 0) = (group, source, place.index) {
        let option = membership.option(libc::IP_ADD_SOURCE_MEMBERSHIP, libc::IP_DROP_SOURCE_MEMBERSHIP);
        let request = libc::ip_mreq_source {
            imr_multiaddr: in4(group),
            imr_interface: in4(place.addr),
            imr_sourceaddr: in4(source),
        };
        return set(fd, libc::IPPROTO_IP, option, &request);
    }
    let option = membership.option(libc::MCAST_JOIN_SOURCE_GROUP, libc::MCAST_LEAVE_SOURCE_GROUP);
    let level = if group.is_ipv4() { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 };
    let storage = |addr| SockAddr::inet(SocketAddr::new(addr, 0)).storage();
    let request = libc::group_source_req {
        gsr_interface: place.index,
        gsr_group: storage(group),
        gsr_source: storage(source),
    };
    set(fd, level, option, &request)
}

/// Sets the interface to which multicast of IPv4 is sent, also by a socket of IPv6.
pub(crate) fn set_interface(fd: BorrowedFd<'_>, place: Place) -> Result<(), Errno> {
    set(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &of_group(Ipv4Addr::UNSPECIFIED, place))
}

/// The index of the interface with this name.
pub(crate) fn interface_index(name: &str) -> Result<u32, Errno> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the name is a C string, which outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(super::fd::last_errno()),
        index => Ok(index),
    }
}

fn of_group(group: Ipv4Addr, place: Place) -> libc::ip_mreqn {
    libc::ip_mreqn {
        imr_multiaddr: in4(group),
        imr_address: in4(place.addr),
        imr_ifindex: place.index as libc::c_int,
    }
}

fn in4(addr: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from_ne_bytes(addr.octets()) }
}

fn in6(addr: Ipv6Addr) -> libc::in6_addr {
    libc::in6_addr { s6_addr: addr.octets() }
}

fn set<T>(fd: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: &T) -> Result<(), Errno> {
    call("setsockopt(2)", || {
        #[cfg(upcall_faults)]
        crate::faults::refuse("setsockopt(2)")?;
        let len = size_of::<T>() as libc::socklen_t;
        let value = std::ptr::from_ref(value).cast();
        // SAFETY: pointer and length describe the value, which outlives the call; the callers pass structs of the kernel.
        check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value, len) }).map(drop)
    })
}

/// Sets an option with a number, of IPv4 and, on a socket of IPv6, of both families: such a socket may carry IPv4, too.
pub(crate) fn set_for_both(
    fd: BorrowedFd<'_>,
    is_ipv6: bool,
    v4: libc::c_int,
    v6: libc::c_int,
    value: libc::c_int,
) -> Result<(), Errno> {
    socket::set_option(fd, libc::IPPROTO_IP, v4, value)?;
    if is_ipv6 { socket::set_option(fd, libc::IPPROTO_IPV6, v6, value) } else { Ok(()) }
}
