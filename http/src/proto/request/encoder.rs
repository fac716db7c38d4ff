//! From a request to bytes: the counterpart of a server's decoder. Mirrors `_storeHeader` and `_implicitHeader` of Node's
//! `ClientRequest`.
//!
//! A [`RequestEncoder`] is made when the head is written: what is known of the body at this moment decides how it is
//! delimited. It departs from Node in that no body is ever sent without a delimiter, whatever the method and the fields
//! (RFC 9112, 6.3 has such a request end with its head), and that `CONNECT` and `TRACE` have none.

use super::prepared::OutgoingRequest;
use crate::proto::body_encoder::{BodyEncoder, BodyFraming};
use crate::proto::lines::{Field, put_content_length, put_line, remove_lines};
use crate::proto::{EncodeError, ResponseTo};

/// Bytes of a head beside the fields that were set: room is made once.
const HEAD_ROOM: usize = 128;

/// What one request writes, after its head was decided on.
///
/// ```
/// use http::proto::{OutgoingRequest, RequestEncoder};
///
/// let (mut head, mut out) = (OutgoingRequest::new("POST", "/")?, Vec::new());
/// head.set("Host", b"a")?;
/// let mut request = RequestEncoder::begin(&head, 2, true, true)?;
/// request.put_head(&head, &mut out);
/// request.put(b"hi", &mut out)?;
/// request.end(&head, &mut out)?;
/// assert_eq!(out, b"POST / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi");
/// # Ok::<(), http::proto::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RequestEncoder {
    body: BodyEncoder,
    content_length: Option<u64>,
    keep_alive: bool,
    /// What the response depends on.
    to: ResponseTo,
}

impl RequestEncoder {
    /// Decides how a request is delimited whose body begins, or if `is_whole` ends, with `len` bytes, and whether the connection
    /// may carry another one; with `keep_alive` it may if the fields do not forbid it.
    ///
    /// # Errors
    /// `InvalidHost` without a `Host`, `BodyTooLong` and `BodyTooShort` if the body is not as long as its `Content-Length`,
    /// or the method allows none, `TrailerWithoutChunked`.
    pub fn begin(
        head: &OutgoingRequest,
        len: u64,
        is_whole: bool,
        keep_alive: bool,
    ) -> Result<Self, EncodeError> {
        // RFC 9112, 3.2.
        if !head.has_host() {
            return Err(EncodeError::InvalidHost);
        }
        let (body, content_length) = delimit(head, len, is_whole)?;
        let options = head.connection_options();
        let to = ResponseTo {
            is_head: head.method() == "HEAD",
            is_connect: head.method() == "CONNECT",
            // The option is added unless the program has decided about the field.
            offers_upgrade: head.has_upgrade && (options.upgrade || matches!(head.connection, Field::Unset)),
        };
        Ok(Self { body, content_length, keep_alive: keep_alive && !options.close, to })
    }

