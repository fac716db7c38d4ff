//! Control messages of datagrams: what a program asks of one datagram, and what the kernel tells of one. See cmsg(3),
//! ip(7), ipv6(7) and udp(7).

use super::inet::Name;
use crate::Errno;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What is asked of one datagram beyond its destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The bytes of each datagram that the kernel makes of the buffer (`UDP_SEGMENT`).
    pub(crate) segment: Option<u16>,
    /// The two bits of ECN.
    pub(crate) ecn: Option<u8>,
    /// The source address.
    pub(crate) source: Option<IpAddr>,
    /// The index of the interface; 0 for the kernel's choice.
    pub(crate) interface: u32,
    /// The datagram leaves as IPv4, also from a socket of IPv6.
    pub(crate) is_v4: bool,
}

impl Marks {
    /// Whether anything is asked for.
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.segment.is_some() || self.ecn.is_some() || self.source.is_some() || self.interface != 0
    }
}

/// What the kernel tells of one datagram beyond its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The two bits of ECN.
    pub(crate) ecn: Option<u8>,
    /// The destination address, and the index of the interface.
    pub(crate) destination: Option<(IpAddr, u32)>,
    /// The bytes of each datagram of which the kernel made the buffer (`UDP_GRO`).
    pub(crate) segment: Option<usize>,
}

/// An entry of a socket's error queue: see `IP_RECVERR` in ip(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuedError {
    pub(crate) errno: Errno,
    /// The destination of the datagram.
    pub(crate) to: Option<SocketAddr>,
}

const fn space<T>() -> usize {
    // SAFETY: CMSG_SPACE only computes.
    unsafe { libc::CMSG_SPACE(size_of::<T>() as u32) as usize }
}

/// Room for everything that [`Marks`] ask for.
const OUT_BYTES: usize = space::<libc::in6_pktinfo>() + space::<libc::c_int>() + space::<u16>();

/// Room for everything that the kernel tells: the destination may come in the forms of both families.
pub(super) const IN_BYTES: usize =
    space::<libc::in6_pktinfo>() + space::<libc::in_pktinfo>() + 3 * space::<libc::c_int>() + 16;

/// Room for an entry of the error queue as well.
pub(super) const ERROR_BYTES: usize = IN_BYTES + space::<libc::sock_extended_err>() + space::<Name>();

/// A buffer for control messages, with the alignment of their headers.
#[repr(C, align(8))]
pub(super) struct Control<const BYTES: usize>(pub(super) [u8; BYTES]);

/// The control messages of one datagram to send.
pub(super) type ControlOut = Control<OUT_BYTES>;

impl ControlOut {
    pub(super) const fn empty() -> Self {
        Self([0; OUT_BYTES])
    }

