//! From a response to bytes: the counterpart of the decoder. Mirrors `_storeHeader`, `write_` and `end` of Node's
//! `OutgoingMessage`.
//!
//! An [`Encoder`] is made when the head of a response is written: what is known of the body at this moment decides how it
//! is delimited. From there on it counts the body and writes what stands around its parts. The parts themselves are the
//! caller's: large ones are sent from where they are.

use super::encode::{EncodeError, chunk_head, content_length_end, field, status_line};
use super::framing::{BodyFraming, Field, RequestFacts};
use super::head::ResponseHead;
use super::head_cache::{CLOSE_LINE, HeadCache};
use crate::proto::names::KnownField;
use std::num::NonZeroUsize;

/// Ends a chunk's data.
const CHUNK_END: &[u8] = b"\r\n";

/// Bytes of a head beside the fields that the application set: room is made once.
const HEAD_ROOM: usize = 192;

/// What one response writes, after its head was decided on.
///
/// ```
/// use http::proto::{Encoder, HeadCache, RequestFacts, ResponseHead};
///
/// let cache = HeadCache::new(None);
/// let (mut head, mut out) = (ResponseHead::new(), Vec::new());
/// head.set("Transfer-Encoding", b"chunked")?;
/// head.remove("Date");
/// let mut response = Encoder::begin(&RequestFacts::default(), &mut head, 5, false)?;
/// response.put_head(&head, &cache, &mut out);
/// response.put(b"hello", &mut out)?;
/// assert!(response.end(&head, &mut out)?, "the connection may carry another request");
/// assert!(out.ends_with(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
/// # Ok::<(), http::proto::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    body: BodyFraming,
    /// Body bytes that the framing still allows and demands; of a body that ends with the connection, what is missing.
    left: u64,
    keep_alive: bool,
}

impl Encoder {
    /// Decides how a response is delimited whose body begins, or if `is_whole` ends, with `len` bytes. From here on `head`
    /// is settled.
    ///
    /// # Errors
    /// `TrailerWithoutChunked`, and `BodyTooLong` if `len` is more than the `Content-Length` that was set. `head` is then
    /// as it was.
    pub fn begin(
        request: &RequestFacts,
        head: &mut ResponseHead,
        len: u64,
        is_whole: bool,
    ) -> Result<Self, EncodeError> {
        let (body, keep_alive) = head.settle(request, len, is_whole)?;
        let left = if let BodyFraming::Length(length) = body { length } else { 0 };
        Ok(Self { body, left, keep_alive })
    }

    /// Writes the head. `cache` has the lines that the heads of a server have in common.
    pub fn put_head(&self, head: &ResponseHead, cache: &HeadCache, out: &mut Vec<u8>) {
        out.reserve(HEAD_ROOM + head.lines().len());
        // Both were checked when they were set.
        let _ = status_line(out, head.status(), head.reason());
        self.put_common_lines(head, cache, out);
        match &head.framing().transfer_encoding {
            Field::Set(codings) => put_line(out, b"Transfer-Encoding: ", codings),
            Field::Unset if self.is_chunked() => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Field::Unset | Field::Removed => {}
        }
        out.extend_from_slice(head.lines().as_slice());
        match head.framing().content_length {
            Field::Set(length) => content_length_end(out, length),
            Field::Unset | Field::Removed => out.extend_from_slice(b"\r\n"),
        }
    }

    /// Writes the lines that the encoder adds, or what was set in their place.
    fn put_common_lines(&self, head: &ResponseHead, cache: &HeadCache, out: &mut Vec<u8>) {
        let connection = &head.framing().connection;
        if let (Field::Unset, true, true) = (connection, self.keep_alive, head.wants_keep_alive()) {
            return cache.put_common_lines(head.wants_date(), out);
        }
        if head.wants_date() {
            cache.put_date_line(out);
        }
        match connection {
            Field::Set(options) => put_line(out, b"Connection: ", options),
            Field::Unset if self.keep_alive => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            Field::Unset => out.extend_from_slice(CLOSE_LINE),
            Field::Removed => {}
        }
    }

    /// Counts `len` bytes of the body. Returns whether they are to be sent; the body of a response without one is dropped.
    ///
    /// # Errors
    /// `BodyTooLong` beyond the `Content-Length`; nothing is counted then.
    pub fn count(&mut self, len: usize) -> Result<bool, EncodeError> {
        if let BodyFraming::Length(_) = self.body {
            self.left = self.left.checked_sub(len as u64).ok_or(EncodeError::BodyTooLong)?;
        }
        Ok(self.body != BodyFraming::None)
    }

    /// Writes what stands before `len` bytes of the body.
    pub fn put_front(&self, len: usize, out: &mut Vec<u8>) {
        if let (BodyFraming::Chunked, Some(len)) = (self.body, NonZeroUsize::new(len)) {
            chunk_head(out, len);
        }
    }

    /// What stands behind `len` bytes of the body.
    #[must_use]
    pub fn back(&self, len: usize) -> &'static [u8] {
        if self.body == BodyFraming::Chunked && len > 0 { CHUNK_END } else { &[] }
    }

    /// Writes what ends the body: the last chunk and the trailers, if it is chunked.
    pub fn put_end(&self, head: &ResponseHead, out: &mut Vec<u8>) {
        if self.is_chunked() {
            out.extend_from_slice(b"0\r\n");
            out.extend_from_slice(head.trailer_lines());
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Writes some of the body with what stands around it.
    ///
    /// # Errors
    /// `BodyTooLong` beyond the `Content-Length`; nothing is written then.
    pub fn put(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.count(data.len())? {
            self.put_front(data.len(), out);
            out.extend_from_slice(data);
            out.extend_from_slice(self.back(data.len()));
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
        self.body == BodyFraming::Chunked
    }

    /// Whether the end of the connection is the end of the body.
    #[must_use]
    pub fn is_until_close(&self) -> bool {
        self.body == BodyFraming::UntilClose
    }

    /// Whether the body is shorter than its framing promised.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.left > 0
    }

    /// Notes that the rest of the body will not come: the connection cannot carry another request, and a body that ends
    /// with the connection is short of an unknown number of bytes.
    pub fn cut(&mut self) {
        if self.is_until_close() {
            self.left = u64::MAX;
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
        let written = status_line(out, status, None).and_then(|()| {
            fields.into_iter().try_for_each(|(name, value)| match KnownField::of(name.as_bytes()) {
                Some(KnownField::ContentLength | KnownField::TransferEncoding) => {
                    Err(EncodeError::MisplacedField)
                }
                _ => field(out, name, value),
            })
        });
        match written {
            Ok(()) => out.extend_from_slice(b"\r\n"),
            Err(_) => out.truncate(start),
        }
        written
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
        status_line(out, status, None)?;
        if let Some(cache) = cache {
            cache.put_date_line(out);
        }
        out.extend_from_slice(CLOSE_LINE);
        content_length_end(out, 0);
        Ok(())
    }
}

fn put_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
