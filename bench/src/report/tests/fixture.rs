//! Results as a run would find them: the costs of the best-known servers, with a little noise.

use crate::results::{Bench, Count, FORMAT, Figure, Latency, LeftOut, Machine, Results, Role, Subject, Unit};

/// A benchmark: its name, title and operation, its floor and target, and its subjects as ratios or, of memory, bytes.
type Row = (&'static str, &'static str, &'static str, f64, Option<f64>, &'static [(&'static str, f64)]);

const STREAM: &[(&str, f64)] = &[
    ("uv-core", 1.008),
    ("tcp-wrap", 1.014),
    ("async-wrap", 1.021),
    ("async-wrap-hooks", 1.043),
    ("net", 1.037),
    ("libuv", 1.62),
    ("tokio", 1.08),
    ("node", 1.55),
];
const TICKS: &[(&str, f64)] = &[("uv-core", 1.6), ("libuv", 1.7), ("tokio", 2.4), ("node", 9.8)];
const SPAWN: &[(&str, f64)] = &[("uv-core", 1.02), ("libuv", 1.05), ("tokio", 1.09), ("node", 2.7)];
const KEEP_ALIVE: &[(&str, f64)] = &[("http", 1.046), ("hyper", 1.15), ("node", 2.31), ("nginx", 1.21)];
const PIPELINED: &[(&str, f64)] = &[("http", 1.13), ("hyper", 1.71), ("node", 26.2), ("nginx", 14.7)];
const CONNECT: &[(&str, f64)] = &[("http", 1.12), ("hyper", 1.13), ("node", 2.38), ("nginx", 1.29)];
const CLUSTER: &[(&str, f64)] = &[("round-robin", 1.236), ("shared", 0.81), ("libuv", 1.62), ("node", 5.94)];

const ROWS: [Row; 13] = [
    ("loop/ticks", "The loop by itself.", "one turn with an active idle watcher", 290.0, None, TICKS),
    ("loop/spawn", "The loop by itself.", "a child process started and reaped", 612e3, None, SPAWN),
    ("tcp/echo-64", "64 connections, 64 bytes to and fro", "one message", 5420.0, Some(1.05), STREAM),
    ("tcp/echo-16k", "16 connections, 16 KiB to and fro", "one message", 14_310.0, Some(1.05), STREAM),
    ("tcp/connect", "connect, one echo, close", "a connection", 21_400.0, None, STREAM),
    ("tcp/idle", "Memory.", "an idle connection", 96.0, None, &[("net", 626.0), ("node", 17_841.0)]),
    ("unix/echo-64", "64 connections, 64 bytes to and fro", "one message", 3980.0, None, STREAM),
    ("http/keep-alive", "64 connections ask for `hello`", "one request", 5702.0, Some(1.05), KEEP_ALIVE),
    ("http/pipelined", "16 requests at once", "one request", 403.0, Some(1.20), PIPELINED),
    ("http/connect", "a connection for each request", "one request", 24_050.0, Some(1.10), CONNECT),
    ("http/idle", "Memory.", "a connection", 96.0, Some(768.0), &[("http", 626.0), ("tokio", 4210.0)]),
    ("cluster/connect", "A primary and two workers.", "a connection", 32e3, Some(1.25), CLUSTER),
    ("cluster/evenness", "How even.", "1000 connections", 0.0, None, &[("shared", 214.0), ("node", 1.0)]),
];

pub(super) fn results() -> Results {
    let versions = [("rustc", "1.95.0"), ("node", "26.1.0"), ("libuv", "1.51.0"), ("tokio", "1.48.0")];
    Results {
        format: FORMAT,
        commit: "4f2c9b7e61d0".to_owned(),
        dirty: true,
        date: "2026-11-21T11:30:44Z".to_owned(),
        machine: Machine {
            cpu: "AMD EPYC 9B14".to_owned(),
            cores: 2,
            kernel: "Linux 6.8.0-1021".to_owned(),
            memory_mib: 7956,
        },
        versions: versions.map(|(name, version)| (name.to_owned(), version.to_owned())).into(),
        arguments: vec!["--quick".to_owned()],
        seconds: 164.0,
        notes: vec!["Little time (--quick): the spread is wider than in a whole run.".to_owned()],
        benches: ROWS.map(bench).into(),
        counts: counts(),
    }
}

fn bench((name, title, op, floor, target, subjects): Row) -> Bench {
    let group = name.split('/').next().unwrap_or_default().to_owned();
    let unit = match name.split('/').next_back() {
        Some("idle") => Unit::Bytes,
        Some("evenness") => Unit::Spread,
        _ => Unit::Ns,
    };
    let is_layer = |name: &str| ["net", "http", "round-robin"].contains(&name);
    let first = if unit == Unit::Ns { 1.0 } else { floor };
    let all = [("floor", first)].into_iter().chain(subjects.iter().copied());
    let nginx = LeftOut { name: "nginx".to_owned(), reason: "it serves no such thing".to_owned() };
    Bench {
        name: name.to_owned(),
        title: title.to_owned(),
        op: op.to_owned(),
        unit,
        target,
        target_of: subjects.iter().find(|(name, _)| is_layer(name)).map(|(name, _)| (*name).to_owned()),
        subjects: all.map(|(name, value)| subject(&group, unit, floor, name, value)).collect(),
        left_out: if group == "http" { Vec::new() } else { vec![nginx] },
        group,
    }
}

fn subject(group: &str, unit: Unit, floor: f64, name: &str, value: f64) -> Subject {
    let is_timed = unit == Unit::Ns;
    let cost = if is_timed { floor * value } else { value };
    let role = match name {
        "floor" => Role::Floor,
        "libuv" | "tokio" | "hyper" | "node" | "nginx" => Role::Peer,
        _ => Role::Ours,
    };
    Subject {
        name: name.to_owned(),
        role,
        cost: figure(cost, 0.012),
        ratio: is_timed.then(|| figure(value, if role == Role::Floor { 0.0 } else { 0.006 })),
        per_second: is_timed.then_some(0.93e9 / cost),
        latency: (is_timed && group != "loop").then(|| latency(cost * 64.0 / 1e3, (value - 0.9) * 1.4)),
        errors: 0,
    }
}

/// The same noise at every call.
fn figure(median: f64, spread: f64) -> Figure {
    let samples = [0.4, -1.0, 0.0, 1.3, -0.3].map(|noise| median * (1.0 + noise * spread));
    Figure { median, least: samples[1], greatest: samples[3], margin: Some(0.01), samples: samples.to_vec() }
}

fn latency(median_us: f64, tail: f64) -> Latency {
    let point = |i: i32| {
        let nines = 0.301 + f64::from(i) * 3.699 / 60.0;
        let times = 1.0 + (nines - 0.301) * 0.12 + tail * (nines - 0.3).powi(4) / 40.0;
        (1.0 - 10f64.powf(-nines), median_us * times)
    };
    let curve: Vec<(f64, f64)> = (0..=60).map(point).collect();
    let at = |q: f64| curve.iter().find(|(quantile, _)| *quantile >= q).map_or(0.0, |(_, us)| *us);
    Latency { p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), curve }
}

fn counts() -> Vec<Count> {
    let layers =
        [("floor", 212.0), ("uv-core", 391.0), ("tcp-wrap", 468.0), ("async-wrap", 541.0), ("net", 802.0)];
    let echo = layers.map(|(subject, instructions)| ("tcp/echo-64", subject, instructions));
    let http = [("http/keep-alive", "floor", 240.0), ("http/keep-alive", "http", 2431.0)];
    let count = |(name, subject, instructions): (&str, &str, f64)| Count {
        name: name.to_owned(),
        subject: subject.to_owned(),
        instructions: Some(instructions),
        syscalls: Some(2.03),
        allocations: None,
    };
    echo.into_iter().chain(http).map(count).collect()
}
