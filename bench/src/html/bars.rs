//! The bars of one benchmark: the floor, our layers from the loop upward, the peers, each labelled where it stands.

use super::canvas::{About, Anchor, block, chart, label, line, pixels, tick};
use super::format::{self, Step};
use super::hint::{self, FOOT, Hint};
use super::look;
use super::markup::Markup;
use super::scale::Scale;
use crate::results::{Bench, Role, Subject, Unit};

const TOP: f64 = 18.0;
const ROW: f64 = 37.0;
const AXIS: f64 = 20.0;

/// An axis ends at this many times the floor, so that the layers can be told apart; longer bars are cut.
const CUT: f64 = 3.0;

/// Pixels from the right end to where a row's cost ends; the ratio has the rest.
const RATIO: f64 = -58.0;
/// The same for the row's spread.
const SPREAD: f64 = -132.0;

/// Writes the chart of a benchmark.
pub(super) fn draw(m: &mut Markup, bench: &Bench, id: &str) {
    let subjects = ordered(bench);
    let (scale, cut) = axis(bench);
    let bottom = TOP + ROW * subjects.len() as f64;
    let foot = bottom + AXIS;
    let title = format!("{}: {}", bench.name, quantity(bench.unit));
    let words = subjects.iter().map(|s| hint_of(bench, s).first).collect::<Vec<_>>().join("; ");
    chart(m, &About { id, title: &title, words: &words }, foot + FOOT, |m| {
        let step = Step::of(bench.unit, scale.high());
        for value in scale.ticks(5) {
            let text =
                if value == 0.0 { "0".to_owned() } else { format!("{} {}", step.tick(value), step.unit()) };
            tick(m, scale.percent(value), (TOP, bottom), &text);
        }
        target(m, bench, scale, bottom);
        let note = if cut { "A bar with a break runs on past the axis." } else { "" };
        hint::caption(m, foot, [quantity_and_line(bench.unit), note]);
        for (index, subject) in subjects.iter().enumerate() {
            let top = TOP + ROW * index as f64;
            hint::part(m, Some((top, ROW)), foot, &hint_of(bench, subject), |m| {
                row(m, bench, subject, scale, top)
            });
        }
    });
}

/// The floor first, then ours, then the peers.
pub(super) fn ordered(bench: &Bench) -> Vec<&Subject> {
    let of = |role: Role| bench.subjects.iter().filter(move |s| s.role == role);
    of(Role::Floor).chain(of(Role::Ours)).chain(of(Role::Peer)).collect()
}

/// The cost of the floor, where it was measured and is more than nothing.
pub(super) fn floor(bench: &Bench) -> Option<f64> {
    let floor = bench.subjects.iter().find(|s| s.role == Role::Floor)?;
    Some(floor.cost.median).filter(|cost| cost.is_finite() && *cost > 0.0)
}

/// The target as a cost.
fn aim(bench: &Bench) -> Option<f64> {
    let target = bench.target?;
    if bench.unit == Unit::Ns { floor(bench).map(|floor| floor * target) } else { Some(target) }
}

/// What a unit counts, in words.
pub(super) fn quantity(unit: Unit) -> &'static str {
    match unit {
        Unit::Ns => "CPU time per operation",
        Unit::Bytes => "memory per connection or server",
        Unit::Spread => "connections between the busiest and the idlest worker",
    }
}

fn quantity_and_line(unit: Unit) -> &'static str {
    match unit {
        Unit::Ns => "CPU time per operation; line: least to greatest",
        Unit::Bytes => "Memory per connection or server; line: least to greatest",
        Unit::Spread => "Busiest less idlest worker; line: least to greatest",
    }
}

/// The axis from nothing to the longest bar, and whether it ends before.
fn axis(bench: &Bench) -> (Scale, bool) {
    let reach = |s: &Subject| s.cost.greatest.max(s.cost.median);
    let longest = |subjects: &mut dyn Iterator<Item = &Subject>| {
        subjects.map(reach).filter(|v| v.is_finite()).fold(0.0, f64::max)
    };
    let all = longest(&mut bench.subjects.iter()).max(aim(bench).unwrap_or(0.0));
    let near =
        longest(&mut bench.subjects.iter().filter(|s| s.role != Role::Peer)).max(aim(bench).unwrap_or(0.0));
    let limit = near.max(floor(bench).unwrap_or(0.0) * CUT) * 1.05;
    let cut = limit > 0.0 && all > limit * 1.25;
    (Scale::linear(0.0, if cut { limit } else { all }), cut)
}

