//! The options with which a socket of datagrams is created. Mirrors those of `dgram.createSocket`.

use crate::Result;
use crate::udp::settings::{no_size, set_size};
use crate::uv_core::udp::{Udp, UdpOptions};

/// Datagrams per receiving call: a socket of this layer never stops receiving, so a batch loses nothing.
const BATCH: u32 = 32;

/// Options of a socket of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UdpSocketOptions {
    /// A socket of IPv6 (`'udp6'`) rather than of IPv4 (`'udp4'`).
    pub is_ipv6: bool,
    /// Do not receive IPv4 on an IPv6 address (`ipv6Only`). Default: `false`.
    pub ipv6_only: bool,
    /// Share the address with other sockets that set this option (`reuseAddr`). Default: `false`.
    pub reuse_address: bool,
    /// Share the port with other sockets that set this option; the kernel distributes senders (`reusePort`). Default:
    /// `false`.
    pub reuse_port: bool,
    /// Report what did not arrive to `on_error` also without a peer. Default: `false`.
    pub error_queue: bool,
    /// The size of the kernel's receive buffer in bytes (`recvBufferSize`). Default: `None`, the system's.
    pub recv_buffer_size: Option<usize>,
    /// The size of the kernel's send buffer in bytes (`sendBufferSize`). Default: `None`, the system's.
    pub send_buffer_size: Option<usize>,
    /// Datagrams per receiving system call, 1 to 32; another number counts as the nearest of these. Default: 32.
    pub batch: u32,
}

impl UdpSocketOptions {
    /// A socket of IPv4 (`'udp4'`).
    #[must_use]
    pub const fn v4() -> Self {
        Self {
            is_ipv6: false,
            ipv6_only: false,
            reuse_address: false,
            reuse_port: false,
            error_queue: false,
            recv_buffer_size: None,
            send_buffer_size: None,
            batch: BATCH,
        }
    }

    /// A socket of IPv6 (`'udp6'`), which carries IPv4 too unless [`ipv6_only`](Self#structfield.ipv6_only) is set.
    #[must_use]
    pub const fn v6() -> Self {
        Self { is_ipv6: true, ..Self::v4() }
    }

    /// Sets [`ipv6_only`](Self#structfield.ipv6_only).
    #[must_use]
    pub const fn ipv6_only(self, ipv6_only: bool) -> Self {
        Self { ipv6_only, ..self }
    }

    /// Sets [`reuse_address`](Self#structfield.reuse_address).
    #[must_use]
    pub const fn reuse_address(self, reuse_address: bool) -> Self {
        Self { reuse_address, ..self }
    }

    /// Sets [`reuse_port`](Self#structfield.reuse_port).
    #[must_use]
    pub const fn reuse_port(self, reuse_port: bool) -> Self {
        Self { reuse_port, ..self }
    }

    /// Sets [`error_queue`](Self#structfield.error_queue).
    #[must_use]
    pub const fn error_queue(self, error_queue: bool) -> Self {
        Self { error_queue, ..self }
    }

    /// Sets [`recv_buffer_size`](Self#structfield.recv_buffer_size).
    #[must_use]
    pub const fn recv_buffer_size(self, bytes: usize) -> Self {
        Self { recv_buffer_size: Some(bytes), ..self }
    }

    /// Sets [`send_buffer_size`](Self#structfield.send_buffer_size).
    #[must_use]
    pub const fn send_buffer_size(self, bytes: usize) -> Self {
        Self { send_buffer_size: Some(bytes), ..self }
    }

    /// Sets [`batch`](Self#structfield.batch).
    #[must_use]
    pub const fn batch(self, datagrams: u32) -> Self {
        Self { batch: datagrams, ..self }
    }

    pub(super) fn to_bind(self) -> UdpOptions {
        UdpOptions::default()
            .ipv6_only(self.ipv6_only)
            .reuse_address(self.reuse_address)
            .reuse_port(self.reuse_port)
            .error_queue(self.error_queue)
    }

    /// Refuses sizes that cannot be set, before anything is bound.
    pub(super) fn check(self) -> Result<()> {
        let mut sizes = [self.recv_buffer_size, self.send_buffer_size].into_iter().flatten();
        if sizes.any(|bytes| i32::try_from(bytes).is_err()) { Err(no_size()) } else { Ok(()) }
    }

    /// Applies what can be set once there is a descriptor.
    pub(super) fn apply(self, udp: &Udp) -> Result<()> {
        if let Some(bytes) = self.recv_buffer_size {
            set_size(udp.set_recv_buffer_size(bytes))?;
        }
        if let Some(bytes) = self.send_buffer_size {
            set_size(udp.set_send_buffer_size(bytes))?;
        }
        Ok(())
    }
}
