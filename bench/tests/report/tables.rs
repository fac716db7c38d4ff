//! The tables in the terminal: width, verdicts, and what stands beside a layer.

use crate::results;
use bench::results::{Bench, Figure, LeftOut, Results, Unit};
use bench::table::{block, summary};

const WIDTH: usize = 100;

/// The benchmark of this name.
fn named(name: &str) -> Bench {
    results().benches.into_iter().find(|bench| bench.name == name).expect("it is in the file")
}

/// A benchmark whose target this is, and what the subject of the target has reached, for each unit.
fn aimed(name: &str, target: f64, reached: f64) -> Bench {
    let mut bench = named(name);
    bench.target = Some(target);
    let subject = bench.subjects.iter_mut().find(|subject| Some(&subject.name) == bench.target_of.as_ref());
    let subject = subject.expect("its subject is in the file");
    match &mut subject.ratio {
        Some(ratio) => ratio.median = reached,
        None => subject.cost.median = reached,
    }
    bench
}

fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn every_row_fits_a_hundred_columns() {
    let mut all = Results::default();
    for (unit, target, cost) in [(Unit::Ns, 1.25, 1e9), (Unit::Bytes, 768.0, 1e8), (Unit::Spread, 10.0, 1e3)]
    {
        for mut bench in results().benches {
            bench.unit = unit;
            bench.target = Some(target);
            let reason = "words ".repeat(40) + &"x".repeat(300);
            bench.left_out.push(LeftOut { name: "nginx".to_owned(), reason });
            for subject in &mut bench.subjects {
                subject.errors = 1000;
                subject.per_second = Some(1_234_567.0);
                subject.latency.iter_mut().for_each(|latency| latency.p999_us = 5_000_000.0);
                (subject.cost.median, subject.cost.margin) = (cost, Some(12.5));
                subject.ratio.iter_mut().for_each(|ratio| ratio.median = 1234.5);
            }
            let mut odd = bench.subjects[1].clone();
            odd.name = "an unusually long name of a peer".to_owned();
            bench.subjects.push(odd);
            assert_fits(&block(&bench));
            all.benches.push(bench);
        }
    }
    assert_fits(&summary(&all));
}

#[test]
fn a_row_has_the_floor_the_layer_and_the_peers_beside_it() {
    let mut bench = named("http/keep-alive");
    bench.left_out.push(LeftOut { name: "libuv".to_owned(), reason: "failed: it died".to_owned() });
    bench.subjects.retain(|subject| subject.name != "nginx");
    let text = summary(&Results { benches: vec![bench], ..Results::default() });
    let row: Vec<_> = text.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row.join(" "), "http/keep-alive http 5.70 µs 5.96 µs 1.046 1.0 failed 1.15 2.31 – 1.05 met");
}

#[test]
fn a_target_is_met_or_missed_by_the_third_place() {
    let echo = |reached| block(&aimed("tcp/echo-64", 1.05, reached));
    assert!(echo(1.05).contains("net at most 1.05 × floor: met, 1.050"));
    assert!(echo(1.051).contains("missed, 1.051"));
    let idle = block(&aimed("http/idle", 768.0, 5270.0));
    assert!(idle.contains("http at most 768 B: missed, 5 270 B"), "{idle}");
    let mut without = named("tcp/echo-64");
    without.subjects.retain(|subject| subject.name != "net");
    assert!(!block(&without).contains("target"), "no figure, no verdict");
}

#[test]
fn a_target_may_be_a_ratio_to_a_peer() {
    let mut bench = named("http/keep-alive");
    (bench.target, bench.target_to) = (Some(1.0), Some("nginx".to_owned()));
    assert!(!block(&bench).contains("target"), "nothing was compared, no verdict");
    for (reached, verdict) in [(0.95, "met"), (1.001, "missed")] {
        bench.ratio_to_peer = Some(Figure { median: reached, ..Figure::default() });
        let text = block(&bench);
        assert!(text.contains(&format!("http at most 1.00 × nginx: {verdict}, {reached:.3}")), "{text}");
        let text = summary(&Results { benches: vec![bench.clone()], ..Results::default() });
        assert!(text.contains(&format!(" nginx {verdict}\n")), "{text}");
    }
}

#[test]
fn long_reasons_are_wrapped() {
    let mut bench = named("tcp/echo-64");
    let reason = "one two three ".repeat(10);
    bench.left_out = vec![LeftOut { name: "nginx".to_owned(), reason }];
    let text = block(&bench);
    let at = text.lines().position(|line| line.starts_with("  nginx: one two")).expect("the reason");
    assert!(text.lines().nth(at + 1).is_some_and(|line| line.starts_with("    ")), "{text}");
}
