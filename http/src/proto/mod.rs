//! HTTP/1.1 as a server speaks it, without input or output: bytes in, events out; facts in, bytes out.
//!
//! Nothing here knows a socket, a clock or a loop, so all of it is tested with byte strings. Where RFC 9110
//! or RFC 9112 demands something else than Node does, the RFC wins and the file concerned says so.
//!
//! Reading, from the connection's view down to the bytes':
//!
//! - `decoder`: the machine of one connection; [`Decoder::decode`] is the way in
//! - `head`, `request_line`, `target`, `authority`: a request's head and its parts
//! - `meaning`, `body`: what the fields say about the connection, and about the body's length
//! - `section`, `fields`, `trailer`: field lines of heads and trailers
//! - `chunked`: the line before a chunk
//! - `chars`: which bytes may stand where
//! - `limits`, `error`: how much is accepted, and what is said about the rest
//!
//! Writing:
//!
//! - `encode`, `reason`: status lines, fields, chunks, and whole answers
//! - `framing`: how a response is delimited, and whether the connection stays
//!
//! Not supported, since nothing a server of this kind does needs it: transfer codings but `chunked` (501),
//! HTTP/0.9 (400), obsolete line folding (400), and requests as a client would send them.

mod authority;
mod body;
mod chars;
mod chunked;
mod decoder;
mod encode;
mod error;
mod fields;
mod framing;
mod head;
mod limits;
mod meaning;
mod reason;
mod request_line;
mod section;
mod target;
mod trailer;

pub use body::Framing;
pub use decoder::{Decoder, Event};
pub use encode::{
    CHUNK_END, CONTINUE, EncodeError, check_field, chunk, chunk_head, closing_answer, content_length_end,
    date_field, field, informational, keep_alive_field, last_chunk, status_line,
};
pub use error::ParseError;
pub use fields::{Fields, Scratch};
pub use framing::{
    BodyFraming, ConnectionLine, FieldLine, RequestFacts, ResponseFacts, ResponseFraming, SetEncoding,
    TrailerWithoutChunked, response_framing,
};
pub use head::RequestHead;
pub use limits::Limits;
pub use meaning::{ConnectionOptions, Expect};
pub use reason::reason_phrase;
pub use request_line::Version;
pub use target::TargetForm;
