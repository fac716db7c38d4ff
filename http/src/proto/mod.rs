//! HTTP/1.1 as servers and clients speak it, without input or output: bytes in, events out; facts in, bytes out.
//!
#![doc = include_str!("../../docs/proto.md")]
//!
//! # Files
//!
//! Those that read, from the connection's view down to the bytes':
//!
//! - `request`, `response`: the machine of one connection ([`Decoder::decode`], [`ResponseDecoder::decode`]), heads and what
//!   they mean
//! - `body`: the machine of one message's body, with `chunked`, the line before a chunk
//! - `section`, `fields`: field sections of heads and trailers, whole or in pieces
//! - `meaning`: what the fields say, of where the body ends first of all
//! - `limits`, `error`: how much is accepted, and why the rest is refused
//!
//! Only `request` and `response` know which of both a message is. Those that write:
//!
//! - `response`: a head that is prepared ([`ResponseHead`]), and the [`Encoder`]: how a response is delimited, whether the
//!   connection persists, and the bytes of heads, chunks and trailers
//! - `request`: the same of a client ([`OutgoingRequest`], [`RequestEncoder`])
//! - `lines`, `body_encoder`: what both write: field lines, counted bodies and chunks
//!
//! Both use `names` (what a field's name says), `authority` (hosts), `chars` (which bytes may stand where). `by_name` has the
//! fields with one entry for each name, `percent` decodes paths.
//!
//! For servers of files there are `conditions` ([`Conditions`]: conditional requests) and `ranges` (the part of a
//! representation that a request asks for).

mod authority;
mod body;
mod body_encoder;
mod by_name;
mod chars;
mod chunked;
mod conditions;
mod error;
mod fields;
mod limits;
mod lines;
mod meaning;
mod names;
mod percent;
mod ranges;
mod request;
mod response;
mod section;

/// What is read of bytes that may go on: `None` if they are valid so far but incomplete.
type Parsed<T> = Result<Option<T>, ParseError>;

pub(crate) use authority::is_authority;
pub use by_name::{Value, ValueList};
pub use conditions::{Conditions, Selected, Validators};
pub use error::{EncodeError, ParseError};
pub(crate) use fields::OwnedFields;
pub use fields::{FieldTable, Fields};
pub use limits::Limits;
pub(crate) use limits::setters;
pub(crate) use lines::{KEPT_CAPACITY, recycle};
pub use meaning::{Expect, Framing, Version};
pub use names::Repeated;
pub(crate) use percent::decode as percent_decode;
pub use request::{Decoder, Event, OutgoingRequest, OwnedHead, RequestEncoder, RequestHead, TargetForm};
pub use response::{
    Encoder, HeadCache, IncomingResponse, OwnedResponse, RequestFacts, ResponseDecoder, ResponseEvent,
    ResponseHead, ResponseTo,
};
