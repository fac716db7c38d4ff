//! HTTP/1.1 as a server speaks it, without input or output: bytes in, events out; facts in, bytes out.
//!
//! Nothing here uses a socket, a clock or a loop, so all of it is tested with byte strings. Where RFC 9110 or RFC 9112
//! demands something else than Node does, this follows the RFC, and the file concerned names the difference.
//!
//! Reading, from the connection's view down to the bytes':
//!
//! - `request`: the machine of one connection ([`Decoder::decode`] is the way in), heads and what they mean
//! - `body`: the machine of one message's body, with `chunked`, the line before a chunk
//! - `section`, `fields`: field sections of heads and trailers, whole or in pieces
//! - `meaning`: what the fields say, of where the body ends first of all
//! - `limits`, `error`: how much is accepted, and why the rest is refused
//!
//! Only `request` knows that the message is a request: what else is listed a decoder of responses would use as it is.
//!
//! Writing:
//!
//! - `response`: a head that is prepared ([`ResponseHead`]), and the [`Encoder`]: how a response is delimited, whether the
//!   connection persists, and the bytes of heads, chunks and trailers
//!
//! Both: `names` (what a field's name says), `authority` (hosts), `chars` (which bytes may stand where).
//!
//! A connection without its socket, which answers each request with its own body:
//!
//! ```
//! use http::proto::{Decoder, Encoder, Event, FieldTable, HeadCache, Limits, RequestFacts, ResponseHead};
//!
//! let input = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: h\r\n\r\n";
//! let (mut decoder, mut table, limits) = (Decoder::new(), FieldTable::new(), Limits::default());
//! let mut cache = HeadCache::new(None);
//! cache.set_date(b"Sun, 06 Nov 1994 08:49:37 GMT");
//! let (mut facts, mut body, mut output) = (RequestFacts::default(), Vec::new(), Vec::new());
//! for mut piece in input.chunks(7) {
//!     loop {
//!         match decoder.decode(&mut piece, &mut table, &limits)? {
//!             Event::NeedMore => break,
//!             Event::Done => return Ok(()),
//!             Event::Head(head) => facts = RequestFacts::from(&head),
//!             Event::Body(data) => body.extend_from_slice(data),
//!             Event::End(_trailers) => {
//!                 let mut head = ResponseHead::new();
//!                 head.set("Content-Type", b"text/plain")?;
//!                 let mut response = Encoder::begin(&facts, &head, body.len() as u64, true)?;
//!                 response.put_head(&head, &cache, &mut output);
//!                 response.put(&body, &mut output)?;
//!                 let _persists = response.end(&head, &mut output)?;
//!                 body.clear();
//!             }
//!         }
//!     }
//! }
//! decoder.finish()?;
//! assert_eq!(String::from_utf8_lossy(&output).matches("HTTP/1.1 200 OK").count(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Not supported: transfer codings other than `chunked` (501), HTTP/0.9 (400), obsolete line folding (400), and the client's
//! side.

mod authority;
mod body;
mod chars;
mod chunked;
mod error;
mod fields;
mod limits;
mod meaning;
mod names;
mod request;
mod response;
mod section;

pub use error::{EncodeError, ParseError};
pub use fields::{FieldTable, Fields};
pub use limits::Limits;
pub(crate) use limits::setters;
pub use meaning::{Expect, Framing, Version};
pub use names::Repeated;
pub use request::{Decoder, Event, RequestHead, TargetForm};
pub use response::{Encoder, HeadCache, RequestFacts, ResponseHead};
pub(crate) use response::{KEPT_CAPACITY, recycle};
