//! Which fields are passed on, and which are made here: RFC 9110, 7.6, and RFC 7239, without input or output. Node has
//! nothing of it; `httputil.ReverseProxy` of Go does it in one file too.
//!
//! Both directions begin with what is for this connection alone: `Connection` and what it names, and the fields that are
//! hop-by-hop whether or not it names them. How a body is delimited is never passed on: each side's encoder decides it anew,
//! from what the other side's decoder has found.
//!
//! Applications that make variables of fields (CGI, WSGI, PHP) take `_` and `-` for the same. So a field that is removed or
//! replaced here is recognised with either.

use crate::proto::{Expect, Fields, Framing, IncomingResponse, RequestHead, TargetForm, Version};
use std::fmt;
use std::io::Write;
use std::net::IpAddr;

/// Why a request is not passed on. The status says it to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request was here before: `Via` names this proxy.
    Loop,
    /// `Max-Forwards` is zero: this proxy is the final recipient (RFC 9110, 7.6.2).
    LastHop,
    /// Two recipients could read it differently.
    Ambiguous(&'static str),
    /// It is for a server of another protocol.
    Misdirected,
}

impl Refusal {
    pub(super) fn status(self, method: &str) -> u16 {
        match self {
            Self::Loop => 508,
            Self::LastHop if method == "OPTIONS" => 200,
            // A `TRACE` that was answered would show the client the fields of proxies before this one.
            Self::LastHop => 405,
            Self::Ambiguous(_) => 400,
            Self::Misdirected => 421,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loop => "the request has come through this proxy before",
            Self::LastHop => "the request may not be forwarded any further",
            Self::Ambiguous(what) => what,
            Self::Misdirected => "the target has a scheme that is not served here",
        })
    }
}

/// The fields that are not passed on as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// For one connection only, or about a body's delimiter, which is decided anew.
    Hop,
    ContentLength,
    Expect,
    Host,
    MaxForwards,
    Te,
    Trailer,
    Upgrade,
    Via,
    Forwarded,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
    /// What else proxies say of a client.
    AboutClient,
    Other,
}

impl Known {
    /// Length and text decide; the length alone for most fields.
    fn of(name: &str) -> Self {
        let is = |known: &str| same(name.as_bytes(), known.as_bytes());
        match name.len() {
            2 if is("te") => Self::Te,
            3 if is("via") => Self::Via,
            4 if is("host") => Self::Host,
            6 if is("expect") => Self::Expect,
            7 if is("trailer") => Self::Trailer,
            7 if is("upgrade") => Self::Upgrade,
            9 if is("forwarded") => Self::Forwarded,
            9 if is("x-real-ip") => Self::AboutClient,
            10 if is("connection") || is("keep-alive") => Self::Hop,
            12 if is("max-forwards") => Self::MaxForwards,
            14 if is("content-length") => Self::ContentLength,
            14 if is("http2-settings") => Self::Hop,
            16 if is("proxy-connection") => Self::Hop,
            17 if is("transfer-encoding") => Self::Hop,
            18 if is("proxy-authenticate") => Self::Hop,
            19 if is("proxy-authorization") => Self::Hop,
            15 if is("x-forwarded-for") => Self::ForwardedFor,
            16 if is("x-forwarded-host") => Self::ForwardedHost,
            17 if is("x-forwarded-proto") => Self::ForwardedProto,
            13.. if same(&name.as_bytes()[..12], b"x-forwarded-") => Self::AboutClient,
            _ => Self::Other,
        }
    }
}

/// Whether two names are the same for a server that takes `_` for a hyphen.
fn same(name: &[u8], other: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == other.len() && name.iter().zip(other).all(|(byte, other)| plain(byte) == plain(other))
}

/// Whether a request offers a change of protocol that is passed on. HTTP/2 is not: in a tunnel the client would send requests that
/// this proxy does not see. An offer may be ignored (RFC 9110, 7.8).
pub(super) fn offers_upgrade(head: &RequestHead<'_>) -> bool {
    let is_http2 = |protocol: &[u8]| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
        name.eq_ignore_ascii_case(b"h2c") || name.eq_ignore_ascii_case(b"h2")
    };
    head.upgrade && !head.fields.get_all("upgrade").any(|value| list(value).any(is_http2))
}

/// The elements of a list, without the empty ones.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// The fields that `Connection` names (RFC 9110, 7.6.1), beside the options that every connection knows.
#[derive(Clone, Copy)]
struct Named<'a>(Option<Fields<'a>>);

impl<'a> Named<'a> {
    fn of(fields: Fields<'a>) -> Self {
        let is_plain = |option: &[u8]| {
            let plain: [&[u8]; 4] = [b"close", b"keep-alive", b"upgrade", b"te"];
            plain.iter().any(|plain| option.eq_ignore_ascii_case(plain))
        };
        let names_others = fields.get_all("connection").any(|value| !list(value).all(is_plain));
        Self(names_others.then_some(fields))
    }

