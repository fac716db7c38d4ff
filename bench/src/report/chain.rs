//! What each layer adds to one request: differences between neighbours of the chain, from measured or counted costs.

use super::format;
use crate::results::{Figure, Results, Role, Unit};

/// The benchmark of all layers but http, and that of http.
const ECHO: &str = "tcp/echo-64";
const KEEP_ALIVE: &str = "http/keep-alive";

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    Time,
    Instructions,
}

#[derive(Debug)]
pub(super) struct Chain {
    pub(super) quantity: Quantity,
    pub(super) steps: Vec<Step>,
    /// How much more the kernel does for a request of HTTP than for an echo: the step of http holds it.
    pub(super) kernel_of_http: Option<f64>,
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// The cost of all up to here; none where it is not known.
    pub(super) total: Option<f64>,
    /// The same of the last known step beneath; none for the lowest.
    pub(super) beneath: Option<f64>,
    /// What is to be known of the difference between the two: that it may be noise, or holds another step's cost too.
    pub(super) remark: &'static str,
}

impl Step {
    pub(super) fn adds(&self) -> Option<f64> {
        self.total.zip(self.beneath).map(|(total, beneath)| total - beneath)
    }
}

impl Chain {
    pub(super) fn of(results: &Results, quantity: Quantity) -> Self {
        let (mut beneath, mut is_missing) = (None::<Figure>, false);
        let mut steps = Vec::new();
        for (bench, name, what) in STEPS {
            let cost = cost(results, quantity, bench, name);
            let remark = match cost.as_ref().zip(beneath.as_ref()) {
                Some(_) if is_missing => "with the cost of the step that is missing",
                Some((cost, beneath)) if cost.least < beneath.greatest => "within the noise",
                _ => "",
            };
            let [total, below] = [&cost, &beneath].map(|cost| cost.as_ref().map(|cost| cost.median));
            steps.push(Step { name, what, total, beneath: below, remark });
            is_missing = cost.is_none();
            beneath = cost.or(beneath);
        }
        let floor = |bench| Some(cost(results, quantity, bench, "floor")?.median);
        // Noise can put the longer messages' floor beneath the other.
        let kernel = floor(KEEP_ALIVE).zip(floor(ECHO)).map(|(request, echo)| request - echo);
        Self { quantity, steps, kernel_of_http: kernel.filter(|kernel| *kernel > 0.0) }
    }

    /// The costs that are known, from the kernel upward.
    pub(super) fn totals(&self) -> impl DoubleEndedIterator<Item = f64> {
        self.steps.iter().filter_map(|step| step.total)
    }

    pub(super) fn write(&self, value: f64) -> String {
        match self.quantity {
            Quantity::Time => format::cost(Unit::Ns, value),
            Quantity::Instructions => format::instructions(value),
        }
    }

    /// What a step adds, with its sign; the lowest one's cost.
    pub(super) fn added(&self, step: &Step) -> String {
        match (step.total, step.adds()) {
            (None, _) => "not measured".to_owned(),
            (Some(total), None) => self.write(total),
            (Some(_), Some(adds)) => format::signed(adds, |adds| self.write(adds)),
        }
    }
}

/// A subject's cost. Its rounds are seen through their ratios to the floor where there are any, as those are made
/// within a round and so know nothing of what the machine did between the rounds.
fn cost(results: &Results, quantity: Quantity, bench: &str, subject: &str) -> Option<Figure> {
    let is_known = |cost: &f64| cost.is_finite() && *cost >= 0.0;
    if quantity == Quantity::Instructions {
        let count = results.counts.iter().find(|c| c.name == bench && c.subject == subject)?;
        return Figure::of(vec![count.instructions.filter(is_known)?]);
    }
    let bench = results.benches.iter().find(|b| b.name == bench)?;
    let floor = bench.subjects.iter().find(|s| s.role == Role::Floor);
    let subject = bench.subjects.iter().find(|s| s.name == subject)?;
    let (figure, times) = match subject.ratio.as_ref().zip(floor) {
        Some((ratio, floor)) => (ratio, floor.cost.median),
        None => (&subject.cost, 1.0),
    };
    let median = Some(subject.cost.median).filter(is_known)?;
    let (least, greatest) = ((figure.least * times).min(median), (figure.greatest * times).max(median));
    Some(Figure { median, least, greatest, ..Figure::default() })
}
