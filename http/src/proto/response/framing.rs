//! How a response is delimited, and whether the connection persists: one decision about a few fields.
//!
//! Mirrors Node's `OutgoingMessage._storeHeader`, and departs from it where RFC 9110 or 9112 has a MUST:
//! - a `Content-Length` set on 204, on 1xx or on a 2xx to `CONNECT` is not sent (RFC 9110, 8.6; Node sends it), nor one
//!   beside `Transfer-Encoding` (RFC 9112, 6.2);
//! - a `Transfer-Encoding` set by the application is not sent to an HTTP/1.0 client, nor on 1xx, 204, a 2xx to `CONNECT`
//!   (RFC 9112, 6.1) or 205;
//! - 205 has no content, and length 0 (RFC 9110, 15.3.6; Node accepts a body);
//! - a `Connection` that the application set and that promises what will not happen is replaced by `close`;
//! - a `Trailer` is an error if the application itself made trailers impossible, but not if the request did (`HEAD`, or
//!   HTTP/1.0): then it is just not sent, since an application should not fail at a client's choice.

use super::encoder::Encoder;
use super::head::ResponseHead;
use crate::proto::body_encoder::{BodyEncoder, BodyFraming};
use crate::proto::lines::Field;
use crate::proto::meaning::ConnectionOptions;
use crate::proto::{EncodeError, RequestHead, Version};

/// What a response depends on of its request: made from a [`RequestHead`] by `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// The method is `HEAD`.
    pub is_head: bool,
    /// The method is `CONNECT`.
    pub is_connect: bool,
    /// The version.
    pub version: Version,
    /// [`RequestHead::keep_alive`](crate::proto::RequestHead::keep_alive), and the server has no reason of its own
    /// to close (Node: `maxRequestsPerSocket` is not reached).
    pub keep_alive: bool,
}

impl RequestFacts {
    /// Those of a `GET` in HTTP/1.1 that another request may follow.
    pub(crate) const SIMPLE: Self =
        Self { is_head: false, is_connect: false, version: Version::Http11, keep_alive: true };
}

impl Default for RequestFacts {
    fn default() -> Self {
        Self::SIMPLE
    }
}

impl From<&RequestHead<'_>> for RequestFacts {
    fn from(head: &RequestHead<'_>) -> Self {
        Self {
            is_head: head.is_head(),
            is_connect: head.is_connect(),
            version: head.version,
            keep_alive: head.keep_alive,
        }
    }
}

impl Encoder {
    /// Decides how a response is delimited whose body begins, or if `is_whole` ends, with `len` bytes.
    ///
    /// # Errors
    /// `TrailerWithoutChunked`, and `BodyTooLong` if `len` is more than the `Content-Length` that was set.
    pub fn begin(
        request: &RequestFacts,
        head: &ResponseHead,
        len: u64,
        is_whole: bool,
    ) -> Result<Self, EncodeError> {
        let (status, rare) = (head.status(), head.rare());
        // The response is the last of HTTP on its connection.
        let ends_http = status == 101 || (request.is_connect && (200..=299).contains(&status));
        // What status and method say about the content (RFC 9110, 6.4.1).
        let mut encoder = match status {
            _ if ends_http || matches!(status, 100..=199 | 204) => Self::WITHOUT_BODY,
            304 => describe(request, head, len, is_whole),
            // To `HEAD` too, whose response has the fields that `GET` gets (RFC 9110, 9.3.2).
            205 => Self { content_length: Some(0), ..Self::WITHOUT_BODY },
            _ if request.is_head => describe(request, head, len, is_whole),
            _ => delimit(request, head, len, is_whole),
        };
        let is_clients_choice = request.is_head || request.version == Version::Http10;
        if rare.wants_trailers() && !encoder.is_chunked() && !is_clients_choice {
            return Err(EncodeError::TrailerWithoutChunked);
        }
        if encoder.body.framing == BodyFraming::Length && len > encoder.body.left {
            return Err(EncodeError::BodyTooLong);
        }
        // chunked on a response without content is the mark of a confused application.
        let is_confused = rare.transfer_encoding.is_set() && matches!(status, 204 | 304);
        let can_stay = request.keep_alive && !encoder.is_until_close() && !is_confused;
        let is_http11 = request.version == Version::Http11;
        (encoder.has_own_connection, encoder.keep_alive) = match &rare.connection {
            // RFC 9110, 7.8: the options that were set name the upgrade. Nothing else can be said of the connection.
            _ if ends_http => (true, false),
            Field::Set(value) => {
                let mut options = ConnectionOptions::default();
                options.add(value);
                let stays = can_stay && (is_http11 || options.keep_alive);
                // RFC 9112, 9.6: a server that will close the connection sends `close`.
                (options.close || stays, stays && !options.close)
            }
            // An HTTP/1.0 client that is not told otherwise expects the close.
            Field::Removed => (true, can_stay && is_http11),
            Field::Unset => (false, can_stay),
        };
        Ok(encoder)
    }
}

/// The delimiter of a response that may have content.
fn delimit(request: &RequestFacts, head: &ResponseHead, len: u64, is_whole: bool) -> Encoder {
    let (rare, is_http11) = (head.rare(), request.version == Version::Http11);
    match (&rare.transfer_encoding, rare.content_length) {
        (Field::Set(codings), _) if is_http11 => {
            // Behind another last coding the body ends with the connection (RFC 9112, 6.3).
            let last = codings.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            Encoder::encoded(if is_chunked { BodyFraming::Chunked } else { BodyFraming::UntilClose })
        }
        (_, Field::Set(length)) => Encoder::with_length(length),
        (_, Field::Unset) if is_whole && !(rare.wants_trailers() && is_http11) => Encoder::with_length(len),
        (Field::Unset | Field::Set(_), _) if is_http11 => Encoder::encoded(BodyFraming::Chunked),
        // HTTP/1.0 knows no chunked.
        _ => Encoder { body: BodyEncoder::new(BodyFraming::UntilClose), ..Encoder::WITHOUT_BODY },
    }
}

/// The fields of a response without content that speak of what `GET` would get: to `HEAD`, and 304.
fn describe(request: &RequestFacts, head: &ResponseHead, len: u64, is_whole: bool) -> Encoder {
    let rare = head.rare();
    // RFC 9112, 6.1 allows it in both, but 304 with it is refused as confused.
    let is_304 = head.status() == 304;
    if rare.transfer_encoding.is_set() && request.version == Version::Http11 && !is_304 {
        return Encoder::encoded(BodyFraming::None);
    }
    let content_length = match rare.content_length {
        Field::Set(length) => Some(length),
        // What ends without data tells nothing of what `GET` would send, so its length is left out, as RFC 9110, 8.6
        // demands of a length that may be wrong; so is any for 304 that was not set.
        Field::Unset if is_whole && len > 0 && !is_304 && !rare.wants_trailers() => Some(len),
        _ => None,
    };
    Encoder { content_length, ..Encoder::WITHOUT_BODY }
}