    /// Writes what is asked for. Returns the number of bytes, 0 if nothing is asked for.
    pub(super) fn write(&mut self, marks: &Marks) -> usize {
        let mut used = 0;
        if let Some(segment) = marks.segment {
            used = self.put(used, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
        if let Some(ecn) = marks.ecn {
            let (level, kind) = if marks.is_v4 {
                (libc::IPPROTO_IP, libc::IP_TOS)
            } else {
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
            };
            used = self.put(used, level, kind, libc::c_int::from(ecn));
        }
        match marks.source {
            None if marks.interface == 0 => used,
            Some(IpAddr::V6(source)) if !marks.is_v4 => self.put_v6(used, source, marks.interface),
            None if !marks.is_v4 => self.put_v6(used, Ipv6Addr::UNSPECIFIED, marks.interface),
            source => {
                let source = source.and_then(as_v4).unwrap_or(Ipv4Addr::UNSPECIFIED);
                let info = libc::in_pktinfo {
                    ipi_ifindex: marks.interface as libc::c_int,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                self.put(used, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
            }
        }
    }

    fn put_v6(&mut self, used: usize, source: Ipv6Addr, interface: u32) -> usize {
        let info = libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
            ipi6_ifindex: interface as _,
        };
        self.put(used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
    }

    /// Appends a message behind `used` bytes. Returns the number of bytes with it.
    fn put<T: Copy>(&mut self, used: usize, level: libc::c_int, kind: libc::c_int, value: T) -> usize {
        let end = used + space::<T>();
        assert!(end <= OUT_BYTES, "the buffer has room for each kind of message once");
        // SAFETY: CMSG_LEN only computes.
        let (header_len, len) = unsafe { (libc::CMSG_LEN(0), libc::CMSG_LEN(size_of::<T>() as u32)) };
        // SAFETY: the message lies inside the buffer (checked above), and its header is aligned, because the buffer is
        // and `used` is a sum of CMSG_SPACE; the value need not be. A header is integers only.
        unsafe {
            let at = self.0.as_mut_ptr().add(used);
            let header = at.cast::<libc::cmsghdr>();
            (*header).cmsg_len = len as _;
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            at.add(header_len as usize).cast::<T>().write_unaligned(value);
        }
        end
    }
}

fn as_v4(addr: IpAddr) -> Option<Ipv4Addr> {
    match addr {
        IpAddr::V4(addr) => Some(addr),
        IpAddr::V6(addr) => addr.to_ipv4_mapped(),
    }
}

/// Calls `take` with the level, the kind and the data of each control message.
///
/// # Safety
/// The control part of `message` must be what the kernel has filled in, in a buffer that is still there.
unsafe fn each(message: &libc::msghdr, mut take: impl FnMut(libc::c_int, libc::c_int, &[u8])) {
    // SAFETY: the CMSG functions stay inside the control part, whose messages the kernel has written whole; the lengths
    // of its headers include themselves.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let len = ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            let data = std::slice::from_raw_parts(libc::CMSG_DATA(header), len);
            take((*header).cmsg_level, (*header).cmsg_type, data);
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}

/// A value at the begin of a message's data, if that is long enough.
fn value<T: Plain>(data: &[u8]) -> Option<T> {
    // SAFETY: the data is long enough, need not be aligned, and every bit pattern is a valid `T` (`Plain`).
    (data.len() >= size_of::<T>()).then(|| unsafe { data.as_ptr().cast::<T>().read_unaligned() })
}

/// # Safety
/// The type must be integers only, for which every bit pattern is valid.
unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for libc::c_int {}
// SAFETY: integers.
unsafe impl Plain for libc::in_pktinfo {}
// SAFETY: an integer and an array of them.
unsafe impl Plain for libc::in6_pktinfo {}
// SAFETY: integers.
unsafe impl Plain for libc::sock_extended_err {}

/// Reads what the kernel tells.
///
/// # Safety
/// As for [`each`].
pub(super) unsafe fn read(message: &libc::msghdr) -> Told {
    let mut told = Told::default();
    // SAFETY: guaranteed by the caller.
    unsafe {
        each(message, |level, kind, data| match (level, kind) {
            // One byte in IPv4, an int in IPv6.
            (libc::IPPROTO_IP, libc::IP_TOS) => told.ecn = data.first().map(|tos| tos & 3),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                told.ecn = value::<libc::c_int>(data).map(|class| (class & 3) as u8);
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                told.destination = value::<libc::in_pktinfo>(data).map(|info| {
                    let addr = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes());
                    (addr.into(), info.ipi_ifindex as u32)
                });
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                told.destination = value::<libc::in6_pktinfo>(data)
                    .map(|info| (Ipv6Addr::from(info.ipi6_addr.s6_addr).into(), info.ipi6_ifindex));
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                told.segment = value::<libc::c_int>(data).and_then(|bytes| usize::try_from(bytes).ok());
            }
            _ => {}
        });
    }
    told
}

/// Reads the error of a message of the error queue; `None` if it has none, such as a report of success, and if the call to
/// send has returned it, too, as it does a datagram that is too big.
///
/// # Safety
/// As for [`each`].
pub(super) unsafe fn read_error(message: &libc::msghdr) -> Option<Errno> {
    let mut found = None;
    // SAFETY: guaranteed by the caller.
    unsafe {
        each(message, |level, kind, data| {
            let is_error = matches!(
                (level, kind),
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            );
            if is_error && let Some(error) = value::<libc::sock_extended_err>(data) {
                let is_news = error.ee_errno != 0 && error.ee_origin != libc::SO_EE_ORIGIN_LOCAL;
                found = is_news.then(|| Errno::from_raw(error.ee_errno as libc::c_int));
            }
        });
    }
    found
}
