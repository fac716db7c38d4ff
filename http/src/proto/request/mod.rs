//! Requests as a server reads them: the decoder of one connection, and what it reads.

mod decoder;
mod head;
mod line;
mod owned;
mod target;

pub use decoder::{Decoder, Event};
pub use head::RequestHead;
pub use owned::OwnedHead;
pub use target::TargetForm;
