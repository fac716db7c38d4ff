//! What the kit's binaries share: an epoll set, loopback sockets, and the report that `load` prints and
//! `measure` reads.
//!
//! The binaries are `floor` (the least a server can do), `load` (the clients), `measure` (the runner) and
//! `hyper-peer` (hyper on tokio). README.md says how they are used together.

pub mod poller;
pub mod report;
pub mod sockets;
