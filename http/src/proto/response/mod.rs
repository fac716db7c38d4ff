//! Responses as a server writes them: a head that is prepared, and the encoder that turns it and a body into bytes.

mod decoder;
mod encoder;
mod framing;
mod head;
mod head_cache;
mod owned;
mod reason;
mod received;
mod status_line;

pub use decoder::{ResponseDecoder, ResponseEvent};
pub use encoder::Encoder;
pub use framing::RequestFacts;
pub use head::ResponseHead;
pub use head_cache::HeadCache;
pub use owned::OwnedResponse;
pub use received::{IncomingResponse, ResponseTo};
