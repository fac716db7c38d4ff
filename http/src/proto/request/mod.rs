//! Requests as a server reads them: the decoder of one connection, and what it reads.

mod decoder;
mod head;
mod line;
mod target;

pub use decoder::{Decoder, Event};
pub use head::RequestHead;
pub use target::TargetForm;
