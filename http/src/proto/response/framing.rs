//! How a response is delimited, and whether the connection persists: one decision about a few fields.
//!
//! Mirrors Node's `OutgoingMessage._storeHeader`, and departs from it where RFC 9110 or 9112 has a MUST:
//! - a `Content-Length` set on 204, on 1xx or on a 2xx to `CONNECT` is not sent (RFC 9110, 8.6; Node sends
//!   it), nor one beside `Transfer-Encoding` (RFC 9112, 6.2);
//! - a `Transfer-Encoding` set by the application is not sent to an HTTP/1.0 client, nor on 1xx, 204, a 2xx
//!   to `CONNECT` (RFC 9112, 6.1) or 205;
//! - 205 has no content, and length 0 (RFC 9110, 15.3.6; Node accepts a body);
//! - a `Connection` that the application set and that promises what will not happen is replaced by `close`;
//! - a `Trailer` is an error if the application itself made trailers impossible, but not if the request did
//!   (`HEAD`, or HTTP/1.0): then it is just not sent, since an application should not fail at a client's
//!   choice.

use super::encode::EncodeError;
use crate::proto::meaning::ConnectionOptions;
use crate::proto::{RequestHead, Version};

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

/// A field that the encoder decides about: as the application left it, and after the decision as it is sent.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    /// Neither set nor removed: the encoder adds it if it is needed.
    #[default]
    Unset,
    /// Not sent.
    Removed,
    /// Set to this.
    Set(T),
}

impl<T> Field<T> {
    pub(super) fn set(&self) -> Option<&T> {
        if let Self::Set(value) = self { Some(value) } else { None }
    }

    fn is_removed(&self) -> bool {
        matches!(self, Self::Removed)
    }
}

/// The fields of a response that tell how its body is delimited and whether the connection persists.
#[derive(Debug, Default)]
pub(super) struct FramingFields {
    pub(super) content_length: Field<u64>,
    pub(super) transfer_encoding: Field<Box<[u8]>>,
    pub(super) connection: Field<Box<[u8]>>,
}

/// The rest of the response's side of the decision.
pub(super) struct ResponseFacts {
    /// The status, 100 to 999.
    pub(super) status: u16,
    /// Trailers were added, or a `Trailer` was set.
    pub(super) wants_trailers: bool,
    /// Bytes of the body that are known when the head is written.
    pub(super) len: u64,
    /// Those are the whole body: Node's `end(data)` as the first call.
    pub(super) is_whole: bool,
}

/// How the body is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// Not at all: what the application writes is dropped.
    None,
    /// As it is, and it has to have this many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// As it is; its end is the end of the connection.
    UntilClose,
}

/// What a response's status and its request's method say about its content (RFC 9110, 6.4.1).
enum Content {
    /// There may be some.
    Some,
    /// There is none, but the response is delimited like others: 205.
    Empty,
    /// There is none, but the fields may describe what a `GET` would get: `HEAD` and 304.
    Described,
    /// There is none, and no field may speak of any: 1xx, 204, and 2xx to `CONNECT`.
    Never,
}

impl Content {
    fn of(request: &RequestFacts, status: u16) -> Self {
        match status {
            100..=199 | 204 => Self::Never,
            _ if ends_http(request, status) => Self::Never,
            304 => Self::Described,
            // To `HEAD` too, whose response has the fields that `GET` gets (RFC 9110, 9.3.2).
            205 => Self::Empty,
            _ if request.is_head => Self::Described,
            _ => Self::Some,
        }
    }
}

/// Whether the response is the last of HTTP on its connection.
fn ends_http(request: &RequestFacts, status: u16) -> bool {
    status == 101 || (request.is_connect && (200..=299).contains(&status))
}

struct Delimiter {
    body: BodyFraming,
    content_length: Option<u64>,
    /// Whether a `Transfer-Encoding` is sent: as it was set, or `chunked`.
    has_encoding: bool,
}

impl Delimiter {
    fn length(length: u64) -> Self {
        Self { content_length: Some(length), ..Self::bare(BodyFraming::Length(length)) }
    }

    fn encoded(body: BodyFraming) -> Self {
        Self { has_encoding: true, ..Self::bare(body) }
    }

    fn bare(body: BodyFraming) -> Self {
        Self { body, content_length: None, has_encoding: false }
    }
}

