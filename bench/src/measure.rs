//! Measures one benchmark, round after round. In each the subjects are started anew: where a program's memory comes to
//! lie is chance, and makes it faster or slower for as long as it runs.

use super::budget::Budget;
use super::catalogue::{Entry, Work};
use super::child::Trouble;
use super::clients::failed;
use super::plan::{Choice, Contender};
use super::proc;
use super::progress::Progress;
use super::results::{Bench, Figure, LeftOut, Role, Subject, Unit};
use super::rig::Rig;
use super::round::{self, Running, Sample};
use super::stats::{self, Turns};
use super::sweep::Sweeper;
use super::table::{FAILED, thousands};
use std::time::{Duration, Instant};

/// How much more than planned a benchmark may be measured, where the machine is too noisy for a verdict.
const PATIENCE: usize = 3;

/// The margin that is small enough: two such figures that differ by a tenth are told apart, and two that are alike are
/// known to be.
const GOOD_MARGIN: f64 = 0.02;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) rig: Rig,
    pub(crate) budget: Budget,
    /// Whether a noisy benchmark has more rounds than planned.
    pub(crate) is_patient: bool,
    pub(crate) progress: Progress,
    /// What a reader has to know.
    pub(crate) notes: Vec<String>,
    /// Benchmarks that had fewer rounds than planned.
    pub(crate) cut_short: usize,
    /// Failures of what is ours, in words.
    pub(crate) failures: Vec<String>,
}

/// How long what a server bears is measured.
const PACE_FOUND_IN: Duration = Duration::from_millis(300);

/// A subject in a round in which all are up.
struct Up {
    /// What runs, or why it does not.
    running: Result<Running, Trouble>,
    windows: Vec<Sample>,
    /// The time that it took, without that of the others.
    took: Duration,
}

/// A subject with what was found so far.
struct Row {
    contender: Contender,
    samples: Vec<Option<Sample>>,
    /// Operations per second, once they are known; for programs without clients, and for servers at a pace.
    rate: Option<f64>,
    /// Why it is not asked again.
    trouble: Option<LeftOut>,
    errors: u64,
}

impl Session {
    /// Measures the benchmark. Only an interruption ends it early.
    pub(crate) fn measure(
        &mut self,
        choice: &Choice,
        contenders: Vec<Contender>,
        left_out: Vec<LeftOut>,
    ) -> Result<Bench, Trouble> {
        let new = |contender| Row { contender, samples: Vec::new(), rate: None, trouble: None, errors: 0 };
        let mut rows: Vec<Row> = contenders.into_iter().map(new).collect();
        let mut rounds = self.budget.rounds();
        let most =
            if self.is_patient && choice.entry.unit() == Unit::Ns { rounds * PATIENCE } else { rounds };
        if let Work::Paced(_) = choice.entry.work {
            self.find_pace(choice.entry, &mut rows)?;
        }
        for round in 0..most {
            if round >= rounds {
                if !is_uncertain(choice.entry, &rows) {
                    break;
                }
                rounds += 1;
                rows.iter().for_each(|_| self.budget.add());
            }
            if round > 0 && self.budget.is_short() {
                (0..rows.len() * (rounds - round)).for_each(|_| self.budget.skip());
                self.cut_short += 1;
                break;
            }
            let what = format!("{}, round {} of {rounds}", choice.entry.name, round + 1);
            // A server that was killed has left its socket.
            self.rig.clear_sockets();
            self.side_by_side(choice, &mut rows, &what)?;
        }
        if rounds > self.budget.rounds() {
            self.notes
                .push(format!("{}: the machine was noisy, so it had {rounds} rounds.", choice.entry.name));
        }
        Ok(Self::conclude(choice.entry, rows, left_out))
    }

    /// The pace of all: half of what the slowest bears. Nothing says how much a program that is compiled while it runs bears.
    fn find_pace(&mut self, entry: &Entry, rows: &mut [Row]) -> Result<(), Trouble> {
        let mut slowest: Option<(f64, &str)> = None;
        for row in rows.iter().filter(|row| !row.contender.is_compiled()) {
            let name = &*row.contender.name;
            self.progress.show(&format!("{}, the pace of {name}", entry.name), &self.budget);
            let running = Running::start(&self.rig, &row.contender, entry, PACE_FOUND_IN, &mut None);
            let found = running.and_then(|mut running| {
                let sample = running.window(&self.rig, PACE_FOUND_IN)?;
                running.stop().map(|()| sample.per_second())
            });
            match found {
                Ok(Some(rate)) if slowest.is_none_or(|(least, _)| rate < least) => {
                    slowest = Some((rate, name))
                }
                Err(Trouble::Interrupted) => return Err(Trouble::Interrupted),
                // What is wrong is said in the first round.
                _ => {}
            }
        }
        if let Some((rate, name)) = slowest {
            let pace = (rate / 2.0).round();
            let (name, bench, text) = (name.to_owned(), entry.name, thousands(pace));
            self.notes.push(format!("{bench}: {text} requests a second, half of what {name} bears."));
            rows.iter_mut().for_each(|row| row.rate = Some(pace));
        }
        Ok(())
    }

