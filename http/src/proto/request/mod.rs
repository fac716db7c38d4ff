//! Requests: the decoder of one connection and what it reads, and the head and the encoder of a client.

mod decoder;
mod encoder;
mod head;
mod line;
mod owned;
mod prepared;
mod target;

pub use decoder::{Decoder, Event};
pub use encoder::RequestEncoder;
pub use head::RequestHead;
pub use owned::OwnedHead;
pub use prepared::OutgoingRequest;
pub use target::TargetForm;
