//! Requests as a server reads them: the decoder of one connection, and what it reads.

mod authority;
mod decoder;
mod field_table;
mod framing_fields;
mod head;
mod line;
mod target;

pub use decoder::{Decoder, Event};
pub use field_table::FieldTable;
pub use framing_fields::Expect;
pub use head::RequestHead;
pub use target::TargetForm;
