//! Latency curves: how long a share of the operations took at most, both axes logarithmic, so that the tail shows.

use super::canvas::{About, Anchor, chart, label, line, percent, pixels};
use super::format;
use super::groups::bench_anchor;
use super::hint::{self, FOOT, Hint};
use super::look;
use super::markup::Markup;
use super::scale::Scale;
use super::targets::top;
use crate::results::{Bench, Results, Role, Subject};

/// The benchmarks whose curves are shown, where they were measured.
const SHOWN: [&str; 4] = ["http/keep-alive", "tcp/echo-64", "tcp/echo-16k", "unix/echo-64"];

/// The ends of the axis of quantiles.
const QUANTILES: (f64, f64) = (0.5, 0.9999);
const TICKS: [(f64, &str); 5] =
    [(0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];

const TOP: f64 = 10.0;
const HEIGHT: f64 = 250.0;
/// Pixels for the values beside the axis.
const GUTTER: f64 = 54.0;
/// The curves' share of the width in per cent; their names have the rest.
const WIDTH: f64 = 69.0;
/// Names stand at least so far from each other.
const LINE: f64 = 15.0;
/// The curves' own grid.
const GRID: f64 = 1000.0;

/// A subject's curve: places of 0 to 1 from the left and from the bottom.
struct Curve<'a> {
    subject: &'a Subject,
    points: Vec<(f64, f64)>,
}

/// Writes the section, if there are curves.
pub(super) fn write(m: &mut Markup, results: &Results) {
    let shown = |name: &&str| {
        let (index, bench) = results.benches.iter().enumerate().find(|(_, b)| b.name == **name)?;
        (!subjects(bench).is_empty()).then_some((index, bench))
    };
    let benches: Vec<(usize, &Bench)> = SHOWN.iter().filter_map(shown).collect();
    if benches.is_empty() {
        return;
    }
    m.element("section", &[("id", "latency")], |m| {
        m.words("h2", &[], "Latency");
        m.words(
            "p",
            &[("class", "lead")],
            "The share of operations that took at most so long, as the load generator saw it with all its connections \
             busy. Lower is better; a line that stays flat to the right has a short tail.",
        );
        m.element("div", &[("class", "cards")], |m| {
            for (index, bench) in &benches {
                m.element("article", &[("class", "card")], |m| {
                    m.element("h3", &[], |m| {
                        m.words("a", &[("href", &format!("#{}", bench_anchor(*index)))], &bench.name);
                    });
                    draw(m, bench, &format!("latency-{index}"));
                });
                m.newline();
            }
        });
    });
}

/// The floor, our highest layer and the peers, those of them that have a curve.
fn subjects(bench: &Bench) -> Vec<&Subject> {
    let top = top(bench);
    let wanted = |s: &&Subject| s.role != Role::Ours || top.is_some_and(|top| top.name == s.name);
    bench.subjects.iter().filter(wanted).filter(|s| points(s).next().is_some()).collect()
}

/// The points of a curve that can be drawn.
fn points(subject: &Subject) -> impl Iterator<Item = (f64, f64)> {
    let curve = subject.latency.iter().flat_map(|latency| latency.curve.iter().copied());
    curve.filter(|(q, us)| (QUANTILES.0..=QUANTILES.1).contains(q) && us.is_finite() && *us > 0.0)
}

