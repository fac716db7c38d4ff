//! The tables' tests: width, units, targets.

use super::super::catalogue::ALL;
use super::super::results::{Latency, LeftOut};
use super::*;

const WIDTH: usize = 100;

fn figure(median: f64) -> Figure {
    Figure::of(vec![median * 0.5, median, median * 1.5]).expect("samples")
}

fn subject(name: &str, role: Role, cost: f64, ratio: Option<f64>) -> Subject {
    Subject {
        name: name.to_owned(),
        role,
        cost: figure(cost),
        ratio: ratio.map(figure),
        per_second: Some(1_234_567.0),
        latency: Some(Latency { p50_us: 12.3, p99_us: 1234.0, p999_us: 5_000_000.0, curve: Vec::new() }),
        errors: 1000,
    }
}

fn bench(unit: Unit, target: f64, ratio: Option<f64>) -> Bench {
    Bench {
        name: "tcp/echo-64".to_owned(),
        title: "a title".to_owned(),
        unit,
        target: Some(target),
        target_of: Some("net".to_owned()),
        subjects: vec![
            subject("floor", Role::Floor, 5000.0, ratio.map(|_| 1.0)),
            subject("net", Role::Ours, 5270.0, ratio),
            subject("libuv", Role::Peer, 7000.0, ratio.map(|_| 1.40)),
        ],
        left_out: vec![LeftOut { name: "node".to_owned(), reason: format!("{FAILED}it died") }],
        ..Bench::default()
    }
}

fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn every_row_fits_a_hundred_columns() {
    let mut results = Results::default();
    for entry in ALL {
        for name in entry.group().ours {
            for (unit, target, cost) in
                [(Unit::Ns, 1.25, 1e9), (Unit::Bytes, 768.0, 1e8), (Unit::Spread, 10.0, 1e3)]
            {
                let mut one = bench(unit, target, Some(123.45));
                one.name = entry.name.to_owned();
                one.title = entry.title.to_owned();
                one.target_of = Some((*name).to_owned());
                one.subjects.push(subject(name, Role::Ours, cost, Some(1234.5)));
                one.subjects.push(subject("an unusually long name of a peer", Role::Peer, 1.0, None));
                let reason = "words ".repeat(40) + &"x".repeat(300);
                one.left_out.push(LeftOut { name: "nginx".to_owned(), reason });
                assert_fits(&block(&one));
                results.benches.push(one);
            }
        }
    }
    assert_fits(&summary(&results));
}

#[test]
fn a_row_has_the_floor_the_layer_and_the_peers_beside_it() {
    let results = Results { benches: vec![bench(Unit::Ns, 1.05, Some(1.046))], ..Results::default() };
    let text = summary(&results);
    let row: Vec<_> = text.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row.join(" "), "tcp/echo-64 net 5.00 µs 5.27 µs 1.046 156 1.40 – failed – 1.05 met");
}

#[test]
fn a_target_is_met_or_missed_by_the_third_place() {
    assert!(block(&bench(Unit::Ns, 1.05, Some(1.05))).contains("net at most 1.05 × floor: met, 1.050"));
    assert!(block(&bench(Unit::Ns, 1.05, Some(1.051))).contains("missed, 1.051"));
    assert!(block(&bench(Unit::Bytes, 768.0, None)).contains("net at most 768 B: missed, 5 270 B"));
    assert!(!block(&bench(Unit::Ns, 1.05, None)).contains("target"), "no figure, no verdict");
}

#[test]
fn costs_have_three_digits_and_a_unit() {
    for (cost, text) in [
        (0.4, "0.40 ns"),
        (412.3, "412 ns"),
        (999.6, "1.00 µs"),
        (5_123.0, "5.12 µs"),
        (26_840.0, "26.8 µs"),
        (1_234_567.0, "1.23 ms"),
        (2e9, "2.00 s"),
    ] {
        assert_eq!(cost_text(Unit::Ns, cost), text);
    }
    assert_eq!(cost_text(Unit::Bytes, 17_841.0), "17 841 B");
    assert_eq!(cost_text(Unit::Bytes, -3.2), "-3 B");
    assert_eq!(cost_text(Unit::Spread, 12.0), "12");
}

#[test]
fn long_reasons_are_wrapped() {
    assert_eq!(wrapped("one two three", 9), ["one two", "  three"]);
    assert_eq!(wrapped("", 9), [""]);
}
