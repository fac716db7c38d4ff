//! What the stream benchmarks ask of a server, whichever layer it is written for.

use crate::Result;

/// Connections that the kernel keeps ready, and those that are taken in one turn: the numbers of `net`, so that the
/// layers differ in nothing else.
pub(crate) const BACKLOG: u32 = 511;
pub(crate) const ACCEPT_BATCH: u32 = 16;

/// Bytes that may wait for a client that reads slowly before it is not listened to any more: the number of `net` again.
pub(crate) const HIGH_WATER_MARK: usize = 64 * 1024;

/// Writes that answer each byte of a request, and what each of them writes.
pub(crate) const WRITES: usize = 16;
pub(crate) const WRITE: &[u8] = &[b'w'; 64];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Echo,
    Sink,
    /// Each is answered with [`WRITES`] writes.
    Writes,
}

impl Service {
    /// What a benchmark needs.
    pub(crate) fn of_bench(bench: &str) -> Result<Self> {
        match bench {
            "pump" => Ok(Self::Sink),
            "writes" => Ok(Self::Writes),
            "echo" | "connect" | "idle" => Ok(Self::Echo),
            _ if bench.starts_with("echo-") => Ok(Self::Echo),
            _ => Err(format!("subject: no benchmark {bench:?} of streams").into()),
        }
    }
}
