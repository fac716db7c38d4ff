//! The head of a request: request line and fields, with everything that the connection has to know about it.

use super::line;
use super::target::{self, TargetForm};
use crate::proto::meaning::Meaning;
use crate::proto::section::Bounds;
use crate::proto::{Expect, FieldTable, Fields, Framing, Limits, ParseError, Parsed, Version};
use crate::proto::{names, percent};
use std::borrow::Cow;

/// A request's head: valid by RFC 9110 and 9112, and borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method, any token; case matters. A [known](Self::has_known_method) one may be none of the resource's (405); Node
    /// refuses all but a fixed set.
    pub method: &'a str,
    /// The target as sent: visible ASCII without `#`, in the form that `form` says.
    pub target: &'a str,
    /// The form of the target.
    pub form: TargetForm,
    /// The version.
    pub version: Version,
    /// The fields, in the order sent.
    pub fields: Fields<'a>,
    /// How the body is delimited. Always [`Framing::None`] for `CONNECT`, which has no body (RFC 9110, 9.3.6).
    pub framing: Framing,
    /// Whether the client lets another request follow (RFC 9112, 9.3). Never for `CONNECT`: a refused
    /// tunnel's bytes must not be taken for a request.
    pub keep_alive: bool,
    /// What `Expect` asks for.
    pub expect: Expect,
    /// Whether the client offers to change protocols: `Upgrade` with `Connection: upgrade`, in HTTP/1.1.
    pub upgrade: bool,
}

impl<'a> RequestHead<'a> {
    /// A head without fields, which asks for nothing.
    #[inline]
    pub(super) fn new(method: &'a str, target: &'a str, form: TargetForm, version: Version) -> Self {
        let (fields, framing, expect) = (Fields::default(), Framing::None, Expect::None);
        Self { method, target, form, version, fields, framing, keep_alive: true, expect, upgrade: false }
    }

    /// The fast path: takes the next message off `input` if it is a `GET` of a path in HTTP/1.1 with the fields that `table`
    /// has, and they are [simple](Meaning::is_simple). `None` means "not decided here".
    #[inline]
    pub(crate) fn repeated<'i: 'a>(
        input: &mut &'i [u8],
        table: &'a FieldTable,
        limits: &Limits,
    ) -> Option<Self> {
        let whole = *input;
        let (mut head, line) = line::read_get(whole)?;
        let section = &whole[line..];
        let len = line + table.repeated_len(section)?;
        // The number of fields was found small enough when they were read.
        if len > limits.max_header_size || !table.meaning().is_simple {
            return None;
        }
        head.fields = table.fields(section);
        *input = &whole[len..];
        Some(head)
    }

    /// Says what the fields of the head mean. Mirrors `llhttp_should_keep_alive`.
    fn conclude(&mut self, meaning: &Meaning) -> Result<(), ParseError> {
        if let Some(fault) = meaning.fault {
            return Err(fault);
        }
        let is_http11 = self.version == Version::Http11;
        // RFC 9112, 3.2. Node leaves this check to its server object, where it can be switched off.
        if is_http11 && !meaning.has_host {
            return Err(ParseError::MissingHost);
        }
        let (framing, is_connect) = (meaning.request_framing(self.version)?, self.is_connect());
        let options = &meaning.connection;
        self.framing = if is_connect { Framing::None } else { framing };
        // RFC 9112, 9.3. What follows a CONNECT may be meant for the tunnel: it never is a next request.
        self.keep_alive = !is_connect && !options.close && (is_http11 || options.keep_alive);
        self.expect = if is_http11 { meaning.expect } else { Expect::None };
        // RFC 9110, 7.8: to be ignored in HTTP/1.0, and without the connection option.
        self.upgrade = is_http11 && meaning.has_upgrade && options.upgrade;
        Ok(())
    }

