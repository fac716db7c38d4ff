//! What a run found, as it is written to the JSON file and read by the report page and by `--compare`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of this layout: a file of another one is refused.
pub(crate) const FORMAT: u32 = 2;

/// Everything a run found, with what is needed to repeat it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// The commit that was measured; empty outside of a checkout.
    pub commit: String,
    /// Whether the checkout had changes that no commit has.
    pub dirty: bool,
    /// When the run began: RFC 3339, UTC.
    pub date: String,
    /// Where.
    pub machine: Machine,
    /// Versions of what took part: rustc, node, libuv, tokio, hyper, nginx.
    pub versions: BTreeMap<String, String>,
    /// The words after `cargo xtask bench`.
    pub arguments: Vec<String>,
    /// How long the run took.
    pub seconds: f64,
    /// What a reader has to know: one core only, no pinning, little time.
    pub notes: Vec<String>,
    /// The benchmarks, in the order of the catalogue.
    pub benches: Vec<Bench>,
    /// What `--count` counted.
    pub counts: Vec<Count>,
}

/// The machine of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Its cores that this process may use.
    pub cores: usize,
    /// Name and version of the kernel.
    pub kernel: String,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// One benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bench {
    /// `tcp/echo-64`.
    pub name: String,
    /// `loop`, `tcp`, `unix`, `http` or `cluster`.
    pub group: String,
    /// What is measured, in a sentence.
    pub title: String,
    /// What one operation is.
    pub op: String,
    /// What [`Subject::cost`] counts.
    pub unit: Unit,
    /// The aim: a ratio to the floor, or bytes for [`Unit::Bytes`].
    pub target: Option<f64>,
    /// The subject that the aim is for.
    pub target_of: Option<String>,
    /// Those that were measured.
    pub subjects: Vec<Subject>,
    /// Those that were not.
    pub left_out: Vec<LeftOut>,
}

/// What a cost is given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    /// CPU nanoseconds per operation.
    Ns,
    /// Bytes of memory.
    Bytes,
    /// Connections that the busiest worker has more than the idlest.
    Spread,
}

/// A subject that could not be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why not.
    pub reason: String,
}

/// A measured subject of one benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subject {
    /// `floor`, `uv-core`, …, `libuv`, `tokio`, `hyper`, `node`, `nginx`.
    pub name: String,
    /// Which of the three kinds it is.
    pub role: Role,
    /// What one operation costs, in the benchmark's unit; a sample is what the quiet moments of a round come to.
    pub cost: Figure,
    /// The same to the floor's, made within a round.
    pub ratio: Option<Figure>,
    /// Operations per second of wall time.
    pub per_second: Option<f64>,
    /// How long operations took, for those that a client waits for.
    pub latency: Option<Latency>,
    /// Operations that failed, over all rounds.
    pub errors: u64,
}

/// What a subject is to the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// The hand-written program that does the bare system calls.
    Floor,
    /// A layer of this project.
    Ours,
    /// Somebody else's.
    Peer,
}

/// A value that was taken several times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// The middle one; of windows, that of all the quiet ones.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
    /// How uncertain the median is, as a part of it: the true one is so near in about 95 of 100 cases. Nothing is known after
    /// a single round.
    pub margin: Option<f64>,
    /// All, in the order of the rounds.
    pub samples: Vec<f64>,
}

/// The latencies of all rounds together, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Half of the operations took at most so long.
    pub p50_us: f64,
    /// 99 % of them did.
    pub p99_us: f64,
    /// 99.9 % of them did.
    pub p999_us: f64,
    /// Pairs of a quantile (0 to 1) and its latency, both rising.
    pub curve: Vec<(f64, f64)>,
}

/// What one operation of a subject takes, counted instead of timed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Count {
    /// The benchmark's name.
    pub name: String,
    /// The subject's name.
    pub subject: String,
    /// Instructions.
    pub instructions: Option<f64>,
    /// System calls.
    pub syscalls: Option<f64>,
    /// Allocations.
    pub allocations: Option<f64>,
}
