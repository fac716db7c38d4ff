//! Everything at a glance: for each benchmark where our highest layer and the peers stand, as a ratio to the floor.

use super::benches::Group;
use super::scale::{Scale, place};
use super::{PEERS, axis, format, look, top};
use crate::results::{Bench, Role, Subject};
use maud::{Markup, html};

/// A mark nearer to another, in per cent of the width, moves down so that both are seen.
const NEAR: f64 = 2.6;

/// Ratios beyond are drawn at the end of the axis, and told in words.
const FARTHEST: f64 = 100.0;

/// The section, if there is anything to compare.
pub(super) fn section(groups: &[Group<'_>]) -> Markup {
    let all: Vec<_> = groups.iter().flat_map(|g| &g.benches).flat_map(|(_, bench)| shown(bench)).collect();
    let low = all.iter().map(|(_, ratio)| *ratio).fold(1.0, f64::min).max(0.1) * 0.94;
    let high = all.iter().map(|(_, ratio)| *ratio).fold(2.0, f64::max).min(FARTHEST) * 1.04;
    let legend = [("floor", "the floor, 1×"), ("ours", "ours, the highest layer")].into_iter();
    let legend = legend.chain(PEERS.map(|peer| (peer, peer))).chain([("other", "another peer")]);
    let is_seen = |mark: &str| mark == "floor" || all.iter().any(|(subject, _)| look(subject) == mark);
    html! {
        @if !all.is_empty() {
            section #overview {
                h2 { "At a glance" }
                p.lead {
                    "Cost as a multiple of the floor, on a logarithmic axis that all the charts share. Farther left is \
                     better."
                }
                ul.legend aria-label="Marks" {
                    @for (mark, name) in legend.filter(|(mark, _)| is_seen(mark)) {
                        li { i.mark.{ "m-" (mark) }.(mark) aria-hidden="true" {} (name) }
                    }
                }
                div.cards.flowing { @for group in groups { (card(group, Scale::log(low, high))) } }
            }
        }
    }
}

fn card(group: &Group<'_>, scale: Scale) -> Markup {
    let rows: Vec<_> = group.benches.iter().filter(|(_, bench)| !shown(bench).is_empty()).collect();
    html! {
        @if !rows.is_empty() {
            article.card {
                h3 { (group.title) }
                figure.chart role="group" aria-label={ (group.title) ": cost as a multiple of the floor" } {
                    div.plot {
                        (axis(scale, 7, |value| format!("{}×", (value * 1e3).round() / 1e3)))
                        i.base style=(place(scale, 1.0, 1.0)) {}
                        @for (index, bench) in rows { (row(*index, bench, scale)) }
                    }
                }
            }
        }
    }
}

fn row(index: usize, bench: &Bench, scale: Scale) -> Markup {
    let shown = shown(bench);
    let sentence = shown.iter().map(|(s, ratio)| format!("{} {}", s.name, format::ratio(*ratio)));
    let sentence = format!("{}: {}", bench.name, sentence.collect::<Vec<_>>().join(", "));
    let ours = shown.iter().find(|(subject, _)| subject.role == Role::Ours);
    let far = shown.iter().find(|(_, ratio)| *ratio > FARTHEST);
    let words = [
        ours.map(|(_, ratio)| format!("ours {}", format::ratio(*ratio))),
        far.map(|(subject, ratio)| format!("{} {} →", subject.name, format::ratio(*ratio))),
    ];
    let mut free: Vec<f64> = Vec::new();
    let marks = shown.iter().map(|(subject, ratio)| {
        let x = scale.percent(*ratio);
        let is_covered = free.iter().any(|other| (x - other).abs() < NEAR);
        if !is_covered {
            free.push(x);
        }
        (look(subject), is_covered, place(scale, *ratio, *ratio))
    });
    // Ours last, so that it lies on top.
    let marks: Vec<_> = marks.collect::<Vec<_>>().into_iter().rev().collect();
    html! {
        a.row href={ "#bench-" (index) } title=(sentence) {
            span.name { (bench.name) }
            span.soft { (words.into_iter().flatten().collect::<Vec<_>>().join(", ")) }
            div.rail { @for (mark, down, style) in marks {
                i.mark.{ "m-" (mark) }.(mark).down[down] style=(style) {}
            } }
        }
    }
}

/// Our highest layer, then the peers, with their ratios.
fn shown(bench: &Bench) -> Vec<(&Subject, f64)> {
    let ours = top(bench).filter(|subject| subject.role == Role::Ours);
    let subjects = ours.into_iter().chain(bench.subjects.iter().filter(|s| s.role == Role::Peer));
    let ratio = |s: &Subject| s.ratio.as_ref().map(|r| r.median).filter(|r| r.is_finite() && *r > 0.0);
    subjects.filter_map(|s| Some((s, ratio(s)?))).collect()
}
