//! Tests across the layers.