    fn has(self, name: &str) -> bool {
        let Some(fields) = self.0 else { return false };
        let is_it = |option: &[u8]| same(option, name.as_bytes());
        fields.get_all("connection").any(|value| list(value).any(is_it))
    }
}

/// What a request gets on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passage<'a> {
    /// The client's address; `None` for a Unix socket.
    pub(super) client: Option<IpAddr>,
    /// Whether what the client says of those before it is believed.
    pub(super) trusts_client: bool,
    /// The `Host` that is sent.
    pub(super) host: &'a str,
    /// The value of `Via` for requests.
    pub(super) via: &'a Via,
    /// Whether the request's offer to change protocols is passed on.
    pub(super) offers_upgrade: bool,
}

/// How this proxy is called in `Via`.
#[derive(Clone, Debug)]
pub(super) struct Via {
    /// With the version of what this proxy receives.
    http11: Box<[u8]>,
    http10: Box<[u8]>,
}

impl Via {
    /// `name` is a token.
    pub(super) fn new(name: &str) -> Self {
        let of = |version: &str| format!("{version} {name}").into_bytes().into();
        Self { http11: of("1.1"), http10: of("1.0") }
    }

    /// Whether a value of `Via` names this proxy: `[protocol/]version received-by [comment]`.
    fn is_in(&self, value: &[u8]) -> bool {
        let name = &self.http11[4..];
        let received_by = |hop: &[u8]| {
            let mut words = hop.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
            words.nth(1).is_some_and(|by| by.eq_ignore_ascii_case(name))
        };
        list(value).any(received_by)
    }

    fn value(&self, head: &RequestHead<'_>) -> &[u8] {
        if head.version == Version::Http10 { &self.http10 } else { &self.http11 }
    }
}

/// Whether a request may be passed on.
pub(super) fn check(head: &RequestHead<'_>, via: &Via) -> Result<(), Refusal> {
    if head.form == TargetForm::Absolute {
        let scheme = head.target.split("://").next().unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(Refusal::Misdirected);
        }
    }
    // A server that ignores this content takes it for the next request (RFC 9110, 9.3.8).
    if head.method == "TRACE" && !matches!(head.framing, Framing::None | Framing::Length(0)) {
        return Err(Refusal::Ambiguous("TRACE has content"));
    }
    if head.fields.get_all("via").any(|value| via.is_in(value)) {
        return Err(Refusal::Loop);
    }
    if !matches!(head.method, "TRACE" | "OPTIONS") {
        return Ok(());
    }
    let mut limits = head.fields.get_all("max-forwards");
    match (limits.next(), limits.next()) {
        (None, _) => Ok(()),
        (Some(digits), None) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            let is_last = digits.iter().all(|digit| *digit == b'0');
            if is_last { Err(Refusal::LastHop) } else { Ok(()) }
        }
        _ => Err(Refusal::Ambiguous("Max-Forwards is not one number")),
    }
}

/// Appends the target that an upstream gets: path and query, also of an absolute one, or `*`.
pub(super) fn put_target(head: &RequestHead<'_>, out: &mut String) {
    out.push_str(head.path());
    if let Some(query) = head.query() {
        out.push('?');
        out.push_str(query);
    }
}

/// Hands the fields of a request that passed [`check`] to `put`, as an upstream gets them, but for those that its encoder
/// decides about. `scratch` is room for values that are put together.
pub(super) fn pass_request(
    head: &RequestHead<'_>,
    passage: &Passage<'_>,
    scratch: &mut Vec<u8>,
    mut put: impl FnMut(&str, &[u8]),
) {
    put("Host", passage.host.as_bytes());
    if head.expect == Expect::Continue && !matches!(head.framing, Framing::None | Framing::Length(0)) {
        put("Expect", b"100-continue");
    }
    let named = Named::of(head.fields);
    let is_limited = matches!(head.method, "TRACE" | "OPTIONS");
    let mut told = Told { named, host: false, proto: false };
    for (name, value) in head.fields.iter() {
        let known = Known::of(name);
        match known {
            // `Connection` names these two itself, and this proxy does the same.
            Known::Upgrade if passage.offers_upgrade => put("Upgrade", value),
            // RFC 9110, 10.1.4. Trailers are passed on, so they may come.
            Known::Te if !passage.offers_upgrade && list(value).any(is_trailers) => {
                put("TE", b"trailers");
                put("Connection", b"TE");
            }
            _ if named.has(name) => {}
            Known::Other | Known::Via => put(name, value),
            Known::MaxForwards if is_limited => put_less(value, scratch, &mut put),
            Known::MaxForwards => put(name, value),
            Known::Trailer if head.framing == Framing::Chunked => put("Trailer", value),
            Known::ForwardedHost | Known::ForwardedProto | Known::AboutClient if passage.trusts_client => {
                told.host |= known == Known::ForwardedHost;
                told.proto |= known == Known::ForwardedProto;
                put(name, value);
            }
            _ => {}
        }
    }
    tell(head, passage, told, scratch, &mut put);
    put("Via", passage.via.value(head));
}

