//! `bench --count`: counts what an operation takes instead of timing it. Counts repeat, however busy the machine is, so
//! that a test can hold them.
//!
//! Instructions are counted by callgrind and allocations by memcheck, both parts of valgrind, whose allocator, which
//! counts, takes the place of the program's; system calls by strace. `tools` calls the tools, `meter` makes counts of one operation from their totals, `show` prints them, and `kept` compares them with
//! those that the repository keeps. The catalogue says what can be counted.

pub(crate) mod earlier;
mod kept;
mod meter;
pub(crate) mod show;
mod tools;

use super::budget::Budget;
use super::catalogue::Entry;
use super::child::Trouble;
use super::in_short;
use super::interrupt::Interrupt;
use super::options::{Counting, Options};
use super::peers::Peers;
use super::plan::{self, Choice, Contender};
use super::progress::{Progress, counted};
use super::results::{Count, Results, Role};
use super::rig::Rig;
use crate::Result;
use kept::Kept;
use std::time::{Duration, Instant};
use tools::Tool;
use upcall::say;

/// The peers that are one process of machine code from the start. Under valgrind node would be measured compiling, and
/// nginx as a family of processes.
const PEERS: &[&str] = &["libuv", "tokio", "futures", "hyper"];

/// How long one tool takes for one subject, or a little less.
const USUAL_RUN: Duration = Duration::from_secs(2);

/// Counts into `results`. Returns what has failed of ours.
pub(crate) fn run(
    counting: Counting,
    options: &Options,
    choices: &[Choice],
    results: &mut Results,
) -> Result<Vec<String>> {
    if counting != Counting::Show && cfg!(debug_assertions) {
        return Err("only counts of a release build are kept: use `cargo xtask bench --count …`".into());
    }
    let mut session = Session::start(options, results)?;
    if session.tools.is_empty() {
        results.notes.extend(session.notes);
        return match counting {
            Counting::Check => Ok(Vec::new()),
            _ => Err(format!("nothing can be counted. {}", results.notes.join(" ")).into()),
        };
    }
    let is_wanted = |choice: &&Choice| match counting {
        Counting::Show => choice.entry.counting.is_some(),
        _ => choice.entry.is_kept(),
    };
    let countable: Vec<&Choice> = choices.iter().filter(is_wanted).collect();
    if countable.is_empty() {
        return Err("nothing of that can be counted: it depends on chance how many calls it takes".into());
    }
    let mut names = plan::peers_of(choices, options);
    names.retain(|name| counting == Counting::Show && PEERS.contains(name));
    let peers = Peers::find(&names, options, &session.rig.launcher).map_err(in_short)?;
    results.versions.extend(peers.versions.clone());
    let who: Vec<Vec<Contender>> = countable
        .iter()
        .map(|choice| choice.contenders(&session.rig, &peers, options).0)
        .map(|mut who| {
            who.retain(|contender| counting == Counting::Show || contender.role == Role::Ours);
            who
        })
        .collect();
    session.budget = budget(session.tools.len() * who.iter().map(Vec::len).sum::<usize>());
    for (choice, who) in countable.into_iter().zip(who) {
        for contender in who {
            let count = session.count(choice.entry, &contender).map_err(in_short)?;
            results.counts.push(count);
        }
    }
    session.progress.clear();
    say::out(show::table(&results.counts));
    results.notes.extend(session.notes);
    results.notes.push(
        "Counts are those of one connection with one message under way, as the difference of two runs. \
         Allocations are counted by valgrind, whose allocator takes the place of the program's; a block that \
         grows or shrinks counts as one more."
            .to_owned(),
    );
    Ok(session.failures)
}

/// What goes from subject to subject.
struct Session {
    rig: Rig,
    tools: Vec<Tool>,
    progress: Progress,
    budget: Budget,
    notes: Vec<String>,
    failures: Vec<String>,
}

impl Session {
    /// Finds the tools. A missing tool is a note, and the others count.
    fn start(options: &Options, results: &mut Results) -> Result<Self> {
        let mut notes = Vec::new();
        let rig = Rig::new(options, Interrupt::watch(), &mut notes)?;
        let mut tools = Vec::new();
        for tool in Tool::ALL {
            match tool.try_out(&rig.scratch) {
                Ok(()) => tools.push(tool),
                Err(reason) => notes.push(format!("No {} are counted: {reason}.", tool.what())),
            }
        }
        let versions = tools.iter().filter_map(|tool| Some((tool.program().to_owned(), tool.version()?)));
        results.versions.extend(versions);
        let (progress, budget) = (Progress::new(), budget(0));
        Ok(Self { rig, tools, progress, budget, notes, failures: Vec::new() })
    }

    /// Counts one operation of one subject, with every tool. Only an interruption ends it early.
    fn count(&mut self, entry: &Entry, contender: &Contender) -> std::result::Result<Count, Trouble> {
        let (bench, subject) = (entry.name, &contender.name);
        let mut counted = [None; Tool::ALL.len()];
        for tool in self.tools.clone() {
            let what = format!("{bench}, {subject}, {}", tool.what());
            self.progress.show(&what, &self.budget);
            let began = Instant::now();
            let outcome = meter::count(&self.rig, tool, &contender.command, entry);
            self.budget.ran(USUAL_RUN, began.elapsed());
            match outcome {
                Ok(number) => counted[tool as usize] = Some(number),
                Err(trouble) => {
                    self.notes.push(format!("{what}: {}", trouble.reason()?));
                    if contender.role != Role::Peer {
                        self.failures.push(what);
                    }
                }
            }
        }
        let [instructions, syscalls, allocations] = counted;
        let (name, subject) = (bench.to_owned(), subject.clone());
        Ok(Count { name, subject, instructions, syscalls, allocations })
    }
}

fn budget(runs: usize) -> Budget {
    Budget::new(None, runs, Some(1), Some(USUAL_RUN))
}

/// Keeps the counts of a run, or compares them with what was kept.
pub(crate) fn conclude(counting: Counting, results: &Results) -> Result<()> {
    let compiler = kept::compiler()?;
    let counts = &results.counts;
    if counts.is_empty() {
        say::out(format_args!("not compared with {}: there is nothing to count with", kept::NAME));
        return Ok(());
    }
    if counting == Counting::Save {
        if !counts.iter().all(|count| Tool::ALL.iter().all(|tool| tool.of(count).is_some())) {
            return Err("nothing is kept: not everything could be counted".into());
        }
        Kept::of(compiler, counts).write()?;
        say::out(format_args!("kept: {}", kept::NAME));
        return Ok(());
    }
    let kept = Kept::read()?;
    if kept.compiler != compiler {
        let other = &kept.compiler;
        say::out(format_args!("not compared: {} is of {other}, and this is {compiler}", kept::NAME));
        return Ok(());
    }
    let complaints = kept.judge(counts);
    if !complaints.is_empty() {
        let complaints = complaints.join("; ");
        return Err(format!("{complaints}. If that is meant: `{}`, and commit it", kept::KEEP).into());
    }
    say::out(format_args!(
        "{} compared with {}: none has grown by more than 3 %",
        counted(counts.len(), "count"),
        kept::NAME
    ));
    if kept.is_beaten(counts) {
        say::out(format_args!("some have shrunk by more than that: `{}` keeps it so", kept::KEEP));
    }
    Ok(())
}
