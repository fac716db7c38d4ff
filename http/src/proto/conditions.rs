//! Conditional requests: whether a client has what it asks for, or asks for a version that is not there any more (RFC 9110,
//! 13). Node leaves it to its applications; mirrors the package `fresh` that most of them use.

use super::RequestHead;
use super::ranges::{self, Wanted};
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a request says about versions and parts of what it asks for: copied from its fields, so that it lasts longer than the
/// request's head.
///
/// ```
/// # use http::proto::{Decoder, Event, Limits, FieldTable};
/// use http::proto::{Conditions, Selected, Validators};
/// # let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
/// # let mut input: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=2-\r\nIf-None-Match: \"1\", \"2\"\r\n\r\n";
/// # let Ok(Event::Head(head)) = decoder.decode(&mut input, &mut table, &Limits::default()) else { panic!() };
///
/// let conditions = Conditions::of(&head);
/// let version = |etag| Validators { etag: Some(etag), ..Validators::default() };
/// assert_eq!(conditions.select(&version("\"2\""), 10), Selected::NotModified);
/// assert_eq!(conditions.select(&version("\"3\""), 10), Selected::Part(2..10));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    method: Method,
    /// Most requests have none of the fields.
    fields: Option<Box<ConditionFields>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Method {
    #[default]
    Get,
    Head,
    Other,
}

/// A list is the values of all its lines. Of the others a value that was sent twice means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ConditionFields {
    if_match: Option<Vec<u8>>,
    if_none_match: Option<Vec<u8>>,
    if_modified_since: Option<SystemTime>,
    if_unmodified_since: Option<SystemTime>,
    if_range: Option<Vec<u8>>,
    range: Option<Vec<u8>>,
}

/// The version that a server has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'a> {
    /// The entity tag, with its quotes and, for a weak one, `W/`.
    pub etag: Option<&'a str>,
    /// When it was last modified.
    pub modified: Option<SystemTime>,
    /// The present time. A date counts as the mark of one version only when a second has passed (RFC 9110, 8.8.2.2).
    pub now: Option<SystemTime>,
}

/// What the response to a request is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// Everything: 200.
    Whole,
    /// A part: 206 with `Content-Range`.
    Part(Range<u64>),
    /// The client has it: 304.
    NotModified,
    /// Not the version that the request is for: 412.
    Failed,
    /// A part that does not exist: 416 with `Content-Range: bytes */length`.
    Unsatisfiable,
}

impl Conditions {
    /// What the fields of a request say.
    #[must_use]
    pub fn of(head: &RequestHead<'_>) -> Self {
        let method = match head.method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            _ => Method::Other,
        };
        let list = |name: &str| {
            let lines: Vec<_> = head.fields.get_all(name).collect();
            (!lines.is_empty()).then(|| lines.join(&b", "[..]))
        };
        let single = |name: &str| {
            let mut lines = head.fields.get_all(name);
            lines.next().filter(|_| lines.next().is_none())
        };
        let date = |name: &str| single(name).and_then(read_date);
        let fields = ConditionFields {
            if_match: list("If-Match"),
            if_none_match: list("If-None-Match"),
            if_modified_since: date("If-Modified-Since"),
            if_unmodified_since: date("If-Unmodified-Since"),
            // Present but not valid, it keeps the range from being used.
            if_range: list("If-Range"),
            range: single("Range").map(<[u8]>::to_vec),
        };
        let fields = (fields != ConditionFields::default()).then(|| Box::new(fields));
        Self { method, fields }
    }

    /// Decides, in the order of RFC 9110, 13.2.2, what is to be sent of a representation of `len` bytes.
    #[must_use]
    pub fn select(&self, version: &Validators<'_>, len: u64) -> Selected {
        let Some(fields) = &self.fields else { return Selected::Whole };
        let is_read = self.method != Method::Other;
        let has_expected = match (&fields.if_match, fields.if_unmodified_since) {
            (Some(tags), _) => has_tag(tags, version.etag, Comparison::Strong),
            (None, Some(date)) => version.modified.is_none_or(|modified| seconds(modified) <= seconds(date)),
            (None, None) => true,
        };
        if !has_expected {
            return Selected::Failed;
        }
        let is_known = match (&fields.if_none_match, fields.if_modified_since) {
            (Some(tags), _) => has_tag(tags, version.etag, Comparison::Weak),
            (None, Some(date)) if is_read => {
                version.modified.is_some_and(|modified| seconds(modified) <= seconds(date))
            }
            _ => false,
        };
        if is_known {
            return if is_read { Selected::NotModified } else { Selected::Failed };
        }
        match &fields.range {
            // RFC 9110, 14.2: for GET only.
            Some(range) if self.method == Method::Get && fields.is_in_range(version) => {
                match ranges::read(range, len) {
                    Wanted::Whole => Selected::Whole,
                    Wanted::Part(part) => Selected::Part(part),
                    Wanted::Unsatisfiable => Selected::Unsatisfiable,
                }
            }
            _ => Selected::Whole,
        }
    }
}

