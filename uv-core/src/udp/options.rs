//! The options of a socket of datagrams: those of `bind`, and those that are set later. Mirrors `uv_udp_flags`,
//! `uv_udp_set_*` and `uv_send_buffer_size`, and adds those of which the kernel then tells more.

use super::flags::{GRO, IPV6, TELLS};
use super::{CLOSING, Interface, OTHER_FAMILY, Udp};
use crate::sys;
use crate::sys::multicast::Membership;
use crate::sys::slots::{DATAGRAMS_PER_RECEIVE, LARGEST_DATAGRAM};
use crate::{Errno, Error, Result};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

/// Options of [`Udp::bind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UdpOptions {
    /// Do not receive IPv4 on an IPv6 address (`UV_UDP_IPV6ONLY`). Default: `false`.
    pub ipv6_only: bool,
    /// Share the address with other sockets that set this option (`UV_UDP_REUSEADDR`): a datagram to one address reaches
    /// the socket that was bound last, and multicast reaches all. With port 0 the kernel may choose the port of such a
    /// socket. Default: `false`.
    pub reuse_address: bool,
    /// Share the port with other sockets that set this option; the kernel distributes senders (`UV_UDP_REUSEPORT`).
    /// Default: `false`.
    pub reuse_port: bool,
    /// Report what did not arrive for every datagram, with its destination (`UV_UDP_LINUX_RECVERR`). Without it only a
    /// socket with a peer learns of it. Default: `false`.
    pub error_queue: bool,
}

impl UdpOptions {
    /// Sets [`ipv6_only`](Self#structfield.ipv6_only).
    #[must_use]
    pub fn ipv6_only(self, ipv6_only: bool) -> Self {
        Self { ipv6_only, ..self }
    }

    /// Sets [`reuse_address`](Self#structfield.reuse_address).
    #[must_use]
    pub fn reuse_address(self, reuse_address: bool) -> Self {
        Self { reuse_address, ..self }
    }

    /// Sets [`reuse_port`](Self#structfield.reuse_port).
    #[must_use]
    pub fn reuse_port(self, reuse_port: bool) -> Self {
        Self { reuse_port, ..self }
    }

    /// Sets [`error_queue`](Self#structfield.error_queue).
    #[must_use]
    pub fn error_queue(self, error_queue: bool) -> Self {
        Self { error_queue, ..self }
    }

    pub(super) fn apply(&self, fd: BorrowedFd<'_>, is_ipv6: bool) -> Result<(), Errno> {
        if self.error_queue {
            sys::multicast::set_for_both(fd, is_ipv6, libc::IP_RECVERR, libc::IPV6_RECVERR, 1)?;
        }
        let wanted = [
            (self.reuse_address, libc::SOL_SOCKET, libc::SO_REUSEADDR),
            (self.reuse_port, libc::SOL_SOCKET, libc::SO_REUSEPORT),
            (self.ipv6_only, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
        ];
        for (_, level, name) in wanted.into_iter().filter(|(is_wanted, ..)| *is_wanted) {
            sys::socket::set_option(fd, level, name, 1)?;
        }
        Ok(())
    }
}

/// Every method that fails needs a socket, which `bind` or the first send provides, and fails with `EBADF` without, except
/// those that join a group, which bind it.
impl Udp {
    /// Sets how many datagrams one system call receives at most, 1 to 32 (`UV_UDP_RECVMMSG`); another number counts as
    /// the nearest of these. Default: 32. A batch costs
    /// nothing where one datagram waits, and saves the call that would find no more. A smaller one leaves more in the
    /// kernel if the handler stops receiving, for another process that shares the socket.
    ///
    /// With [`set_gro`](Self::set_gro) one call receives two buffers, of as many datagrams as the kernel has put into them.
    pub fn set_batch(&self, datagrams: u32) {
        self.0.batch.set(datagrams.clamp(1, DATAGRAMS_PER_RECEIVE as u32) as u8);
    }

    /// Sets the room for a received datagram in bytes, 1 to 65,536; another number counts as the nearest of these. Default:
    /// 65,536, which is enough for any. The end of a longer datagram is lost, and its [`Envelope`](super::Envelope) is marked.
    /// With [`set_gro`](Self::set_gro) there is always room for any.
    pub fn set_datagram_size(&self, bytes: usize) {
        self.0.datagram_size.set(bytes.clamp(1, LARGEST_DATAGRAM) as u32);
    }

    /// Sets the hops that datagrams may take, 1 to 255 (`uv_udp_set_ttl`).
    ///
    /// # Errors
    /// `EINVAL` for another number.
    pub fn set_ttl(&self, hops: u32) -> Result<()> {
        self.check_range(hops, 1)?;
        self.set_for_both(libc::IP_TTL, libc::IPV6_UNICAST_HOPS, hops as libc::c_int)
    }

