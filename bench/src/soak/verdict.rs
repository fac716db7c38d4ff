//! The rules by which a soak is judged, and the table that shows them.
//!
//! - The first quarter of the cycles is the warm-up: allocators and tables grow to their size. It is not judged.
//! - *Memory* of the primary and of the elder worker: the median of the last third of the judged moments is above that of
//!   the first third by 5 % or 1 MiB at most, whichever is more. With fewer than six judged moments it is shown only.
//! - *Descriptors and threads* of both are the same at every judged moment, and there are two workers.
//! - *Errors*: the loads may lose the connections that they had with a worker when that was ended, once for each: a killed
//!   worker loses all, and a leaving worker those that pipeline, or send just when it closes them as idle. Wrong answers,
//!   answers that do not come, and refused connections are never right.
//! - *Answers* come in each cycle.
//! - *Latency*: the median of the last third is at most three times that of the first third and a millisecond. With fewer
//!   than six judged moments it is shown only.
//!
//! That the elder worker lives, and that the server ends on SIGTERM, is checked where it happens.

use super::WORKERS;
use super::trouble::Done;
use crate::proc::Held;
use crate::table::line;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The judged moments that a trend takes.
const LEAST: usize = 6;

/// Growth of memory that is none.
const SLACK_BYTES: f64 = (1 << 20) as f64;
const SLACK_SHARE: f64 = 0.05;

/// Growth of a latency that is none, on a machine that does other work too.
const SLACK_TIMES: f64 = 3.0;
const SLACK_MS: f64 = 1.0;

/// Kinds of errors that no end of a worker explains.
const NEVER: &[&str] = &["status", "body", "malformed", "unanswered"];

/// The columns of the table.
const COLUMNS: &[isize] = &[-24, 10, 10, 10, -30, -6];

/// What one cycle did, and what was held after it.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    pub(super) primary: Held,
    pub(super) elder: Held,
    pub(super) children: usize,
    pub(super) answers: u64,
    pub(super) errors: BTreeMap<String, u64>,
    /// The connections that may be lost: those that the ended worker had.
    pub(super) may_lose: u64,
    /// Workers that were ended.
    pub(super) ended: u32,
    pub(super) done: Done,
    /// Latencies.
    pub(super) median: Duration,
    pub(super) slow: Duration,
    pub(super) time: Duration,
}

impl Moment {
    /// What is the same at every quiet moment.
    pub(super) fn counts(&self) -> [u64; 4] {
        let of = |held: &Held| [held.descriptors as u64, held.threads];
        let ([a, b], [c, d]) = (of(&self.primary), of(&self.elder));
        [a, b, c, d]
    }

    fn lost(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Errors beyond what the ends of workers explain.
    fn unexplained(&self) -> u64 {
        let never: u64 = NEVER.iter().filter_map(|kind| self.errors.get(*kind)).sum();
        never + (self.lost() - never).saturating_sub(self.may_lose) + self.done.refused
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |held: &Held| format!("{} KiB {} fds", held.resident / 1024, held.descriptors);
        write!(
            f,
            "{} answers, {} lost {:?}, p50 {:.1} ms, p99 {:.1} ms; {} rough connections; primary {}, elder {}, {} workers; {:.1} s",
            self.answers,
            self.lost(),
            self.errors,
            self.median.as_secs_f64() * 1e3,
            self.slow.as_secs_f64() * 1e3,
            self.done.connections,
            of(&self.primary),
            of(&self.elder),
            self.children,
            self.time.as_secs_f64()
        )
    }
}

/// All moments of one server.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) moments: Vec<Moment>,
    pub(super) time: Duration,
}

/// One line of the table.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) what: &'static str,
    first: String,
    last: String,
    most: String,
    rule: &'static str,
    /// `None` if there were too few moments.
    holds: Option<bool>,
}

impl Row {
    pub(super) fn is_broken(&self) -> bool {
        self.holds == Some(false)
    }

    /// Whether there were too few moments to judge it.
    pub(super) fn is_short(&self) -> bool {
        self.holds.is_none()
    }
}

/// Judges a course, after a warm-up of so many cycles.
pub(super) fn judge(course: &Course, warm_up: Option<usize>) -> Vec<Row> {
    let all = &course.moments;
    let warm_up = warm_up.unwrap_or_else(|| all.len().div_ceil(4)).min(all.len().saturating_sub(1));
    let judged = &all[warm_up..];
    let of = |value: fn(&Moment) -> f64| judged.iter().map(value).collect::<Vec<_>>();
    let memory = |what, value| {
        trend(what, "+5 % or 1 MiB at most", 1024.0, &of(value), |first, last| {
            last <= first + SLACK_BYTES.max(first * SLACK_SHARE)
        })
    };
    let latency = |what, value| {
        trend(what, "3 times and 1 ms at most", 1.0, &of(value), |first, last| {
            last <= first * SLACK_TIMES + SLACK_MS
        })
    };
    vec![
        memory("primary memory, KiB", |moment| moment.primary.resident as f64),
        memory("elder memory, KiB", |moment| moment.elder.resident as f64),
        constant("primary descriptors", &of(|moment| moment.primary.descriptors as f64)),
        constant("elder descriptors", &of(|moment| moment.elder.descriptors as f64)),
        constant("primary threads", &of(|moment| moment.primary.threads as f64)),
        constant("elder threads", &of(|moment| moment.elder.threads as f64)),
        all_are("workers", "2", WORKERS as f64, &of(|moment| moment.children as f64)),
        served(&all.iter().map(|moment| moment.answers as f64).collect::<Vec<_>>()),
        latency("latency p50, ms", |moment| moment.median.as_secs_f64() * 1e3),
        latency("latency p99, ms", |moment| moment.slow.as_secs_f64() * 1e3),
        all_are(
            "unexplained errors",
            "none",
            0.0,
            &all.iter().map(|moment| moment.unexplained() as f64).collect::<Vec<_>>(),
        ),
    ]
}

