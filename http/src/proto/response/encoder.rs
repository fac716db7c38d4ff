//! From a response to bytes: the counterpart of the decoder. Mirrors `_storeHeader`, `write_` and `end` of Node's
//! `OutgoingMessage`.
//!
//! An [`Encoder`] is made when the head of a response is written: what is known of the body at this moment decides how it
//! is delimited. From there on it counts the body and writes what stands around its parts. The parts themselves are the
//! caller's: large ones are sent from where they are.

use super::head::ResponseHead;
use super::head_cache::HeadCache;
use super::reason::reason_phrase;
use crate::proto::EncodeError;
use crate::proto::body_encoder::{BodyEncoder, BodyFraming};
use crate::proto::lines::{Field, check_field, put_content_length, put_line, put_number, remove_lines};
use crate::proto::names::KnownField;

/// Bytes of a head beside the fields that the application set: room is made once.
const HEAD_ROOM: usize = 192;

/// The line of a response after which the connection ends.
const CLOSE_LINE: &[u8] = b"Connection: close\r\n";

/// What one response writes, after its head was decided on.
///
/// ```
/// use http::proto::{Encoder, HeadCache, RequestFacts, ResponseHead};
///
/// let cache = HeadCache::new(None);
/// let (mut head, mut out) = (ResponseHead::new(), Vec::new());
/// head.set("Transfer-Encoding", b"chunked")?;
/// head.remove("Date");
/// let mut response = Encoder::begin(&RequestFacts::default(), &head, 5, false)?;
/// response.put_head(&head, &cache, &mut out);
/// response.put(b"hello", &mut out)?;
/// assert!(response.end(&head, &mut out)?, "the connection may carry another request");
/// assert!(out.ends_with(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
/// # Ok::<(), http::proto::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    /// Of a body that ends with the connection, `left` is what is missing.
    pub(super) body: BodyEncoder,
    pub(super) keep_alive: bool,
    /// The `Content-Length` that is sent.
    pub(super) content_length: Option<u64>,
    /// A `Transfer-Encoding` is sent: as it was set, or `chunked`.
    pub(super) has_encoding: bool,
    /// `Connection` is sent as it was set, or if it was not, none is.
    pub(super) has_own_connection: bool,
}

impl Encoder {
    /// Of a response without a body, about whose length nothing is said.
    pub(super) const WITHOUT_BODY: Self = Self {
        body: BodyEncoder::new(BodyFraming::None),
        keep_alive: false,
        content_length: None,
        has_encoding: false,
        has_own_connection: false,
    };

    /// Of a response with a body of this length.
    pub(super) fn with_length(length: u64) -> Self {
        Self { body: BodyEncoder::with_length(length), content_length: Some(length), ..Self::WITHOUT_BODY }
    }

    /// Of a response with a `Transfer-Encoding`.
    pub(super) fn encoded(framing: BodyFraming) -> Self {
        Self { body: BodyEncoder::new(framing), has_encoding: true, ..Self::WITHOUT_BODY }
    }

    /// Writes the head. `cache` has the lines that the heads of a server have in common.
    pub fn put_head(&self, head: &ResponseHead, cache: &HeadCache, out: &mut Vec<u8>) {
        let rare = head.rare();
        out.reserve(HEAD_ROOM + head.lines.len);
        put_status_line(out, head.status(), rare.reason.as_deref());
        if !rare.has_date {
            out.extend_from_slice(cache.date_line());
        }
        match &rare.connection {
            Field::Set(options) if self.has_own_connection => put_line(out, "Connection", options),
            _ if self.has_own_connection => {}
            _ if !self.keep_alive => out.extend_from_slice(CLOSE_LINE),
            _ if rare.has_keep_alive => put_line(out, "Connection", b"keep-alive"),
            _ => out.extend_from_slice(cache.keep_alive_lines()),
        }
        match &rare.transfer_encoding {
            Field::Set(codings) if self.has_encoding => put_line(out, "Transfer-Encoding", codings),
            _ if self.has_encoding => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            _ => {}
        }
        let start = out.len();
        out.extend_from_slice(head.lines.as_slice());
        if rare.has_trailer && !self.is_chunked() {
            let end = out.len();
            remove_lines(out, "Trailer", start, end);
        }
        if let Some(length) = self.content_length {
            put_content_length(out, length);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Counts `len` bytes of the body. Returns whether they are to be sent; the body of a response without one is dropped.
    ///
    /// # Errors
    /// `BodyTooLong` beyond the `Content-Length`; nothing is counted then.
    #[inline]
    pub fn count(&mut self, len: usize) -> Result<bool, EncodeError> {
        self.body.count(len)
    }

    /// Writes some of the body, which was [counted](Self::count), with what stands around it.
    #[inline]
    pub(crate) fn put_part(&self, data: &[u8], out: &mut Vec<u8>) {
        self.body.put_part(data, out);
    }

    /// Writes what stands before `len` bytes of the body.
    #[inline]
    pub fn put_front(&self, len: usize, out: &mut Vec<u8>) {
        self.body.put_front(len, out);
    }

    /// What stands behind `len` bytes of the body.
    #[inline]
    #[must_use]
    pub fn back(&self, len: usize) -> &'static [u8] {
        self.body.back(len)
    }

    /// Writes what ends the body: the last chunk and the trailers, if it is chunked.
    #[inline]
    pub fn put_end(&self, head: &ResponseHead, out: &mut Vec<u8>) {
        if self.is_chunked() {
            self.body.put_end(&head.rare().trailer_lines, out);
        }
    }

    /// Writes some of the body with what stands around it.
    ///
    /// # Errors
    /// `BodyTooLong` beyond the `Content-Length`; nothing is written then.
    pub fn put(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.count(data.len())? {
            self.put_part(data, out);
        }
        Ok(())
    }

    /// Ends the body. Returns whether the connection may carry another request.
    ///
    /// # Errors
    /// `BodyTooShort` if the `Content-Length` promised more: nothing but the end of the connection can tell the client.
    pub fn end(&mut self, head: &ResponseHead, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        self.put_end(head, out);
        if self.is_short() { Err(EncodeError::BodyTooShort) } else { Ok(self.keep_alive) }
    }

    /// Whether the connection may carry another request after this response.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the body is sent in chunks, so that trailers may follow it.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        self.body.framing == BodyFraming::Chunked
    }

