//! URLs: where a request goes, and what it asks for there. Mirrors `urlToHttpOptions`, for the URLs that HTTP has (RFC 9110,
//! 4.2.1; RFC 3986).
//!
//! Nothing is repaired: what the RFC does not allow is an error, since a URL that two programs read differently leads to two
//! servers. Names that are not ASCII are for the program to convert (IDNA).

use crate::proto::is_authority;
use std::fmt::{self, Write};

/// The port of `http`.
const DEFAULT_PORT: u16 = 80;

/// Why a URL is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with a scheme and `://`.
    NotAbsolute,
    /// Its scheme is `https`, and there is no TLS yet.
    Tls,
    /// Its scheme is neither `http` nor `https`.
    UnsupportedScheme,
    /// It has no host.
    NoHost,
    /// Its host is not ASCII. The program is to convert it (IDNA).
    NonAsciiHost,
    /// Its host is neither a name nor an address.
    InvalidHost,
    /// Its port is not a number from 1 to 65535.
    InvalidPort,
    /// User or password have a byte that is to be percent-encoded, or a `%` that encodes none.
    InvalidUserInfo,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "the URL does not begin with http://",
            Self::Tls => "https is not supported, since there is no TLS yet",
            Self::UnsupportedScheme => "the URL's scheme is not supported",
            Self::NoHost => "the URL has no host",
            Self::NonAsciiHost => "the URL's host is not ASCII: it is to be converted (IDNA)",
            Self::InvalidHost => "the URL's host is neither a name nor an address",
            Self::InvalidPort => "the URL's port is not a number from 1 to 65535",
            Self::InvalidUserInfo => {
                "the URL's user or password has a byte that is to be percent-encoded, or a `%` without two hexadecimal digits"
            }
        })
    }
}

impl std::error::Error for UrlError {}

/// A URL of the scheme `http`, in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    /// User and password as they stand there.
    pub(crate) user_info: Option<&'a str>,
    /// A name, or an address without brackets, with its zone.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// Path and query: empty, or beginning with `/` or `?`.
    path: &'a str,
}

impl<'a> Url<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NotAbsolute)?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err(UrlError::Tls);
        }
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(UrlError::UnsupportedScheme);
        }
        // A fragment is the client's own (RFC 9110, 7.1).
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user_info, authority) = match authority.rsplit_once('@') {
            Some((user_info, authority)) => (Some(user_info), authority),
            None => (None, authority),
        };
        if user_info.is_some_and(|user_info| !user_info.bytes().all(is_user_info)) {
            return Err(UrlError::InvalidUserInfo);
        }
        let (host, port) = split_port(authority)?;
        Ok(Self { user_info, host: check_host(host)?, port, path })
    }

    /// Writes the target: path and query.
    pub(crate) fn put_target(&self, out: &mut String) {
        if !self.path.starts_with('/') {
            out.push('/');
        }
        out.push_str(self.path);
    }

    /// Writes the target of a `CONNECT`: the host, and always a port (RFC 9112, 3.2.3).
    pub(crate) fn put_authority(&self, out: &mut String) {
        self.put_host(out);
        if self.port == DEFAULT_PORT {
            out.push_str(":80");
        }
    }

    /// Writes the value of `Host`: without a default port and without a zone, which has a meaning on this machine only.
    pub(crate) fn put_host(&self, out: &mut String) {
        if self.host.contains(':') {
            out.push('[');
            out.push_str(self.host.split('%').next().unwrap_or_default());
            out.push(']');
        } else {
            out.push_str(self.host);
        }
        if self.port != DEFAULT_PORT {
            // Writing to a string does not fail.
            let _ = write!(out, ":{}", self.port);
        }
    }

    /// The value of an `Authorization` for user and password, if there are any (RFC 7617).
    pub(crate) fn authorization(&self) -> Result<Option<String>, UrlError> {
        let Some(user_info) = self.user_info.filter(|user_info| !user_info.is_empty()) else {
            return Ok(None);
        };
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let mut plain = decode(user)?;
        plain.push(b':');
        plain.extend(decode(password)?);
        Ok(Some(format!("Basic {}", base64(&plain))))
    }
}

/// Whether a byte may stand in user and password (RFC 3986, 3.2.1). A backslash is the end of the host for browsers.
fn is_user_info(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%".contains(&byte)
}

/// Splits host and port; a host in brackets keeps them.
fn split_port(authority: &str) -> Result<(&str, u16), UrlError> {
    let host_len = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or(UrlError::InvalidHost)? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(host_len);
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => DEFAULT_PORT,
        None => return Err(UrlError::InvalidHost),
        Some("") => DEFAULT_PORT,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0).ok_or(UrlError::InvalidPort)?
        }
        Some(_) => return Err(UrlError::InvalidPort),
    };
    Ok((host, port))
}