fn is_trailers(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"trailers")
}

/// Puts a `Max-Forwards` that is not zero, less one.
fn put_less(value: &[u8], scratch: &mut Vec<u8>, put: &mut impl FnMut(&str, &[u8])) {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
    scratch.clear();
    // Writing to memory does not fail. A larger number than these will not be reached either.
    let _ = write!(scratch, "{}", number.unwrap_or(u64::MAX).saturating_sub(1));
    put("Max-Forwards", scratch);
}

/// What a client that is believed has said of those before it.
#[derive(Clone, Copy)]
struct Told<'a> {
    /// What it has named in `Connection` was for this proxy alone.
    named: Named<'a>,
    host: bool,
    proto: bool,
}

/// Tells of the client: in `Forwarded`, and in the fields that were there before it.
fn tell(
    head: &RequestHead<'_>,
    passage: &Passage<'_>,
    told: Told<'_>,
    scratch: &mut Vec<u8>,
    put: &mut impl FnMut(&str, &[u8]),
) {
    let (trusts, host) = (passage.trusts_client, head.authority());
    start_list(head, trusts.then_some(told.named), Known::Forwarded, scratch);
    let (mut text, is_v6) = ([0; ADDRESS_LEN], matches!(passage.client, Some(IpAddr::V6(_))));
    let address = put_address(passage.client, &mut text);
    let (open, close) = if is_v6 { ("for=\"[", "]\"") } else { ("for=", "") };
    for part in [open.as_bytes(), address, close.as_bytes()] {
        scratch.extend_from_slice(part);
    }
    if !host.is_empty() {
        for part in [";host=\"", host, "\""] {
            scratch.extend_from_slice(part.as_bytes());
        }
    }
    scratch.extend_from_slice(b";proto=http");
    put("Forwarded", scratch);
    start_list(head, trusts.then_some(told.named), Known::ForwardedFor, scratch);
    scratch.extend_from_slice(address);
    put("X-Forwarded-For", scratch);
    // `told` is empty for a client that is not trusted.
    if !host.is_empty() && !told.host {
        put("X-Forwarded-Host", host.as_bytes());
    }
    if !told.proto {
        put("X-Forwarded-Proto", b"http");
    }
}

/// The longest text of an address.
const ADDRESS_LEN: usize = 45;

/// Writes a client's address.
fn put_address(client: Option<IpAddr>, text: &mut [u8; ADDRESS_LEN]) -> &[u8] {
    let Some(ip) = client else { return b"unknown" };
    let mut rest = &mut text[..];
    // The longest text fits.
    let _ = write!(rest, "{ip}");
    let left = rest.len();
    &text[..ADDRESS_LEN - left]
}

/// Whether a trailer of a request is passed on. A server could take a trailer that tells of the client for a field of the head.
pub(super) fn is_passed_trailer(name: &str) -> bool {
    Known::of(name) == Known::Other
}

/// Begins a list with what the client has sent of it, if that is believed. All of it is one line, since there are readers
/// that know only one.
fn start_list(head: &RequestHead<'_>, trusted: Option<Named<'_>>, known: Known, scratch: &mut Vec<u8>) {
    scratch.clear();
    let Some(named) = trusted else { return };
    for (name, value) in head.fields.iter() {
        if Known::of(name) == known && !value.is_empty() && !named.has(name) {
            scratch.extend_from_slice(value);
            scratch.extend_from_slice(b", ");
        }
    }
}

/// Hands the fields of a response to `put`, as a client gets them. An informational response has them too, and a 101 has its
/// `Upgrade`.
pub(super) fn pass_response<'a>(head: &IncomingResponse<'a>, mut put: impl FnMut(&'a str, &'a [u8])) {
    let named = Named::of(head.fields);
    let has_codings = head.fields.get("transfer-encoding").is_some();
    // Of a response without a body its length tells of another one: that to `GET`.
    let has_length = match head.framing {
        Framing::Length(_) => true,
        Framing::None => !head.is_upgrade && !has_codings && !matches!(head.status, 100..=199 | 204),
        Framing::Chunked | Framing::UntilClose => false,
    };
    for (name, value) in head.fields.iter() {
        match Known::of(name) {
            Known::Hop | Known::Te => {}
            Known::ContentLength if !has_length => {}
            Known::Trailer if head.framing != Framing::Chunked => {}
            // RFC 9110, 15.5.22: what the server would change to, which is passed through here.
            Known::Upgrade if !matches!(head.status, 101 | 426) => {}
            Known::Upgrade => put(name, value),
            _ if named.has(name) => {}
            _ => put(name, value),
        }
    }
}
