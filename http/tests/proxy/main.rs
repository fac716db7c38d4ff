//! The proxy as its clients and its upstreams see it: a loop with proxy and servers on the test's thread, plain sockets on
//! others. An upstream that does what no server should is a script on a thread of its own.

mod bodies;
mod ends;
mod expect;
mod failing;
#[path = "../server/harness.rs"]
#[expect(dead_code, reason = "the tests of the server use all of it")]
mod harness;
mod health;
mod limits;
mod messages;
mod refused;
mod stand;
mod upgrade;
