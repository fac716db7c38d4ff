//! What a change did: two results beside each other, in per cent, with the interval that the rounds leave open.
//!
//! The interval is what a verdict rests on. Two medians of few noisy rounds always differ; only when even the end of the
//! interval is above nothing has something changed, and only when all of it is small is it known that nothing has.

use super::results::{Bench, FORMAT, Figure, Results, Role, Subject, Unit};
use super::table::{cost_text, cut, line, ratio_text};
use crate::Result;
use std::fs;
use std::path::Path;

/// The columns: see [`line`].
const COLUMNS: &[isize] = &[-32, 9, 9, 9, 0, -22, -7];

/// In per cent: a change that is certainly less is none. Two launches of the very same program differ by one or two.
pub(crate) const SAME: f64 = 5.0;

#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    name: String,
    was: String,
    now: String,
    unit: Unit,
    /// In per cent, by the medians.
    percent: f64,
    /// Where the true change lies in about 95 of 100 cases, in per cent; unknown after a single round.
    between: Option<(f64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    More,
    Less,
    Unclear,
}

impl Change {
    fn verdict(&self) -> Verdict {
        match self.between {
            Some((least, greatest)) if least > -SAME && greatest < SAME => Verdict::Same,
            Some((least, _)) if least > 0.0 => Verdict::More,
            Some((_, greatest)) if greatest < 0.0 => Verdict::Less,
            _ => Verdict::Unclear,
        }
    }

    /// Whether the rounds leave open if it grew by more than `limit` per cent.
    fn is_open(&self, limit: f64) -> bool {
        self.between.is_none_or(|(least, greatest)| least <= limit && limit < greatest)
    }
}

/// Reads the results that a run has kept.
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

/// What is ours and only one of the runs has, in benchmarks that `now` has: it is not compared. In a sentence.
pub(crate) fn alone(was: &Results, now: &Results) -> Option<String> {
    let ours = |bench: &Bench| -> Vec<String> {
        let ours = bench.subjects.iter().filter(|subject| subject.role == Role::Ours);
        ours.map(|subject| format!("{} {}", bench.name, subject.name)).collect()
    };
    let mut alone = Vec::new();
    for bench in &now.benches {
        let before =
            was.benches.iter().find(|before| before.name == bench.name).map(ours).unwrap_or_default();
        let now = ours(bench);
        alone.extend(now.iter().filter(|name| !before.contains(name)).cloned());
        alone.extend(before.iter().filter(|name| !now.contains(name)).cloned());
    }
    (!alone.is_empty()).then(|| format!("only one of the two runs has {}", alone.join(", ")))
}

fn change(bench: &Bench, was: &Subject, now: &Subject) -> Option<Change> {
    let name = format!("{} {}", bench.name, now.name);
    let (was, now, show): (&Figure, &Figure, &dyn Fn(f64) -> String) = match (&was.ratio, &now.ratio) {
        (Some(was), Some(now)) => (was, now, &ratio_text),
        // In per cent of nothing there is nothing to say.
        _ if bench.unit == Unit::Spread || was.cost.least <= 0.0 || now.cost.least <= 0.0 => return None,
        _ => (&was.cost, &now.cost, &|cost| cost_text(bench.unit, cost)),
    };
    let percent = |times: f64| (times - 1.0) * 100.0;
    let times = now.median / was.median;
    // Errors that have nothing to do with each other add up by their squares; as factors, small ones do so too.
    let factor = was.margin.zip(now.margin).map(|(was, now)| was.hypot(now).exp());
    Some(Change {
        name,
        was: show(was.median),
        now: show(now.median),
        unit: bench.unit,
        percent: percent(times),
        between: factor.map(|factor| (percent(times / factor), percent(times * factor))),
    })
}

