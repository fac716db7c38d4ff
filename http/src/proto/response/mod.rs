//! Responses as a server writes them: a head that is prepared, and the encoder that turns it and a body into bytes.

mod encode;
mod encoder;
mod field_lines;
mod framing;
mod head;
mod head_cache;
mod reason;

pub use encode::EncodeError;
pub use encoder::Encoder;
pub use framing::RequestFacts;
pub use head::ResponseHead;
pub use head_cache::HeadCache;
