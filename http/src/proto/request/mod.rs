//! Requests as a server reads them: the decoder of one connection, and what it reads.

mod authority;
mod body;
mod decoder;
mod framing_fields;
mod head;
pub(super) mod line;
mod target;

pub use body::Framing;
pub use decoder::{Decoder, Event};
pub use framing_fields::Expect;
pub(super) use framing_fields::FramingFields;
pub use head::RequestHead;
pub use target::TargetForm;
