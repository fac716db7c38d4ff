//! The targets, met or missed.

use super::bars::ordered;
use super::canvas::{About, Anchor, block, chart, label, line};
use super::format;
use super::groups::bench_anchor;
use super::markup::Markup;
use super::scale::Scale;
use crate::results::{Bench, Figure, Results, Role, Subject, Unit};

/// Marks nearer than so much of the width have their names in one line.
const NEAR: f64 = 24.0;

/// How a target stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Met,
    Missed,
    Unknown,
}

/// The subject that a benchmark's target, or its highest layer, is about.
pub(super) fn top(bench: &Bench) -> Option<&Subject> {
    let named = bench.target_of.as_deref().and_then(|name| bench.subjects.iter().find(|s| s.name == name));
    named.or_else(|| {
        // The hooks are a way to run a layer, not the layer on top of it.
        let mut ours = ordered(bench).into_iter().filter(|s| s.role == Role::Ours);
        ours.rfind(|s| !s.name.ends_with("-hooks"))
    })
}

/// What is compared with a target: the ratio to the floor, or the cost where that is the aim.
fn reached(bench: &Bench) -> Option<&Figure> {
    let subject = match &bench.target_of {
        Some(name) => bench.subjects.iter().find(|s| s.name == *name)?,
        None => top(bench)?,
    };
    if bench.unit == Unit::Ns { subject.ratio.as_ref() } else { Some(&subject.cost) }
}

fn state(target: f64, reached: Option<&Figure>) -> State {
    match reached {
        Some(figure) if figure.median.is_finite() && target.is_finite() => {
            if figure.median <= target {
                State::Met
            } else {
                State::Missed
            }
        }
        _ => State::Unknown,
    }
}

/// Writes the strip of targets.
pub(super) fn write(m: &mut Markup, results: &Results) {
    let aims: Vec<(usize, &Bench, f64)> =
        results.benches.iter().enumerate().filter_map(|(i, b)| Some((i, b, b.target?))).collect();
    m.element("section", &[("id", "targets")], |m| {
        m.words("h2", &[], "Targets");
        if aims.is_empty() {
            m.words("p", &[("class", "empty")], "No benchmark with a target was part of this run.");
            return;
        }
        let of = |wanted: State| aims.iter().filter(|(_, b, t)| state(*t, reached(b)) == wanted).count();
        let unknown = match of(State::Unknown) {
            0 => String::new(),
            n => format!(", {n} not measured"),
        };
        let sentence = format!("{} met, {} missed{unknown}.", of(State::Met), of(State::Missed));
        m.words("p", &[("class", "lead")], &sentence);
        m.element("ul", &[("class", "targets")], |m| {
            for (index, bench, target) in &aims {
                tile(m, *index, bench, *target);
            }
        });
    });
    m.newline();
}

fn tile(m: &mut Markup, index: usize, bench: &Bench, target: f64) {
    let figure = reached(bench);
    let state = state(target, figure);
    let (class, sign, word) = match state {
        State::Met => ("met", "✓", "met"),
        State::Missed => ("missed", "✗", "missed"),
        State::Unknown => ("unknown", "?", "not measured"),
    };
    let write = |value: f64| {
        if bench.unit == Unit::Ns { format::exact_ratio(value) } else { format::cost(bench.unit, value) }
    };
    let got = figure.map_or_else(|| format::NONE.to_owned(), |figure| write(figure.median));
    let who =
        bench.target_of.as_deref().or_else(|| top(bench).map(|s| s.name.as_str())).unwrap_or(format::NONE);
    m.element("li", &[("class", class)], |m| {
        m.element("p", &[("class", "tile-head")], |m| {
            m.words("a", &[("href", &format!("#{}", bench_anchor(index)))], &bench.name);
            m.element("span", &[("class", "state")], |m| {
                m.words("span", &[("aria-hidden", "true")], sign);
                m.text(&format!(" {word}"));
            });
        });
        m.element("p", &[("class", "tile-value")], |m| {
            m.words("strong", &[], &got);
            m.text(&format!(" {who}, target ≤ {}", write(target)));
        });
        if let Some(figure) = figure.filter(|figure| figure.median.is_finite()) {
            bullet(m, bench, index, figure, target);
        }
        let close = |f: &&Figure| f.least <= target && target < f.greatest;
        if figure.filter(close).is_some() {
            m.words("p", &[("class", "close")], "Close: the rounds lie on both sides.");
        }
    });
    m.newline();
}

/// Writes a small axis: from the floor (or nothing) to the target and what was reached.
fn bullet(m: &mut Markup, bench: &Bench, index: usize, figure: &Figure, target: f64) {
    let low = if bench.unit == Unit::Ns { figure.least.min(figure.median).min(1.0) } else { 0.0 };
    let high = target.max(figure.greatest).max(figure.median);
    let scale = Scale::linear(low, high + (high - low) * 0.06);
    let (base, aim, got) = (
        scale.percent(if bench.unit == Unit::Ns { 1.0 } else { 0.0 }),
        scale.percent(target),
        scale.percent(figure.median),
    );
    let id = format!("target-{index}");
    let title = format!("{}, against its target", bench.name);
    chart(
        m,
        &About {
            id: &id,
            title: &title,
            words: "A bar from the floor to what was reached; a mark at the target.",
        },
        34.0,
        |m| {
            block(m, (0.0, 100.0), (6.0, 8.0), "track");
            block(m, (base.min(got), (got - base).abs()), (6.0, 8.0), "bar reached");
            if format::has_spread(figure) {
                line(
                    m,
                    (scale.percent(figure.least), 10.0),
                    (scale.percent(figure.greatest), 10.0),
                    "whisker",
                );
            }
            line(m, (base, 2.0), (base, 18.0), "base");
            line(m, (aim, 1.0), (aim, 19.0), "target solid");
            names(m, (base, if bench.unit == Unit::Ns { "floor" } else { "0" }), (aim, "target"));
        },
    );
}

/// Writes the names of two marks beneath them: in one line, if the marks are so near that the names would touch.
fn names(m: &mut Markup, base: (f64, &str), aim: (f64, &str)) {
    let (left, right) = if base.0 <= aim.0 { (base, aim) } else { (aim, base) };
    let mut write = |x: f64, name: &str| {
        let anchor = if x > 50.0 { Anchor::End } else { Anchor::Start };
        label(m, (x, 0.0, 31.0), anchor, "tick", name);
    };
    if right.0 - left.0 < NEAR {
        let x = if right.0 > 50.0 { right.0 } else { left.0 };
        write(x, &format!("{}\u{a0}· {}", left.1, right.1));
    } else {
        write(left.0, left.1);
        write(right.0, right.1);
    }
}
