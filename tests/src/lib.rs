//! Tests across the layers.

pub mod conformance;
