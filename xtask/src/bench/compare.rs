//! What a change did: two results beside each other, in per cent, with the spread.

use super::results::{Bench, FORMAT, Figure, Results, Role, Subject, Unit};
use super::table::{cost_text, cut, ratio_text};
use crate::args::Result;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Columns of the names.
const NAME: usize = 30;

/// How a subject of ours has changed.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    name: String,
    was: String,
    now: String,
    /// In per cent: by the medians, and from the best to the worst that the middle halves of the samples allow.
    percent: f64,
    least: f64,
    greatest: f64,
}

impl Change {
    /// Whether what was and what is do not overlap.
    fn is_clear(&self) -> bool {
        self.least > 0.0 || self.greatest < 0.0
    }
}

/// Reads the results that a run has kept.
///
/// # Errors
/// The file cannot be read, or is of another version of this program.
pub(crate) fn read(path: &Path) -> Result<Results> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let results: Results = serde_json::from_str(&text)
        .map_err(|error| format!("{}: no results of `bench`: {error}", path.display()))?;
    match results.format {
        FORMAT => Ok(results),
        other => Err(format!("{}: results of format {other}, {FORMAT} is wanted", path.display()).into()),
    }
}

/// How what is ours has changed, as far as both runs have it. Ratios to the floor are compared where there are any:
/// they leave out what the machine did meanwhile.
pub(crate) fn changes(was: &Results, now: &Results) -> Vec<Change> {
    let mut changes = Vec::new();
    for bench in &now.benches {
        let Some(before) = was.benches.iter().find(|before| before.name == bench.name) else { continue };
        for subject in bench.subjects.iter().filter(|subject| subject.role == Role::Ours) {
            let same = before.subjects.iter().find(|before| before.name == subject.name);
            changes.extend(same.and_then(|same| change(bench, same, subject)));
        }
    }
    changes
}

fn change(bench: &Bench, was: &Subject, now: &Subject) -> Option<Change> {
    let name = format!("{} {}", bench.name, now.name);
    let (was, now, show): (&Figure, &Figure, &dyn Fn(f64) -> String) = match (&was.ratio, &now.ratio) {
        (Some(was), Some(now)) => (was, now, &ratio_text),
        // In per cent of nothing there is nothing to say.
        _ if bench.unit == Unit::Spread || was.cost.least <= 0.0 => return None,
        _ => (&was.cost, &now.cost, &|cost| cost_text(bench.unit, cost)),
    };
    let percent = |now: f64, was: f64| (now / was - 1.0) * 100.0;
    Some(Change {
        name,
        was: show(was.median),
        now: show(now.median),
        percent: percent(now.median, was.median),
        least: percent(now.middle().0, was.middle().1),
        greatest: percent(now.middle().1, was.middle().0),
    })
}

/// The changes as a table of at most 100 columns.
pub(crate) fn table(was: &Results, changes: &[Change]) -> String {
    let commit = cut(&was.commit, 12);
    let mut text =
        format!("Compared with {} of {}{}:\n", commit, was.date, if was.dirty { ", changed" } else { "" });
    let _ = writeln!(text, "  {:NAME$} {:>9} {:>9} {:>9}  {:<22}", "", "was", "is", "change", "between");
    for change in changes {
        let between = format!("{:+.1} … {:+.1} %", change.least, change.greatest);
        let verdict = match change.is_clear() {
            true if change.percent > 0.0 => "more",
            true => "less",
            // What was and what is overlap.
            false => "unclear",
        };
        let percent = format!("{:+.1} %", change.percent);
        let _ = writeln!(
            text,
            "  {:NAME$} {:>9} {:>9} {percent:>9}  {between:<22} {verdict}",
            cut(&change.name, NAME),
            change.was,
            change.now,
        );
    }
    if changes.is_empty() {
        text.push_str("  The two runs have nothing in common.\n");
    }
    text
}

/// Fails if anything grew by more than `limit` per cent.
///
/// # Errors
/// Names what did.
pub(crate) fn judge(changes: &[Change], limit: f64) -> Result<()> {
    let grown: Vec<_> = changes.iter().filter(|change| change.percent > limit).collect();
    if grown.is_empty() {
        return Ok(());
    }
    let named: Vec<_> =
        grown.iter().map(|change| format!("{} {:+.1} %", change.name, change.percent)).collect();
    Err(format!("more than {limit} % above what was: {}", named.join(", ")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name, a role, costs, ratios.
    type Row<'a> = (&'a str, Role, &'a [f64], Option<&'a [f64]>);

    fn results(unit: Unit, subjects: &[Row<'_>]) -> Results {
        let figure = |samples: &[f64]| Figure::of(samples.to_vec()).expect("samples");
        let subjects = subjects.iter().map(|(name, role, cost, ratio)| Subject {
            name: (*name).to_owned(),
            role: *role,
            cost: figure(cost),
            ratio: ratio.map(figure),
            per_second: None,
            latency: None,
            errors: 0,
        });
        let bench = Bench {
            name: "http/connect".to_owned(),
            group: "http".to_owned(),
            title: String::new(),
            op: String::new(),
            unit,
            target: None,
            target_of: None,
            subjects: subjects.collect(),
            left_out: Vec::new(),
        };
        Results { format: FORMAT, benches: vec![bench], ..Results::default() }
    }

    #[test]
    fn ratios_are_compared_and_peers_are_not() {
        let was = results(Unit::Ns, &[("http", Role::Ours, &[100.0], Some(&[1.0, 1.0, 1.1]))]);
        let now = results(
            Unit::Ns,
            &[
                ("http", Role::Ours, &[900.0], Some(&[1.2, 1.25, 1.25])),
                ("node", Role::Peer, &[1.0], Some(&[9.0])),
            ],
        );
        let changes = changes(&was, &now);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].percent.round(), 25.0);
        assert_eq!((changes[0].least.round(), changes[0].greatest.round()), (9.0, 25.0));
        assert!(changes[0].is_clear());
        let error = judge(&changes, 10.0).expect_err("it grew").to_string();
        assert!(error.contains("http/connect http +25.0 %"), "{error}");
        assert!(judge(&changes, 30.0).is_ok());
    }

    #[test]
    fn without_ratios_costs_are_compared() {
        let was = results(Unit::Bytes, &[("http", Role::Ours, &[600.0], None)]);
        let now = results(Unit::Bytes, &[("http", Role::Ours, &[540.0], None)]);
        let changes = changes(&was, &now);
        assert_eq!((changes[0].percent.round(), &*changes[0].was), (-10.0, "600 B"));
        assert!(judge(&changes, 0.0).is_ok());
    }

    #[test]
    fn what_overlaps_is_within_the_spread() {
        let was = results(Unit::Ns, &[("http", Role::Ours, &[1.0], Some(&[1.0, 1.1]))]);
        let now = results(Unit::Ns, &[("http", Role::Ours, &[1.0], Some(&[1.05, 1.2]))]);
        let text = table(&was, &changes(&was, &now));
        assert!(text.contains("unclear"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn runs_with_nothing_in_common_say_so() {
        let was = results(Unit::Spread, &[("http", Role::Ours, &[0.0], None)]);
        assert!(table(&was, &changes(&was, &was)).contains("nothing in common"));
    }
}