impl FramingFields {
    /// Decides how a response is delimited, and leaves of the fields what is sent. Returns how the body is to be written,
    /// and whether the connection can carry another request after it; if not, it is to be closed, unless the response hands
    /// it over to another protocol (101, or 2xx to `CONNECT`). With an error nothing changes.
    pub(super) fn settle(
        &mut self,
        request: &RequestFacts,
        response: &ResponseFacts,
    ) -> Result<(BodyFraming, bool), EncodeError> {
        let delimiter = match Content::of(request, response.status) {
            Content::Some => self.delimit(request, response),
            Content::Empty => Delimiter { body: BodyFraming::None, ..Delimiter::length(0) },
            Content::Described => self.describe(request, response),
            Content::Never => Delimiter::bare(BodyFraming::None),
        };
        let body = delimiter.body;
        let is_clients_choice = request.is_head || request.version == Version::Http10;
        if response.wants_trailers && body != BodyFraming::Chunked && !is_clients_choice {
            return Err(EncodeError::TrailerWithoutChunked);
        }
        if matches!(body, BodyFraming::Length(length) if response.len > length) {
            return Err(EncodeError::BodyTooLong);
        }
        // chunked on a response without content is the mark of a confused application.
        let is_confused = self.transfer_encoding.set().is_some() && matches!(response.status, 204 | 304);
        let can_stay = request.keep_alive && body != BodyFraming::UntilClose && !is_confused;
        self.content_length = delimiter.content_length.map_or(Field::Removed, Field::Set);
        if !delimiter.has_encoding {
            self.transfer_encoding = Field::Removed;
        }
        if !ends_http(request, response.status) {
            return Ok((body, self.settle_connection(request.version, can_stay)));
        }
        // RFC 9110, 7.8: the options that were set name the upgrade. Nothing else can be said of the connection.
        if self.connection.set().is_none() {
            self.connection = Field::Removed;
        }
        Ok((body, false))
    }

    /// The delimiter of a response that may have content.
    fn delimit(&self, request: &RequestFacts, response: &ResponseFacts) -> Delimiter {
        let is_http11 = request.version == Version::Http11;
        if let (Field::Set(codings), true) = (&self.transfer_encoding, is_http11) {
            // Behind another last coding the body ends with the connection (RFC 9112, 6.3).
            let last = codings.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            return Delimiter::encoded(if is_chunked {
                BodyFraming::Chunked
            } else {
                BodyFraming::UntilClose
            });
        }
        match self.content_length {
            Field::Set(length) => Delimiter::length(length),
            Field::Unset if response.is_whole && !(response.wants_trailers && is_http11) => {
                Delimiter::length(response.len)
            }
            _ if is_http11 && !self.transfer_encoding.is_removed() => {
                Delimiter::encoded(BodyFraming::Chunked)
            }
            // HTTP/1.0 knows no chunked.
            _ => Delimiter::bare(BodyFraming::UntilClose),
        }
    }

    /// The fields of a response without content that speak of what `GET` would get.
    fn describe(&self, request: &RequestFacts, response: &ResponseFacts) -> Delimiter {
        // RFC 9112, 6.1 allows it in both, but 304 with it is refused as confused.
        let is_304 = response.status == 304;
        if self.transfer_encoding.set().is_some() && request.version == Version::Http11 && !is_304 {
            return Delimiter::encoded(BodyFraming::None);
        }
        let content_length = match self.content_length {
            Field::Set(length) => Some(length),
            // What ends without data tells nothing of what `GET` would send, so its length is left out, as RFC 9110, 8.6
            // demands of a length that may be wrong; so is any for 304 that was not set.
            Field::Unset if response.is_whole && response.len > 0 && !is_304 && !response.wants_trailers => {
                Some(response.len)
            }
            _ => None,
        };
        Delimiter { content_length, ..Delimiter::bare(BodyFraming::None) }
    }

    /// Decides about the `Connection` line. Returns whether the connection really stays; if not, the encoder adds `close`
    /// to a field that is unset.
    fn settle_connection(&mut self, version: Version, can_stay: bool) -> bool {
        let is_http11 = version == Version::Http11;
        let options = self.connection.set().map(|value| {
            let mut options = ConnectionOptions::default();
            options.add(value);
            options
        });
        match options {
            // RFC 9112, 9.6: a server that will close the connection sends `close`.
            Some(options) if options.close => false,
            Some(options) if can_stay && (is_http11 || options.keep_alive) => true,
            // An HTTP/1.0 client that is not told otherwise expects the close.
            None if self.connection.is_removed() => can_stay && is_http11,
            None if can_stay => true,
            _ => {
                self.connection = Field::Unset;
                false
            }
        }
    }
}