    /// Allows or forbids sending to broadcast addresses (`uv_udp_set_broadcast`). Default: `false`, and such a send fails with
    /// `EACCES`.
    ///
    /// # Errors
    /// Any error of the system call.
    pub fn set_broadcast(&self, on: bool) -> Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_BROADCAST, on.into())
    }

    /// Sets the hops that multicast may take, 0 to 255; 0 keeps it on this machine (`uv_udp_set_multicast_ttl`).
    ///
    /// # Errors
    /// `EINVAL` for another number.
    pub fn set_multicast_ttl(&self, hops: u32) -> Result<()> {
        self.check_range(hops, 0)?;
        self.set_for_both(libc::IP_MULTICAST_TTL, libc::IPV6_MULTICAST_HOPS, hops as libc::c_int)
    }

    /// Sets whether this machine receives the multicast that the socket sends (`uv_udp_set_multicast_loop`). Default:
    /// `true`.
    ///
    /// # Errors
    /// Any error of the system call.
    pub fn set_multicast_loop(&self, on: bool) -> Result<()> {
        self.set_for_both(libc::IP_MULTICAST_LOOP, libc::IPV6_MULTICAST_LOOP, on.into())
    }

    /// Sets the interface to which multicast is sent (`uv_udp_set_multicast_interface`).
    ///
    /// # Errors
    /// `EINVAL` for an address of IPv4 on a socket of IPv6; `EADDRNOTAVAIL` or `ENODEV` for an unknown interface.
    pub fn set_multicast_interface(&self, interface: Interface) -> Result<()> {
        let (fd, failed) = (self.option_fd()?, |errno| Error::new("setsockopt", errno));
        let place = interface.place();
        if self.0.has(IPV6) {
            if let Interface::Address(_) = interface {
                return Err(failed(Errno::EINVAL).noting("IPv6 has interfaces by index"));
            }
            let index = libc::c_int::try_from(place.index).map_err(|_| failed(Errno::ENODEV))?;
            self.set(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, index)?;
        }
        sys::multicast::set_interface(fd, place).map_err(failed)
    }

    /// Joins a multicast group (`uv_udp_set_membership`). A handle without a socket is bound to a port of the kernel's
    /// choice.
    ///
    /// # Errors
    /// `EINVAL` if the group is not one of multicast, for a group of IPv6 and a socket of IPv4 or the address of an interface;
    /// `ENODEV` or `EADDRNOTAVAIL` for an unknown interface, `EADDRINUSE` if the socket is a member already.
    pub fn join(&self, group: IpAddr, interface: Interface) -> Result<()> {
        self.set_membership(group, interface, Membership::Join)
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    /// As for `join`; `EADDRNOTAVAIL` if the socket is no member, `EBADF` without a socket.
    pub fn leave(&self, group: IpAddr, interface: Interface) -> Result<()> {
        self.set_membership(group, interface, Membership::Leave)
    }

    /// Joins a multicast group for what one source sends (`uv_udp_set_source_membership`).
    ///
    /// # Errors
    /// As for `join`; `EINVAL` if group and source are not of one family.
    pub fn join_source(&self, group: IpAddr, source: IpAddr, interface: Interface) -> Result<()> {
        self.set_source_membership(group, source, interface, Membership::Join)
    }

    /// Leaves a multicast group for one source.
    ///
    /// # Errors
    /// As for `join_source`; `EADDRNOTAVAIL` if the socket is no member, `EBADF` without a socket.
    pub fn leave_source(&self, group: IpAddr, source: IpAddr, interface: Interface) -> Result<()> {
        self.set_source_membership(group, source, interface, Membership::Leave)
    }

    /// Sets whether the kernel may put several datagrams of one sender into one buffer (`UDP_GRO`), which saves work. Each
    /// is handed over by a call of its own.
    ///
    /// # Errors
    /// `ENOPROTOOPT` on a kernel before Linux 5.0.
    pub fn set_gro(&self, on: bool) -> Result<()> {
        self.set(libc::SOL_UDP, libc::UDP_GRO, on.into())?;
        if on {
            self.0.set(GRO)
        } else {
            self.0.clear(GRO)
        }
        self.note_tells(on);
        Ok(())
    }

    /// Sets whether each [`Envelope`](super::Envelope) has the mark of ECN.
    ///
    /// # Errors
    /// Any error of the system call.
    pub fn set_receive_ecn(&self, on: bool) -> Result<()> {
        self.set_told(libc::IP_RECVTOS, libc::IPV6_RECVTCLASS, on)
    }

    /// Sets whether each [`Envelope`](super::Envelope) has the destination's address and interface.
    ///
    /// # Errors
    /// Any error of the system call.
    pub fn set_receive_destination(&self, on: bool) -> Result<()> {
        self.set_told(libc::IP_PKTINFO, libc::IPV6_RECVPKTINFO, on)
    }

    /// The size of the kernel's send buffer in bytes (`uv_send_buffer_size`). Linux reports twice what was set.
    ///
    /// # Errors
    /// Any error of the system call.
    pub fn send_buffer_size(&self) -> Result<usize> {
        self.get_size(libc::SO_SNDBUF)
    }

    /// Sets the size of the kernel's send buffer in bytes.
    ///
    /// # Errors
    /// `EINVAL` for more than fits into an `int`; any error of the system call.
    pub fn set_send_buffer_size(&self, bytes: usize) -> Result<()> {
        self.set_size(libc::SO_SNDBUF, bytes)
    }

    /// The size of the kernel's receive buffer in bytes (`uv_recv_buffer_size`). Linux reports twice what was set.
    ///
    /// # Errors
    /// Any error of the system call.
    pub fn recv_buffer_size(&self) -> Result<usize> {
        self.get_size(libc::SO_RCVBUF)
    }

    /// Sets the size of the kernel's receive buffer in bytes.
    ///
    /// # Errors
    /// `EINVAL` for more than fits into an `int`; any error of the system call.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> Result<()> {
        self.set_size(libc::SO_RCVBUF, bytes)
    }

    fn set_membership(&self, group: IpAddr, interface: Interface, membership: Membership) -> Result<()> {
        let failed = |errno| Error::new("setsockopt", errno).on(group);
        let fd = self.member_fd(group, interface, membership)?;
        let set = sys::multicast::set_membership(fd, group, interface.place(), membership);
        set.map_err(|errno| match errno.raw() {
            // The kernel does not know the option of the other family.
            libc::ENOPROTOOPT if group.is_ipv6() != self.0.has(IPV6) => {
                failed(Errno::EINVAL).noting(OTHER_FAMILY)
            }
            _ => failed(errno),
        })
    }

    fn set_source_membership(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: Interface,
        membership: Membership,
    ) -> Result<()> {
        let failed = |errno| Error::new("setsockopt", errno).on(group);
        if group.is_ipv4() != source.is_ipv4() {
            return Err(failed(Errno::EINVAL).noting("group and source are of two families"));
        }
        let fd = self.member_fd(group, interface, membership)?;
        let place = interface.place();
        sys::multicast::set_source_membership(fd, group, source, place, membership).map_err(failed)
    }

    /// The descriptor for a membership, after checks. Only who joins needs a new socket.
    fn member_fd(
        &self,
        group: IpAddr,
        interface: Interface,
        membership: Membership,
    ) -> Result<BorrowedFd<'_>> {
        let failed = |errno| Error::new("setsockopt", errno).on(group);
        if self.is_closing() {
            return Err(failed(Errno::EBADF).noting(CLOSING));
        }
        if !group.is_multicast() {
            return Err(failed(Errno::EINVAL).noting("this is no multicast group"));
        }
        interface.check_for(group).map_err(failed)?;
        if membership == Membership::Join {
            self.0.bind_if_new(group.is_ipv6(), true).map_err(failed)?;
        }
        self.option_fd()
    }

    fn check_range(&self, hops: u32, least: u32) -> Result<()> {
        let is_valid = (least..=255).contains(&hops);
        let note = if least == 0 { "hops are 0 to 255" } else { "hops are 1 to 255" };
        if is_valid { Ok(()) } else { Err(Error::new("setsockopt", Errno::EINVAL).noting(note)) }
    }

    fn option_fd(&self) -> Result<BorrowedFd<'_>> {
        self.0.opened("setsockopt")
    }

    fn set(&self, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> Result<()> {
        let set = sys::socket::set_option(self.option_fd()?, level, name, value);
        set.map_err(|errno| Error::new("setsockopt", errno))
    }

    /// Sets an option of IPv4 and, on a socket of IPv6, of both families: such a socket carries IPv4, too.
    fn set_for_both(&self, v4: libc::c_int, v6: libc::c_int, value: libc::c_int) -> Result<()> {
        let set = sys::multicast::set_for_both(self.option_fd()?, self.0.has(IPV6), v4, v6, value);
        set.map_err(|errno| Error::new("setsockopt", errno))
    }

    /// Sets what the kernel tells of each datagram.
    fn set_told(&self, v4: libc::c_int, v6: libc::c_int, on: bool) -> Result<()> {
        if let Err(error) = self.set_for_both(v4, v6, on.into()) {
            // Told of one family alone, it would surprise.
            let _ = self.set(libc::IPPROTO_IP, v4, 0);
            return Err(error);
        }
        self.note_tells(on);
        Ok(())
    }

    /// Records that the kernel tells more than the sender. It may go on to do so for another reason, so this is not undone.
    fn note_tells(&self, on: bool) {
        if on {
            self.0.set(TELLS);
        }
    }

    fn get_size(&self, name: libc::c_int) -> Result<usize> {
        let value = sys::socket::get_option(self.0.opened("getsockopt")?, libc::SOL_SOCKET, name);
        value
            .map(|value| usize::try_from(value).unwrap_or(0))
            .map_err(|errno| Error::new("getsockopt", errno))
    }

    fn set_size(&self, name: libc::c_int, bytes: usize) -> Result<()> {
        let bytes = libc::c_int::try_from(bytes).map_err(|_| Error::new("setsockopt", Errno::EINVAL))?;
        self.set(libc::SOL_SOCKET, name, bytes)
    }
}
