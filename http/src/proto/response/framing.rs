//! How a response is delimited, and whether the connection lives on: one pure function.
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
use crate::proto::connection_options::ConnectionOptions;
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

/// The application's side of the decision: what it set, and what it removed for good (Node's `removeHeader`
/// of a field that the encoder would add).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ResponseFacts {
    /// The status, 100 to 999.
    pub status: u16,
    /// The body's length, if the whole body is known when the head is written: Node's `end(data)` as the
    /// first call. 0 for an `end()` without data.
    pub known_length: Option<u64>,
    /// A `Content-Length` that was set.
    pub content_length: Option<u64>,
    /// A `Transfer-Encoding` that was set.
    pub transfer_encoding: Option<SetEncoding>,
    /// The options of a `Connection` that was set.
    pub connection: Option<ConnectionOptions>,
    /// A `Trailer` was set.
    pub trailer: bool,
    /// `Content-Length` was removed.
    pub no_content_length: bool,
    /// `Transfer-Encoding` was removed.
    pub no_transfer_encoding: bool,
    /// `Connection` was removed.
    pub no_connection: bool,
}

/// A `Transfer-Encoding` that the application set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetEncoding {
    /// Its last coding is `chunked`; the server does the chunking.
    Chunked,
    /// Its last coding is another one; the body ends with the connection (RFC 9112, 6.3).
    Other,
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

/// What to do about a field that the application may have set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldLine<T> {
    /// Do not send it, even if it was set.
    Omit,
    /// Send the line that was set.
    AsSet,
    /// Send this instead.
    Send(T),
}

/// A `Connection` line that the encoder adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionLine {
    /// `Connection: keep-alive`; may be followed by a `Keep-Alive` line.
    KeepAlive,
    /// `Connection: close`.
    Close,
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResponseFraming {
    /// How the body is to be written.
    pub body: BodyFraming,
    /// The `Content-Length` line to be sent, whether it was set or not.
    pub content_length: Option<u64>,
    /// The `Transfer-Encoding` line; the encoder adds `chunked`.
    pub transfer_encoding: FieldLine<()>,
    /// The `Connection` line.
    pub connection: FieldLine<ConnectionLine>,
    /// Whether trailers are sent, and a `Trailer` that was set.
    pub trailers: bool,
    /// Whether the connection can carry another request after this response; if not, it is to be closed,
    /// unless the response hands it over to another protocol (101, or 2xx to `CONNECT`).
    pub keep_alive: bool,
}

/// Decides how a response is delimited.
pub(super) fn response_framing(
    request: &RequestFacts,
    response: &ResponseFacts,
) -> Result<ResponseFraming, EncodeError> {
    let content = Content::of(request, response.status);
    let delimiter = match content {
        Content::Some => delimit(request, response),
        Content::Empty => Delimiter { body: BodyFraming::None, ..Delimiter::length(0) },
        Content::Never | Content::Described => describe(request, response, content),
    };
    let trailers = delimiter.body == BodyFraming::Chunked;
    let is_clients_choice = request.is_head || request.version == Version::Http10;
    if response.trailer && !trailers && !is_clients_choice {
        return Err(EncodeError::TrailerWithoutChunked);
    }
    // chunked on a response without content is the mark of a confused application.
    let is_confused = response.transfer_encoding.is_some() && matches!(response.status, 204 | 304);
    let wants_close = response.connection.is_some_and(|options| options.close);
    let can_stay =
        request.keep_alive && delimiter.body != BodyFraming::UntilClose && !is_confused && !wants_close;
    let (connection, keep_alive) = if ends_http(request, response.status) {
        // RFC 9110, 7.8: the options that were set name the upgrade. Nothing else can be said of the
        // connection.
        (if response.connection.is_some() { FieldLine::AsSet } else { FieldLine::Omit }, false)
    } else {
        connection(request.version, response, can_stay)
    };
    Ok(ResponseFraming {
        body: delimiter.body,
        content_length: delimiter.content_length,
        transfer_encoding: delimiter.transfer_encoding,
        connection,
        trailers,
        keep_alive,
    })
}

