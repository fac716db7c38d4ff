//! Signals: placeholder.
