//! Socket addresses, to and from the kernel's form: IPv4, IPv6 and Unix paths.

use crate::Errno;
use std::ffi::OsStr;
use std::mem::{align_of, offset_of, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;

/// A socket address of any family, and its length.
pub(crate) struct SockAddr {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

const PATH_OFFSET: usize = offset_of!(libc::sockaddr_un, sun_path);
const PATH_CAPACITY: usize = size_of::<libc::sockaddr_un>() - PATH_OFFSET;

/// The address struct of one family.
///
/// # Safety
/// The type must be a plain struct of integers, for which every bit pattern is valid.
unsafe trait Family: Copy {
    /// Checks that the type fits the storage.
    const FITS: () = assert!(
        size_of::<Self>() <= size_of::<libc::sockaddr_storage>()
            && align_of::<Self>() <= align_of::<libc::sockaddr_storage>(),
        "a socket address fits into its storage"
    );
}

// SAFETY: integers and an array of them.
unsafe impl Family for libc::sockaddr_in {}
// SAFETY: integers and arrays of them.
unsafe impl Family for libc::sockaddr_in6 {}
// SAFETY: an integer and an array of them.
unsafe impl Family for libc::sockaddr_un {}

impl SockAddr {
    /// An empty address for the kernel to fill in.
    pub(super) fn empty() -> Self {
        // SAFETY: all zeroes is a valid `sockaddr_storage`: a plain struct of integers.
        let storage = unsafe { std::mem::zeroed() };
        Self { storage, len: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    /// Copies an address of the C library. An address that does not fit is cut off.
    ///
    /// # Safety
    /// `addr` must be null or point to an address of `len` bytes.
    pub(super) unsafe fn copied(addr: *const libc::sockaddr, len: libc::socklen_t) -> Self {
        let mut copy = Self::empty();
        copy.len = if addr.is_null() { 0 } else { len.min(copy.len) };
        // SAFETY: the source has as many bytes (the caller), the storage too (its size is the least of both), and they
        // do not overlap, since the storage is new.
        unsafe {
            (&raw mut copy.storage).cast::<u8>().copy_from_nonoverlapping(addr.cast(), copy.len as usize);
        }
        copy
    }

    pub(crate) fn inet(addr: SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(addr) => Self::of(libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: addr.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.ip().octets()) },
                sin_zero: [0; 8],
            }),
            SocketAddr::V6(addr) => Self::of(libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: addr.port().to_be(),
                sin6_flowinfo: addr.flowinfo().to_be(),
                sin6_addr: libc::in6_addr { s6_addr: addr.ip().octets() },
                sin6_scope_id: addr.scope_id(),
            }),
        }
    }

    /// The address in this struct.
    pub(super) fn inet6(addr: libc::sockaddr_in6) -> Self {
        Self::of(addr)
    }

    /// Creates a Unix address. A name that begins with NUL is abstract; for an empty name the kernel chooses one.
    ///
    /// In the kernel's struct a NUL follows a path, so a path has one byte less room than an abstract name.
    pub(crate) fn unix(name: &OsStr) -> Result<Self, Errno> {
        let bytes = name.as_bytes();
        let is_path = bytes.first().is_some_and(|first| *first != 0);
        if bytes.len() + usize::from(is_path) > PATH_CAPACITY {
            return Err(Errno::ENAMETOOLONG);
        }
        if is_path && bytes.contains(&0) {
            return Err(Errno::EINVAL);
        }
        let mut un = libc::sockaddr_un {
            sun_family: libc::AF_UNIX as libc::sa_family_t,
            sun_path: [0; PATH_CAPACITY],
        };
        for (to, from) in un.sun_path.iter_mut().zip(bytes) {
            *to = *from as libc::c_char;
        }
        let mut addr = Self::of(un);
        addr.len = (PATH_OFFSET + bytes.len() + usize::from(is_path)) as libc::socklen_t;
        Ok(addr)
    }

    /// The address in the kernel's largest struct.
    pub(super) fn storage(&self) -> libc::sockaddr_storage {
        self.storage
    }

    fn of<T: Family>(value: T) -> Self {
        let () = T::FITS;
        let mut addr = Self::empty();
        // SAFETY: the storage is as large as `T` at least, and aligned for it (`FITS`).
        unsafe { (&raw mut addr.storage).cast::<T>().write(value) };
        addr.len = size_of::<T>() as libc::socklen_t;
        addr
    }

    fn read<T: Family>(&self) -> T {
        let () = T::FITS;
        // SAFETY: the storage is initialised throughout, as large as `T` at least and aligned for it (`FITS`), and every
        // bit pattern is a valid `T` (`Family`).
        unsafe { (&raw const self.storage).cast::<T>().read() }
    }

    pub(super) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        (&raw mut self.storage).cast()
    }

    pub(super) fn len(&self) -> libc::socklen_t {
        self.len
    }

    pub(super) fn len_mut(&mut self) -> *mut libc::socklen_t {
        &raw mut self.len
    }

    /// The address family, such as `AF_INET`.
    pub(crate) fn family(&self) -> libc::c_int {
        libc::c_int::from(self.storage.ss_family)
    }

    pub(crate) fn as_inet(&self) -> Option<SocketAddr> {
        match self.family() {
            libc::AF_INET => {
                let sin: libc::sockaddr_in = self.read();
                let ip = Ipv4Addr::from(sin.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(sin.sin_port)).into())
            }
            libc::AF_INET6 => {
                let sin6: libc::sockaddr_in6 = self.read();
                let ip = Ipv6Addr::from(sin6.sin6_addr.s6_addr);
                let (port, flow) = (u16::from_be(sin6.sin6_port), u32::from_be(sin6.sin6_flowinfo));
                Some(SocketAddrV6::new(ip, port, flow, sin6.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    /// The name of a Unix address: a path, an abstract name with its leading NUL, or an empty name.
    pub(crate) fn as_unix(&self) -> Option<Vec<u8>> {
        if self.family() != libc::AF_UNIX {
            return None;
        }
        let un: libc::sockaddr_un = self.read();
        let len = (self.len as usize).saturating_sub(PATH_OFFSET).min(PATH_CAPACITY);
        let mut name: Vec<u8> = un.sun_path[..len].iter().map(|byte| *byte as u8).collect();
        if name.first().is_some_and(|first| *first != 0) {
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            name.truncate(end);
        }
        Some(name)
    }
}
