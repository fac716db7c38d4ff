//! HTTP/1.1 as a server speaks it, without input or output: bytes in, events out; facts in, bytes out.
//!
//! Nothing here knows a socket, a clock or a loop, so all of it is tested with byte strings. Where RFC 9110
//! or RFC 9112 demands something else than Node does, the RFC wins and the file concerned says so.
//!
//! Reading, from the connection's view down to the bytes':
//!
//! - `request`: the machine of one connection ([`Decoder::decode`] is the way in), heads and what they say
//! - `section`, `fields`, `trailer`: field lines of heads and trailers
//! - `repeated`: what becomes of fields that come more than once
//! - `chunked`: the line before a chunk
//! - `chars`: which bytes may stand where
//! - `limits`, `error`: how much is accepted, and what is said about the rest
//!
//! Writing:
//!
//! - `response`: a head that is prepared ([`ResponseHead`]), and the [`Encoder`]: how a response is delimited, whether
//!   the connection stays, and the bytes of heads, chunks and trailers
//!
//! Not supported, since nothing a server of this kind does needs it: transfer codings but `chunked` (501),
//! HTTP/0.9 (400), obsolete line folding (400), and requests as a client would send them.

mod chars;
mod chunked;
mod connection_options;
mod error;
mod fields;
mod limits;
mod repeated;
mod request;
mod response;
mod section;
mod trailer;
mod version;

pub use connection_options::ConnectionOptions;
pub use error::ParseError;
pub use fields::{Fields, Scratch};
pub use limits::Limits;
pub use repeated::Repeated;
pub use request::{Decoder, Event, Expect, Framing, RequestHead, TargetForm};
pub use response::{EncodeError, Encoder, HeadCache, RequestFacts, ResponseHead};
pub(crate) use response::{FieldLines, SimpleHead};
pub use version::Version;
