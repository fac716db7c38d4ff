//! The benchmarks, group by group: a card each, with its bars, who was left out and why, and the numbers.

use super::scale::{Scale, place};
use super::{axis, format, look, numbers};
use crate::results::{Bench, Results, Role, Subject, Unit};
use maud::{Markup, html};

/// Groups with what a reader should know of them, in the order of the page. Any other group comes after.
const GROUPS: [(&str, &str, &str); 9] = [
    (
        "loop",
        "The loop",
        "uv-core by itself, and the tasks of async-wrap: no sockets, one program that repeats one operation.",
    ),
    (
        "libuv",
        "libuv’s own",
        "The benchmarks of libuv, under their names, as programs of one process: CPU time instead of a rate.",
    ),
    (
        "tcp",
        "TCP",
        "The same server over each layer of the chain: what a layer costs is the difference to the one beneath it.",
    ),
    ("unix", "Unix sockets", "As TCP, over a socket with a path."),
    (
        "http",
        "HTTP",
        "The whole chain with limits and timeouts on, hooks off. libuv has no parser: it sends canned replies.",
    ),
    (
        "client",
        "HTTP client",
        "A client asks the floor’s server, whose cost is not counted. undici is a package that Node’s users add.",
    ),
    (
        "proxy",
        "Reverse proxy",
        "Clients ask the floor’s server, whose cost is not counted, through a proxy that keeps its connections to it, and \
         tells it of the client in Via, Forwarded and X-Forwarded-*; the floor tells it nothing.",
    ),
    ("cluster", "Cluster", "A primary and two workers; the cost is that of all three processes."),
    (
        "pomelo",
        "Pomelo",
        "A master and 20 servers, beside Node's pomelo with the same configuration. There is no floor.",
    ),
];

/// An axis ends at this many times the floor, so that the layers can be told apart; longer bars are cut.
const CUT: f64 = 3.0;

const HEADS: [&str; 11] = [
    "subject",
    "what",
    "cost",
    "spread",
    "ratio",
    "ratio’s spread",
    "per second",
    "p50",
    "p99",
    "p99.9",
    "errors",
];

#[derive(Debug)]
pub(super) struct Group<'a> {
    name: &'a str,
    pub(super) title: &'a str,
    words: &'a str,
    /// Its benchmarks, with their places in the results.
    pub(super) benches: Vec<(usize, &'a Bench)>,
}

/// The groups that have benchmarks.
pub(super) fn groups(results: &Results) -> Vec<Group<'_>> {
    let known = |(name, title, words)| Group { name, title, words, benches: Vec::new() };
    let mut groups: Vec<Group<'_>> = GROUPS.map(known).into();
    for (index, bench) in results.benches.iter().enumerate() {
        let at = groups.iter().position(|group| group.name == bench.group).unwrap_or(groups.len());
        if at == groups.len() {
            groups.push(known((&bench.group, &bench.group, "")));
        }
        groups[at].benches.push((index, bench));
    }
    groups.retain(|group| !group.benches.is_empty());
    groups
}

pub(super) fn sections(groups: &[Group<'_>]) -> Markup {
    html! {
        @for (index, group) in groups.iter().enumerate() {
            section id={ "group-" (index) } {
                h2 { (group.title) }
                @if !group.words.is_empty() { p.lead { (group.words) } }
                div.cards { @for (index, bench) in &group.benches { (card(*index, bench)) } }
            }
        }
    }
}

fn card(index: usize, bench: &Bench) -> Markup {
    html! {
        article.card id={ "bench-" (index) } {
            h3 { code { (bench.name) } }
            p.what {
                // Code stands between backquotes.
                @for (index, piece) in sentence(&bench.title).split('`').enumerate() {
                    @if index % 2 == 0 { (piece) } @else { code { (piece) } }
                }
                @if !bench.op.is_empty() { span.op { " One operation: " (bench.op.trim_end_matches('.')) "." } }
            }
            @if bench.subjects.is_empty() { p.empty { "Nothing was measured." } } @else { (bars(bench)) }
            @for subject in bench.subjects.iter().filter(|subject| subject.errors > 0) {
                p.errors { "⚠ " (subject.errors) " operations of " (subject.name) " failed: its figures say little." }
            }
            @if !bench.left_out.is_empty() {
                p.remark {
                    "Left out: "
                    @for (index, out) in bench.left_out.iter().enumerate() {
                        @if index > 0 { "; " }
                        b { (out.name) } " (" (out.reason) ")"
                    }
                    "."
                }
            }
            @if !bench.subjects.is_empty() {
                (numbers(
                    &format!("All the numbers of {}", bench.name),
                    &HEADS,
                    ordered(bench).map(|subject| (look(subject), cells(bench, subject))),
                ))
            }
        }
    }
}

/// The text as a sentence: with a capital and a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let stop = if text.is_empty() || text.ends_with(['.', '!', '?']) { "" } else { "." };
    first.into_iter().flatten().chain(letters).chain(stop.chars()).collect()
}

/// The floor first, then ours from the loop upward, then the peers.
fn ordered(bench: &Bench) -> impl Iterator<Item = &Subject> {
    [Role::Floor, Role::Ours, Role::Peer]
        .into_iter()
        .flat_map(move |role| bench.subjects.iter().filter(move |s| s.role == role))
}

