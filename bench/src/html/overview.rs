//! Everything at a glance: for each benchmark where our highest layer and the peers stand, as a ratio to the floor.

use super::canvas::{About, Anchor, chart, label, line, mark, tick};
use super::format;
use super::groups::{Group, bench_anchor};
use super::look;
use super::markup::Markup;
use super::scale::Scale;
use super::targets::top;
use crate::results::{Bench, Role, Subject};

const TOP: f64 = 6.0;
const ROW: f64 = 42.0;

/// Marks nearer than so much of the width cover each other: a peer's then moves down by so many pixels.
const NEAR: (f64, f64) = (2.6, 9.0);

/// Ratios beyond are drawn at the end of the axis, with an arrow.
const FARTHEST: f64 = 100.0;

/// What the marks mean.
const LEGEND: [(&str, &str); 8] = [
    ("floor", "the floor, 1×"),
    ("ours", "ours, the highest layer"),
    ("libuv", "libuv"),
    ("tokio", "tokio"),
    ("hyper", "hyper"),
    ("node", "node"),
    ("nginx", "nginx"),
    ("other", "another peer"),
];

/// Writes the overview.
pub(super) fn write(m: &mut Markup, groups: &[Group<'_>]) {
    let all: Vec<f64> =
        groups.iter().flat_map(|g| &g.benches).flat_map(|(_, b)| shown(b)).map(|(_, r)| r).collect();
    if all.is_empty() {
        return;
    }
    let low = all.iter().copied().fold(1.0, f64::min).max(0.1) * 0.94;
    let high = all.iter().copied().fold(2.0, f64::max).min(FARTHEST) * 1.04;
    m.element("section", &[("id", "overview")], |m| {
        m.words("h2", &[], "At a glance");
        m.words(
            "p",
            &[("class", "lead")],
            "Cost as a multiple of the floor, on a logarithmic axis that all the charts share. \
             Farther left is better.",
        );
        legend(m, groups);
        m.element("div", &[("class", "cards flowing")], |m| {
            for (index, group) in groups.iter().enumerate() {
                if group.benches.iter().any(|(_, bench)| !shown(bench).is_empty()) {
                    m.element("article", &[("class", "card")], |m| {
                        m.words("h3", &[], group.title);
                        draw(m, index, group, Scale::log(low, high));
                    });
                }
            }
        });
    });
    m.newline();
}

/// Our highest layer and the peers, with their ratios.
fn shown(bench: &Bench) -> Vec<(&Subject, f64)> {
    let peers = bench.subjects.iter().filter(|s| s.role == Role::Peer);
    // Ours last, so that it lies on top.
    let subjects = peers.chain(top(bench).filter(|s| s.role == Role::Ours));
    let ratio = |s: &Subject| s.ratio.as_ref().map(|r| r.median).filter(|r| r.is_finite() && *r > 0.0);
    subjects.filter_map(|s| Some((s, ratio(s)?))).collect()
}

fn legend(m: &mut Markup, groups: &[Group<'_>]) {
    let benches = || groups.iter().flat_map(|group| &group.benches);
    let seen =
        |look: &str| benches().flat_map(|(_, b)| shown(b)).any(|(s, _)| look::look(s.role, &s.name) == look);
    m.element("ul", &[("class", "legend"), ("aria-label", "Marks")], |m| {
        for (look, name) in LEGEND.into_iter().filter(|(look, _)| *look == "floor" || seen(look)) {
            m.element("li", &[], |m| {
                m.element("svg", &[("width", "18"), ("height", "18"), ("aria-hidden", "true")], |m| {
                    let class = format!("mark s-{look}");
                    let place = [
                        ("href", &*format!("#{}", look::mark_of(look))),
                        ("x", "9"),
                        ("y", "9"),
                        ("class", &class),
                    ];
                    m.leaf("use", &place);
                });
                m.text(name);
            });
        }
    });
}

fn draw(m: &mut Markup, index: usize, group: &Group<'_>, scale: Scale) {
    let rows: Vec<(usize, &Bench)> =
        group.benches.iter().copied().filter(|(_, b)| !shown(b).is_empty()).collect();
    let bottom = TOP + ROW * rows.len() as f64;
    let id = format!("overview-{index}");
    let title = format!("{}: cost as a multiple of the floor", group.title);
    let words: Vec<String> = rows.iter().map(|(_, bench)| sentence(bench)).collect();
    chart(m, &About { id: &id, title: &title, words: &words.join("; ") }, bottom + 18.0, |m| {
        for value in scale.ticks(7) {
            tick(m, scale.percent(value), (TOP, bottom), &format!("{}×", format::round(value)));
        }
        let one = scale.percent(1.0);
        line(m, (one, TOP), (one, bottom), "floor-line");
        for (place, (index, bench)) in rows.iter().enumerate() {
            row(m, *index, bench, scale, TOP + ROW * place as f64);
        }
    });
}

fn row(m: &mut Markup, index: usize, bench: &Bench, scale: Scale, top: f64) {
    let link = [("href", &*format!("#{}", bench_anchor(index))), ("class", "part")];
    m.element("a", &link, |m| {
        m.words("title", &[], &sentence(bench));
        label(m, (0.0, 0.0, top + 13.0), Anchor::Start, "name", &format::short(&bench.name, 26));
        let middle = top + 26.0;
        line(m, (0.0, middle), (100.0, middle), "rail");
        for (subject, x, down) in places(bench, scale).into_iter().rev() {
            mark(m, (x, middle + down), &look::mark(subject), &look::class(subject));
        }
        let mut words = Vec::new();
        let ours = shown(bench).into_iter().rfind(|(subject, _)| subject.role == Role::Ours);
        words.extend(ours.map(|(_, ratio)| format!("ours {}", format::ratio(ratio))));
        let farthest = shown(bench).into_iter().find(|(_, ratio)| *ratio > FARTHEST);
        words.extend(farthest.map(|(subject, ratio)| {
            format!("{} {} →", format::short(&subject.name, 12), format::ratio(ratio))
        }));
        label(m, (100.0, 0.0, top + 13.0), Anchor::End, "spread", &words.join(", "));
    });
    m.newline();
}

/// Where the marks of a row stand: across in per cent, and down from the rail in pixels; ours first.
fn places(bench: &Bench, scale: Scale) -> Vec<(&Subject, f64, f64)> {
    let mut places: Vec<(&Subject, f64, f64)> = Vec::new();
    for (subject, ratio) in shown(bench).into_iter().rev() {
        let x = scale.percent(ratio);
        let covered = places.iter().any(|(_, other, down)| (x - other).abs() < NEAR.0 && *down == 0.0);
        places.push((subject, x, if covered { NEAR.1 } else { 0.0 }));
    }
    places
}

fn sentence(bench: &Bench) -> String {
    let each: Vec<String> =
        shown(bench).iter().rev().map(|(s, ratio)| format!("{} {}", s.name, format::ratio(*ratio))).collect();
    format!("{}: {}", bench.name, each.join(", "))
}