/// Whether the response is the last of HTTP on its connection.
fn ends_http(request: &RequestFacts, status: u16) -> bool {
    status == 101 || (request.is_connect && (200..=299).contains(&status))
}

/// What a response's status and its request's method say about its content (RFC 9110, 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq)]
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

struct Delimiter {
    body: BodyFraming,
    content_length: Option<u64>,
    transfer_encoding: FieldLine<()>,
}

impl Delimiter {
    fn length(length: u64) -> Self {
        Self {
            body: BodyFraming::Length(length),
            content_length: Some(length),
            transfer_encoding: FieldLine::Omit,
        }
    }

    fn without_length(body: BodyFraming, transfer_encoding: FieldLine<()>) -> Self {
        Self { body, content_length: None, transfer_encoding }
    }
}

/// The delimiter of a response that may have content.
fn delimit(request: &RequestFacts, response: &ResponseFacts) -> Delimiter {
    let is_http11 = request.version == Version::Http11;
    let wants_trailers = response.trailer && is_http11;
    match (response.transfer_encoding, response.content_length, response.known_length) {
        (Some(SetEncoding::Chunked), ..) if is_http11 => {
            Delimiter::without_length(BodyFraming::Chunked, FieldLine::AsSet)
        }
        (Some(SetEncoding::Other), ..) if is_http11 => {
            Delimiter::without_length(BodyFraming::UntilClose, FieldLine::AsSet)
        }
        (_, Some(length), _) => Delimiter::length(length),
        (_, None, Some(length)) if !response.no_content_length && !wants_trailers => {
            Delimiter::length(length)
        }
        _ if is_http11 && !response.no_transfer_encoding => {
            Delimiter::without_length(BodyFraming::Chunked, FieldLine::Send(()))
        }
        // HTTP/1.0 knows no chunked.
        _ => Delimiter::without_length(BodyFraming::UntilClose, FieldLine::Omit),
    }
}

/// The fields of a response without content that speak of its length.
fn describe(request: &RequestFacts, response: &ResponseFacts, content: Content) -> Delimiter {
    let nothing = Delimiter::without_length(BodyFraming::None, FieldLine::Omit);
    if content == Content::Never {
        return nothing;
    }
    // RFC 9112, 6.1 allows it in both, but 304 with it is refused above as confused.
    let is_http11 = request.version == Version::Http11;
    if response.transfer_encoding.is_some() && is_http11 && response.status != 304 {
        return Delimiter { transfer_encoding: FieldLine::AsSet, ..nothing };
    }
    // as `GET` would have it. What ends without data tells nothing of what `GET` would send, so its
    // length is left out, as RFC 9110, 8.6 demands of a length that may be wrong; so is any for 304 that was
    // not set.
    let known = response.known_length.filter(|&length| {
        length > 0 && response.status != 304 && !response.no_content_length && !response.trailer
    });
    Delimiter { content_length: response.content_length.or(known), ..nothing }
}

/// The `Connection` line, and whether the connection really stays.
fn connection(
    version: Version,
    response: &ResponseFacts,
    can_stay: bool,
) -> (FieldLine<ConnectionLine>, bool) {
    let is_http11 = version == Version::Http11;
    match response.connection {
        Some(options) if can_stay && (is_http11 || options.keep_alive) => (FieldLine::AsSet, true),
        // RFC 9112, 9.6: a server that will close the connection sends `close`.
        Some(options) if options.close => (FieldLine::AsSet, false),
        // An HTTP/1.0 client that is not told otherwise expects the close.
        None if response.no_connection => (FieldLine::Omit, can_stay && is_http11),
        None if can_stay => (FieldLine::Send(ConnectionLine::KeepAlive), true),
        _ => (FieldLine::Send(ConnectionLine::Close), false),
    }
}
