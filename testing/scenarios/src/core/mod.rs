//! Scenarios of `uv_core`: each request completes once and in order, and what is closed makes no further call.

pub(crate) mod children;
pub(crate) mod datagrams;
pub(crate) mod descriptors;
mod end;
pub(crate) mod fate;
pub(crate) mod file_io;
pub(crate) mod files;
pub(crate) mod lookups;
mod misuse;
pub(crate) mod poll;
pub(crate) mod pool;
pub(crate) mod pulls;
pub(crate) mod reuse;
pub(crate) mod streams;
pub(crate) mod timers;
pub(crate) mod watchers;

pub(crate) use misuse::wrong_calls;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number below `bound` that the seed decides, also where no world is at hand.
pub(crate) fn dice(bound: u64) -> u64 {
    uv_core::faults::choose("choice of the scenario", bound)
}

/// One chance in `count`.
pub(crate) fn one_in(count: u64) -> bool {
    dice(count) == 0
}

/// What a datagram of a scenario begins with. Beside this process others play, and a port that one of them has given back may be
/// another's a moment later: a datagram without this is one of theirs.
pub(crate) fn mark() -> [u8; 4] {
    std::process::id().to_be_bytes()
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

/// A folder that a scenario has for itself: its files are the file system's, and only calls on them meet faults.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("upcall-faults-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a temporary folder");
        Self { path }
    }

    /// Makes a file.
    pub(crate) fn write(&self, name: &str, data: &[u8]) -> PathBuf {
        let path = self.path.join(name);
        std::fs::write(&path, data).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Fails only for a folder that was removed already.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
