//! What a run found, as it is written to the JSON file and read by the report page and by `--compare`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of this layout: a file of another one is refused.
pub(crate) const FORMAT: u32 = 2;

/// Everything a run found, with what is needed to repeat it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub format: u32,
    /// The commit that was measured; empty outside of a checkout.
    pub commit: String,
    /// Whether the checkout had changes that no commit has.
    pub dirty: bool,
    pub date: String,
    pub machine: Machine,
    /// Versions of what took part: rustc, node, libuv, tokio, hyper, nginx.
    pub versions: BTreeMap<String, String>,
    /// The words after `cargo xtask bench`.
    pub arguments: Vec<String>,
    pub seconds: f64,
    /// What a reader has to know: one core only, no pinning, little time.
    pub notes: Vec<String>,
    /// The benchmarks, in the order of the catalogue.
    pub benches: Vec<Bench>,
    pub counts: Vec<Count>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    /// Its cores that this process may use.
    pub cores: usize,
    pub kernel: String,
    pub memory_mib: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bench {
    /// `tcp/echo-64`.
    pub name: String,
    /// `loop`, `tcp`, `http` and so on: the part of the name before the slash.
    pub group: String,
    /// What is measured, in a sentence.
    pub title: String,
    pub op: String,
    /// What [`Subject::cost`] counts.
    pub unit: Unit,
    /// The aim: a ratio to the floor or a peer, or bytes for [`Unit::Bytes`].
    pub target: Option<f64>,
    /// The subject that the aim is for.
    pub target_of: Option<String>,
    /// The peer that the aim is a ratio to, in place of the floor.
    pub target_to: Option<String>,
    /// The ratio to that peer, if both were measured.
    pub ratio_to_peer: Option<Figure>,
    /// Those that were measured.
    pub subjects: Vec<Subject>,
    /// Those that were not.
    pub left_out: Vec<LeftOut>,
}

impl Bench {
    /// What is compared with the target: the ratio to the floor or a peer, or the cost where that is the aim.
    pub(crate) fn reached(&self) -> Option<&Figure> {
        if self.target_to.is_some() {
            return self.ratio_to_peer.as_ref();
        }
        let subject = self.subjects.iter().find(|subject| Some(&subject.name) == self.target_of.as_ref())?;
        if self.unit == Unit::Ns { subject.ratio.as_ref() } else { Some(&subject.cost) }
    }

    /// Whether the target is met; `None` without a target or a figure.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let (median, target) = (self.reached()?.median, self.target?);
        (median.is_finite() && target.is_finite()).then_some(median <= target)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    #[default]
    Ns,
    Bytes,
    /// Connections that the busiest worker has more than the idlest.
    Spread,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub name: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subject {
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The hand-written program that does the bare system calls.
    Floor,
    /// A layer of this project.
    #[default]
    Ours,
    /// A program of another project.
    Peer,
}

/// A value that was taken several times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The middle one; of windows, that of all the quiet ones.
    pub median: f64,
    pub least: f64,
    pub greatest: f64,
    /// How uncertain the median is, as a part of it: the true one is so near in about 95 of 100 cases. Nothing is known after
    /// a single round.
    pub margin: Option<f64>,
    /// All, in the order of the rounds.
    pub samples: Vec<f64>,
}

/// The latencies of all rounds together, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the operations took at most so long.
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    /// Pairs of a quantile (0 to 1) and its latency, both rising.
    pub curve: Vec<(f64, f64)>,
}

/// What one operation of a subject takes, counted instead of timed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Count {
    pub name: String,
    pub subject: String,
    pub instructions: Option<f64>,
    pub syscalls: Option<f64>,
    pub allocations: Option<f64>,
}