fn target(m: &mut Markup, bench: &Bench, scale: Scale, bottom: f64) {
    let (Some(aim), Some(target)) = (aim(bench), bench.target) else { return };
    let x = scale.percent(aim);
    line(m, (x, TOP - 4.0), (x, bottom), "target");
    let text = match bench.unit {
        Unit::Ns => format!("target {}", format::ratio(target)),
        unit => format!("target {}", format::cost(unit, target)),
    };
    let (anchor, dx) = if x > 60.0 { (Anchor::End, 3.0) } else { (Anchor::Start, -3.0) };
    label(m, (x, dx, TOP - 8.0), anchor, "target-label", &text);
}

fn row(m: &mut Markup, bench: &Bench, subject: &Subject, scale: Scale, top: f64) {
    let text = top + 15.0;
    let attributes = [("x", "0"), ("y", &*pixels(text)), ("class", "name")];
    m.element("text", &attributes, |m| {
        m.text(&format::short(&subject.name, 18));
        if subject.role == Role::Ours {
            m.words("tspan", &[("class", "role"), ("dx", "6")], "ours");
        }
    });
    let ratio = subject.ratio.as_ref().map_or(f64::NAN, |ratio| ratio.median);
    label(m, (100.0, SPREAD, text), Anchor::End, "spread", &format::spread(bench.unit, &subject.cost));
    label(m, (100.0, RATIO, text), Anchor::End, "value", &format::cost(bench.unit, subject.cost.median));
    label(m, (100.0, 0.0, text), Anchor::End, "ratio", &format::ratio(ratio));
    bar(m, subject, scale, top + 21.0);
}

fn bar(m: &mut Markup, subject: &Subject, scale: Scale, top: f64) {
    const HEIGHT: f64 = 11.0;
    block(m, (0.0, 100.0), (top, HEIGHT), "track");
    let cost = &subject.cost;
    if !cost.median.is_finite() {
        return;
    }
    let class = format!("bar {}", look::class(subject));
    block(m, (0.0, scale.percent(cost.median)), (top, HEIGHT), &class);
    if cost.median > scale.high() * 1.000_001 {
        for x in [90.0, 91.6] {
            line(m, (x, top + HEIGHT + 2.0), (x + 1.2, top - 2.0), "break");
        }
    } else if format::has_spread(cost) {
        let (least, greatest, middle) =
            (scale.percent(cost.least), scale.percent(cost.greatest), top + HEIGHT / 2.0);
        for class in ["whisker-halo", "whisker"] {
            line(m, (least, middle), (greatest, middle), class);
            line(m, (least, middle - 3.0), (least, middle + 3.0), class);
            line(m, (greatest, middle - 3.0), (greatest, middle + 3.0), class);
        }
    }
}

fn hint_of(bench: &Bench, subject: &Subject) -> Hint {
    let mut first =
        format!("{}: {}", format::short(&subject.name, 40), format::cost(bench.unit, subject.cost.median));
    if let Some(ratio) = &subject.ratio {
        first += &format!(", {} the floor", format::ratio(ratio.median));
        if format::has_spread(ratio) {
            first += &format!(" ({}–{})", format::digits(ratio.least), format::digits(ratio.greatest));
        }
    }
    let mut second = Vec::new();
    if let Some(rate) = subject.per_second {
        second.push(format::rate(rate));
    }
    if let Some(latency) = &subject.latency {
        second.push(format!("p50 {}", format::micros(latency.p50_us)));
        second.push(format!("p99 {}", format::micros(latency.p99_us)));
    }
    match subject.cost.samples.len() {
        0 => {}
        1 => second.push("one round".to_owned()),
        rounds => second.push(format!("{rounds} rounds")),
    }
    if subject.errors > 0 {
        second.push(format!("{} errors", subject.errors));
    }
    Hint { first, second: second.join(" · ") }
}