    /// Writes the head.
    pub fn put_head(&self, head: &OutgoingRequest, out: &mut Vec<u8>) {
        out.reserve(HEAD_ROOM + head.line().len() + head.lines.len);
        out.extend_from_slice(head.line().as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        // RFC 9110, 7.2: first, since a recipient needs it most.
        if let Some(host) = head.host() {
            put_line(out, "Host", host);
        }
        self.put_connection(head, out);
        let start = out.len();
        out.extend_from_slice(head.lines.as_slice());
        if !self.is_chunked() {
            let end = out.len();
            remove_lines(out, "Trailer", start, end);
        }
        match &head.transfer_encoding {
            Field::Set(codings) => put_line(out, "Transfer-Encoding", codings),
            _ if self.is_chunked() => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            _ => {}
        }
        if let Some(length) = self.content_length {
            put_content_length(out, length);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn put_connection(&self, head: &OutgoingRequest, out: &mut Vec<u8>) {
        match &head.connection {
            Field::Set(options) if self.keep_alive || head.connection_options().close => {
                put_line(out, "Connection", options);
            }
            Field::Set(options) => put_line(out, "Connection", &[options, &b", close"[..]].concat()),
            Field::Removed if self.keep_alive => {}
            Field::Removed => out.extend_from_slice(b"Connection: close\r\n"),
            _ if self.keep_alive && head.has_upgrade => out.extend_from_slice(b"Connection: upgrade\r\n"),
            _ if head.has_upgrade => out.extend_from_slice(b"Connection: upgrade, close\r\n"),
            _ if self.keep_alive => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            _ => out.extend_from_slice(b"Connection: close\r\n"),
        }
    }

    /// Counts `len` bytes of the body, to be called before they are written.
    ///
    /// # Errors
    /// `BodyTooLong` beyond the `Content-Length`, and for any byte of a request that has no body; nothing is counted then.
    pub fn count(&mut self, len: usize) -> Result<(), EncodeError> {
        if self.body.count(len)? || len == 0 { Ok(()) } else { Err(EncodeError::BodyTooLong) }
    }

    /// Writes what stands before `len` bytes of the body.
    pub fn put_front(&self, len: usize, out: &mut Vec<u8>) {
        self.body.put_front(len, out);
    }

    /// What stands behind `len` bytes of the body.
    #[must_use]
    pub fn back(&self, len: usize) -> &'static [u8] {
        self.body.back(len)
    }

    /// Writes some of the body with what stands around it.
    ///
    /// # Errors
    /// As for [`count`](Self::count); nothing is written then.
    pub fn put(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.count(data.len())?;
        self.body.put_part(data, out);
        Ok(())
    }

    /// Ends the body: writes the last chunk and the trailers, if it is chunked.
    ///
    /// # Errors
    /// `BodyTooShort` if the `Content-Length` promised more: the connection is to be destroyed, for the server waits.
    pub fn end(&self, head: &OutgoingRequest, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.missing() > 0 {
            return Err(EncodeError::BodyTooShort);
        }
        self.body.put_end(&head.trailer_lines, out);
        Ok(())
    }

    /// Bytes that the `Content-Length` still demands.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.body.left
    }

    /// Whether the body is sent in chunks, so that trailers may follow it.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        self.body.framing == BodyFraming::Chunked
    }

    /// Whether the connection may carry another request after the response, as far as this side goes.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// What the response depends on, for [`ResponseDecoder::begin`](crate::proto::ResponseDecoder::begin).
    #[must_use]
    pub fn response_to(&self) -> ResponseTo {
        self.to
    }
}

/// The delimiter of a request, and the `Content-Length` that is sent.
fn delimit(
    head: &OutgoingRequest,
    len: u64,
    is_whole: bool,
) -> Result<(BodyEncoder, Option<u64>), EncodeError> {
    // RFC 9110, 9.3.6 and 9.3.8: these have no content.
    if matches!(head.method(), "CONNECT" | "TRACE") {
        let is_set = head.transfer_encoding.is_set() || head.content_length.is_set() || head.wants_trailers();
        let has_body = len > 0 || !is_whole || is_set;
        let without = (BodyEncoder::new(BodyFraming::None), None);
        return if has_body { Err(EncodeError::BodyTooLong) } else { Ok(without) };
    }
    let chunked = Ok((BodyEncoder::new(BodyFraming::Chunked), None));
    match (&head.transfer_encoding, head.content_length) {
        (Field::Set(_), _) => chunked,
        (_, Field::Set(_)) if head.wants_trailers() => Err(EncodeError::TrailerWithoutChunked),
        (_, Field::Set(length)) if len > length => Err(EncodeError::BodyTooLong),
        (_, Field::Set(length)) if is_whole && len < length => Err(EncodeError::BodyTooShort),
        (_, Field::Set(length)) => Ok((BodyEncoder::with_length(length), Some(length))),
        _ if !is_whole || head.wants_trailers() => chunked,
        // RFC 9110, 8.6: of these a server expects no content.
        _ if len == 0 && matches!(head.method(), "GET" | "HEAD" | "DELETE" | "OPTIONS") => {
            Ok((BodyEncoder::new(BodyFraming::None), None))
        }
        _ => Ok((BodyEncoder::with_length(len), Some(len))),
    }
}
