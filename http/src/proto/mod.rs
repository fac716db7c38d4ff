//! HTTP/1.1 as a server speaks it, without input or output: bytes in, events out; facts in, bytes out.
//!
//! Nothing here uses a socket, a clock or a loop, so all of it is tested with byte strings. Where RFC 9110 or RFC 9112
//! demands something else than Node does, this follows the RFC, and the file concerned names the difference.
//!
//! Reading, from the connection's view down to the bytes':
//!
//! - `request`: the machine of one connection ([`Decoder::decode`] is the way in), heads and what they mean
//! - `body`: the machine of one message's body, with `body_length` (where it ends) and `chunked` (the line before a chunk)
//! - `section`, `partial`, `fields`, `trailer`: field sections of heads and trailers, whole or in pieces
//! - `repeated`: how a map holds fields that come more than once
//! - `limits`, `error`: how much is accepted, and why the rest is refused
//!
//! Only `request` knows that the message is a request: what else is listed a decoder of responses would use as it is.
//!
//! Writing:
//!
//! - `response`: a head that is prepared ([`ResponseHead`]), and the [`Encoder`]: how a response is delimited, whether the
//!   connection persists, and the bytes of heads, chunks and trailers
//!
//! Both: `known` (the fields that either acts on), `connection_options`, `version`, `chars` (which bytes may stand where).
//!
//! Not supported: transfer codings other than `chunked` (501), HTTP/0.9 (400), obsolete line folding (400), and the client's
//! side.

mod body;
mod body_length;
mod chars;
mod chunked;
mod connection_options;
mod error;
mod fields;
mod known;
mod limits;
mod partial;
mod repeated;
mod request;
mod response;
mod section;
mod trailer;
mod version;

pub use body_length::Framing;
pub use error::ParseError;
pub use fields::Fields;
pub use limits::Limits;
pub use repeated::Repeated;
pub use request::{Decoder, Event, Expect, FieldTable, RequestHead, TargetForm};
pub use response::{EncodeError, Encoder, HeadCache, RequestFacts, ResponseHead};
pub(crate) use response::{FieldLines, SimpleHead};
pub use version::Version;
