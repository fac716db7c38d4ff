//! The server as its clients see it: a loop on the test's thread, plain sockets on others.
//!
//! Every test runs twice: as it is, and in `server_slow_path`, with the fast path switched off.

mod answers;
#[cfg(feature = "json")]
mod attacked;
mod backpressure;
mod bodies;
mod closing;
#[cfg(feature = "codings")]
mod codings;
mod endings;
mod ends;
mod errors;
mod events;
mod fields;
mod files;
mod folder;
mod gone;
pub(crate) mod harness;
mod held;
#[cfg(feature = "json")]
mod json;
mod late;
mod lingering;
mod methods;
mod overload;
mod panics;
mod pipeline_model;
mod pipelining;
mod refused;
mod reuse;
mod robust;
#[path = "../../../tests/shared/seeds.rs"]
pub(crate) mod seeds;
mod serve;
mod serve_life;
mod serve_stream;
mod serve_upgrade;
mod timeouts;
mod upgrade;
mod values;
