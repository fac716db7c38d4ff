//! The program: runs scenarios on all cores, shows how far it is, prints the table, and replays one seed with its trace.

use crate::branches::{self, Counts};
use crate::parts::{self, Parts};
use crate::{ALL, REGRESSIONS, Scenario};
use clap::Parser;
use clap::builder::RangedU64ValueParser;
use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};
use testing::{Explorer, Outcome, World};

/// More processes are a mistyped number.
const MOST_JOBS: u64 = 1024;

/// The descriptors that the largest scenario may open.
const DESCRIPTORS: usize = 400;

/// Runs the scenarios of Upcall's layers under seeded faults.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask faults")]
struct Options {
    /// The scenarios, such as `http` for all of http, or `net/echo`. Default: all.
    scenarios: Vec<String>,
    /// Seeds of each scenario.
    #[arg(long, default_value_t = 1000, value_parser = RangedU64ValueParser::<u64>::from(1..))]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Replays this seed alone, with its trace.
    #[arg(long)]
    seed: Option<u64>,
    /// Lists the scenarios.
    #[arg(long)]
    list: bool,
    /// Processes. Default: as many as the machine has processors.
    #[arg(long, value_parser = RangedU64ValueParser::<u64>::from(1..=MOST_JOBS))]
    jobs: Option<u64>,
    /// Seconds that one seed may take. Its process is killed then, and the seed has failed.
    #[arg(long, default_value_t = 60, value_parser = RangedU64ValueParser::<u64>::from(1..))]
    patience: u64,
    /// Runs every seed twice, and fails those whose traces differ.
    #[arg(long)]
    twice: bool,
    /// Runs in this process, as one of several: the remainder and the number of them.
    #[arg(long, hide = true, num_args = 2)]
    part: Option<Vec<u64>>,
}

/// Begins the line with the branches that a process has reached.
const BRANCHES: &str = "branches\t";

/// What one scenario showed under all seeds.
#[derive(Default)]
struct Sum {
    seeds: u64,
    turns: u64,
    elapsed: Duration,
    faults: BTreeMap<String, u64>,
    failed: Vec<u64>,
}

/// The program. Returns its exit code.
#[must_use]
pub fn main() -> i32 {
    let options = Options::parse();
    let chosen: Vec<_> = ALL.iter().filter(|scenario| options.wants(scenario.name)).copied().collect();
    if options.list {
        chosen.iter().for_each(|scenario| say(format_args!("{}", scenario.name)));
        return 0;
    }
    if let Some(refusal) = options.refusal() {
        eprintln!("error: {refusal}");
        return 2;
    }
    match (options.seed, &options.part) {
        (Some(seed), _) => replay(&chosen, seed),
        (None, Some(part)) => run_part(&chosen, &options, part[0], part[1]),
        (None, None) => run_all(&chosen, &options),
    }
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.scenarios.is_empty() || self.scenarios.iter().any(|wanted| names(wanted, name))
    }

    /// What of the options cannot be done.
    fn refusal(&self) -> Option<String> {
        let is_known = |wanted: &&String| ALL.iter().any(|scenario| names(wanted, scenario.name));
        if let Some(unknown) = self.scenarios.iter().find(|wanted| !is_known(wanted)) {
            return Some(format!("no scenario {unknown:?}: --list has them all"));
        }
        // Refusals of the system itself are no faults: they would fail some scenarios, and keep others from doing anything.
        let descriptors = (0..DESCRIPTORS).map(|_| std::fs::File::open("/dev/null"));
        if let Err(error) = descriptors.collect::<Result<Vec<_>, _>>() {
            return Some(format!("a scenario needs up to {DESCRIPTORS} descriptors: {error}"));
        }
        let last = self.from.checked_add(self.seeds - 1);
        last.is_none()
            .then(|| format!("--from {} --seeds {}: the last seed is {}", self.from, self.seeds, u64::MAX))
    }
}

/// Whether a word of the command line is this scenario, or its layer.
fn names(wanted: &str, name: &str) -> bool {
    name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'))
}