/// The changes as a table of at most 100 columns.
pub(crate) fn table(was: &Results, changes: &[Change]) -> String {
    let commit = cut(&was.commit, 12);
    let mut text =
        format!("Compared with {} of {}{}:\n", commit, was.date, if was.dirty { ", changed" } else { "" });
    text += &line(COLUMNS, &["", "was", "is", "change", "", "between"]);
    for change in changes {
        let between = change.between.map_or_else(
            || "one round: unknown".to_owned(),
            |(least, greatest)| format!("{} … {} %", signed(least), signed(greatest)),
        );
        let verdict = match (change.verdict(), change.unit) {
            (Verdict::Same, _) => "same",
            (Verdict::Unclear, _) => "unclear",
            (Verdict::More, Unit::Ns) => "slower",
            (Verdict::Less, Unit::Ns) => "faster",
            (Verdict::More, _) => "more",
            (Verdict::Less, _) => "less",
        };
        let (name, percent) = (format!("  {}", change.name), format!("{} %", signed(change.percent)));
        text += &line(COLUMNS, &[&*name, &change.was, &change.now, &percent, "", &between, verdict]);
    }
    if changes.is_empty() {
        text.push_str("  The two runs have nothing in common.\n");
    }
    text
}

fn signed(percent: f64) -> String {
    if percent.abs() < 1000.0 { format!("{percent:+.1}") } else { format!("{:+.1e}", percent) }
}

/// Fails if anything certainly grew by more than `limit` per cent: by the lower end of its interval. To compare nothing
/// is no success.
pub(crate) fn judge(changes: &[Change], limit: f64) -> Result<()> {
    if changes.is_empty() {
        return Err("--fail-above: the two runs have nothing in common that could be judged".into());
    }
    let is_above = |change: &&Change| change.between.is_some_and(|(least, _)| least > limit);
    let grown: Vec<_> = changes.iter().filter(is_above).collect();
    if grown.is_empty() {
        return Ok(());
    }
    let named: Vec<_> =
        grown.iter().map(|change| format!("{} {} %", change.name, signed(change.percent))).collect();
    Err(format!("more than {limit} % above what was: {}", named.join(", ")).into())
}

