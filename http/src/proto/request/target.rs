//! The four forms of a request target, and which method may use which (RFC 9112, 3.2).
//!
//! Node does not tie forms to methods (`GET *` reaches the application there); the RFC's grammar does, so such targets are
//! refused here.

use crate::proto::authority;

/// The form of a request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// A path with an optional query: `/where?q=now`.
    Origin,
    /// A whole URI, as sent to proxies; a server has to accept it too: `http://example.org/where?q=now`.
    ///
    /// Only URIs with `://` count. Others (`urn:a`) name nothing that a server of paths has, and look like a misplaced
    /// authority (`GET localhost:80`).
    Absolute,
    /// Host and port of a `CONNECT`: `example.org:80`.
    Authority,
    /// The whole server, for `OPTIONS` only: `*`.
    Asterisk,
}

/// The form of `target`, if `method` allows it and `target` is well-formed.
#[inline]
pub(super) fn form(method: &str, target: &str) -> Option<TargetForm> {
    if target.starts_with('/') && method != "CONNECT" {
        return Some(TargetForm::Origin);
    }
    other_form(method, target)
}

fn other_form(method: &str, target: &str) -> Option<TargetForm> {
    if method == "CONNECT" {
        return authority::is_tunnel_destination(target.as_bytes()).then_some(TargetForm::Authority);
    }
    if target == "*" {
        return (method == "OPTIONS").then_some(TargetForm::Asterisk);
    }
    let (scheme, authority, _) = split_absolute(target)?;
    // RFC 9110, 4.2.1 and 4.2.2: an http(s) URI without a host is invalid; 4.2.4: so is one with user
    // information, which `is_authority` refuses.
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let is_valid = authority::is_authority(authority.as_bytes()) || (authority.is_empty() && !is_http);
    (is_scheme(scheme) && is_valid).then_some(TargetForm::Absolute)
}

/// Scheme, authority, and path with query of a URI that has an authority.
pub(super) fn split_absolute(target: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    Some((scheme, authority, rest))
}

/// `scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )`.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}