/// Runs one seed of each scenario and shows all of it.
fn replay(chosen: &[Scenario], seed: u64) -> i32 {
    let mut code = 0;
    for scenario in chosen {
        let explorer = Explorer::new(scenario.run);
        match explorer.check(seed) {
            Ok(_) => {
                let (outcome, trace) = explorer.replay(seed);
                trace.iter().for_each(|line| say(format_args!("{line}")));
                say(format_args!(
                    "{}: seed {seed} holds, with {} faults",
                    scenario.name,
                    outcome.faults.len()
                ));
            }
            Err(mut failure) => {
                code = 1;
                // All of it, and not only the end.
                failure.trace.drain(..).for_each(|line| say(format_args!("{line}")));
                say(format_args!("{}: {failure}", scenario.name));
            }
        }
    }
    code
}

/// One process's part. Its results are lines on its standard output.
fn run_part(chosen: &[Scenario], options: &Options, part: u64, parts: u64) -> i32 {
    parts::end_with_starter();
    let mut out = std::io::stdout().lock();
    for (index, scenario) in chosen.iter().enumerate() {
        let explorer = Explorer::new(scenario.run);
        let mut faults = BTreeMap::<String, u64>::new();
        let (mut seeds, mut turns, mut micros) = (0_u64, 0, 0);
        let mut told = Instant::now();
        let mut tell =
            |seeds: &mut u64, turns: &mut u64, micros: &mut u128, faults: &mut BTreeMap<String, u64>| {
                let kinds: Vec<_> = faults.iter().map(|(kind, count)| format!("{kind}={count}")).collect();
                // Fails only if the reader has ended, which ends this process.
                let _ = writeln!(out, "sum\t{index}\t{seeds}\t{turns}\t{micros}\t{}", kinds.join("\t"));
                let _ = out.flush();
                (*seeds, *turns, *micros) = (0, 0, 0);
                faults.clear();
            };
        let known = REGRESSIONS.iter().filter(|(name, ..)| *name == scenario.name && part == 0);
        let range = (options.from..=options.from + (options.seeds - 1)).filter(|seed| seed % parts == part);
        for seed in known.map(|(_, seed, _)| *seed).chain(range) {
            say(format_args!("{}{index}\t{seed}", parts::AT));
            let outcome = if options.twice { twice(&explorer, seed) } else { explorer.run(seed) };
            seeds += 1;
            turns += outcome.turns;
            micros += outcome.elapsed.as_micros();
            for fault in &outcome.faults {
                *faults.entry(format!("{} {}", fault.call, fault.kind)).or_default() += 1;
            }
            if let Some(reason) = outcome.failure {
                tell(&mut seeds, &mut turns, &mut micros, &mut faults);
                say(format_args!("failed\t{index}\t{seed}\t{}", reason.lines().next().unwrap_or_default()));
            }
            if told.elapsed() > Duration::from_millis(200) {
                told = Instant::now();
                tell(&mut seeds, &mut turns, &mut micros, &mut faults);
            }
        }
        tell(&mut seeds, &mut turns, &mut micros, &mut faults);
    }
    say(format_args!("{BRANCHES}{}\n{}", Counts::take(), parts::END));
    0
}

/// Two runs of a seed, whose traces have to be the same.
fn twice<S: Fn(&World) -> Result<(), String>>(explorer: &Explorer<S>, seed: u64) -> Outcome {
    // What is made once for the process is there afterwards.
    let mut outcome = explorer.run(seed);
    let (_, first) = explorer.replay(seed);
    let (_, second) = explorer.replay(seed);
    if first != second {
        let at = first.iter().zip(&second).position(|(first, second)| first != second);
        let at = at.unwrap_or_else(|| first.len().min(second.len()));
        let line = |trace: &[String]| trace.get(at).cloned().unwrap_or_default();
        outcome.failure = Some(format!("line {at} is {:?}, and then {:?}", line(&first), line(&second)));
    }
    outcome
}