    /// Whether the end of the connection is the end of the body.
    #[must_use]
    pub fn is_until_close(&self) -> bool {
        self.body.framing == BodyFraming::UntilClose
    }

    /// Whether the body is shorter than its framing promised.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.body.left > 0
    }

    /// Notes that the rest of the body will not come: the connection cannot carry another request, and a body that ends
    /// with the connection is short of an unknown number of bytes.
    pub fn cut(&mut self) {
        if self.is_until_close() {
            self.body.left = u64::MAX;
        }
        self.keep_alive = false;
    }

    /// Writes an informational response, whole: 103 Early Hints, 102 Processing, 100 Continue.
    ///
    /// Not 101, which ends HTTP on the connection. Such a response has neither `Content-Length` nor `Transfer-Encoding`
    /// (RFC 9110, 8.6; RFC 9112, 6.1). It must not be sent to an HTTP/1.0 client (RFC 9110, 15.2).
    ///
    /// # Errors
    /// `InvalidStatus`, `InvalidFieldName`, `InvalidFieldValue`, `MisplacedField`; nothing is written then.
    pub fn informational<'f>(
        status: u16,
        fields: impl IntoIterator<Item = (&'f str, &'f [u8])>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if status == 101 || !(100..=199).contains(&status) {
            return Err(EncodeError::InvalidStatus(status));
        }
        let start = out.len();
        put_status_line(out, status, None);
        for (name, value) in fields {
            let known = KnownField::of(name.as_bytes());
            let is_framing = matches!(known, Some(KnownField::ContentLength | KnownField::TransferEncoding));
            let checked =
                if is_framing { Err(EncodeError::MisplacedField) } else { check_field(name, value) };
            if checked.is_err() {
                out.truncate(start);
                return checked;
            }
            put_line(out, name, value);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Writes a whole response with an empty body that ends the connection: Node's literal responses to a `clientError`, a
    /// timeout and the like, with the length that lets a client see its end, and the `Date` that RFC 9110, 6.6.1 asks a
    /// server with a clock for.
    ///
    /// # Errors
    /// `InvalidStatus` outside of 400 to 599.
    pub fn closing(status: u16, cache: Option<&HeadCache>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        // 1xx, 204 and 304 do not answer a faulty request.
        if !(400..=599).contains(&status) {
            return Err(EncodeError::InvalidStatus(status));
        }
        put_status_line(out, status, None);
        out.extend_from_slice(cache.map_or(&[], HeadCache::date_line));
        out.extend_from_slice(CLOSE_LINE);
        put_content_length(out, 0);
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// Appends a status line, with the registered reason phrase if `reason` is `None`. Both were checked when they were set.
///
/// The version is always HTTP/1.1, whatever the request's: it says what the server can do (RFC 9110, 2.5).
fn put_status_line(out: &mut Vec<u8>, status: u16, reason: Option<&[u8]>) {
    if status == 200 && reason.is_none() {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    put_number(out, status.into());
    out.push(b' ');
    out.extend_from_slice(reason.unwrap_or_else(|| reason_phrase(status).as_bytes()));
    out.extend_from_slice(b"\r\n");
}
