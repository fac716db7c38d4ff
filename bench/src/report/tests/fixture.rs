//! Results as a run would find them: the costs of the best-known servers, with a little noise.

use crate::results::{Bench, Count, FORMAT, Figure, Latency, LeftOut, Machine, Results, Role, Subject, Unit};

/// Layers with their ratios to the floor of an echo.
const LAYERS: [(&str, f64); 5] = [
    ("uv-core", 1.008),
    ("tcp-wrap", 1.014),
    ("async-wrap", 1.021),
    ("async-wrap-hooks", 1.043),
    ("net", 1.037),
];
const STREAM_PEERS: [(&str, f64); 3] = [("libuv", 1.62), ("tokio", 1.08), ("node", 1.55)];
const HTTP_PEERS: [(&str, f64); 3] = [("hyper", 1.15), ("node", 2.31), ("nginx", 1.21)];

/// A whole run.
pub(super) fn results() -> Results {
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
        versions: [
            ("rustc", "1.95.0"),
            ("node", "26.1.0"),
            ("libuv", "1.51.0"),
            ("tokio", "1.48.0"),
            ("hyper", "1.8.1"),
        ]
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .into(),
        arguments: vec!["--quick".to_owned()],
        seconds: 164.2,
        notes: vec![
            "Little time (--quick): three rounds of each subject; the spread is wider than in a whole run."
                .to_owned(),
        ],
        benches: benches(),
        counts: counts(),
    }
}

fn benches() -> Vec<Bench> {
    let mut all = vec![
        solo("ticks", "one turn of the loop with an active idle watcher", 290.0, [1.6, 1.7, 2.4, 9.8]),
        solo("timer-churn", "start and stop one of 1000 timers", 31.0, [1.3, 2.1, 3.4, 11.2]),
        solo(
            "wakeup",
            "a wake-up sent from another thread, and its answer",
            9_800.0,
            [1.04, 1.12, 1.31, 4.6],
        ),
        solo("spawn", "a child process started and reaped", 612_000.0, [1.02, 1.05, 1.09, 2.7]),
    ];
    all.push(stream("tcp/echo-64", "64 connections, 64 bytes to and fro", 5_420.0, Some(1.05)));
    all.push(stream("tcp/echo-16k", "16 connections, 16 KiB to and fro", 14_310.0, Some(1.05)));
    all.push(stream("tcp/connect", "connect, one echo, close", 21_400.0, None));
    all.push(idle("tcp/idle", "net", None));
    all.push(stream("unix/echo-64", "64 connections, 64 bytes to and fro", 3_980.0, None));
    all.push(http(
        "http/keep-alive",
        "64 connections ask for `hello` and wait for it",
        5_702.0,
        1.046,
        Some(1.05),
        HTTP_PEERS,
    ));
    let slow = [("hyper", 1.71), ("node", 26.2), ("nginx", 14.7)];
    all.push(http("http/pipelined", "64 connections, 16 requests at once", 403.0, 1.13, Some(1.20), slow));
    let connect = [("hyper", 1.13), ("node", 2.38), ("nginx", 1.29)];
    all.push(http("http/connect", "a connection for each request", 24_050.0, 1.12, Some(1.10), connect));
    all.push(idle("http/idle", "http", Some(768.0)));
    all.push(cluster());
    all.push(evenness());
    all
}

/// The same noise at every call.
fn figure(median: f64, spread: f64) -> Figure {
    let samples = [0.4, -1.0, 0.0, 1.3, -0.3].map(|noise| median * (1.0 + noise * spread));
    Figure { median, least: samples[1], greatest: samples[3], margin: Some(0.01), samples: samples.to_vec() }
}

fn latency(median_us: f64, tail: f64) -> Latency {
    let curve: Vec<(f64, f64)> = (0..=60)
        .map(|i| {
            let nines = 0.301 + f64::from(i) * 3.699 / 60.0;
            (
                1.0 - 10f64.powf(-nines),
                median_us * (1.0 + (nines - 0.301) * 0.12 + tail * (nines - 0.3).powi(4) / 40.0),
            )
        })
        .collect();
    let at = |q: f64| curve.iter().find(|(quantile, _)| *quantile >= q).map_or(0.0, |(_, us)| *us);
    Latency { p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), curve }
}

fn subject(role: Role, name: &str, floor: f64, ratio: f64) -> Subject {
    Subject {
        name: name.to_owned(),
        role,
        cost: figure(floor * ratio, 0.012),
        ratio: Some(figure(ratio, if role == Role::Floor { 0.0 } else { 0.006 })),
        user_share: Some(0.1),
        per_second: Some(1e9 / (floor * ratio) * 0.93),
        latency: None,
        errors: 0,
    }
}

fn served(role: Role, name: &str, floor: f64, ratio: f64) -> Subject {
    let latency = Some(latency(floor * ratio * 64.0 / 1e3, (ratio - 0.9) * 1.4));
    Subject { latency, ..subject(role, name, floor, ratio) }
}