    /// The path of the target, without query: never empty but for `CONNECT`.
    ///
    /// A target in absolute form gives the path in its URI; `/` if that has none, or `*` if the method is
    /// `OPTIONS` and there is no query either (RFC 9112, 3.2.4). Percent-encoding is left as it is.
    #[inline]
    pub fn path(&self) -> &'a str {
        if self.form == TargetForm::Origin { split_query(self.target).0 } else { self.path_of_other_form() }
    }

    #[cold]
    fn path_of_other_form(&self) -> &'a str {
        match split_query(self.parts().1) {
            ("", None) if self.form == TargetForm::Absolute && self.method == "OPTIONS" => "*",
            ("", _) if self.form == TargetForm::Absolute => "/",
            (path, _) => path,
        }
    }

    /// The query of the target, without its `?`.
    pub fn query(&self) -> Option<&'a str> {
        split_query(self.parts().1).1
    }

    /// Host and port the request is meant for: those in the target if it has them (RFC 9112, 3.2.2 and 3.3
    /// have `Host` ignored then), else the value of `Host`. Empty if neither names any.
    pub fn authority(&self) -> &'a str {
        if !matches!(self.form, TargetForm::Origin | TargetForm::Asterisk) {
            return self.parts().0;
        }
        // There is at most one.
        std::str::from_utf8(self.fields.get("host").unwrap_or_default()).unwrap_or_default()
    }

    /// The segments of the path, percent-decoded: what stands between its slashes. `None` for one with a `%` that no two digits
    /// follow, or that is not UTF-8 when decoded.
    ///
    /// An application that compares paths with its routes compares these: `/caf%C3%A9` and `/%63af%C3%A9` are the same path, and
    /// `%2F` is no slash but a character in a segment. The path `/` has one segment, which is empty, and so is the last one of
    /// `/a/`. Dots are not resolved.
    ///
    /// ```
    /// # use http::proto::{Decoder, Event, Limits, FieldTable};
    /// # let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
    /// # let mut input: &[u8] = b"GET /users/caf%C3%A9%2Fbar?x=%31 HTTP/1.1\r\nHost: a\r\n\r\n";
    /// # let Ok(Event::Head(head)) = decoder.decode(&mut input, &mut table, &Limits::default()) else { panic!() };
    /// let segments: Option<Vec<_>> = head.segments().collect();
    /// let segments = segments.ok_or("a malformed path, to be answered with 400")?;
    /// match segments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
    ///     ["users", name] => assert_eq!(name, "café/bar"),
    ///     _ => panic!("not found"),
    /// }
    /// # Ok::<(), &str>(())
    /// ```
    pub fn segments(&self) -> impl Iterator<Item = Option<Cow<'a, str>>> + use<'a> {
        let path = self.path();
        path.strip_prefix('/').unwrap_or(path).split('/').map(percent::decode_text)
    }

    /// Whether some specification defines the method. A server answers others with 501 (RFC 9110, 9.1), unless its
    /// handler [knows](crate::upcall::RequestHandler::accepts_method) them.
    #[must_use]
    pub fn has_known_method(&self) -> bool {
        names::is_method(self.method)
    }

    /// Whether the method is `HEAD`: the response has no body.
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// Whether the method is `CONNECT`: a successful response turns the connection into a tunnel.
    pub fn is_connect(&self) -> bool {
        self.form == TargetForm::Authority
    }

    /// The authority in the target, and its path with query.
    #[inline]
    fn parts(&self) -> (&'a str, &'a str) {
        match self.form {
            TargetForm::Origin | TargetForm::Asterisk => ("", self.target),
            TargetForm::Authority => (self.target, ""),
            TargetForm::Absolute => {
                target::split_absolute(self.target).map_or(("", ""), |(_, authority, path)| (authority, path))
            }
        }
    }
}

/// Path, and query without its `?`.
#[inline]
fn split_query(target: &str) -> (&str, Option<&str>) {
    // By hand: most targets are shorter than what a search routine needs to start.
    match target.bytes().position(|byte| byte == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// Reads the head at the start of `bytes` and hands it to `use_head` with its length: by reference, since a head is a
/// hundred bytes that most callers need not move. `None` if it is valid so far but incomplete.
pub(super) fn read<'a, R>(
    bytes: &'a [u8],
    bounds: &Bounds,
    table: &'a mut FieldTable,
    use_head: impl FnOnce(&RequestHead<'a>, usize) -> R,
) -> Parsed<R> {
    let Some((mut head, line)) = line::read(bytes)? else { return Ok(None) };
    let Some(end) = table.read_head(bytes, line, bounds, false)? else { return Ok(None) };
    head.conclude(table.meaning())?;
    head.fields = table.fields(&bytes[line..]);
    Ok(Some(use_head(&head, end)))
}
