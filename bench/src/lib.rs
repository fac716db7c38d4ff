//! `cargo xtask bench`: measures every layer beside its floor and its peers.
//!
//! Servers and load are processes of their own, on cores of their own. The cost is the CPU time of the server's
//! processes by the number of right answers. In a round every subject is started afresh; then all are measured by turns
//! in short windows (20 ms for servers, 300 ms for the pump and for programs without clients), and the quiet turns make
//! the ratio to the floor. So noise of the machine, which comes and goes within tenths of a second, meets all alike or is
//! left out, and what differs from launch to launch shows between the rounds: from that, the uncertainty is reckoned that
//! the tables show and that `--compare` goes by.
//!
//! Timers that fire by the million are done in turns of one launch, with swept caches (`sweep`): what they cost otherwise
//! is decided by how much of a shared cache the neighbours leave.
//!
//! `options`, `catalogue` and `plan` say what is measured; `measure` does it, with `round` (what has windows: servers with
//! their `clients`, and the programs of `solo`) and `held` (memory and evenness), on what `rig` has found; `stats`,
//! `table`, `compare` and `report` show it.
//!
//! The program `upcall-bench` is the runner, and every program that it starts: `load` is the clients, `floor` the least
//! that the same work can cost, `subjects` the layers; `launch` starts any other. `program` tells them apart. `soak` is
//! another runner: it watches what a server holds on to while clients of every kind come and leave.

#![forbid(unsafe_code)]

mod batch;
mod budget;
mod catalogue;
mod child;
mod clients;
mod compare;
mod count;
mod floor;
mod held;
mod interrupt;
mod launch;
mod load;
mod machine;
mod measure;
mod options;
mod peers;
mod plan;
mod poller;
mod pomelo;
mod proc;
pub mod program;
mod progress;
/// For the tests of what results are shown as.
#[doc(hidden)]
pub mod report;
/// For the tests of what results are shown as.
#[doc(hidden)]
pub mod results;
mod rig;
mod round;
mod server;
mod soak;
mod sockets;
mod solo;
mod stats;
mod subjects;
mod sweep;
/// For the tests of what results are shown as.
#[doc(hidden)]
pub mod table;

use budget::Budget;
use child::Trouble;
use interrupt::Interrupt;
use measure::Session;
use options::{Counting, Options};
use peers::Peers;
use plan::{Choice, Contender};
use progress::{Progress, counted, in_words};
use results::{FORMAT, LeftOut, Machine, Results};
use rig::Rig;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;
use upcall::pomelo::npm;
use upcall::say;
use upcall::sources::target_folder;

/// What came of a command, or in one line why nothing did.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures what the options say, prints tables, and writes the report.
pub(crate) fn run(options: &Options) -> Result<()> {
    let choices = plan::select(&options.what)?;
    if options.list {
        say::out(plan::list(&choices));
        return Ok(());
    }
    // What cannot be kept is better known before minutes of measuring.
    options.save.as_deref().map_or(Ok(()), has_folder)?;
    let before = options.compare.as_deref().map(compare::read).transpose()?;
    let began = Instant::now();
    let (commit, dirty) = machine::commit();
    let mut results = Results {
        format: FORMAT,
        commit,
        dirty,
        date: machine::now(),
        machine: Machine::this(),
        versions: machine::versions(),
        arguments: options.words.clone(),
        ..Results::default()
    };
    let failures = match options.counting() {
        Some(counting) => count::run(counting, options, &choices, &mut results)?,
        None => measure_all(options, &choices, &mut results)?,
    };
    results.seconds = began.elapsed().as_secs_f64();
    conclude(options, &results)?;
    if let Some(before) = before {
        let changes = compare::changes(&before, &results);
        say::out(compare::table(&before, &changes));
        if let Some(names) = compare::alone(&before, &results) {
            say_note(&names);
        }
        if let Some(limit) = options.fail_above {
            if let Some(question) = compare::open_question(&changes, limit) {
                say_note(&question);
            }
            compare::judge(&changes, limit)?;
        }
    }
    match failures.len() {
        0 => Ok(()),
        count => {
            Err(format!("{} of our own failed: {}", counted(count, "measurement"), failures.join("; "))
                .into())
        }
    }
}

