//! Scenarios of `uv_core`: each request completes once and in order, and what is closed makes no further call.

pub(crate) mod children;
pub(crate) mod descriptors;
mod end;
pub(crate) mod fate;
pub(crate) mod files;
mod misuse;
pub(crate) mod pool;
pub(crate) mod reuse;
pub(crate) mod streams;
pub(crate) mod timers;
pub(crate) mod watchers;

pub(crate) use misuse::wrong_calls;

/// A number below `bound` that the seed decides, also where no world is at hand.
pub(crate) fn dice(bound: u64) -> u64 {
    uv_core::faults::choose("choice of the scenario", bound)
}

/// One chance in `count`.
pub(crate) fn one_in(count: u64) -> bool {
    dice(count) == 0
}

/// The byte at a place of the stream that `writer` writes: the first byte is its number.
pub(crate) fn byte_at(writer: usize, place: u64) -> u8 {
    match place {
        0 => writer as u8,
        place => (place ^ (place >> 8) ^ (place >> 16)).wrapping_mul(31).wrapping_add(writer as u64) as u8,
    }
}

/// Bytes of a writer from a place on.
pub(crate) fn bytes_at(writer: usize, place: u64, len: u64) -> Vec<u8> {
    (place..place + len).map(|place| byte_at(writer, place)).collect()
}

/// The length of a piece of data: mostly short, sometimes more than a socket's buffer.
pub(crate) fn some_len() -> u64 {
    match dice(16) {
        0 => 0,
        1 => dice(300_000),
        2..6 => dice(5_000),
        _ => 1 + dice(40),
    }
}
