//! Child processes: placeholder.
