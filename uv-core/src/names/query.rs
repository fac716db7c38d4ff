//! What is asked, and the checks before any call: host, service and hints of `getaddrinfo`, address and flags of
//! `getnameinfo`.

use crate::sys::names::{Asked, AskedName};
use crate::{Errno, Error, Result};
use std::ffi::CString;
use std::net::SocketAddr;
use std::ops::BitOr;

/// The longest host name in bytes: 253 (RFC 1035), and a dot behind a name that is complete.
const LONGEST_HOST: usize = 254;

/// The longest service name in bytes: `NI_MAXSERV` less its NUL.
const LONGEST_SERVICE: usize = 31;

/// The question of [`getaddrinfo`](crate::LoopHandle::getaddrinfo): a host, a service, or both, with hints.
///
/// ```
/// use uv_core::names::{AddrFlags, AddrQuery, Family};
///
/// let query = AddrQuery::new("example.org").service("443").family(Family::V6);
/// assert_eq!(query.flags(AddrFlags::ADDRCONFIG).host.as_deref(), Some("example.org"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddrQuery {
    /// The name or the numeric address whose addresses are wanted. ASCII only: a name in another script is asked in its
    /// ASCII form (`xn--…`). Default: `None`, this machine.
    pub host: Option<String>,
    /// The name of a service or a number, which becomes the port of each address. Default: `None`, port 0.
    pub service: Option<String>,
    /// The only family wanted. Default: `None`, both.
    pub family: Option<Family>,
    /// The only type of socket wanted, which matters for the names of services. Default: `None`, every type.
    pub socket_type: Option<SocketType>,
    /// Default: none.
    pub flags: AddrFlags,
}

/// The question of [`getnameinfo`](crate::LoopHandle::getnameinfo): an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameQuery {
    /// The address whose name is wanted, with the port whose service is wanted.
    pub addr: SocketAddr,
    /// Default: none.
    pub flags: NameFlags,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 (`AF_INET`).
    V4,
    /// IPv6 (`AF_INET6`).
    V6,
}

/// A type of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketType {
    /// `SOCK_STREAM`: TCP.
    Stream,
    /// `SOCK_DGRAM`: UDP.
    Datagram,
}

/// The flags of `getaddrinfo(3)`, to be combined with `|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddrFlags(libc::c_int);

#[allow(missing_docs, reason = "each is the flag `AI_…` of its name in getaddrinfo(3)")]
impl AddrFlags {
    pub const ADDRCONFIG: Self = Self(libc::AI_ADDRCONFIG);
    pub const ALL: Self = Self(libc::AI_ALL);
    pub const CANONNAME: Self = Self(libc::AI_CANONNAME);
    pub const NUMERICHOST: Self = Self(libc::AI_NUMERICHOST);
    pub const NUMERICSERV: Self = Self(libc::AI_NUMERICSERV);
    pub const PASSIVE: Self = Self(libc::AI_PASSIVE);
    pub const V4MAPPED: Self = Self(libc::AI_V4MAPPED);
}

