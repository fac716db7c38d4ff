//! What each layer adds to one request: differences between neighbours of the chain, from measured or counted costs.

use super::format;
use crate::results::{Figure, Results, Role, Subject, Unit};

/// The chain from the kernel upward: the benchmark and the subject whose cost holds everything up to this step, and
/// what the step does.
const STEPS: [(&str, &str, &str); 6] = [
    (ECHO, "floor", "the kernel: the bare system calls"),
    (ECHO, "uv-core", "the loop and its streams"),
    (ECHO, "tcp-wrap", "handle wraps and write requests"),
    (ECHO, "async-wrap", "callback scopes, ticks, microtasks; no hooks"),
    (ECHO, "net", "the server and its sockets"),
    (KEEP_ALIVE, "http", "parsing, limits, timeouts, the response"),
];

/// The benchmark of all layers but http.
const ECHO: &str = "tcp/echo-64";
/// The benchmark of http.
const KEEP_ALIVE: &str = "http/keep-alive";

/// What a chain is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// CPU time in nanoseconds.
    Time,
    /// Instructions.
    Instructions,
}

/// The chain of a run.
#[derive(Debug)]
pub(super) struct Chain {
    /// What it is made of.
    pub(super) quantity: Quantity,
    /// Its steps, from the kernel upward.
    pub(super) steps: Vec<Step>,
    /// How much more the kernel does for a request of HTTP than for an echo: the step of http holds it.
    pub(super) kernel_of_http: Option<f64>,
}

/// A step of the chain.
#[derive(Debug)]
pub(super) struct Step {
    /// The layer.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) what: &'static str,
    /// The cost of all up to here; none where it is not known.
    pub(super) total: Option<f64>,
    /// What it adds to the last known step beneath it; none for the lowest known step.
    pub(super) adds: Option<f64>,
    /// Whether the rounds of the two overlap, so that the difference may be noise.
    pub(super) noise: bool,
    /// Whether a step between the two is not known, so that the difference holds that one's cost too.
    pub(super) skips: bool,
}

/// A cost with the least and the greatest that the rounds make of it.
#[derive(Clone, Copy)]
struct Cost {
    median: f64,
    least: f64,
    greatest: f64,
}

impl Chain {
    /// The chain of `results`.
    pub(super) fn of(results: &Results, quantity: Quantity) -> Self {
        let mut beneath: Option<Cost> = None;
        let mut missing = false;
        let mut steps = Vec::new();
        for (bench, name, what) in STEPS {
            let cost = cost(results, quantity, bench, name);
            let pair = cost.zip(beneath);
            steps.push(Step {
                name,
                what,
                total: cost.map(|cost| cost.median),
                adds: pair.map(|(cost, beneath)| cost.median - beneath.median),
                noise: pair.is_some_and(|(cost, beneath)| cost.least < beneath.greatest),
                skips: missing && pair.is_some(),
            });
            missing = cost.is_none();
            beneath = cost.or(beneath);
        }
        let floor = |bench| cost(results, quantity, bench, "floor").map(|cost| cost.median);
        let kernel_of_http = floor(KEEP_ALIVE).zip(floor(ECHO)).map(|(request, echo)| request - echo);
        Self { quantity, steps, kernel_of_http }
    }

    /// The costs that are known, from the kernel upward.
    pub(super) fn totals(&self) -> impl DoubleEndedIterator<Item = f64> {
        self.steps.iter().filter_map(|step| step.total)
    }

    /// A cost, with its unit.
    pub(super) fn write(&self, value: f64) -> String {
        self.unit(value).with_unit(value)
    }

    /// The unit in which a cost reads best.
    pub(super) fn unit(&self, value: f64) -> format::Step {
        match self.quantity {
            Quantity::Time => format::Step::of(Unit::Ns, value),
            Quantity::Instructions => format::Step::instructions(value),
        }
    }

    /// What a step adds, with its sign; the lowest one's cost.
    pub(super) fn added(&self, step: &Step) -> String {
        match (step.total, step.adds) {
            (None, _) => "not measured".to_owned(),
            (Some(total), None) => self.write(total),
            (Some(_), Some(adds)) => format::signed(adds, |adds| self.write(adds)),
        }
    }
}

fn cost(results: &Results, quantity: Quantity, bench: &str, subject: &str) -> Option<Cost> {
    match quantity {
        Quantity::Time => {
            let bench = results.benches.iter().find(|b| b.name == bench)?;
            let floor = bench.subjects.iter().find(|s| s.role == Role::Floor);
            timed(bench.subjects.iter().find(|s| s.name == subject)?, floor)
        }
        Quantity::Instructions => {
            let count = results.counts.iter().find(|c| c.name == bench && c.subject == subject)?;
            let exact = |n| Cost { median: n, least: n, greatest: n };
            count.instructions.filter(|n| n.is_finite() && *n >= 0.0).map(exact)
        }
    }
}

/// A subject's cost. Its rounds are seen through their ratios to the floor where there are any, as those are made
/// within a round and so know nothing of what the machine did between the rounds.
fn timed(subject: &Subject, floor: Option<&Subject>) -> Option<Cost> {
    let median = Some(subject.cost.median).filter(|m| m.is_finite() && *m >= 0.0)?;
    let spread = |figure: &Figure, times: f64| Cost {
        median,
        least: (figure.least * times).min(median),
        greatest: (figure.greatest * times).max(median),
    };
    let Some((ratio, floor)) = subject.ratio.as_ref().zip(floor) else {
        return Some(spread(&subject.cost, 1.0));
    };
    Some(spread(ratio, floor.cost.median))
}
