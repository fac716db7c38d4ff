//! Responses as a server writes them: a head that is prepared, and the encoder that turns it and a body into bytes.

mod encoder;
mod framing;
mod head;
mod head_cache;
mod lines;
mod reason;

pub use encoder::Encoder;
pub use framing::RequestFacts;
pub use head::ResponseHead;
pub use head_cache::HeadCache;
pub(crate) use lines::{KEPT_CAPACITY, recycle};
