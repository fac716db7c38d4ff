//! The reverse callback chain: one conversation, seen at every layer. Each test compares the complete order of upcalls,
//! callback scopes and loop phases with Node's and libuv's, written out in full.
//!
//! A layer hides the one beneath it, so there is a test for each: the same client connects, asks, reads the answer and
//! closes. `full.rs` is the chain as a whole, from the listening socket's readiness to the handler of a request.

mod async_wrap_layer;
mod full;
mod net_layer;
mod rig;
mod tcp_wrap_layer;
mod transcript;
mod uv_core_layer;
mod watched;