fn draw(m: &mut Markup, bench: &Bench, id: &str) {
    let subjects = subjects(bench);
    let all = || subjects.iter().flat_map(|s| points(s)).map(|(_, us)| us);
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let up = Scale::log(least * 0.85, most * 1.15);
    let across = Scale::log(1.0 / (1.0 - QUANTILES.0), 1.0 / (1.0 - QUANTILES.1));
    let share = |q: f64| across.percent(1.0 / (1.0 - q));
    let place = |(q, us): (f64, f64)| (share(q) / 100.0, up.percent(us) / 100.0);
    let curves: Vec<Curve<'_>> =
        subjects.iter().map(|s| Curve { subject: s, points: points(s).map(place).collect() }).collect();
    let foot = TOP + HEIGHT + 22.0;
    let title = format!("{}: latency by share of operations", bench.name);
    let words: Vec<String> = subjects.iter().map(|s| hint_of(s).first).collect();
    chart(m, &About { id, title: &title, words: &words.join("; ") }, foot + FOOT, |m| {
        plot(m, |m| {
            for value in up.ticks(6) {
                let y = HEIGHT * (1.0 - up.percent(value) / 100.0);
                line(m, (0.0, y), (100.0, y), "grid");
                label(m, (0.0, -7.0, y + 4.0), Anchor::End, "tick", &format::micros_tick(value));
            }
            for (q, text) in TICKS {
                line(m, (share(q), 0.0), (share(q), HEIGHT), "grid");
                label(m, (share(q), 0.0, HEIGHT + 14.0), Anchor::Middle, "tick", text);
            }
        });
        hint::caption(m, foot, ["Across: share of operations. Up: latency.", "Both axes are logarithmic."]);
        for (curve, y) in curves.iter().zip(name_places(&curves)) {
            hint::part(m, None, foot, &hint_of(curve.subject), |m| plot(m, |m| named_curve(m, curve, y)));
        }
    });
}

/// Writes the place of the curves, whose 100 % are its own: beside it stand the values and the names.
fn plot(m: &mut Markup, inside: impl FnOnce(&mut Markup)) {
    let frame = [
        ("x", &*pixels(GUTTER)),
        ("y", &*pixels(TOP)),
        ("width", &*percent(WIDTH)),
        ("height", &*pixels(HEIGHT)),
        ("class", "plot"),
    ];
    m.element("svg", &frame, inside);
}

/// Writes a curve in a grid of its own, which is stretched while its line keeps its breadth, and its name.
fn named_curve(m: &mut Markup, curve: &Curve<'_>, y: f64) {
    let place = |(x, y): &(f64, f64)| format!("{},{}", pixels(x * GRID), pixels((1.0 - y) * GRID));
    let points = curve.points.iter().map(place).collect::<Vec<_>>().join(" ");
    let grid = format!("0 0 {GRID} {GRID}");
    let frame = [("width", "100%"), ("height", "100%"), ("viewBox", &grid), ("preserveAspectRatio", "none")];
    m.element("svg", &frame, |m| {
        for class in ["curve-touch".to_owned(), format!("curve {}", look::class(curve.subject))] {
            m.leaf("polyline", &[("points", &points), ("class", &class)]);
        }
    });
    let class = format!("line-name {}", look::class(curve.subject));
    label(m, (100.0, 7.0, y + 4.0), Anchor::Start, &class, &format::short(&curve.subject.name, 11));
}

/// Where the names of the curves stand: beside their ends, moved apart.
fn name_places(curves: &[Curve<'_>]) -> Vec<f64> {
    let end = |curve: &Curve<'_>| HEIGHT * (1.0 - curve.points.last().map_or(0.0, |(_, y)| *y));
    let mut places: Vec<f64> = curves.iter().map(end).collect();
    let mut order: Vec<usize> = (0..curves.len()).collect();
    order.sort_by(|a, b| places[*a].total_cmp(&places[*b]));
    let mut free = 0.0;
    for index in &order {
        places[*index] = places[*index].max(free);
        free = places[*index] + LINE;
    }
    // What was pushed past the bottom moves up again.
    let mut most = HEIGHT;
    for index in order.iter().rev() {
        places[*index] = places[*index].min(most);
        most = places[*index] - LINE;
    }
    places
}

fn hint_of(subject: &Subject) -> Hint {
    let latency = subject.latency.clone().unwrap_or_default();
    let (p50, p99, p999) = (latency.p50_us, latency.p99_us, latency.p999_us);
    Hint {
        first: format!("{}: p50 {}, p99 {}", subject.name, format::micros(p50), format::micros(p99)),
        second: format!(
            "p99.9 {}, {}",
            format::micros(p999),
            format::rate(subject.per_second.unwrap_or(f64::NAN))
        ),
    }
}
