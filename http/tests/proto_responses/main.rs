//! What the decoder of responses accepts, how it delimits bodies, and what it refuses at which byte.

mod bodies;
mod harness;
mod heads;
mod llhttp;
mod llhttp_cases;
mod order;
mod robust;
