//! The targets, met or missed.

use super::format;
use super::scale::{Scale, place};
use crate::results::{Bench, Figure, Results, Unit};
use maud::{Markup, html};

/// A bar whose ends are nearer, in per cent of its width, has room for one name only.
const NEAR: f64 = 28.0;

pub(super) fn section(results: &Results) -> Markup {
    let aims: Vec<_> =
        results.benches.iter().enumerate().filter_map(|(i, b)| Some((i, b, b.target?))).collect();
    let of = |state: Option<bool>| aims.iter().filter(|(_, bench, _)| bench.is_met() == state).count();
    let unknown = of(None);
    html! {
        section #targets {
            h2 { "Targets" }
            @if aims.is_empty() {
                p.empty { "No benchmark with a target was part of this run." }
            } @else {
                p.lead {
                    (of(Some(true))) " met, " (of(Some(false))) " missed"
                    @if unknown > 0 { ", " (unknown) " not measured" }
                    "."
                }
                ul.targets { @for (index, bench, target) in &aims { (tile(*index, bench, *target)) } }
            }
        }
    }
}

fn tile(index: usize, bench: &Bench, target: f64) -> Markup {
    let figure = bench.reached();
    let (class, sign, word) = match bench.is_met() {
        Some(true) => ("met", "✓", "met"),
        Some(false) => ("missed", "✗", "missed"),
        None => ("unknown", "?", "not measured"),
    };
    let write = |value: f64| {
        if bench.unit == Unit::Ns { format::exact_ratio(value) } else { format::cost(bench.unit, value) }
    };
    let who = bench.target_of.as_deref().unwrap_or(format::NONE);
    let is_close = figure.is_some_and(|figure| figure.least <= target && target < figure.greatest);
    html! {
        li class=(class) {
            p.head {
                a href={ "#bench-" (index) } { (bench.name) }
                span.state { span aria-hidden="true" { (sign) } " " (word) }
            }
            p.soft {
                strong { (figure.map_or_else(|| format::NONE.to_owned(), |figure| write(figure.median))) }
                " " (who) ", target ≤ " (write(target))
                @if let Some(peer) = &bench.target_to { " " (peer) }
            }
            @if let Some(figure) = figure.filter(|figure| figure.median.is_finite()) { (bullet(bench, figure, target)) }
            @if is_close { p.remark { "Close: the rounds lie on both sides." } }
        }
    }
}

/// A small axis: from the floor or a peer (or nothing) to the target and what was reached.
fn bullet(bench: &Bench, figure: &Figure, target: f64) -> Markup {
    let (base, name) = match bench.unit {
        Unit::Ns => (1.0, bench.target_to.as_deref().unwrap_or("floor")),
        _ => (0.0, "0"),
    };
    let low = figure.least.min(figure.median).min(base);
    let high = target.max(figure.greatest).max(figure.median);
    let scale = Scale::linear(low, high + (high - low) * 0.06);
    html! {
        div.bullet role="img" aria-label="A bar from the floor to what was reached; a mark at the target." {
            div.track {
                i.bar.ours style=(place(scale, base, figure.median)) {}
                @if format::has_spread(figure) { i.whisker style=(place(scale, figure.least, figure.greatest)) {} }
                i.base style=(place(scale, base, base)) {
                    @if (scale.percent(target) - scale.percent(base)).abs() > NEAR { span { (name) } }
                }
                i.aim.left[scale.percent(target) > 50.0] style=(place(scale, target, target)) { span { "target" } }
            }
        }
    }
}
