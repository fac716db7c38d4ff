//! The client as its server and its handlers see it: a loop on the test's thread, plain sockets on others.

mod bodies;
mod dropped;
mod ends;
mod expect;
mod harness;
mod requests;
mod times;
