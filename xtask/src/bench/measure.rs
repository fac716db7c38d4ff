//! Measures one benchmark: every subject in turn, round after round, so that noise meets them alike.

use super::budget::{Budget, Kind};
use super::catalogue::Entry;
use super::child::Trouble;
use super::plan::{Choice, Contender};
use super::progress::Progress;
use super::results::{Bench, Figure, LeftOut, Role, Subject, Unit};
use super::rig::Rig;
use super::round::{self, Sample};
use super::table::FAILED;
use super::{solo, stats};
use std::time::Instant;

/// What goes from benchmark to benchmark.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) rig: Rig,
    pub(crate) budget: Budget,
    pub(crate) progress: Progress,
    /// What a reader has to know.
    pub(crate) notes: Vec<String>,
    /// Benchmarks that had fewer rounds than planned.
    pub(crate) cut_short: usize,
    /// Failures of what is ours, in words.
    pub(crate) failures: Vec<String>,
}

/// A subject with what was found so far.
struct Row {
    contender: Contender,
    /// One for each round.
    samples: Vec<Option<Sample>>,
    /// Operations per second, once they are known; for programs without clients.
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
        let rounds = self.budget.rounds();
        for round in 0..rounds {
            if round > 0 && self.budget.is_short() {
                for row in &rows {
                    (round..rounds).for_each(|_| self.skip(row.contender.kind(choice.entry)));
                }
                self.cut_short += 1;
                break;
            }
            for row in &mut rows {
                let what =
                    format!("{}, {}, round {} of {rounds}", choice.entry.name, row.contender.name, round + 1);
                self.progress.show(&what, self.budget.left());
                let sample = self.run(choice, row)?;
                row.samples.push(sample);
            }
        }
        Ok(Self::conclude(choice.entry, rows, left_out))
    }

    fn skip(&mut self, kind: Kind) {
        self.budget.skip(kind);
        self.progress.ran();
    }

    /// One subject, once. A subject that cannot do it, or failed, is not asked again.
    fn run(&mut self, choice: &Choice, row: &mut Row) -> Result<Option<Sample>, Trouble> {
        let kind = row.contender.kind(choice.entry);
        if row.trouble.is_some() {
            self.skip(kind);
            return Ok(None);
        }
        let (part, began) = (self.budget.part(), Instant::now());
        let (rig, work, command) = (&self.rig, choice.entry.work, &row.contender.command);
        // A server that was killed has left its socket.
        rig.socket();
        let outcome = match kind {
            Kind::Solo => solo::run(rig, command, work, part, &mut row.rate),
            _ => round::run(rig, command, work, kind, part),
        };
        self.budget.ran(kind, part, began.elapsed());
        self.progress.ran();
        let name = &row.contender.name;
        let reason = match outcome {
            Ok(sample) => {
                row.errors += sample.errors;
                if let Some(complaint) = &sample.complaint {
                    self.complain(choice.entry, &row.contender, complaint);
                }
                return Ok(Some(sample));
            }
            Err(Trouble::Interrupted) => return Err(Trouble::Interrupted),
            Err(Trouble::Cannot(reason)) if row.contender.role == Role::Peer => reason,
            Err(Trouble::Cannot(reason) | Trouble::Failed(reason)) => {
                row.errors += 1;
                self.complain(choice.entry, &row.contender, &reason);
                format!("{FAILED}{reason}")
            }
        };
        row.trouble = Some(LeftOut { name: name.clone(), reason });
        Ok(None)
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
        let unit = entry.unit();
        let costs =
            |row: &Row| row.samples.iter().map(|sample| Some(sample.as_ref()?.cost)).collect::<Vec<_>>();
        let floors = rows.iter().find(|row| row.contender.role == Role::Floor).map(costs).unwrap_or_default();
        let mut subjects = Vec::new();
        for row in rows {
            let costs = costs(&row);
            // The floor of memory is next to nothing, and so is the sense of a ratio to it.
            let ratio = if unit == Unit::Ns { stats::ratio(&costs, &floors) } else { None };
            let samples: Vec<_> = row.samples.iter().flatten().collect();
            let rates = samples.iter().filter_map(|sample| sample.per_second).collect();
            match Figure::of(costs.into_iter().flatten().collect()) {
                Some(cost) => subjects.push(Subject {
                    name: row.contender.name,
                    role: row.contender.role,
                    cost,
                    ratio,
                    per_second: Figure::of(rates).map(|rate| rate.median),
                    latency: stats::latency(samples.iter().map(|sample| &sample.histogram[..])),
                    errors: row.errors,
                }),
                None => left_out.extend(row.trouble),
            }
        }
        Bench {
            name: entry.name.to_owned(),
            group: entry.group().name.to_owned(),
            title: entry.title.to_owned(),
            op: entry.op.to_owned(),
            unit,
            target: entry.target.map(|(target, _)| target),
            target_of: entry.target.map(|(_, subject)| subject.to_owned()),
            subjects,
            left_out,
        }
    }
}
