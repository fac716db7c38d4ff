//! Latency curves: how long a share of the operations took at most, both axes logarithmic, so that the tail shows.
//!
//! plotters draws them as SVG. It knows colours as numbers only, so it is given keys, and the page's variables, which
//! also have a dark form, take their places.

use super::scale::Scale;
use super::{PEERS, format, look, numbers, top};
use crate::results::{Bench, Results, Role, Subject, Unit};
use crate::table::cut;
use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;

/// The benchmarks whose curves are shown, where they were measured.
const SHOWN: [&str; 4] = ["http/keep-alive", "tcp/echo-64", "tcp/echo-16k", "unix/echo-64"];

/// The axis of quantiles: of how many operations one took longer.
const TICKS: [(f64, &str); 5] =
    [(2.0, "50 %"), (10.0, "90 %"), (100.0, "99 %"), (1000.0, "99.9 %"), (10_000.0, "99.99 %")];

/// Latencies in microseconds beyond are no times that anything took.
const POSSIBLE: std::ops::Range<f64> = 1e-3..1e12;

/// Each chart is drawn for a wide place and for a narrow one, with this many units of the drawing to a pixel.
const SIZES: [(&str, (u32, u32)); 2] = [("wide", (560, 300)), ("narrow", (340, 280))];
const UNITS: u32 = 2;

/// What plotters calls the size of a text of 12 pixels.
const TEXT: u32 = 15;

/// Pixels for the names of the curves at the right.
const NAMES: u32 = 78;

/// Pixels between the names of two curves.
const LINE: i32 = 15 * UNITS as i32;

const HEADS: [&str; 5] = ["subject", "p50", "p99", "p99.9", "per second"];

/// The variables of the page, whose keys are their places here.
const INKS: [&str; 5] = ["rule", "soft", "floor", "ours", "other"];

/// The section, if there are curves.
pub(super) fn section(results: &Results) -> Markup {
    let shown = |name: &&str| {
        let (index, bench) = results.benches.iter().enumerate().find(|(_, b)| b.name == **name)?;
        (!subjects(bench).is_empty()).then_some((index, bench))
    };
    let benches: Vec<_> = SHOWN.iter().filter_map(shown).collect();
    html! {
        @if !benches.is_empty() {
            section #latency {
                h2 { "Latency" }
                p.lead {
                    "The share of operations that took at most so long, as the load generator saw it with all its \
                     connections busy. Lower is better; a line that stays flat to the right has a short tail."
                }
                div.cards { @for (index, bench) in benches { (card(index, bench)) } }
            }
        }
    }
}

fn card(index: usize, bench: &Bench) -> Markup {
    let subjects = subjects(bench);
    let rows = subjects.iter().map(|subject| (look(subject), cells(subject)));
    html! {
        article.card {
            h3 { a href={ "#bench-" (index) } { (bench.name) } }
            figure.chart role="group" aria-label={ (bench.name) ": latency by share of operations" } {
                @for (class, size) in SIZES {
                    // A drawing in memory does not fail.
                    div.curves.(class) aria-hidden="true" { (PreEscaped(draw(&subjects, size).unwrap_or_default())) }
                }
                figcaption { "Across: share of operations. Up: latency. Both axes are logarithmic." }
            }
            (numbers(&format!("Latencies of {}", bench.name), &HEADS, rows))
        }
    }
}

fn cells(subject: &Subject) -> Vec<String> {
    let latency = subject.latency.clone().unwrap_or_default();
    let quantiles = [latency.p50_us, latency.p99_us, latency.p999_us].map(format::micros);
    let rate = format::rate(subject.per_second.unwrap_or(f64::NAN));
    [subject.name.clone()].into_iter().chain(quantiles).chain([rate]).collect()
}

/// The floor, our highest layer and the peers, those of them that have a curve.
fn subjects(bench: &Bench) -> Vec<&Subject> {
    let top = top(bench);
    let wanted = |s: &&Subject| s.role != Role::Ours || top.is_some_and(|top| top.name == s.name);
    bench.subjects.iter().filter(wanted).filter(|s| points(s).next().is_some()).collect()
}

/// The points of a curve that can be drawn: one of how many operations took longer than how many microseconds.
fn points(subject: &Subject) -> impl Iterator<Item = (f64, f64)> {
    let curve = subject.latency.iter().flat_map(|latency| latency.curve.iter());
    let points = curve.map(|(q, us)| (1.0 / (1.0 - q), *us));
    points.filter(|(n, us)| (TICKS[0].0 * 0.99..=TICKS[4].0 * 1.01).contains(n) && POSSIBLE.contains(us))
}

/// The colour that stands for a variable of the page.
fn key(variable: &str) -> RGBColor {
    let at = INKS.iter().chain(&PEERS).position(|ink| *ink == variable);
    RGBColor(0, 0, u8::try_from(at.unwrap_or_default()).unwrap_or_default())
}

fn draw(subjects: &[&Subject], (width, height): (u32, u32)) -> Result<String, Box<dyn Error>> {
    let all = || subjects.iter().flat_map(|subject| points(subject)).map(|(_, us)| us);
    let (low, high) = (all().fold(f64::INFINITY, f64::min) * 0.85, all().fold(0.0, f64::max) * 1.15);
    let up = (low..high).log_scale().with_key_points(Scale::log(low, high).ticks(6));
    let across = (TICKS[0].0..TICKS[4].0).log_scale().with_key_points(TICKS.map(|(n, _)| n).to_vec());
    let text = |style, ink: &str| ("sans-serif", TEXT * UNITS, style).into_font().color(&key(ink));
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (width * UNITS, height * UNITS)).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin_top(8 * UNITS)
        .margin_right(NAMES * UNITS)
        .x_label_area_size(24 * UNITS)
        .y_label_area_size(58 * UNITS)
        .build_cartesian_2d(across, up)?;
    let name_of = |n: &f64| TICKS.iter().find(|(tick, _)| tick == n).map_or("", |(_, name)| name);
    chart
        .configure_mesh()
        .axis_style(TRANSPARENT)
        .light_line_style(TRANSPARENT)
        .bold_line_style(key("rule").stroke_width(UNITS))
        .label_style(text(FontStyle::Normal, "soft"))
        .x_label_formatter(&|n| name_of(n).to_owned())
        .y_label_formatter(&|us| format::tick(Unit::Ns, us * 1e3, us * 1e3))
        .draw()?;
    let mut names = Vec::new();
    for subject in subjects {
        let width = if subject.role == Role::Ours { 7 } else { 4 };
        chart.draw_series(LineSeries::new(points(subject), key(look(subject)).stroke_width(width)))?;
        let end = points(subject).last().unwrap_or_default();
        names.push((chart.backend_coord(&end).1, *subject));
    }
    // Beside their ends, moved apart.
    names.sort_by_key(|(y, _)| *y);
    let mut free = 0;
    let right = i32::try_from((width - NAMES + 6) * UNITS)?;
    for (y, subject) in names {
        let y = y.max(free);
        free = y + LINE;
        let style = text(FontStyle::Bold, look(subject)).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(cut(&subject.name, 11), (right, y), style))?;
    }
    root.present()?;
    drop(chart);
    drop(root);
    let inks = INKS.iter().chain(&PEERS).enumerate();
    Ok(inks
        .fold(svg, |svg, (at, ink)| svg.replace(&format!("\"#0000{at:02X}\""), &format!("\"var(--{ink})\""))))
}