/// Returns the host without brackets, if it is one.
fn check_host(host: &str) -> Result<&str, UrlError> {
    if !host.is_ascii() {
        return Err(UrlError::NonAsciiHost);
    }
    let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) else {
        // Percent-encoded names have a second form, and look-ups know only the other.
        let is_name = is_authority(host.as_bytes()) && !host.contains('%');
        return if is_name { Ok(host) } else { Err(UrlError::InvalidHost) };
    };
    let (number, zone) = address.split_once('%').unwrap_or((address, "0"));
    let is_zone =
        !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let is_address = number.parse::<std::net::Ipv6Addr>().is_ok() && is_zone;
    if is_address { Ok(address) } else { Err(UrlError::InvalidHost) }
}

/// Decodes percent-encoded text.
fn decode(text: &str) -> Result<Vec<u8>, UrlError> {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        (*first != b'%').then(|| decoded.push(*first));
        rest = after;
        if *first == b'%' {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            let [high, low, after @ ..] = rest else { return Err(UrlError::InvalidUserInfo) };
            let (Some(high), Some(low)) = (digit(high), digit(low)) else {
                return Err(UrlError::InvalidUserInfo);
            };
            decoded.push((high * 16 + low) as u8);
            rest = after;
        }
    }
    Ok(decoded)
}

/// Base64 (RFC 4648, 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place > group.len() { '=' } else { digit.into() });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Result<(String, u16, String, String), UrlError> {
        let url = Url::parse(text)?;
        let (mut host, mut target) = (String::new(), String::new());
        url.put_host(&mut host);
        url.put_target(&mut target);
        Ok((url.host.to_owned(), url.port, host, target))
    }

    // Node: test-http-url.parse-basic, test-http-host-headers, test-http-correct-hostname
    #[test]
    fn a_url_has_a_host_a_port_and_a_target() {
        for (text, host, port, field, target) in [
            ("http://a", "a", 80, "a", "/"),
            ("HTTP://a:80/x", "a", 80, "a", "/x"),
            ("http://a:/", "a", 80, "a", "/"),
            ("http://a:8080?q=1#part", "a", 8080, "a:8080", "/?q=1"),
            ("http://user@a.b/x/?y=@:/", "a.b", 80, "a.b", "/x/?y=@:/"),
            ("http://127.0.0.1:1/", "127.0.0.1", 1, "127.0.0.1:1", "/"),
            ("http://[::1]:65535/x", "::1", 65535, "[::1]:65535", "/x"),
            ("http://[fe80::1%eth0]/", "fe80::1%eth0", 80, "[fe80::1]", "/"),
            ("http://a#http://b", "a", 80, "a", "/"),
        ] {
            let expected = Ok((host.to_owned(), port, field.to_owned(), target.to_owned()));
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_http_is_refused() {
        for (text, fault) in [
            ("", UrlError::NotAbsolute),
            ("/path", UrlError::NotAbsolute),
            ("a:80", UrlError::NotAbsolute),
            ("https://a/", UrlError::Tls),
            ("ftp://a/", UrlError::UnsupportedScheme),
            ("http://", UrlError::NoHost),
            ("http://:80/", UrlError::NoHost),
            ("http://user@/", UrlError::NoHost),
            ("http:///x", UrlError::NoHost),
            ("http://\u{fc}ber.de/", UrlError::NonAsciiHost),
            ("http://a b/", UrlError::InvalidHost),
            ("http://a\\@b/", UrlError::InvalidUserInfo),
            ("http://a@b@c/", UrlError::InvalidUserInfo),
            ("http://a b@c/", UrlError::InvalidUserInfo),
            ("http://\u{fc}@a/", UrlError::InvalidUserInfo),
            ("http://a%41/", UrlError::InvalidHost),
            ("http://a,b/", UrlError::InvalidHost),
            ("http://[::1/", UrlError::InvalidHost),
            ("http://[::1]x/", UrlError::InvalidHost),
            ("http://[a]/", UrlError::InvalidHost),
            ("http://[::1%]/", UrlError::InvalidHost),
            ("http://::1/", UrlError::NoHost),
            ("http://a:b:1/", UrlError::InvalidPort),
            ("http://a:0/", UrlError::InvalidPort),
            ("http://a:65536/", UrlError::InvalidPort),
            ("http://a:+1/", UrlError::InvalidPort),
        ] {
            assert_eq!(Url::parse(text).err(), Some(fault), "{text}");
        }
    }

    // Node: test-http-url.parse-auth, test-http-decoded-auth
    #[test]
    fn user_and_password_become_basic_authorization() {
        let authorization = |text: &str| Url::parse(text).expect("a URL").authorization();
        for (text, value) in [
            ("http://user:pass@a/", Some("Basic dXNlcjpwYXNz")),
            ("http://user@a/", Some("Basic dXNlcjo=")),
            ("http://user:a%3Ab%40%2f@a/", Some("Basic dXNlcjphOmJALw==")),
            ("http://:@a/", Some("Basic Og==")),
            ("http://@a/", None),
            ("http://a/", None),
        ] {
            assert_eq!(authorization(text), Ok(value.map(str::to_owned)), "{text}");
        }
        for text in ["http://a%@b/", "http://a%4@b/", "http://a%zz@b/"] {
            assert_eq!(authorization(text), Err(UrlError::InvalidUserInfo), "{text}");
        }
    }
}
