//! The agent as its programs see it: which connection each request has, against a server that counts, and against a server that
//! keeps to no rule.

mod contexts;
mod ends;
#[path = "../../../tests/shared/evil.rs"]
pub(crate) mod evil;
mod harness;
mod idle;
mod limits;
mod options;
mod queue;
mod retry;
mod reuse;
mod stale;