/// The cost of the floor, where it was measured and is more than nothing.
fn floor(bench: &Bench) -> Option<f64> {
    let floor = bench.subjects.iter().find(|s| s.role == Role::Floor)?;
    Some(floor.cost.median).filter(|cost| cost.is_finite() && *cost > 0.0)
}

/// The axis from nothing to the longest bar, and whether it ends before.
fn axis_of(bench: &Bench, aim: Option<f64>) -> (Scale, bool) {
    let longest = |with_peers: bool| {
        let subjects = bench.subjects.iter().filter(|s| with_peers || s.role != Role::Peer);
        let reach = subjects.map(|s| s.cost.greatest.max(s.cost.median)).chain(aim);
        reach.filter(|v| v.is_finite()).fold(0.0, f64::max)
    };
    let (all, limit) = (longest(true), longest(false).max(floor(bench).unwrap_or(0.0) * CUT) * 1.05);
    let cut = limit > 0.0 && all > limit * 1.25;
    (Scale::linear(0.0, if cut { limit } else { all }), cut)
}

fn bars(bench: &Bench) -> Markup {
    let aim = bench.target.and_then(|target| match bench.unit {
        Unit::Ns => Some((floor(bench)? * target, format::ratio(target))),
        unit => Some((target, format::cost(unit, target))),
    });
    let (scale, cut) = axis_of(bench, aim.as_ref().map(|(aim, _)| *aim));
    let quantity = match bench.unit {
        Unit::Ns => "CPU time per operation",
        Unit::Bytes => "Memory per connection or server",
        Unit::Spread => "Busiest less idlest worker",
    };
    html! {
        figure.chart role="group" aria-label={ (bench.name) ": " (quantity) } {
            div.plot.aimed[aim.is_some()] {
                (axis(scale, 5, |value| format::tick(bench.unit, scale.high, value)))
                @if let Some((aim, name)) = &aim {
                    i.aim.left[scale.percent(*aim) > 60.0] style=(place(scale, *aim, *aim)) { span { "target " (name) } }
                }
                @for subject in ordered(bench) { (row(bench, subject, scale)) }
            }
            figcaption {
                (quantity) "; line: least to greatest."
                @if cut { " A bar with a break runs on past the axis." }
            }
        }
    }
}

fn row(bench: &Bench, subject: &Subject, scale: Scale) -> Markup {
    let cost = &subject.cost;
    let is_cut = cost.median > scale.high * 1.000_001;
    let ratio = subject.ratio.as_ref().map_or(f64::NAN, |ratio| ratio.median);
    html! {
        div.row title=(hint(bench, subject)) {
            span.name { (subject.name) @if subject.role == Role::Ours { small { "ours" } } }
            span.soft { (format::spread(bench.unit, cost)) }
            b { (format::cost(bench.unit, cost.median)) }
            b.ratio { (format::ratio(ratio)) }
            div.track { @if cost.median.is_finite() {
                i.bar.(look(subject)).cut[is_cut] style=(place(scale, 0.0, cost.median)) {}
                @if !is_cut && format::has_spread(cost) { i.whisker style=(place(scale, cost.least, cost.greatest)) {} }
            } }
        }
    }
}

fn hint(bench: &Bench, subject: &Subject) -> String {
    let mut hint = format!("{}: {}", subject.name, format::cost(bench.unit, subject.cost.median));
    if let Some(ratio) = &subject.ratio {
        hint += &format!(", {} the floor", format::ratio(ratio.median));
    }
    let rate = subject.per_second.map(format::rate);
    let latency = subject.latency.as_ref();
    let latency =
        latency.map(|l| format!("p50 {}, p99 {}", format::micros(l.p50_us), format::micros(l.p99_us)));
    let rounds = subject.cost.samples.len();
    let rounds = (rounds > 0).then(|| format!("{rounds} round{}", if rounds == 1 { "" } else { "s" }));
    [rate, latency, rounds].into_iter().flatten().fold(hint, |hint, more| hint + " · " + &more)
}

fn cells(bench: &Bench, subject: &Subject) -> Vec<String> {
    let or_dash = |text: Option<String>| {
        text.filter(|text| !text.is_empty()).unwrap_or_else(|| format::NONE.to_owned())
    };
    let (ratio, latency) = (subject.ratio.as_ref(), subject.latency.as_ref());
    let role = match subject.role {
        Role::Floor => "the floor",
        Role::Ours => "ours",
        Role::Peer => "peer",
    };
    let spread = ratio.filter(|ratio| format::has_spread(ratio));
    vec![
        subject.name.clone(),
        role.to_owned(),
        format::cost(bench.unit, subject.cost.median),
        or_dash(Some(format::spread(bench.unit, &subject.cost))),
        or_dash(ratio.map(|ratio| format::ratio(ratio.median))),
        or_dash(spread.map(|r| format!("{}–{}", format::ratio(r.least), format::ratio(r.greatest)))),
        or_dash(subject.per_second.map(format::rate)),
        or_dash(latency.map(|latency| format::micros(latency.p50_us))),
        or_dash(latency.map(|latency| format::micros(latency.p99_us))),
        or_dash(latency.map(|latency| format::micros(latency.p999_us))),
        subject.errors.to_string(),
    ]
}
