//! An HTTP/1.1 server: Node's `connectionListener` on a net socket.
//!
//! - [`proto`]: the protocol itself, bytes in and events out; it knows no socket, no clock and no loop.
#![forbid(unsafe_code)]

pub mod proto;
