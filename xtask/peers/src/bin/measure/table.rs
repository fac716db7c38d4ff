//! What is printed: a line per round, and at the end a table of medians with their spread.

use crate::options::{Case, Options};
use crate::round::Sample;

/// A median with the least and the greatest value.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    median: f64,
    least: f64,
    greatest: f64,
}

impl Spread {
    /// Of at least one value, none of them NaN.
    fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Self { median: f64::midpoint(low, high), least: values[0], greatest: values[values.len() - 1] }
    }

    fn show(self, decimals: usize) -> String {
        let Self { median, least, greatest } = self;
        format!("{median:.decimals$} ({least:.decimals$}–{greatest:.decimals$})")
    }
}

/// What `cost` means in this case, and with how many decimals it is shown.
fn unit(case: Case) -> (&'static str, usize) {
    match case {
        Case::Idle => ("bytes/connection", 0),
        Case::Pipeline => ("CPU µs/op", 3),
        _ => ("CPU µs/op", 2),
    }
}

/// The line of one round of one subject.
pub(crate) fn round_line(options: &Options, round: usize, subject: usize, sample: &Sample) -> String {
    let ((unit, decimals), report) = (unit(options.case), &sample.report);
    format!(
        "round {}  {:<14} {:.decimals$} {unit}  {:.0}/s  p50 {:.0} p99 {:.0} p99.9 {:.0} µs  errors {}",
        round + 1,
        options.subjects[subject].name,
        sample.cost,
        report.per_second,
        report.p50_us,
        report.p99_us,
        report.p999_us,
        sample.errors,
    )
}

/// The table. `samples` holds, for each round, one sample per subject. Ratios are made within a round, where
/// both subjects met the same noise, and only then is their median taken.
pub(crate) fn summary(options: &Options, samples: &[Vec<Sample>]) -> String {
    let (unit, decimals) = unit(options.case);
    let first = &options.subjects[0].name;
    let header =
        ["subject", unit, &format!("ratio to {first}"), "ops/s", "p50 µs", "p99 µs", "p99.9 µs", "errors"];
    let mut rows = vec![header.map(str::to_owned)];
    for (index, subject) in options.subjects.iter().enumerate() {
        let spread = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(|round| value(&round[index])));
        let median = |value: fn(&Sample) -> f64| format!("{:.0}", spread(value).median);
        let ratio = Spread::of(samples.iter().map(|round| round[index].cost / round[0].cost));
        let errors: u64 = samples.iter().map(|round| round[index].errors).sum();
        rows.push([
            subject.name.clone(),
            spread(|sample| sample.cost).show(decimals),
            // A floor of memory is next to nothing, and so is the sense of a ratio to it.
            if options.case == Case::Idle { "–".to_owned() } else { ratio.show(2) },
            median(|sample| sample.report.per_second),
            median(|sample| sample.report.p50_us),
            median(|sample| sample.report.p99_us),
            median(|sample| sample.report.p999_us),
            errors.to_string(),
        ]);
    }
    let title = format!(
        "{}: {} rounds, {} connections, server on CPU {}, load on CPU {}; median (least–greatest)",
        options.case.name(),
        samples.len(),
        options.connections,
        options.server_cpu,
        options.load_cpu,
    );
    format!("{title}\n\n{}", markdown(&rows))
}

/// Lays rows out as a Markdown table with aligned columns; the first row is the header.
fn markdown<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row.iter().enumerate().map(|(column, cell)| format!(" {cell:<0$} |", width(column)));
            format!("|{}", cells.collect::<String>())
        })
        .collect();
    let rule: String = (0..COLUMNS).map(|column| format!("{}|", "-".repeat(width(column) + 2))).collect();
    lines.insert(1, format!("|{rule}"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(Spread::of([3.0, 1.0, 9.0]), Spread { median: 3.0, least: 1.0, greatest: 9.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]).median, 3.0);
        assert_eq!(Spread::of([0.4]).show(2), "0.40 (0.40–0.40)");
    }

    #[test]
    fn tables_are_aligned() {
        let rows = [["a".to_owned(), "long".to_owned()], ["bcd".to_owned(), "µ".to_owned()]];
        assert_eq!(markdown(&rows), "| a   | long |\n|-----|------|\n| bcd | µ    |");
    }
}
