//! What layers are built of, those above as this one: where a handler is kept, guards for a handler that panics, cells
//! for flags and for rare state, and tracing. Programs need none of it. async-wrap exports this module again.

mod cold_cell;
mod flags;
mod handler_cell;
mod on_drop;
pub mod trace;

pub use crate::error::Printable;
pub use cold_cell::ColdCell;
pub use flags::{FlagBits, FlagCell, FlagKind, Flags};
pub use handler_cell::HandlerCell;
pub use on_drop::{OnDrop, OnUnwind};
