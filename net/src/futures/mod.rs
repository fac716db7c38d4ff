//! Sockets to await: [`AsyncSocket`] with futures-io's `AsyncRead` and `AsyncWrite`, and [`Incoming`], a stream of connections.
//!
//! They stand on [`Socket`](crate::Socket) and [`Server`](crate::Server), whose handlers wake the tasks that wait.

mod half;
mod incoming;
mod socket;

pub use half::{ReadHalf, WriteHalf};
pub use incoming::Incoming;
pub use socket::AsyncSocket;