/// All of it, in as many processes as there are processors.
fn run_all(chosen: &[Scenario], options: &Options) -> i32 {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let count = options.jobs.unwrap_or(processors).min(options.seeds);
    let mut parts = match Parts::start(count, options.patience) {
        Ok(parts) => parts,
        Err(error) => {
            eprintln!("cannot start itself: {error}");
            return 2;
        }
    };
    let began = Instant::now();
    let mut sums: Vec<Sum> = chosen.iter().map(|_| Sum::default()).collect();
    let total = options.seeds.saturating_mul(chosen.len() as u64);
    let is_seen = std::io::stderr().is_terminal();
    let mut reached = Counts::default();
    while let Some(line) = parts.hear() {
        match line.strip_prefix(BRANCHES) {
            Some(words) => reached.add(words),
            None => take_line(&mut sums, chosen, &line),
        }
        if is_seen {
            let done: u64 = sums.iter().map(|sum| sum.seeds).sum();
            let rate = done as f64 / began.elapsed().as_secs_f64();
            eprint!("\r{done} of {total} runs, {rate:.0} a second ");
        }
    }
    if is_seen {
        eprintln!();
    }
    let lost = parts.end();
    for (at, reason) in lost.iter().filter_map(|part| Some((part.at?, &part.reason))) {
        take_line(&mut sums, chosen, &format!("failed\t{}\t{}\t{reason}", at.0, at.1));
    }
    table(chosen, &sums, began.elapsed());
    say(format_args!("\nbranches of error handling: {}", reached.table().join("\n")));
    // A part of the scenarios, of their seeds or of the processes knows a part of the branches.
    let is_whole = chosen.len() == ALL.len() && options.seeds >= branches::SEEDS && lost.is_empty();
    let wrong = if is_whole { reached.judge() } else { Vec::new() };
    wrong.iter().for_each(|wrong| say(format_args!("{wrong}")));
    if !lost.is_empty() {
        eprintln!("{} of {count} processes ended before all of their seeds were run", lost.len());
    }
    let failed = sums.iter().any(|sum| !sum.failed.is_empty());
    i32::from(failed || !lost.is_empty() || !wrong.is_empty())
}

fn take_line(sums: &mut [Sum], chosen: &[Scenario], line: &str) {
    let words: Vec<_> = line.split('\t').collect();
    let [kind, index, rest @ ..] = &words[..] else { return };
    let Some((index, sum)) =
        index.parse::<usize>().ok().and_then(|index| Some((index, sums.get_mut(index)?)))
    else {
        return;
    };
    let number = |at: usize| rest.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    if *kind == "failed" {
        sum.failed.push(number(0));
        if sum.failed.len() <= 5 {
            let (name, reason) = (chosen[index].name, rest.get(1).unwrap_or(&""));
            say(format_args!(
                "{name}: seed {}: {reason}\n  replay: cargo xtask faults {name} --seed {}",
                number(0),
                number(0)
            ));
        }
        return;
    }
    sum.seeds += number(0);
    sum.turns += number(1);
    sum.elapsed += Duration::from_micros(number(2));
    for (kind, count) in rest.iter().skip(3).filter_map(|word| word.rsplit_once('=')) {
        *sum.faults.entry(kind.to_owned()).or_default() += count.parse::<u64>().unwrap_or(0);
    }
}

/// Prints a line. Fails only if the reader has closed the output, which is no reason to stop.
fn say(line: Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn table(chosen: &[Scenario], sums: &[Sum], took: Duration) {
    say(format_args!(
        "{:<28} {:>9} {:>10} {:>12} {:>12} {:>7}",
        "scenario", "seeds", "faults", "turns", "virtual", "failed"
    ));
    let mut kinds = BTreeMap::<&str, u64>::new();
    for (scenario, sum) in chosen.iter().zip(sums) {
        let faults: u64 = sum.faults.values().sum();
        let time = format!("{:.1} h", sum.elapsed.as_secs_f64() / 3600.0);
        let Sum { seeds, turns, failed, .. } = sum;
        say(format_args!(
            "{:<28} {seeds:>9} {faults:>10} {turns:>12} {time:>12} {:>7}",
            scenario.name,
            failed.len()
        ));
        for (kind, count) in &sum.faults {
            *kinds.entry(kind).or_default() += count;
        }
    }
    let seeds: u64 = sums.iter().map(|sum| sum.seeds).sum();
    say(format_args!(
        "\n{seeds} runs in {:.1} s: {:.0} a second",
        took.as_secs_f64(),
        seeds as f64 / took.as_secs_f64()
    ));
    say(format_args!("\nfaults by call and kind:"));
    for (kind, count) in kinds {
        say(format_args!("  {kind:<40} {count:>10}"));
    }
}
