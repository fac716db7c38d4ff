//! Scenarios of `net`, and of the hooks of `async-wrap` under it.

pub(crate) mod connects;
pub(crate) mod datagrams;
mod echo;
pub(crate) mod futures;
pub(crate) mod gates;
pub(crate) mod hooks;
pub(crate) mod names;
pub(crate) mod pulls;
mod side;
pub(crate) mod sockets;
pub(crate) mod unusual;

pub(crate) use echo::echo;