/// What may have grown by more than `limit` per cent or not, in a sentence.
pub(crate) fn open_question(changes: &[Change], limit: f64) -> Option<String> {
    let open: Vec<_> =
        changes.iter().filter(|change| change.is_open(limit)).map(|change| &*change.name).collect();
    (!open.is_empty()).then(|| {
        let names = open.join(", ");
        format!(
            "it could not be told whether more than {limit} % was added to {names}; more rounds tell more"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (&'a str, Role, &'a [f64], Option<&'a [f64]>);

    fn results(unit: Unit, subjects: &[Row<'_>]) -> Results {
        let figure = |samples: &[f64]| Figure::of(samples.to_vec()).expect("samples");
        let subjects = subjects.iter().map(|(name, role, cost, ratio)| Subject {
            name: (*name).to_owned(),
            role: *role,
            cost: figure(cost),
            ratio: ratio.map(figure),
            ..Subject::default()
        });
        let bench =
            Bench { name: "http/connect".to_owned(), unit, subjects: subjects.collect(), ..Bench::default() };
        Results { format: FORMAT, benches: vec![bench], ..Results::default() }
    }

    /// What becomes of these ratios.
    fn compared(was: &[f64], now: &[f64]) -> Change {
        let results = |ratios| results(Unit::Ns, &[("http", Role::Ours, &[1.0], Some(ratios))]);
        changes(&results(was), &results(now)).remove(0)
    }

    #[test]
    fn ratios_are_compared_and_peers_are_not() {
        let was = results(Unit::Ns, &[("http", Role::Ours, &[100.0], Some(&[1.0, 1.0, 1.0]))]);
        let now = results(
            Unit::Ns,
            &[
                ("http", Role::Ours, &[900.0], Some(&[1.25, 1.25, 1.25])),
                ("node", Role::Peer, &[1.0], Some(&[9.0])),
            ],
        );
        let changes = changes(&was, &now);
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].percent, changes[0].between), (25.0, Some((25.0, 25.0))));
    }

    #[test]
    fn without_ratios_costs_are_compared() {
        let was = results(Unit::Bytes, &[("http", Role::Ours, &[600.0, 600.0], None)]);
        let now = results(Unit::Bytes, &[("http", Role::Ours, &[540.0, 540.0], None)]);
        let changes = changes(&was, &now);
        assert_eq!((changes[0].percent.round(), &*changes[0].was), (-10.0, "600 B"));
        assert!(table(&was, &changes).contains(" less"), "{changes:?}");
        assert!(judge(&changes, 0.0).is_ok());
    }

    #[test]
    fn the_interval_decides_and_not_the_median() {
        let steady = [1.10, 1.11, 1.10, 1.09, 1.10];
        assert_eq!(compared(&steady, &steady).verdict(), Verdict::Same);
        assert_eq!(compared(&steady, &steady.map(|ratio| ratio * 1.02)).verdict(), Verdict::Same);
        assert_eq!(compared(&steady, &steady.map(|ratio| ratio * 1.1)).verdict(), Verdict::More);
        assert_eq!(compared(&steady, &steady.map(|ratio| ratio * 0.9)).verdict(), Verdict::Less);
        // The medians differ by 10 %, and so do the rounds of each.
        let noisy = [1.0, 1.25, 1.10, 1.2, 1.05];
        assert_eq!(compared(&noisy, &noisy.map(|ratio| ratio * 1.1)).verdict(), Verdict::Unclear);
        assert_eq!(compared(&noisy, &noisy).verdict(), Verdict::Unclear, "it may well have grown by 10 %");
        assert_eq!(compared(&[1.0], &[2.0]).verdict(), Verdict::Unclear, "one round tells nothing");
    }

    #[test]
    fn only_what_is_certainly_above_the_limit_fails() {
        let steady = [1.00, 1.01, 1.00, 0.99, 1.00];
        let grown = [compared(&steady, &steady.map(|ratio| ratio * 1.2))];
        let error = judge(&grown, 10.0).expect_err("it grew").to_string();
        assert!(error.contains("http/connect http +20.0 %"), "{error}");
        assert_eq!((judge(&grown, 30.0).is_ok(), open_question(&grown, 30.0)), (true, None));
        let noisy = [compared(&[1.0, 1.25, 1.10, 1.2, 1.05], &[1.2, 1.4, 1.3, 1.1, 1.5])];
        assert!(noisy[0].percent > 10.0 && judge(&noisy, 10.0).is_ok());
        let question = open_question(&noisy, 10.0).expect("that is open");
        assert!(question.contains("http/connect http"), "{question}");
        assert!(open_question(&[compared(&[1.0], &[1.0])], 10.0).is_some());
    }

    #[test]
    fn rows_fit_a_hundred_columns() {
        for (was, now) in [(&[1.0, 1.1][..], &[1.05, 1.2][..]), (&[1.0], &[1.0]), (&[1.0, 1.0], &[1e6, 2e6])]
        {
            let text = table(&Results::default(), &[compared(was, now)]);
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        }
    }

    #[test]
    fn runs_with_nothing_in_common_say_so() {
        let was = results(Unit::Spread, &[("http", Role::Ours, &[0.0], None)]);
        let changes = changes(&was, &was);
        assert!(table(&was, &changes).contains("nothing in common"));
        let error = judge(&changes, 10.0).expect_err("nothing was compared").to_string();
        assert!(error.contains("nothing in common"), "{error}");
    }

    #[test]
    fn what_only_one_run_has_is_named() {
        let row = |name, role| (name, role, &[1.0][..], None);
        let both = results(Unit::Ns, &[row("http", Role::Ours), row("node", Role::Peer)]);
        let one = results(Unit::Ns, &[row("http", Role::Ours), row("net", Role::Ours)]);
        let expected = Some("only one of the two runs has http/connect net".to_owned());
        assert_eq!((alone(&both, &one), alone(&one, &both)), (expected.clone(), expected));
        assert_eq!(alone(&both, &both), None, "peers are not compared");
        assert_eq!(alone(&both, &Results::default()), None, "what was not asked for is not missed");
        assert!(alone(&Results::default(), &one).is_some_and(|names| names.contains("http/connect http")));
    }
}
