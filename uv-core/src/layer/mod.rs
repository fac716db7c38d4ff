//! Building blocks of layers: the cell for a handler, guards for panics, cells for flags and for rare state,
//! places in the sources, and tracing. Programs need none of it. async-wrap re-exports this module.

mod cold_cell;
mod flags;
mod handler_cell;
mod on_drop;
mod place;
pub mod trace;

pub use crate::error::Printable;
pub use cold_cell::ColdCell;
pub use flags::{FlagBits, FlagCell, FlagKind, Flags};
pub use handler_cell::HandlerCell;
pub use on_drop::{OnDrop, OnUnwind};
pub use place::{Place, PlaceMark};