fn bench(name: &str, title: &str, op: &str, subjects: Vec<Subject>) -> Bench {
    let nginx = LeftOut { name: "nginx".to_owned(), reason: "it serves no such thing".to_owned() };
    Bench {
        name: name.to_owned(),
        group: name.split('/').next().unwrap_or_default().to_owned(),
        title: title.to_owned(),
        op: op.to_owned(),
        unit: Unit::Ns,
        target: None,
        target_of: None,
        subjects,
        left_out: if name.starts_with("http") { Vec::new() } else { vec![nginx] },
    }
}

fn solo(name: &str, op: &str, floor: f64, [ours, libuv, tokio, node]: [f64; 4]) -> Bench {
    let mut subjects =
        vec![subject(Role::Floor, "floor", floor, 1.0), subject(Role::Ours, "uv-core", floor, ours)];
    let peers = [("libuv", libuv), ("tokio", tokio), ("node", node)];
    subjects.extend(peers.map(|(name, ratio)| subject(Role::Peer, name, floor, ratio)));
    bench(&format!("loop/{name}"), "The loop by itself.", op, subjects)
}

fn stream(name: &str, title: &str, floor: f64, target: Option<f64>) -> Bench {
    let mut subjects = vec![served(Role::Floor, "floor", floor, 1.0)];
    subjects.extend(LAYERS.map(|(name, ratio)| served(Role::Ours, name, floor, ratio)));
    subjects.extend(STREAM_PEERS.map(|(name, ratio)| served(Role::Peer, name, floor, ratio)));
    let target_of = target.map(|_| "net".to_owned());
    Bench { target, target_of, ..bench(name, title, "one message sent back", subjects) }
}

fn http(
    name: &str,
    title: &str,
    floor: f64,
    ours: f64,
    target: Option<f64>,
    peers: [(&str, f64); 3],
) -> Bench {
    let mut subjects =
        vec![served(Role::Floor, "floor", floor, 1.0), served(Role::Ours, "http", floor, ours)];
    subjects.extend(peers.map(|(name, ratio)| served(Role::Peer, name, floor, ratio)));
    Bench {
        target,
        target_of: Some("http".to_owned()),
        ..bench(name, title, "one request answered", subjects)
    }
}

fn idle(name: &str, ours: &str, target: Option<f64>) -> Bench {
    let each = [
        (Role::Floor, "floor", 96.0),
        (Role::Ours, ours, 626.0),
        (Role::Peer, "node", 17_841.0),
        (Role::Peer, "tokio", 4_210.0),
    ];
    let subjects =
        each.map(|(role, name, bytes)| Subject { per_second: None, ..subject(role, name, bytes, 1.0) });
    let subjects = subjects.map(|s| Subject { ratio: None, ..s }).to_vec();
    let target_of = target.map(|_| ours.to_owned());
    Bench {
        unit: Unit::Bytes,
        target,
        target_of,
        ..bench(name, "Memory of a connection that waits.", "an idle connection", subjects)
    }
}

fn cluster() -> Bench {
    let each = [
        (Role::Floor, "floor", 1.0),
        (Role::Ours, "round-robin", 1.236),
        (Role::Ours, "shared", 0.81),
        (Role::Peer, "libuv", 1.62),
        (Role::Peer, "node", 5.94),
    ];
    let subjects = each.map(|(role, name, ratio)| served(role, name, 32_000.0, ratio)).to_vec();
    let named = Some("round-robin".to_owned());
    let title = "A primary passes every connection to one of two workers.";
    Bench {
        target: Some(1.25),
        target_of: named,
        ..bench("cluster/connect", title, "a connection with one request", subjects)
    }
}

fn evenness() -> Bench {
    let each = [
        (Role::Floor, "floor", 0.0),
        (Role::Ours, "round-robin", 0.0),
        (Role::Ours, "shared", 214.0),
        (Role::Peer, "node", 1.0),
    ];
    let exact = |n: f64| Figure { median: n, least: n, greatest: n, margin: None, samples: vec![n] };
    let subjects =
        each.map(|(role, name, n)| Subject { cost: exact(n), ratio: None, ..subject(role, name, 1.0, 1.0) });
    let title = "How evenly 1000 connections spread over two workers.";
    Bench { unit: Unit::Spread, ..bench("cluster/evenness", title, "1000 connections", subjects.to_vec()) }
}

fn counts() -> Vec<Count> {
    let count = |name: &str, subject: &str, instructions: f64, allocations: Option<f64>| Count {
        name: name.to_owned(),
        subject: subject.to_owned(),
        instructions: Some(instructions),
        syscalls: Some(2.03),
        allocations,
    };
    vec![
        count("tcp/echo-64", "floor", 212.0, Some(0.0)),
        count("tcp/echo-64", "uv-core", 391.0, Some(0.0)),
        count("tcp/echo-64", "tcp-wrap", 468.0, Some(0.0)),
        count("tcp/echo-64", "async-wrap", 541.0, Some(0.0)),
        count("tcp/echo-64", "net", 802.0, Some(0.0)),
        count("http/keep-alive", "floor", 240.0, None),
        count("http/keep-alive", "http", 2_431.0, Some(0.0)),
    ]
}