    /// A round in which all subjects are up and measured by turns, in short windows: so they meet the same noise. Every
    /// other turn goes backwards, so that no subject always comes first.
    fn side_by_side(&mut self, choice: &Choice, rows: &mut [Row], what: &str) -> Result<(), Trouble> {
        let (work, part) = (choice.entry.work, self.budget.part());
        let (turns, window) = round::windows(work, part, !proc::has_run_times());
        let mut up = Vec::new();
        for row in &mut *rows {
            self.progress.show(&format!("{what}, {}", row.contender.name), &self.budget);
            up.push(self.start(choice.entry, row, part)?);
        }
        up.iter_mut().flatten().for_each(Up::get_ready);
        let sweeper = matches!(work, Work::SoloOf { .. }).then(|| Sweeper::new(self.rig.server_cpu));
        for turn in 0..turns {
            self.progress.show(what, &self.budget);
            let mut in_turn: Vec<_> = up.iter_mut().flatten().filter(|one| one.running.is_ok()).collect();
            if in_turn.is_empty() {
                break;
            }
            if turn % 2 == 1 {
                in_turn.reverse();
            }
            for one in in_turn {
                one.measure(&self.rig, sweeper.as_ref(), window);
            }
        }
        for (row, up) in rows.iter_mut().zip(up) {
            let Some(up) = up else {
                self.budget.skip();
                row.samples.push(None);
                continue;
            };
            let (outcome, took) = up.end(work);
            self.budget.ran(part, took);
            self.keep(choice.entry, row, outcome)?;
        }
        Ok(())
    }

    /// Starts a subject for a round, unless it is not asked again.
    fn start(&self, entry: &Entry, row: &mut Row, part: Duration) -> Result<Option<Up>, Trouble> {
        if row.trouble.is_some() {
            return Ok(None);
        }
        let began = Instant::now();
        let running = Running::start(&self.rig, &row.contender, entry, part, &mut row.rate);
        Ok(Some(Up { running, windows: Vec::new(), took: began.elapsed() }))
    }

    /// Keeps a subject's outcome of a round. A subject that cannot do it, or failed, is not measured again.
    fn keep(
        &mut self,
        entry: &Entry,
        row: &mut Row,
        outcome: Result<Sample, Trouble>,
    ) -> Result<(), Trouble> {
        let reason = match outcome {
            Ok(sample) => {
                row.errors += sample.errors;
                if let Some(complaint) = &sample.complaint {
                    self.complain(entry, &row.contender, complaint);
                }
                row.samples.push(Some(sample));
                return Ok(());
            }
            Err(Trouble::Interrupted) => return Err(Trouble::Interrupted),
            Err(Trouble::Cannot(reason)) if row.contender.role == Role::Peer => reason,
            Err(Trouble::Cannot(reason) | Trouble::Failed(reason)) => {
                row.errors += 1;
                self.complain(entry, &row.contender, &reason);
                format!("{FAILED}{reason}")
            }
        };
        row.samples.push(None);
        row.trouble = Some(LeftOut { name: row.contender.name.clone(), reason });
        Ok(())
    }

    /// What failed is noted; if it is ours, the whole run fails in the end.
    fn complain(&mut self, entry: &Entry, contender: &Contender, what: &str) {
        let line = format!("{}, {}: {what}", entry.name, contender.name);
        if contender.role != Role::Peer {
            self.failures.push(line.clone());
        }
        self.notes.push(line);
    }

    fn conclude(entry: &Entry, rows: Vec<Row>, mut left_out: Vec<LeftOut>) -> Bench {
        let floor = rows.iter().find(|row| row.contender.role == Role::Floor);
        let floors = floor.map(|row| row.samples.clone()).unwrap_or_default();
        let ratio_to_peer = ratio_to_peer(entry, &rows);
        let mut subjects = Vec::new();
        for row in rows {
            let samples: Vec<_> = row.samples.iter().flatten().collect();
            let rates = samples.iter().filter_map(|sample| sample.per_second()).collect();
            let costs: Vec<_> = samples.iter().map(|sample| sample.costs.clone()).collect();
            let cost = match entry.unit() {
                Unit::Ns => Figure::of_rounds(&costs, stats::cost),
                Unit::Bytes | Unit::Spread => Figure::of(costs.concat()),
            };
            match cost {
                Some(cost) => subjects.push(Subject {
                    name: row.contender.name,
                    role: row.contender.role,
                    cost,
                    ratio: ratio(entry, &row.samples, &floors),
                    per_second: Figure::of(rates).map(|rate| rate.median),
                    latency: stats::latency(samples.iter().map(|sample| &sample.histogram[..])),
                    errors: row.errors,
                }),
                None => left_out.extend(row.trouble),
            }
        }
        Bench { subjects, left_out, ratio_to_peer, ..entry.bench() }
    }
}

