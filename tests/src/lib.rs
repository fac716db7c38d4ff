//! Tests across the layers, and what they share.

#![forbid(unsafe_code)]

pub mod conformance;
pub mod running;
pub mod source;
pub mod workspace;