fn row(what: &'static str, rule: &'static str, unit: f64, values: &[f64], holds: Option<bool>) -> Row {
    let cell = |value: f64| {
        if unit == 1.0 && value.fract() != 0.0 {
            format!("{value:.1}")
        } else {
            format!("{:.0}", value / unit)
        }
    };
    let (first, last) = thirds(values);
    let most = values.iter().copied().fold(0.0, f64::max);
    Row { what, first: cell(first), last: cell(last), most: cell(most), rule, holds }
}

/// A value that may vary and not grow.
fn trend(
    what: &'static str,
    rule: &'static str,
    unit: f64,
    values: &[f64],
    holds: impl Fn(f64, f64) -> bool,
) -> Row {
    let (first, last) = thirds(values);
    row(what, rule, unit, values, (values.len() >= LEAST).then(|| holds(first, last)))
}

/// A value that is always the same.
fn constant(what: &'static str, values: &[f64]) -> Row {
    let holds = values.iter().all(|value| *value == values[0]);
    row(what, "always the same", 1.0, values, Some(holds))
}

/// A value that is known.
fn all_are(what: &'static str, rule: &'static str, known: f64, values: &[f64]) -> Row {
    row(what, rule, 1.0, values, Some(values.iter().all(|value| *value == known)))
}

/// Answers of each cycle: without any there is nothing to judge.
fn served(answers: &[f64]) -> Row {
    row("answers", "some in each cycle", 1.0, answers, Some(answers.iter().all(|count| *count > 0.0)))
}

/// The medians of the first and of the last third.
fn thirds(values: &[f64]) -> (f64, f64) {
    let third = values.len().div_ceil(3);
    (median(&values[..third]), median(&values[values.len() - third..]))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The table of a policy: what was held first and last, by the medians of the thirds, and the rule for it.
pub(super) fn table(policy: &str, course: &Course, rows: &[Row]) -> String {
    let sum = |value: fn(&Moment) -> u64| course.moments.iter().map(value).sum::<u64>();
    let mut text = format!(
        "{policy}: {:.1} minutes, {} cycles; {} answers, {} lost with {} workers; {} connections reset, slow or flooding\n",
        course.time.as_secs_f64() / 60.0,
        course.moments.len(),
        sum(|moment| moment.answers),
        sum(Moment::lost),
        sum(|moment| moment.ended.into()),
        sum(|moment| moment.done.connections),
    );
    text += &line(COLUMNS, &["", "first", "last", "most", "rule", ""]);
    for row in rows {
        let verdict = row.holds.map_or("short", |holds| if holds { "holds" } else { "BROKEN" });
        text += &line(COLUMNS, &[row.what, &row.first, &row.last, &row.most, row.rule, verdict]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A course with these bytes of the elder, and these descriptors of the primary.
    fn course(moments: impl IntoIterator<Item = (u64, usize)>) -> Course {
        let moment = |(resident, descriptors)| Moment {
            elder: Held { resident, ..Held::default() },
            primary: Held { descriptors, ..Held::default() },
            children: WORKERS,
            answers: 1,
            ..Moment::default()
        };
        Course { moments: moments.into_iter().map(moment).collect(), time: Duration::ZERO }
    }

    fn broken(course: &Course) -> Vec<&'static str> {
        judge(course, None).into_iter().filter(Row::is_broken).map(|row| row.what).collect()
    }

    #[test]
    fn memory_may_vary_and_must_not_grow() {
        let noise = |at: u64| 8_000_000 + at * 7919 % 500_000;
        assert_eq!(broken(&course((0..12).map(|at| (noise(at), 9)))), [""; 0]);
        assert_eq!(broken(&course((0..12).map(|at| (noise(at) + at * 300_000, 9)))), ["elder memory, KiB"]);
        // The warm-up is not judged.
        assert_eq!(
            broken(&course((0..12).map(|at| (noise(at) - 7_000_000 * u64::from(at < 3), 9)))),
            [""; 0]
        );
    }

    #[test]
    fn a_few_moments_show_no_trend_and_lost_descriptors_all_the_same() {
        let few = course([(1 << 20, 9), (9 << 20, 9), (99 << 20, 10)]);
        assert_eq!(broken(&few), ["primary descriptors"]);
        let row = &judge(&few, None)[1];
        assert_eq!((row.what, row.holds), ("elder memory, KiB", None));
    }

    #[test]
    fn a_cycle_without_answers_shows_nothing() {
        let mut course = course([(0, 9), (0, 9)]);
        course.moments[1].answers = 0;
        assert_eq!(broken(&course), ["answers"]);
    }

    #[test]
    fn errors_are_explained_by_the_ends_of_workers_and_by_nothing_else() {
        let errors = |kind: &str, count: u64, may_lose: u64| {
            let mut course = course([(0, 9), (0, 9)]);
            course.moments[0].errors.insert(kind.to_owned(), count);
            course.moments[0].may_lose = may_lose;
            broken(&course)
        };
        assert_eq!(errors("closed", 10, 10), [""; 0]);
        assert_eq!(errors("closed", 11, 10), ["unexplained errors"]);
        assert_eq!(errors("closed", 1, 0), ["unexplained errors"]);
        assert_eq!(errors("body", 1, 10), ["unexplained errors"]);
    }
}
