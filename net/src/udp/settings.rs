//! What can be set on an open socket of datagrams. Mirrors `setBroadcast`, `setTTL`, `setMulticast*`, `addMembership` and
//! the like of `dgram.Socket`.

use crate::udp::{Interface, UdpSocket};
use crate::uv_core;
use crate::uv_core::udp::Udp;
use crate::{Error, ErrorCode, Result};
use std::net::IpAddr;

/// Every method fails with [`ErrorCode::NotRunning`] after `close`, and with `EBADF` before the socket is bound, except
/// those that join a group, which bind it.
impl UdpSocket {
    /// Allows or forbids sending to broadcast addresses (`setBroadcast`).
    ///
    /// # Errors
    /// Any error of the system call.
    pub fn set_broadcast(&self, on: bool) -> Result<()> {
        Ok(self.open_handle()?.set_broadcast(on)?)
    }

    /// Sets the hops that datagrams may take, 1 to 255 (`setTTL`).
    ///
    /// # Errors
    /// `EINVAL` for another number.
    pub fn set_ttl(&self, hops: u32) -> Result<()> {
        Ok(self.open_handle()?.set_ttl(hops)?)
    }

    /// Sets the hops that multicast may take, 0 to 255 (`setMulticastTTL`).
    ///
    /// # Errors
    /// `EINVAL` for another number.
    pub fn set_multicast_ttl(&self, hops: u32) -> Result<()> {
        Ok(self.open_handle()?.set_multicast_ttl(hops)?)
    }

    /// Sets whether this machine receives the multicast that the socket sends (`setMulticastLoopback`).
    ///
    /// # Errors
    /// Any error of the system call.
    pub fn set_multicast_loopback(&self, on: bool) -> Result<()> {
        Ok(self.open_handle()?.set_multicast_loop(on)?)
    }

    /// Sets the interface to which multicast is sent (`setMulticastInterface`).
    ///
    /// # Errors
    /// As [`Udp::set_multicast_interface`].
    pub fn set_multicast_interface(&self, interface: Interface) -> Result<()> {
        Ok(self.open_handle()?.set_multicast_interface(interface)?)
    }

    /// Joins a multicast group (`addMembership`).
    ///
    /// # Errors
    /// As [`Udp::join`].
    pub fn add_membership(&self, group: IpAddr, interface: Interface) -> Result<()> {
        Ok(self.bound_handle()?.join(group, interface)?)
    }

    /// Leaves a multicast group (`dropMembership`).
    ///
    /// # Errors
    /// As [`Udp::leave`].
    pub fn drop_membership(&self, group: IpAddr, interface: Interface) -> Result<()> {
        Ok(self.open_handle()?.leave(group, interface)?)
    }

    /// Joins a multicast group for what one source sends (`addSourceSpecificMembership`).
    ///
    /// # Errors
    /// As [`Udp::join_source`].
    pub fn add_source_specific_membership(
        &self,
        source: IpAddr,
        group: IpAddr,
        interface: Interface,
    ) -> Result<()> {
        Ok(self.bound_handle()?.join_source(group, source, interface)?)
    }

    /// Leaves a multicast group for one source (`dropSourceSpecificMembership`).
    ///
    /// # Errors
    /// As [`Udp::leave_source`].
    pub fn drop_source_specific_membership(
        &self,
        source: IpAddr,
        group: IpAddr,
        interface: Interface,
    ) -> Result<()> {
        Ok(self.open_handle()?.leave_source(group, source, interface)?)
    }

    /// The size of the kernel's receive buffer in bytes (`getRecvBufferSize`).
    ///
    /// # Errors
    /// [`ErrorCode::BufferSize`] before the socket is bound.
    pub fn recv_buffer_size(&self) -> Result<usize> {
        set_size(self.open_handle()?.recv_buffer_size())
    }

    /// Sets the size of the kernel's receive buffer in bytes (`setRecvBufferSize`). Linux reports twice what was set.
    ///
    /// # Errors
    /// [`ErrorCode::BufferSize`] before the socket is bound, and for more than fits into an `int`.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> Result<()> {
        set_size(self.open_handle()?.set_recv_buffer_size(bytes))
    }

    /// The size of the kernel's send buffer in bytes (`getSendBufferSize`).
    ///
    /// # Errors
    /// [`ErrorCode::BufferSize`] before the socket is bound.
    pub fn send_buffer_size(&self) -> Result<usize> {
        set_size(self.open_handle()?.send_buffer_size())
    }

    /// Sets the size of the kernel's send buffer in bytes (`setSendBufferSize`). Linux reports twice what was set.
    ///
    /// # Errors
    /// [`ErrorCode::BufferSize`] before the socket is bound, and for more than fits into an `int`.
    pub fn set_send_buffer_size(&self, bytes: usize) -> Result<()> {
        set_size(self.open_handle()?.set_send_buffer_size(bytes))
    }

    /// Sets whether each [`Envelope`](super::Envelope) has the destination's address and interface. Node has no such option.
    ///
    /// # Errors
    /// Any error of the system call.
    pub fn set_receive_destination(&self, on: bool) -> Result<()> {
        Ok(self.open_handle()?.set_receive_destination(on)?)
    }

    /// Sets whether each [`Envelope`](super::Envelope) has the mark of ECN. Node has no such option.
    ///
    /// # Errors
    /// Any error of the system call.
    pub fn set_receive_ecn(&self, on: bool) -> Result<()> {
        Ok(self.open_handle()?.set_receive_ecn(on)?)
    }

    /// Sets whether the kernel may put several datagrams of one sender into one buffer, which saves work. Node has no such
    /// option.
    ///
    /// # Errors
    /// `ENOPROTOOPT` on a kernel before Linux 5.0.
    pub fn set_gro(&self, on: bool) -> Result<()> {
        Ok(self.open_handle()?.set_gro(on)?)
    }

    fn open_handle(&self) -> Result<&Udp> {
        self.check_running()?;
        Ok(self.0.udp.handle())
    }

    fn bound_handle(&self) -> Result<&Udp> {
        self.check_running()?;
        self.bind_if_unbound()?;
        Ok(self.0.udp.handle())
    }
}

/// As in Node, a buffer's size that cannot be read or set has an error of its own.
pub(super) fn set_size<T>(result: uv_core::Result<T>) -> Result<T> {
    result.map_err(|_| no_size())
}

pub(super) const fn no_size() -> Error {
    Error::new(ErrorCode::BufferSize, "the size of the buffer cannot be read or set")
}
