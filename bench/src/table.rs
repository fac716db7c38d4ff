//! What is printed: a block for each benchmark when it is done, and one table over all at the end. Both fit 100 columns.

use super::results::{Bench, Figure, Results, Role, Subject, Unit};
use std::fmt::Write;

/// The columns of a block, and of the table: see [`line`].
const BLOCK: &[isize] = &[-20, 10, 5, 7, 5, 10, 9, 9, 9, 7];
const SUMMARY: &[isize] = &[-28, 8, 8, 6, 5, 6, 6, 6, 6, 12];

/// The peers that have a column of the table, and what stands in it: hyper is tokio's HTTP.
const COLUMNS: &[(&str, &[&str])] =
    &[("libuv", &["libuv"]), ("tokio", &["tokio", "hyper"]), ("node", &["node"]), ("nginx", &["nginx"])];

/// More uncertain than this is not worth a wider column.
const MOST_PERCENT: f64 = 999.0;

/// What stands where there is nothing.
pub(crate) const NOTHING: &str = "–";

/// The block of one benchmark: each subject with its uncertainty, throughput and latencies.
#[must_use]
pub fn block(bench: &Bench) -> String {
    let cost = match bench.unit {
        Unit::Ns => "CPU/op",
        Unit::Bytes => "bytes",
        Unit::Spread => "uneven by",
    };
    let mut text = format!("{}: {}\n", bench.name, bench.title);
    let heads = ["", cost, "± %", "× floor", "± %", "per s", "p50 µs", "p99 µs", "p99.9 µs", "errors"];
    text += &line(BLOCK, &heads);
    for subject in &bench.subjects {
        let (ratio, latency) = (subject.ratio.as_ref(), subject.latency.as_ref());
        let cells = [
            format!("  {}", subject.name),
            cost_text(bench.unit, subject.cost.median),
            margin(&subject.cost),
            or_nothing(ratio.map(|ratio| ratio_text(ratio.median))),
            or_nothing(ratio.map(margin)),
            or_nothing(subject.per_second.map(thousands)),
            or_nothing(latency.map(|latency| short(latency.p50_us))),
            or_nothing(latency.map(|latency| short(latency.p99_us))),
            or_nothing(latency.map(|latency| short(latency.p999_us))),
            subject.errors.to_string(),
        ];
        text += &line(BLOCK, &cells);
    }
    for left_out in &bench.left_out {
        for line in wrapped(&format!("{}: {}", left_out.name, left_out.reason), 96) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if let (Some(is_met), Some(figure)) = (bench.is_met(), bench.reached()) {
        let verdict = if is_met { "met" } else { "missed" };
        let name = bench.target_of.as_deref().unwrap_or_default();
        let value = match bench.unit {
            Unit::Ns => exact_ratio(figure.median),
            unit => cost_text(unit, figure.median),
        };
        let _ = writeln!(text, "  target: {name} at most {}: {verdict}, {value}", target_text(bench));
    }
    text
}

/// The table over all: a row for each of our layers, its floor and its peers beside it.
#[must_use]
pub fn summary(results: &Results) -> String {
    let heads = ["CPU per operation, × floor", "floor", "ours", "×", "± %"].into_iter();
    let heads: Vec<_> = heads.chain(COLUMNS.iter().map(|(name, _)| *name)).chain(["target"]).collect();
    let mut text = line(SUMMARY, &heads);
    for bench in &results.benches {
        let rows: Vec<_> = bench.subjects.iter().filter(|subject| has_row(subject)).collect();
        for subject in &rows {
            text.push_str(&row(bench, Some(subject)));
        }
        if rows.is_empty() {
            text.push_str(&row(bench, None));
        }
    }
    text.push_str(
        "Peers' columns are × floor too; memory: bytes per connection or server. In http, tokio is hyper, and\n\
         libuv has no parser: it sends canned replies.\n",
    );
    text
}

fn has_row(subject: &Subject) -> bool {
    let has_column = || COLUMNS.iter().any(|(_, names)| names.contains(&&*subject.name));
    subject.role == Role::Ours || (subject.role == Role::Peer && !has_column())
}

fn row(bench: &Bench, subject: Option<&Subject>) -> String {
    let floor = bench.subjects.iter().find(|subject| subject.role == Role::Floor);
    let cost = |subject: &Subject| cost_text(bench.unit, subject.cost.median);
    let ratio = subject.and_then(|subject| subject.ratio.as_ref());
    let figure = ratio.or_else(|| subject.map(|subject| &subject.cost));
    let name =
        subject.map_or_else(|| bench.name.clone(), |subject| format!("{} {}", bench.name, subject.name));
    let is_aimed_at = bench.target.is_some()
        && subject.is_some_and(|subject| Some(&subject.name) == bench.target_of.as_ref());
    let write = if is_aimed_at && bench.target_to.is_none() { exact_ratio } else { ratio_text };
    let target = match bench.is_met().filter(|_| is_aimed_at) {
        Some(true) => format!("{} met", bare_target(bench)),
        Some(false) => format!("{} missed", bare_target(bench)),
        None => String::new(),
    };
    let cells = [
        name,
        or_nothing(floor.map(cost)),
        or_nothing(subject.map(cost)),
        or_nothing(ratio.map(|ratio| write(ratio.median))),
        or_nothing(figure.map(margin)),
    ];
    let peers = COLUMNS.iter().map(|(_, names)| peer_cell(bench, names));
    line(SUMMARY, &cells.into_iter().chain(peers).chain([target]).collect::<Vec<_>>())
}

/// A line of a table. A column has so many characters; of a negative number of them, its text is at the left, and cut if it
/// is too long.
pub(crate) fn line(columns: &[isize], cells: &[impl AsRef<str>]) -> String {
    let cell = |(width, cell): (&isize, &_)| {
        let (room, text) = (width.unsigned_abs(), AsRef::<str>::as_ref(cell));
        if *width < 0 { format!("{:room$}", cut(text, room)) } else { format!("{text:>room$}") }
    };
    let cells: Vec<_> = columns.iter().zip(cells).map(cell).collect();
    format!("{}\n", cells.join(" ").trim_end())
}

pub(crate) fn or_nothing(text: Option<String>) -> String {
    text.unwrap_or_else(|| NOTHING.to_owned())
}

fn peer_cell(bench: &Bench, names: &[&str]) -> String {
    let peer = bench.subjects.iter().find(|subject| names.contains(&&*subject.name));
    match (peer, peer.and_then(|peer| peer.ratio.as_ref())) {
        (_, Some(ratio)) => ratio_text(ratio.median),
        (Some(peer), None) if bench.unit == Unit::Ns || peer.cost.median >= 1e6 => {
            cost_text(bench.unit, peer.cost.median)
        }
        (Some(peer), None) => format!("{:.0}", peer.cost.median),
        (None, None) if failed(bench, names) => "failed".to_owned(),
        (None, None) => NOTHING.to_owned(),
    }
}

/// What the reason of a subject begins with that was to be measured, and failed.
pub(crate) const FAILED: &str = "failed: ";

fn failed(bench: &Bench, names: &[&str]) -> bool {
    bench.left_out.iter().any(|left| names.contains(&&*left.name) && left.reason.starts_with(FAILED))
}

fn target_text(bench: &Bench) -> String {
    let target = bench.target.unwrap_or_default();
    match bench.unit {
        Unit::Ns => format!("{target:.2} × {}", bench.target_to.as_deref().unwrap_or("floor")),
        Unit::Bytes | Unit::Spread => cost_text(bench.unit, target),
    }
}

fn bare_target(bench: &Bench) -> String {
    let target = bench.target.unwrap_or_default();
    match &bench.target_to {
        Some(peer) => peer.clone(),
        None if bench.unit == Unit::Ns => format!("{target:.2}"),
        None => format!("{target:.0}"),
    }
}

pub(crate) fn cost_text(unit: Unit, cost: f64) -> String {
    match unit {
        Unit::Spread => format!("{cost:.0}"),
        Unit::Bytes if cost < 1e6 => format!("{} B", thousands(cost)),
        // What is rounded to a thousand has the next unit.
        _ => {
            let (divisor, name) = step(unit, cost * 1.0005);
            format!("{} {name}", ratio_text(cost / divisor))
        }
    }
}

/// What values of a size are divided by, and the unit that they then have.
pub(crate) fn step(unit: Unit, size: f64) -> (f64, &'static str) {
    match unit {
        Unit::Ns if size < 1e3 => (1.0, "ns"),
        Unit::Ns if size < 1e6 => (1e3, "µs"),
        Unit::Ns if size < 1e9 => (1e6, "ms"),
        Unit::Ns => (1e9, "s"),
        Unit::Bytes if size < 1e6 => (1.0, "B"),
        Unit::Bytes => (1e6, "MB"),
        Unit::Spread => (1.0, ""),
    }
}

pub(crate) fn ratio_text(ratio: f64) -> String {
    let decimals = if ratio < 9.995 { 2 } else { usize::from(ratio < 99.95) };
    format!("{ratio:.decimals$}")
}

/// A target is met or missed by the third place.
pub(crate) fn exact_ratio(ratio: f64) -> String {
    if ratio < 9.9995 { format!("{ratio:.3}") } else { ratio_text(ratio) }
}

/// How uncertain a median is, in per cent of it.
fn margin(figure: &Figure) -> String {
    match figure.margin.map(|margin| margin * 100.0) {
        None => NOTHING.to_owned(),
        Some(percent) if percent < 9.95 => format!("{percent:.1}"),
        Some(percent) => format!("{:.0}", percent.min(MOST_PERCENT)),
    }
}

fn short(microseconds: f64) -> String {
    if microseconds < 99.95 { format!("{microseconds:.1}") } else { thousands(microseconds) }
}

/// A whole number with thin gaps between thousands.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::from(if number <= -0.5 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// As much of a name as has room.
pub(crate) fn cut(name: &str, room: usize) -> String {
    if name.chars().count() <= room {
        return name.to_owned();
    }
    let mut text: String = name.chars().take(room - 1).collect();
    text.push('…');
    text
}

/// Words in lines of at most `width`; a longer word is cut.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let word = cut(word, width - 2);
        let line = lines.last_mut().filter(|line| line.chars().count() + word.chars().count() < width);
        match line {
            Some(line) if line.is_empty() => *line = word,
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(format!("  {word}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
