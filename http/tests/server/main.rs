//! The server as its clients see it: a loop on the test's thread, plain sockets on others.

mod answers;
mod backpressure;
mod bodies;
mod closing;
mod endings;
mod errors;
mod events;
mod fields;
mod gone;
mod harness;
mod held;
mod late;
mod lingering;
mod ordinary;
mod panics;
mod pipelining;
mod robust;
mod timeouts;
mod upgrade;
