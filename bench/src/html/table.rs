//! The numbers behind a chart.

use super::bars::ordered;
use super::format;
use super::look;
use super::markup::Markup;
use crate::results::{Bench, Subject};

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

/// Writes a table that can be scrolled within its own place, and never moves the page.
pub(super) fn scrolled(m: &mut Markup, name: &str, inside: impl FnOnce(&mut Markup)) {
    let place = [("class", "scroll"), ("role", "region"), ("tabindex", "0"), ("aria-label", name)];
    m.element("div", &place, |m| m.element("table", &[], inside));
}

/// Writes a row of heads.
pub(super) fn heads(m: &mut Markup, heads: &[&str]) {
    m.element("thead", &[], |m| {
        m.element("tr", &[], |m| {
            for head in heads {
                m.words("th", &[("scope", "col")], head);
            }
        });
    });
}

/// Writes a row: its head and its cells.
pub(super) fn row(m: &mut Markup, class: &str, head: &str, cells: &[String]) {
    m.element("tr", &[("class", class)], |m| {
        m.words("th", &[("scope", "row")], head);
        for cell in cells {
            m.words("td", &[], cell);
        }
    });
    m.newline();
}

/// Writes the table of a benchmark, folded.
pub(super) fn behind(m: &mut Markup, bench: &Bench) {
    m.element("details", &[], |m| {
        m.words("summary", &[], "All the numbers");
        scrolled(m, &format!("All the numbers of {}", bench.name), |m| {
            heads(m, &HEADS);
            m.element("tbody", &[], |m| {
                for subject in ordered(bench) {
                    row(m, look::look(subject.role, &subject.name), &subject.name, &cells(bench, subject));
                }
            });
        });
    });
}

fn cells(bench: &Bench, subject: &Subject) -> Vec<String> {
    let dash = || format::NONE.to_owned();
    let or_dash = |text: String| if text.is_empty() { format::NONE.to_owned() } else { text };
    let ratio = subject.ratio.as_ref();
    let latency = subject.latency.as_ref();
    let quantile = |us: Option<f64>| us.map_or_else(dash, format::micros);
    vec![
        look::role(subject.role).to_owned(),
        format::cost(bench.unit, subject.cost.median),
        or_dash(format::spread(bench.unit, &subject.cost)),
        ratio.map_or_else(dash, |r| format::ratio(r.median)),
        ratio
            .filter(|r| format::has_spread(r))
            .map_or_else(dash, |r| format!("{}–{}", format::digits(r.least), format::digits(r.greatest))),
        subject.per_second.map_or_else(dash, format::rate),
        quantile(latency.map(|l| l.p50_us)),
        quantile(latency.map(|l| l.p99_us)),
        quantile(latency.map(|l| l.p999_us)),
        subject.errors.to_string(),
    ]
}