/// Measures everything into `results`. Returns what has failed of ours.
fn measure_all(options: &Options, choices: &[Choice], results: &mut Results) -> Result<Vec<String>> {
    let mut notes: Vec<String> = machine::busy_note().into_iter().collect();
    let rig = Rig::new(options, Interrupt::watch(), &mut notes)?;
    let names = plan::peers_of(choices, options);
    let peers = Peers::find(&names, options, &rig.launcher).map_err(in_short)?;
    results.versions.extend(peers.versions.clone());
    let who: Vec<(Vec<Contender>, Vec<LeftOut>)> =
        choices.iter().map(|choice| choice.contenders(&rig, &peers, options)).collect();
    let runs = who.iter().map(|(contenders, _)| contenders.len()).sum();
    let limit = options.quick.then_some(budget::QUICK);
    let budget = Budget::new(limit, runs, options.rounds, options.duration);
    let (rounds, runs) = (budget.rounds(), runs * budget.rounds());
    let time = in_words(budget.left());
    let (benches, all, rounds) =
        (counted(choices.len(), "benchmark"), counted(runs, "run"), counted(rounds, "round"));
    say::err(format_args!("{benches}, {all} in {rounds}: about {time}"));
    let progress = Progress::new();
    // What is compared has to be certain, whatever the machine does meanwhile.
    let is_patient =
        (options.save.is_some() || options.compare.is_some()) && options.rounds.is_none() && !options.quick;
    let mut session =
        Session { rig, budget, is_patient, progress, notes, cut_short: 0, failures: Vec::new() };
    for (choice, (contenders, left_out)) in choices.iter().zip(who) {
        let bench = session.measure(choice, contenders, left_out);
        session.progress.clear();
        let bench = bench.map_err(in_short)?;
        say::out(table::block(&bench));
        results.benches.push(bench);
    }
    if choices.iter().any(|choice| choice.entry.is_fleet()) {
        results.versions.insert("pomelo".to_owned(), npm::VERSION.to_owned());
    }
    results.notes = session.notes;
    if options.quick {
        results.notes.push("Little time: few and short rounds, so small differences are noise.".to_owned());
    }
    if session.cut_short > 0 {
        results
            .notes
            .push(format!("{} had fewer rounds: time was up.", counted(session.cut_short, "benchmark")));
    }
    Ok(session.failures)
}

fn in_short(trouble: Trouble) -> String {
    let interrupted = "interrupted; nothing is left running, and no report was written";
    trouble.reason().unwrap_or_else(|_| interrupted.to_owned())
}

/// The table over all, the notes, and what becomes of all that.
fn conclude(options: &Options, results: &Results) -> Result<()> {
    if results.benches.len() > 1 {
        say::out(table::summary(results));
    }
    results.notes.iter().for_each(|note| say_note(note));
    match options.counting() {
        None | Some(Counting::Show) => write_report(options, results),
        Some(counting) => count::conclude(counting, results),
    }
}

fn say_note(note: &str) {
    table::wrapped(&format!("note: {note}"), 100).iter().for_each(say::out);
}

fn write_report(options: &Options, results: &Results) -> Result<()> {
    if let Some(path) = &options.save {
        write(path, &to_json(results)?)?;
    }
    let folder = options.out.clone().unwrap_or_else(|| target_folder().join("bench"));
    let (page, data) = (folder.join("report.html"), folder.join("report.json"));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut shown = results.clone();
    count::earlier::complete(&mut shown, &data);
    write(&data, &to_json(&shown)?)?;
    write(&page, &report::page(&shown))?;
    say::out(format_args!("report: {}", page.display()));
    Ok(())
}

fn to_json(results: &Results) -> Result<String> {
    Ok(serde_json::to_string_pretty(results)? + "\n")
}

/// Whether a file at `path` would have a folder to stand in.
fn has_folder(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(format!("--save {}: there is no folder {}", path.display(), folder.display()).into())
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
