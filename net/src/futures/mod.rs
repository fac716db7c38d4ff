//! Sockets to await: [`AsyncSocket`] with futures-io's `AsyncRead` and `AsyncWrite`, [`Incoming`], a stream of connections, and
//! [`AsyncUdpSocket`], datagrams.
//!
//! They stand on [`Socket`](crate::Socket), [`Server`](crate::Server) and [`UdpSocket`](crate::udp::UdpSocket), whose handlers wake
//! the tasks that wait.

mod half;
mod incoming;
mod share;
mod socket;
mod udp;

pub use half::{ReadHalf, WriteHalf};
pub use incoming::Incoming;
pub use socket::AsyncSocket;
pub use udp::AsyncUdpSocket;