impl Up {
    fn get_ready(&mut self) {
        self.attempt(Running::get_ready);
    }

    /// Measures one window.
    fn measure(&mut self, rig: &Rig, sweeper: Option<&Sweeper>, time: Duration) {
        let window = self.attempt(|running| {
            sweeper.map(Sweeper::sweep);
            running.window(rig, time)
        });
        self.windows.extend(window);
    }

    /// Does something with what runs. A subject that fails is ended at once: it may spin, and would be in the way of the
    /// others.
    fn attempt<T>(&mut self, act: impl FnOnce(&mut Running) -> Result<T, Trouble>) -> Option<T> {
        let running = self.running.as_mut().ok()?;
        let began = Instant::now();
        let outcome = act(running).map_err(|trouble| self.running = Err(trouble));
        self.took += began.elapsed();
        outcome.ok()
    }

    /// Ends it. What its windows come to, and what time all of it took.
    fn end(self, work: Work) -> (Result<Sample, Trouble>, Duration) {
        let began = Instant::now();
        // Fails if the subject has died after its last window; after an earlier failure it has ended already.
        let ended = self.running.and_then(Running::stop);
        let outcome =
            ended.and_then(|()| Sample::of(work, self.windows).ok_or_else(|| failed("nothing was measured")));
        (outcome, self.took + began.elapsed())
    }
}

/// The ratio to the floor, from the rounds that have both. Of memory there is none: the floor of that is next to nothing,
/// and so is the sense of a ratio to it.
fn ratio(entry: &Entry, samples: &[Option<Sample>], floors: &[Option<Sample>]) -> Option<Figure> {
    if entry.unit() != Unit::Ns {
        return None;
    }
    let both = samples.iter().zip(floors).filter_map(|(sample, floor)| sample.as_ref().zip(floor.as_ref()));
    let turns = |(sample, floor): (&Sample, &Sample)| -> Turns {
        sample.costs.iter().copied().zip(floor.costs.iter().copied()).collect()
    };
    let both: Vec<Turns> = both.map(turns).collect();
    match entry.work {
        Work::SoloOf { .. } => Figure::of_rounds(&both, stats::mean_ratio),
        _ => Figure::of_rounds(&both, stats::ratio),
    }
}

/// The ratio to the peer that the target is a ratio to.
fn ratio_to_peer(entry: &Entry, rows: &[Row]) -> Option<Figure> {
    let samples = |name: &str| {
        let row = rows.iter().find(|row| row.contender.name == name)?;
        Some(&row.samples)
    };
    ratio(entry, samples(entry.target?.1)?, samples(entry.target_to?)?)
}

/// Whether something of ours is not known well enough to be compared, and more rounds would tell more: not without a
/// floor, nor of what is not asked again.
fn is_uncertain(entry: &Entry, rows: &[Row]) -> bool {
    let asked = |role| rows.iter().filter(move |row| row.contender.role == role && row.trouble.is_none());
    let Some(floor) = asked(Role::Floor).next() else { return false };
    let mut figures = asked(Role::Ours).filter_map(|row| ratio(entry, &row.samples, &floor.samples));
    figures.any(|figure| figure.margin.is_none_or(|margin| margin > GOOD_MARGIN))
}

#[cfg(test)]
mod tests {
    use super::super::plan;
    use super::*;

    #[test]
    fn what_is_not_asked_again_wants_no_more_rounds() {
        let choice = plan::select(&["http/keep-alive".to_owned()]).expect("a benchmark").remove(0);
        let row = |role, costs: [f64; 2], has_failed: bool| Row {
            contender: Contender { name: "one".to_owned(), role, command: Vec::new() },
            samples: costs.map(|cost| Some(Sample { costs: vec![cost; 3], ..Sample::default() })).into(),
            rate: None,
            trouble: has_failed.then(|| LeftOut { name: "one".to_owned(), reason: String::new() }),
            errors: 0,
        };
        let wants_more = |floor_failed, ours_failed, costs| {
            let rows = [row(Role::Floor, [1.0; 2], floor_failed), row(Role::Ours, costs, ours_failed)];
            is_uncertain(choice.entry, &rows)
        };
        assert!(wants_more(false, false, [1.0, 1.5]));
        assert!(!wants_more(false, false, [1.5, 1.5]));
        assert!(!wants_more(false, true, [1.0, 1.5]), "ours has failed");
        assert!(!wants_more(true, false, [1.0, 1.5]), "the floor has failed");
    }
}
