//! `upcall-bench soak`: the clustered server under load and trouble for minutes, and what it holds on to.
//!
//! The time is divided into cycles. In each there are clients of every kind, peers that reset, dawdle and flood, and a
//! worker is killed, told to end or stopped for a moment (`trouble`); then all clients are closed, and in that quiet moment
//! memory, descriptors, threads and children are looked at. At the end `verdict` judges the moments by its rules, which
//! the table shows.
//!
//! The younger worker is the victim of all that ends a worker. So the elder one lives as long as the primary, and what it
//! leaks adds up.

mod trouble;
mod verdict;

use crate::Result;
use crate::child::{Launcher, Trouble as Failure, until};
use crate::clients::{failed, read_report};
use crate::interrupt::{Interrupt, send_signal};
use crate::load::tally::{Report, new_histogram};
use crate::proc::{self, Held, Process};
use crate::server::Server;
use clap::Parser;
use rustix::process::Signal;
use std::ffi::OsString;
use std::thread;
use std::time::{Duration, Instant};
use trouble::Trouble;
use upcall::args::{Policy, number};
use upcall::say;
use verdict::{Course, Moment};

/// Time of a cycle, unless there is little time for all: enough for the younger worker to count as long-lived, so that its
/// successor comes at once.
const CYCLE: Duration = Duration::from_secs(12);

/// Cycles of a policy, as many as there is time for, but at least so many.
const LEAST_CYCLES: u32 = 2;

/// Less leaves no time for a load, and more is a mistyped number.
const LEAST_MINUTES: f64 = 0.01;
const MOST_MINUTES: f64 = 100_000.0;

/// How long the quiet at the end of a cycle may take: the server notices the ends of its clients, and a successor starts.
const QUIET: Duration = Duration::from_secs(10);

/// How long nothing may change for it to be quiet.
const STILL: Duration = Duration::from_millis(700);

/// How long the elder worker is stopped.
const STOP: Duration = Duration::from_millis(400);

/// How long a load may take beyond its time, which has a patience of its own in it.
const LOAD_PATIENCE: Duration = Duration::from_secs(20);

/// How long a worker takes to stop.
const SETTLE: Duration = Duration::from_millis(20);

const WORKERS: usize = 2;

/// The loads of a cycle: the number of connections, and the words.
const LOADS: &[(usize, &[&str])] = &[
    (16, &["keepalive"]),
    (4, &["connect"]),
    (2, &["keepalive", "--pipeline", "16"]),
    (2, &["keepalive", "--path", "/stream/64"]),
    (2, &["keepalive", "--path", "/echo", "--body", "65536"]),
];

/// Serves from a cluster of two under load with resets, slow peers, floods and kills, and judges what it holds on to. The
/// exit code is 1 if a rule is broken.
#[derive(Debug, Parser)]
#[command(name = "soak", args_override_self = true)]
pub(crate) struct Options {
    /// Minutes, for all policies together; a fraction is possible
    #[arg(long, default_value = "10", value_parser = minutes)]
    minutes: Duration,
    /// How connections get to workers. Default: one policy after the other
    #[arg(long, value_enum)]
    policy: Option<Policy>,
    /// Cycles before the judgement begins. Default: a quarter of all
    #[arg(long, value_parser = number(1, 1000))]
    warm_up: Option<usize>,
}

fn minutes(text: &str) -> std::result::Result<Duration, String> {
    let minutes = text.parse().ok().filter(|minutes| (LEAST_MINUTES..=MOST_MINUTES).contains(minutes));
    let minutes: f64 =
        minutes.ok_or_else(|| format!("not a number from {LEAST_MINUTES} to {MOST_MINUTES}"))?;
    Ok(Duration::from_secs_f64(minutes * 60.0))
}

/// Soaks with one policy after the other, prints the tables, and fails if a rule is broken.
pub(crate) fn run(options: &Options) -> Result<()> {
    let policies =
        options.policy.map_or_else(|| vec![Policy::RoundRobin, Policy::Shared], |policy| vec![policy]);
    let launcher = Launcher { program: std::env::current_exe()?, interrupt: Interrupt::watch() };
    let time = options.minutes / policies.len() as u32;
    let (mut broken, mut is_short) = (Vec::new(), false);
    for policy in policies {
        let name = if policy == Policy::RoundRobin { "round-robin" } else { "shared" };
        let course = soak(&launcher, name, time).map_err(crate::in_short)?;
        let rows = verdict::judge(&course, options.warm_up);
        say::out(verdict::table(name, &course, &rows));
        is_short |= rows.iter().any(|row| row.is_short());
        broken.extend(rows.iter().filter(|row| row.is_broken()).map(|row| format!("{name}: {}", row.what)));
    }
    if !broken.is_empty() {
        return Err(format!("not flat: {}", broken.join("; ")).into());
    }
    say::out(if is_short { "verdict: too short to tell whether anything grows" } else { "verdict: flat" });
    Ok(())
}

/// One server from its start to its end.
fn soak(launcher: &Launcher, policy: &'static str, time: Duration) -> std::result::Result<Course, Failure> {
    let began = Instant::now();
    let mut site = Site::start(launcher, policy)?;
    let cycles = (time.as_millis() / CYCLE.as_millis()).max(LEAST_CYCLES.into()) as u32;
    let mut course = Course::default();
    for cycle in 0..cycles {
        let moment = site.cycle(cycle, time / cycles)?;
        say::err(format_args!("{policy}, cycle {} of {cycles}: {moment}", cycle + 1));
        course.moments.push(moment);
    }
    course.time = began.elapsed();
    site.server.stop()?;
    Ok(course)
}

