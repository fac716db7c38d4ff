//! A range of IP addresses and its text: `10.0.0.0/8`, `192.0.2.7`, `2001:db8::1-2001:db8::ff`. Mirrors the rules of
//! `net.BlockList`.
//!
//! An IPv4 address is the same as its IPv4-mapped IPv6 form (RFC 4291, section 2.5.5.2), in which a socket for both families
//! reports it. So all addresses are numbers of 128 bits, and a range of IPv6 addresses may contain IPv4 addresses.

use crate::{Error, ErrorCode};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The numbers of the IPv4 addresses begin here: `::ffff:0.0.0.0`.
const IPV4: u128 = 0xffff_0000_0000;

/// The bits in front of an IPv4 address.
const IPV4_OFFSET: u8 = 96;

/// A range of IP addresses, of one address at least. IPv4 addresses and their IPv4-mapped IPv6 form are the same.
///
/// ```
/// use net::admission::Rule;
///
/// let private: Rule = "10.0.0.0/8".parse()?;
/// assert!(private.contains("10.1.2.3".parse()?) && private.contains("::ffff:10.1.2.3".parse()?));
/// assert_eq!("192.0.2.4-192.0.2.7".parse::<Rule>()?.to_string(), "192.0.2.4/30");
/// assert_eq!("10.0.0.0/33".parse::<Rule>().unwrap_err().to_string(), "a prefix of 33 bits: the most is 32");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    first: u128,
    last: u128,
}

impl Rule {
    /// A single address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        let number = number_of(address);
        Self { first: number, last: number }
    }

    /// The addresses from `first` to `last`, both included.
    ///
    /// # Errors
    /// `MixedFamilies`; `Reversed` if `first` is behind `last`.
    pub fn range(first: IpAddr, last: IpAddr) -> Result<Self, RuleError> {
        if first.is_ipv4() != last.is_ipv4() {
            return Err(RuleError::MixedFamilies { first, last });
        }
        let range = Self { first: number_of(first), last: number_of(last) };
        if range.first > range.last {
            return Err(RuleError::Reversed { first, last });
        }
        Ok(range)
    }

    /// The addresses that have the first `prefix` bits of `network`; its other bits do not count.
    ///
    /// # Errors
    /// `Prefix` for more bits than an address of the family has.
    pub fn subnet(network: IpAddr, prefix: u8) -> Result<Self, RuleError> {
        let (most, offset) = if network.is_ipv4() { (32, IPV4_OFFSET) } else { (128, 0) };
        if prefix > most {
            return Err(RuleError::Prefix { prefix: prefix.into(), most });
        }
        let host = u128::MAX.checked_shr((offset + prefix).into()).unwrap_or(0);
        let number = number_of(network);
        Ok(Self { first: number & !host, last: number | host })
    }

    /// The first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.address_of(self.first)
    }

    /// The last address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        self.address_of(self.last)
    }

    /// Whether the rule has this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        (self.first..=self.last).contains(&number_of(address))
    }

    /// The lowest of the rules that begin with this number.
    pub(super) fn beginning_with(number: u128) -> Self {
        Self { first: number, last: number }
    }

    pub(super) fn numbers(&self) -> (u128, u128) {
        (self.first, self.last)
    }

    fn is_ipv4(&self) -> bool {
        is_ipv4(self.first) && is_ipv4(self.last)
    }

    fn address_of(&self, number: u128) -> IpAddr {
        if self.is_ipv4() { Ipv4Addr::from(number as u32).into() } else { Ipv6Addr::from(number).into() }
    }

    /// The length of the prefix, if the range is a subnet.
    fn prefix(&self) -> Option<u32> {
        let host = self.last ^ self.first;
        let is_subnet = host & host.wrapping_add(1) == 0 && self.first & host == 0;
        is_subnet.then(|| host.leading_zeros())
    }
}

/// The number of an address among those of both families.
pub(super) fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => IPV4 | u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

pub(super) fn is_ipv4(number: u128) -> bool {
    number >> 32 == IPV4 >> 32
}

/// An address, a subnet with its prefix, or two addresses with a hyphen between them.
impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let address = |text: &str| text.parse::<IpAddr>().map_err(|_| RuleError::no_address(text));
        if let Some((network, prefix)) = text.split_once('/') {
            let network = address(network)?;
            // `parse` takes a sign.
            let is_number =
                (1..=3).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_digit());
            let prefix = prefix.parse::<u16>().ok().filter(|_| is_number).ok_or(RuleError::NoPrefix)?;
            let most = if network.is_ipv4() { 32 } else { 128 };
            let bits = u8::try_from(prefix).map_err(|_| RuleError::Prefix { prefix, most })?;
            Self::subnet(network, bits)
        } else if let Some((first, last)) = text.split_once('-') {
            Self::range(address(first)?, address(last)?)
        } else {
            address(text).map(Self::address)
        }
    }
}

/// In its shortest form, which can be parsed.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = if self.is_ipv4() { IPV4_OFFSET.into() } else { 0 };
        match self.prefix() {
            Some(128) => self.first().fmt(f),
            Some(prefix) => write!(f, "{}/{}", self.first(), prefix - offset),
            None => write!(f, "{}-{}", self.first(), self.last()),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({self})")
    }
}

/// The characters of a text that an error repeats: more than an address has.
const LONGEST_TEXT: usize = 64;

/// Why something is no [`Rule`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleError {
    /// The text of an address is none. A host name is none, and an address with a zone (`fe80::1%eth0`) is none either.
    NoAddress {
        /// The text, of which a long one has lost its end.
        text: String,
    },
    /// The text of a prefix is no number.
    NoPrefix,
    /// A prefix of more bits than an address has.
    Prefix {
        /// The number of bits.
        prefix: u16,
        /// The largest number.
        most: u8,
    },
    /// The ends of a range are not of one family.
    MixedFamilies {
        /// The first address.
        first: IpAddr,
        /// The last address.
        last: IpAddr,
    },
    /// A range ends before it begins.
    Reversed {
        /// The first address.
        first: IpAddr,
        /// The last address.
        last: IpAddr,
    },
}

impl RuleError {
    fn no_address(text: &str) -> Self {
        Self::NoAddress { text: text.chars().take(LONGEST_TEXT).collect() }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress { text } => write!(f, "{text:?} is no IP address"),
            Self::NoPrefix => f.write_str("the prefix is no number"),
            Self::Prefix { prefix, most } => write!(f, "a prefix of {prefix} bits: the most is {most}"),
            Self::MixedFamilies { first, last } => write!(f, "{first} and {last} are not of one family"),
            Self::Reversed { first, last } => write!(f, "{first} is behind {last}"),
        }
    }
}

impl std::error::Error for RuleError {}

impl From<RuleError> for Error {
    fn from(error: RuleError) -> Self {
        Self::about(ErrorCode::InvalidArgument, "no rule about addresses", error)
    }
}