impl ConditionFields {
    /// Whether `If-Range` lets the range be used: a part of another version would not fit to what the client has.
    fn is_in_range(&self, version: &Validators<'_>) -> bool {
        let Some(value) = &self.if_range else { return true };
        if value.contains(&b'"') {
            // One tag, not a list of them: of which version a client has the other parts must be certain.
            return version
                .etag
                .is_some_and(|etag| !etag.starts_with("W/") && value.trim_ascii() == etag.as_bytes());
        }
        let (Some(date), Some(modified)) = (read_date(value), version.modified) else { return false };
        let age = version.now.and_then(|now| now.duration_since(modified).ok());
        seconds(date) == seconds(modified) && age.is_some_and(|age| age >= Duration::from_secs(1))
    }
}

fn read_date(value: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(value).ok()?.trim();
    httpdate::parse_http_date(text).ok().or_else(|| read_early_date(text))
}

/// Reads a date before 1970, which the crate does not. The calendar repeats after 400 years, weekdays included.
fn read_early_date(text: &str) -> Option<SystemTime> {
    const CYCLE: Duration = Duration::from_secs(146_097 * 24 * 60 * 60);
    // Sun, 06 Nov 1994 08:49:37 GMT
    let (before, year, behind) = (text.get(..12)?, text.get(12..16)?, text.get(16..)?);
    let is_number = year.bytes().all(|byte| byte.is_ascii_digit());
    let year: u32 = year.parse().ok().filter(|year| is_number && *year < 1970)?;
    let cycles = (1970 - year).div_ceil(400);
    let later = httpdate::parse_http_date(&format!("{before}{}{behind}", year + 400 * cycles)).ok()?;
    later.checked_sub(CYCLE * cycles)
}

/// As HTTP writes a time: whole seconds, counted from 1970.
fn seconds(time: SystemTime) -> i64 {
    let count = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => count(since),
        Err(before) => -count(before.duration() + Duration::from_nanos(999_999_999)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags has the current one (RFC 9110, 8.8.3.2). `*` stands for any version that exists. What follows
/// something that is no tag is not read.
fn has_tag(list: &[u8], current: Option<&str>, comparison: Comparison) -> bool {
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return true;
    }
    let Some(current) = current else { return false };
    let (is_weak, tag) = split_weak(current.as_bytes());
    if is_weak && comparison == Comparison::Strong {
        return false;
    }
    loop {
        while let [b',' | b' ' | b'\t', behind @ ..] = rest {
            rest = behind;
        }
        let (is_weak, listed) = split_weak(rest);
        let Some(end) = tag_end(listed) else { return false };
        if &listed[..end] == tag && (!is_weak || comparison == Comparison::Weak) {
            return true;
        }
        rest = &listed[end..];
    }
}

fn split_weak(tag: &[u8]) -> (bool, &[u8]) {
    tag.strip_prefix(b"W/").map_or((false, tag), |opaque| (true, opaque))
}

/// The length of the quoted tag that the bytes begin with.
fn tag_end(bytes: &[u8]) -> Option<usize> {
    let inside = bytes.strip_prefix(b"\"")?;
    let len = inside.iter().position(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))?;
    (inside[len] == b'"').then_some(len + 2)
}