/// A server with its two workers.
struct Site<'a> {
    launcher: &'a Launcher,
    server: Server,
    elder: Process,
}

impl<'a> Site<'a> {
    fn start(launcher: &'a Launcher, policy: &str) -> std::result::Result<Self, Failure> {
        let words = ["serve", "--addr", "127.0.0.1:0", "--workers", "2", "--policy", policy, "--no-chain"];
        let mut command = vec![launcher.program.clone().into_os_string()];
        command.extend(words.map(OsString::from));
        let server = Server::start(launcher, None, &command)?;
        let mut elder = None;
        until(QUIET, || {
            let workers = workers(&server).unwrap_or_default();
            elder = workers.first().copied().filter(|_| workers.len() == WORKERS);
            elder.is_some()
        });
        let elder = elder.ok_or_else(|| failed("the server has not two workers"))?;
        Ok(Self { launcher, server, elder })
    }

    /// Clients and trouble for about `time`, then a look at what is held.
    fn cycle(&mut self, cycle: u32, time: Duration) -> std::result::Result<Moment, Failure> {
        let began = Instant::now();
        let seconds = format!("{:.2}", (time - STILL.min(time / 2)).as_secs_f64());
        let mut loads = Vec::new();
        for (connections, words) in LOADS {
            let mut command: Vec<OsString> = vec![self.launcher.program.clone().into(), "load".into()];
            let (connections, address) = (connections.to_string(), self.server.address.to_string());
            let more = ["--conns", &connections, "--secs", &seconds, "--addr", &address];
            command.extend(words.iter().chain(&more).map(OsString::from));
            loads.push(self.launcher.start(None, &command)?);
        }
        let trouble = Trouble::start(&self.server.address).map_err(failed)?;
        thread::sleep(time / 3);
        let (ended, may_lose) = self.meddle(cycle)?;
        let mut moment = Moment { ended, may_lose, ..Moment::default() };
        let mut latencies = new_histogram().map_err(failed)?;
        for load in &mut loads {
            let Report { requests, error_kinds, histogram, .. } = read_report(load, time + LOAD_PATIENCE)?;
            moment.answers += requests;
            for (kind, count) in error_kinds {
                *moment.errors.entry(kind).or_default() += count;
            }
            histogram.iter().for_each(|&(latency, count)| latencies.saturating_record_n(latency, count));
        }
        drop(loads);
        moment.done = trouble.end();
        moment.median = Duration::from_nanos(latencies.value_at_quantile(0.5));
        moment.slow = Duration::from_nanos(latencies.value_at_quantile(0.99));
        self.look(&mut moment)?;
        moment.time = began.elapsed();
        // A server that has ended says why.
        self.server.why_ended().map_or(Ok(moment), Err)
    }

    /// Kills a worker, has it leave, or stops it for a moment. Returns how many workers it has ended, and how many connections
    /// of the loads it had then.
    fn meddle(&self, cycle: u32) -> std::result::Result<(u32, u64), Failure> {
        let workers = workers(&self.server).map_err(failed)?;
        let younger = workers.iter().rfind(|worker| **worker != self.elder);
        let younger = younger.ok_or_else(|| failed("the younger worker has no successor"))?;
        if cycle % 3 == 2 {
            send_signal(self.elder.pid, Signal::STOP);
            thread::sleep(STOP);
            send_signal(self.elder.pid, Signal::CONT);
            return Ok((0, 0));
        }
        // Stopped, it takes no further connection before it is counted.
        send_signal(younger.pid, Signal::STOP);
        thread::sleep(SETTLE);
        let had = proc::connections_with_others(younger.pid).map_err(failed)?;
        send_signal(younger.pid, if cycle.is_multiple_of(3) { Signal::KILL } else { Signal::TERM });
        send_signal(younger.pid, Signal::CONT);
        Ok((1, had as u64))
    }

    /// Waits for quiet, which is when nothing changes for a while and all workers are there; then looks at what is held.
    fn look(&self, moment: &mut Moment) -> std::result::Result<(), Failure> {
        let limit = Instant::now() + QUIET;
        let (mut last, mut since) = (self.held()?, Instant::now());
        loop {
            thread::sleep(STILL / 10);
            let now = self.held()?;
            let is_still = now.children == last.children && now.counts() == last.counts();
            if !is_still {
                since = Instant::now();
            }
            last = now;
            let is_quiet = since.elapsed() >= STILL && last.children == WORKERS;
            if is_quiet || Instant::now() >= limit {
                (moment.primary, moment.elder, moment.children) = (last.primary, last.elder, last.children);
                return Ok(());
            }
        }
    }

    fn held(&self) -> std::result::Result<Moment, Failure> {
        let workers = workers(&self.server).map_err(failed)?;
        if !workers.contains(&self.elder) {
            return Err(failed("the elder worker has died"));
        }
        let held = |pid| proc::held(pid).map_err(failed);
        let (primary, elder): (Held, Held) = (held(self.server.pid())?, held(self.elder.pid)?);
        Ok(Moment { primary, elder, children: workers.len(), ..Moment::default() })
    }
}

/// The server's processes but the primary, the oldest first.
fn workers(server: &Server) -> std::io::Result<Vec<Process>> {
    let mut workers = proc::tree(server.pid())?;
    workers.retain(|process| process.pid != server.pid() && proc::is_alive(*process));
    workers.sort_by_key(|process| process.age_key());
    Ok(workers)
}
