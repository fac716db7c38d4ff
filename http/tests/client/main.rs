//! The client as its programs see it, against servers that keep to no rule: a script for each connection, on the loop of the test.

mod answers;
mod bodies;
mod early;
#[path = "../../../tests/shared/evil.rs"]
pub(crate) mod evil;
mod evil_plays;
mod expect;
mod floods;
mod kept;
mod leaving;
mod llhttp;
#[path = "../proto_responses/llhttp_cases.rs"]
mod llhttp_cases;
mod names;
mod node;
mod phases;
mod requests;
pub(crate) mod rig;
