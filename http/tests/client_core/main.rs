//! The client as its server and its handlers see it: a loop on the test's thread, plain sockets on others.

mod bodies;
mod harness;
mod requests;