impl BitOr for AddrFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The flags of `getnameinfo(3)`, to be combined with `|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameFlags(libc::c_int);

#[allow(missing_docs, reason = "each is the flag `NI_…` of its name in getnameinfo(3)")]
impl NameFlags {
    pub const DGRAM: Self = Self(libc::NI_DGRAM);
    pub const NAMEREQD: Self = Self(libc::NI_NAMEREQD);
    pub const NOFQDN: Self = Self(libc::NI_NOFQDN);
    pub const NUMERICHOST: Self = Self(libc::NI_NUMERICHOST);
    pub const NUMERICSERV: Self = Self(libc::NI_NUMERICSERV);
}

impl BitOr for NameFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl AddrQuery {
    /// Asks for all addresses of `host`.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self { host: Some(host.into()), ..Self::default() }
    }

    /// Sets [`service`](Self#structfield.service).
    #[must_use]
    pub fn service(self, service: impl Into<String>) -> Self {
        Self { service: Some(service.into()), ..self }
    }

    /// Sets [`family`](Self#structfield.family).
    #[must_use]
    pub fn family(self, family: impl Into<Option<Family>>) -> Self {
        Self { family: family.into(), ..self }
    }

    /// Sets [`socket_type`](Self#structfield.socket_type).
    #[must_use]
    pub fn socket_type(self, socket_type: impl Into<Option<SocketType>>) -> Self {
        Self { socket_type: socket_type.into(), ..self }
    }

    /// Sets [`flags`](Self#structfield.flags).
    #[must_use]
    pub fn flags(self, flags: AddrFlags) -> Self {
        Self { flags, ..self }
    }

    /// Checks the names. A look-up does so too, before any call.
    ///
    /// # Errors
    /// `EINVAL` with neither host nor service, or if either is empty, has a NUL or is not ASCII; `ENAMETOOLONG` for a
    /// host of more than 254 bytes or a service of more than 31. The error's note says which.
    pub fn check(&self) -> Result<()> {
        self.asked().map(drop)
    }

    /// The question in the form of the C library.
    pub(crate) fn asked(&self) -> Result<Asked> {
        let (host, service) = (self.host.as_deref(), self.service.as_deref());
        if host.is_none() && service.is_none() {
            return Err(refused(Errno::EINVAL, "", "neither a host nor a service"));
        }
        Ok(Asked {
            host: host.map(|host| c_name(host, LONGEST_HOST, &HOST)).transpose()?,
            service: service.map(|service| c_name(service, LONGEST_SERVICE, &SERVICE)).transpose()?,
            family: match self.family {
                None => libc::AF_UNSPEC,
                Some(Family::V4) => libc::AF_INET,
                Some(Family::V6) => libc::AF_INET6,
            },
            socket_type: match self.socket_type {
                None => 0,
                Some(SocketType::Stream) => libc::SOCK_STREAM,
                Some(SocketType::Datagram) => libc::SOCK_DGRAM,
            },
            flags: self.flags.0,
        })
    }

    /// What may be the reason that a look-up has failed: the host has something that no name has.
    pub(crate) fn mistake(&self) -> Option<&'static str> {
        let host = self.host.as_deref()?;
        match host {
            _ if host.contains("://") => Some("a URL is no host"),
            _ if host.starts_with('[') => Some("a host has no brackets, and no port"),
            // An address with a zone that this machine does not have.
            _ if host.contains('%') => None,
            _ if host.contains(':') => Some("a host has no port"),
            _ if host.contains(char::is_whitespace) => Some("a host has no spaces"),
            _ => None,
        }
    }

    /// What errors name.
    pub(crate) fn target(&self) -> String {
        self.host.as_ref().or(self.service.as_ref()).cloned().unwrap_or_default()
    }
}

/// The question for all addresses of a host.
impl From<&str> for AddrQuery {
    fn from(host: &str) -> Self {
        Self::new(host)
    }
}

/// The question for all addresses of a host.
impl From<String> for AddrQuery {
    fn from(host: String) -> Self {
        Self::new(host)
    }
}

/// The question for the name of an address, and of the service on its port.
impl From<SocketAddr> for NameQuery {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr)
    }
}

impl NameQuery {
    /// Asks for the name of an address, and of the service on its port.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, flags: NameFlags::default() }
    }

    /// Sets [`flags`](Self#structfield.flags).
    #[must_use]
    pub fn flags(self, flags: NameFlags) -> Self {
        Self { flags, ..self }
    }

    pub(crate) fn asked(&self) -> AskedName {
        AskedName { addr: self.addr, flags: self.flags.0 }
    }
}

/// The notes of names that are refused: empty, too long, with a NUL, not ASCII.
type Notes = [&'static str; 4];

const HOST: Notes = [
    "the host is empty",
    "the host is longer than 254 bytes",
    "the host has a NUL",
    "the host is not ASCII: ask for its form xn--…",
];

const SERVICE: Notes = [
    "the service is empty",
    "the service is longer than 31 bytes",
    "the service has a NUL",
    "the service is not ASCII",
];

fn c_name(name: &str, longest: usize, [empty, too_long, nul, not_ascii]: &Notes) -> Result<CString> {
    let refuse = |errno, note| Err(refused(errno, name, note));
    match name {
        "" => refuse(Errno::EINVAL, empty),
        // Before the others, so that no error repeats a name without a bound.
        _ if name.len() > longest => Err(refused(Errno::ENAMETOOLONG, "", too_long)),
        _ if !name.is_ascii() => refuse(Errno::EINVAL, not_ascii),
        _ => CString::new(name).or_else(|_| refuse(Errno::EINVAL, nul)),
    }
}

fn refused(errno: Errno, name: &str, note: &'static str) -> Error {
    let error = Error::new("getaddrinfo", errno).noting(note);
    if name.is_empty() { error } else { error.on(name) }
}
