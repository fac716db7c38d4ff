//! A host: a name to look up, or an address. Mirrors the option `host` of `net.connect` and `server.listen`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host. A text that is a numeric address becomes one, which is not looked up.
///
/// ```
/// use net::names::Host;
///
/// assert_eq!(Host::from("::1"), Host::Ip("::1".parse().expect("an address")));
/// assert_eq!(Host::from("localhost"), Host::Name("localhost".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name.
    Name(String),
}

impl From<String> for Host {
    fn from(name: String) -> Self {
        name.parse().map_or(Self::Name(name), Self::Ip)
    }
}

impl From<&str> for Host {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl From<Ipv4Addr> for Host {
    fn from(ip: Ipv4Addr) -> Self {
        Self::Ip(ip.into())
    }
}

impl From<Ipv6Addr> for Host {
    fn from(ip: Ipv6Addr) -> Self {
        Self::Ip(ip.into())
    }
}
