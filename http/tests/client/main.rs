//! The client as its programs see it, against servers that keep to no rule: a script for each connection, on the loop of the test.

#[path = "../../../tests/shared/evil.rs"]
pub(crate) mod evil;
mod evil_plays;
