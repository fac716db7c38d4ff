//! `uri-host [ ":" port ]`: the value of `Host` and the authority of a target (RFC 9110, 4.2 and 7.2; RFC 3986, 3.2).

use super::chars::{self, HOST};
use std::net::Ipv6Addr;

/// Whether `value` may stand in `Host`. Empty is allowed: RFC 9112, 3.2 wants it so when the target URI has
/// no authority. A port without a host is not.
pub(super) fn is_host_value(value: &[u8]) -> bool {
    value.is_empty() || is_authority(value)
}

/// Whether `bytes` is a host that is not empty, with an optional port, and without user information.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    split(bytes).is_some_and(|(host, _)| !host.is_empty())
}

/// Whether `bytes` is a host and a port that can be connected to: RFC 9110, 9.3.6 has an empty or invalid port refused.
pub(super) fn is_tunnel_destination(bytes: &[u8]) -> bool {
    matches!(split(bytes), Some((host, Some(1..))) if !host.is_empty())
}

/// Splits `bytes` into host and port, or finds it malformed. The host may be empty; there is no port without digits.
fn split(bytes: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let host_len = if bytes.first() == Some(&b'[') { ip_literal(bytes)? } else { reg_name(bytes)? };
    let (host, rest) = bytes.split_at(host_len);
    match rest {
        [] | [b':'] => Some((host, None)),
        [b':', digits @ ..] => Some((host, Some(chars::decimal(digits)?.try_into().ok()?))),
        _ => None,
    }
}

/// The length of the `reg-name` (which includes IPv4 addresses) at the start of `bytes`.
///
/// A comma, which RFC 3986 would allow, is refused: it is what two `Host` fields look like after an
/// intermediary joined them, and no host name has one.
fn reg_name(bytes: &[u8]) -> Option<usize> {
    let mut len = chars::run(bytes, HOST);
    while bytes.get(len) == Some(&b'%') {
        let digits = bytes.get(len + 1..len + 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        len += 3;
        len += chars::run(&bytes[len..], HOST);
    }
    Some(len)
}

/// The length of the bracketed address at the start of `bytes`.
fn ip_literal(bytes: &[u8]) -> Option<usize> {
    let close = bytes.iter().position(|&byte| byte == b']')?;
    let address = std::str::from_utf8(&bytes[1..close]).ok()?;
    let is_valid = address.parse::<Ipv6Addr>().is_ok() || is_future_address(address.as_bytes());
    is_valid.then_some(close + 1)
}

/// `IPvFuture = "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )`.
fn is_future_address(bytes: &[u8]) -> bool {
    let [b'v' | b'V', rest @ ..] = bytes else { return false };
    let version = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let [b'.', address @ ..] = &rest[version..] else { return false };
    let is_valid = |&byte: &u8| chars::is(byte, HOST) || byte == b':' || byte == b',';
    version > 0 && !address.is_empty() && address.iter().all(is_valid)
}
