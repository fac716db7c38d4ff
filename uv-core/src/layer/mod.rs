//! What the layers above build on: where a handler is kept, guards for a handler that panics, and tracing. Programs need
//! none of it. async-wrap exports this module again.

mod handler_cell;
mod on_drop;
pub mod trace;

pub use crate::error::Printable;
pub use handler_cell::HandlerCell;
pub use on_drop::{OnDrop, OnUnwind};
