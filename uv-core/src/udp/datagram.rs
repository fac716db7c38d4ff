//! What surrounds the content of a datagram: where it comes from, where it goes and how. Mirrors the arguments of
//! `uv_udp_recv_cb` and `uv_udp_send`, and adds what QUIC and DNS servers need of `recvmsg` and `sendmsg`.

use crate::sys::control::Marks;
use crate::sys::multicast::{self, Place};
use crate::{Errno, Error, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The facts about a received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// The sender.
    pub from: SocketAddr,
    /// The end of the datagram is lost, because it was longer than the room that the socket offers
    /// (`UV_UDP_PARTIAL`): see [`Udp::set_datagram_size`](super::Udp::set_datagram_size).
    pub is_truncated: bool,
    /// The address to which it was sent, and the index of the interface on which it came: with
    /// [`Udp::set_receive_destination`](super::Udp::set_receive_destination). Otherwise `None`.
    pub destination: Option<(IpAddr, u32)>,
    /// Its mark of ECN: with [`Udp::set_receive_ecn`](super::Udp::set_receive_ecn), if it has one. Otherwise `None`.
    pub ecn: Option<Ecn>,
}

/// A mark of explicit congestion notification (RFC 3168).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// The transport is capable of ECN: ECT(1).
    Ect1,
    /// The transport is capable of ECN: ECT(0).
    Ect0,
    /// A router has experienced congestion: CE.
    CongestionExperienced,
}

impl Ecn {
    pub(super) const fn of_bits(bits: u8) -> Option<Self> {
        match bits & 3 {
            1 => Some(Self::Ect1),
            2 => Some(Self::Ect0),
            3 => Some(Self::CongestionExperienced),
            _ => None,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Ect1 => 1,
            Self::Ect0 => 2,
            Self::CongestionExperienced => 3,
        }
    }
}

/// Where a datagram goes, and how.
///
/// ```
/// use uv_core::udp::{Ecn, SendOptions};
///
/// let addr = ([127, 0, 0, 1], 9).into();
/// // Four datagrams of 1200 bytes and a shorter one leave by one system call.
/// let options = SendOptions::to(addr).segment(1200).ecn(Ecn::Ect0);
/// # let event_loop = uv_core::Loop::new()?;
/// # let udp = uv_core::udp::Udp::new(&event_loop);
/// udp.send_with(vec![0; 5000], &options)?;
/// # udp.close();
/// # event_loop.run(uv_core::RunMode::Default)?;
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOptions {
    /// The destination; `None` for the socket's peer, which [`Udp::connect`](super::Udp::connect) sets. Default: `None`.
    pub to: Option<SocketAddr>,
    /// The bytes of each datagram that the kernel makes of the buffer (GSO); the last one may be shorter. Default: `None`,
    /// the buffer is one datagram.
    pub segment: Option<u16>,
    /// The mark of ECN. Default: `None`.
    pub ecn: Option<Ecn>,
    /// The source address, an address of this machine of the destination's family. Default: `None`, the kernel's choice.
    pub source: Option<IpAddr>,
    /// The index of the interface by which it leaves. Default: 0, the kernel's choice.
    pub interface: u32,
}

impl SendOptions {
    /// Sends to this address.
    #[must_use]
    pub fn to(addr: SocketAddr) -> Self {
        Self { to: Some(addr), ..Self::default() }
    }

    /// Sets [`segment`](Self#structfield.segment).
    #[must_use]
    pub fn segment(self, bytes: u16) -> Self {
        Self { segment: Some(bytes), ..self }
    }

    /// Sets [`ecn`](Self#structfield.ecn).
    #[must_use]
    pub fn ecn(self, ecn: Ecn) -> Self {
        Self { ecn: Some(ecn), ..self }
    }

    /// Sets [`source`](Self#structfield.source).
    #[must_use]
    pub fn source(self, source: IpAddr) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Sets [`interface`](Self#structfield.interface).
    #[must_use]
    pub fn interface(self, index: u32) -> Self {
        Self { interface: index, ..self }
    }

    /// What the kernel is asked of a buffer of `len` bytes, beyond the destination; `is_v4` says which family the socket's
    /// peer has.
    pub(super) fn marks(&self, len: usize, is_v4: bool) -> Marks {
        Marks {
            segment: self.segment_of(len),
            ecn: self.ecn.map(Ecn::bits),
            source: self.source,
            interface: self.interface,
            is_v4: self.is_ipv4(is_v4),
        }
    }

    /// Whether it goes to an address of IPv4; `is_v4` is the same of the socket's peer.
    pub(super) fn is_ipv4(&self, is_v4: bool) -> bool {
        self.to.map_or(is_v4, |to| is_ipv4(to.ip()))
    }

    /// The segment size, if the buffer has more than one segment.
    pub(super) fn segment_of(&self, len: usize) -> Option<u16> {
        self.segment.filter(|segment| len > usize::from(*segment))
    }

    pub(super) fn has_marks(&self, len: usize) -> bool {
        self.segment_of(len).is_some() || self.ecn.is_some() || self.source.is_some() || self.interface != 0
    }
}

/// Whether packets to this address are of IPv4: it may be written as one of IPv6.
pub(super) fn is_ipv4(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(_) => true,
        IpAddr::V6(addr) => addr.to_ipv4_mapped().is_some(),
    }
}

/// An interface of this machine, for multicast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// The kernel's choice.
    #[default]
    Any,
    /// The interface with this address of IPv4.
    Address(Ipv4Addr),
    /// The interface with this index.
    Index(u32),
}

impl Interface {
    /// The interface with this name, such as `"eth0"`.
    ///
    /// # Errors
    /// `ENODEV` if there is none, `EINVAL` if the name contains NUL.
    pub fn named(name: &str) -> Result<Self> {
        let index = multicast::interface_index(name);
        index.map(Self::Index).map_err(|errno| Error::new("if_nametoindex", errno).on(name))
    }

    pub(super) const fn place(self) -> Place {
        let (addr, index) = match self {
            Self::Any => (Ipv4Addr::UNSPECIFIED, 0),
            Self::Address(addr) => (addr, 0),
            Self::Index(index) => (Ipv4Addr::UNSPECIFIED, index),
        };
        Place { addr, index }
    }

    /// Groups of IPv6 are joined by the index of an interface only.
    pub(super) fn check_for(self, group: IpAddr) -> Result<(), Errno> {
        let fits = group.is_ipv4() || !matches!(self, Self::Address(_));
        if fits { Ok(()) } else { Err(Errno::EINVAL) }
    }
}
