//! One subject in one round: started once, then measured again and again for moments, between the moments of others.
//!
//! The noise of a machine that is not ours alone comes in plateaus of some tenths of a second, in which everything costs
//! a fifth more, or twice as much; the kernel knows nothing of it. Windows that are much shorter let all subjects meet
//! the same plateaus, and find the quiet moments between them.

use super::catalogue::{Entry, Work};
use super::child::Trouble;
use super::clients::{Clients, complaint, failed};
use super::held;
use super::plan::Contender;
use super::pomelo;
use super::proc::{self, Process};
use super::rig::Rig;
use super::server::Server;
use super::solo::{self, InTurns};
use crate::load::tally::Report;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::thread;
use std::time::Duration;

/// How long a server is loaded before the measurement: its pages are touched, its workers up, its caches filled. Half of
/// what is measured then, within these bounds.
const WARM_UP: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(200));

/// The same for a server with a JIT compiler, which has to finish first.
const COMPILED_WARM_UP: (Duration, Duration) = (Duration::from_millis(700), Duration::from_secs(2));

/// A window of a server: some plateaus of noise are not much longer, and it is still far longer than the answers that
/// are waited for at its end.
const WINDOW: Duration = Duration::from_millis(20);

/// The same where connections are new in each window, and take some time to become as fast as they can.
const PUMP_WINDOW: Duration = Duration::from_millis(300);

/// The same of a server at a pace, whose latencies are what it is measured for.
const PACED_WINDOW: Duration = Duration::from_millis(100);

/// The shortest window of a server whose CPU time is told in ticks of 10 ms: one of them is a per cent then.
const COARSE_WINDOW: Duration = Duration::from_secs(1);

/// A window of a program without clients, which is started for it: in a shorter one it weighs too much that Node has to
/// compile the program first.
const SOLO_WINDOW: Duration = Duration::from_millis(300);

/// What a server may take to come to rest after the last answer; that is part of the cost.
const SETTLE: Duration = Duration::from_millis(2);

/// What was seen of one subject: in a window, or in all windows of a round.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sample {
    /// CPU nanoseconds per operation for each window; or once, bytes per connection or the spread of connections.
    pub(crate) costs: Vec<f64>,
    /// Operations per second of wall time for each window.
    pub(crate) rates: Vec<f64>,
    /// Pairs of a latency in nanoseconds and its number.
    pub(crate) histogram: Vec<(u64, u64)>,
    pub(crate) errors: u64,
    /// The errors by kind.
    pub(crate) complaint: Option<String>,
}

/// How many windows measure for `part`, and how long each is. Where the number of operations is given each turn is one,
/// and takes as long as it takes. Where the kernel's clock is coarse, the windows of servers are longer, if need be
/// longer than `part`.
pub(crate) fn windows(work: Work, part: Duration, is_coarse: bool) -> (u32, Duration) {
    let in_windows_of = |usual: Duration| (part.as_secs_f64() / usual.as_secs_f64()).round() as u32;
    let count = match work {
        // Windows of a second at least, up to twice that.
        Work::Time(_) | Work::Paced(_) if is_coarse => part.as_secs() as u32,
        Work::Time(["pump", ..]) => in_windows_of(PUMP_WINDOW),
        Work::Time(_) | Work::Client { .. } => in_windows_of(WINDOW),
        Work::Paced(_) => in_windows_of(PACED_WINDOW),
        Work::Solo { .. } => in_windows_of(SOLO_WINDOW),
        Work::SoloOf { ops, turn } => u32::try_from(ops / turn).unwrap_or(u32::MAX),
        _ => 1,
    };
    let count = count.max(1);
    let is_served = matches!(work, Work::Time(_) | Work::Paced(_));
    let whole = if is_coarse && is_served { part.max(COARSE_WINDOW) } else { part };
    (count, whole / count)
}

/// A server with its clients, and with what stands behind it. They end in this order, also where they are just dropped: no
/// connection is cut off.
pub(crate) struct Served {
    clients: Clients,
    server: Server,
    behind: Option<Server>,
}

pub(crate) enum Running {
    Server(Box<Served>),
    /// A program that is started for each window, and how many operations per second it does.
    Program {
        command: Vec<OsString>,
        rate: f64,
    },
    /// A program that is started once and does some of its operations in each window; before the server that it asks, if it
    /// is a client.
    InTurns(InTurns, Option<Server>),
    /// What is started for its only window, and looked at while it holds connections, or when all of it is up.
    Once {
        command: Vec<OsString>,
        work: Work,
        behind: Option<&'static str>,
    },
}

impl Running {
    /// Starts it and warms it up; `part` is how long all windows measure together. A program without clients has its
    /// `rate` from an earlier round, or finds it out; a server with one is measured at that pace.
    pub(crate) fn start(
        rig: &Rig,
        contender: &Contender,
        entry: &Entry,
        part: Duration,
        rate: &mut Option<f64>,
    ) -> Result<Self, Trouble> {
        let command = &contender.command[..];
        match entry.work {
            Work::Time(words) => Self::serve(rig, contender, entry, words, part),
            Work::Paced(words) => {
                let pace = rate.map(|rate| rate.to_string());
                let mut words = words.to_vec();
                words.extend(pace.iter().flat_map(|pace| ["--rate", pace]));
                Self::serve(rig, contender, entry, &words, part)
            }
            Work::SoloOf { ops, turn } => Ok(Self::InTurns(InTurns::start(rig, command, ops, turn)?, None)),
            Work::Client { turn } => {
                let behind = Server::behind(rig, entry.behind)?;
                let command = [command, &Server::as_words(behind.as_ref())].concat();
                let (turns, _) = windows(entry.work, part, false);
                Ok(Self::InTurns(InTurns::start(rig, &command, turn * u64::from(turns), turn)?, behind))
            }
            Work::Solo { pilot } => {
                let (_, window) = windows(entry.work, part, false);
                let rate = match *rate {
                    Some(rate) => rate,
                    None => *rate.insert(solo::find_rate(rig, command, pilot, window)?),
                };
                Ok(Self::Program { command: command.to_vec(), rate })
            }
            work => Ok(Self::Once { command: command.to_vec(), work, behind: entry.behind }),
        }
    }

    /// Starts a server with clients of these words.
    fn serve(
        rig: &Rig,
        contender: &Contender,
        entry: &Entry,
        words: &[&str],
        part: Duration,
    ) -> Result<Self, Trouble> {
        let behind = Server::behind(rig, entry.behind)?;
        let command = [&contender.command[..], &Server::as_words(behind.as_ref())].concat();
        let server = Server::start(&rig.launcher, rig.server_cpu, &command)?;
        let clients = Clients::start(rig, &server, words)?;
        let mut served = Served { clients, server, behind };
        served.work(match contender.is_compiled() {
            true => (part * 2).clamp(COMPILED_WARM_UP.0, COMPILED_WARM_UP.1),
            false => (part / 2).clamp(WARM_UP.0, WARM_UP.1),
        })?;
        Ok(Self::Server(Box::new(served)))
    }

    /// Waits until it could begin. Programs get ready at the same time.
    pub(crate) fn get_ready(&mut self) -> Result<(), Trouble> {
        match self {
            Self::InTurns(program, _) => program.get_ready(),
            _ => Ok(()),
        }
    }

    /// Measures it once, for `time`.
    pub(crate) fn window(&mut self, rig: &Rig, time: Duration) -> Result<Sample, Trouble> {
        match self {
            Self::Server(served) => served.window(time),
            Self::Program { command, rate } => solo::run(rig, command, *rate, time),
            Self::InTurns(program, _) => program.turn(),
            Self::Once { command, work, behind } => match work {
                Work::FleetStart | Work::FleetMemory => pomelo::run(rig, command, *work),
                _ => held::run(rig, command, *work, *behind),
            },
        }
    }

    pub(crate) fn stop(self) -> Result<(), Trouble> {
        match self {
            Self::Server(served) => {
                let Served { clients, server, behind } = *served;
                drop(clients);
                let stopped = server.stop();
                drop(behind);
                stopped
            }
            Self::InTurns(program, behind) => {
                let ended = program.end();
                drop(behind);
                ended
            }
            Self::Program { .. } | Self::Once { .. } => Ok(()),
        }
    }
}

impl Served {
    /// Loads the server for some time, and lets it come to rest. If it has died, its own last words say why.
    fn work(&mut self, time: Duration) -> Result<Report, Trouble> {
        let report = self.clients.work(time).map_err(|trouble| match trouble {
            Trouble::Interrupted => trouble,
            met => self.server.why_ended().unwrap_or(met),
        })?;
        thread::sleep(SETTLE);
        Ok(report)
    }

    fn window(&mut self, time: Duration) -> Result<Sample, Trouble> {
        let pid = self.server.pid();
        let read = move || proc::cpu_times(pid).map_err(|error| failed(format!("CPU time: {error}")));
        let before = read()?;
        let report = self.work(time)?;
        let after = read()?;
        let (used, lost) = used(&before, &after);
        let complaints = [complaint(&report), (lost > 0).then(|| format!("processes that ended {lost}"))];
        let complaints: Vec<_> = complaints.into_iter().flatten().collect();
        Ok(Sample {
            costs: vec![used as f64 / report.requests as f64],
            rates: vec![report.per_second],
            complaint: (!complaints.is_empty()).then(|| complaints.join(", ")),
            errors: report.errors + lost,
            histogram: report.histogram,
        })
    }
}

type Times = BTreeMap<Process, u64>;

/// The CPU time used between two readings, and the number of processes that ended: their time is not in it.
fn used(before: &Times, after: &Times) -> (u64, u64) {
    let since = |(process, time): (&Process, &u64)| {
        time.saturating_sub(before.get(process).copied().unwrap_or_default())
    };
    let lost = before.keys().filter(|process| !after.contains_key(process)).count();
    (after.iter().map(since).sum(), lost as u64)
}

impl Sample {
    /// All windows of a round together; `None` without any. Turns differ, as the operations of the first have more before
    /// them than those of the last: only their mean can be compared.
    pub(crate) fn of(work: Work, windows: Vec<Self>) -> Option<Self> {
        let mut all = windows.into_iter().reduce(|mut all, window| {
            all.costs.extend(window.costs);
            all.rates.extend(window.rates);
            all.histogram.extend(window.histogram);
            all.errors += window.errors;
            all.complaint = all.complaint.or(window.complaint);
            all
        })?;
        if let Work::SoloOf { .. } = work {
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let times: Vec<f64> = all.rates.iter().map(|rate| rate.recip()).collect();
            (all.costs, all.rates) = (vec![mean(&all.costs)], vec![mean(&times).recip()]);
        }
        Some(all)
    }

    /// Operations per second in the middle one of the windows.
    pub(crate) fn per_second(&self) -> Option<f64> {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_cut_into_windows_that_make_it_up() {
        let part = Duration::from_secs(1);
        assert_eq!(windows(Work::Time(&[]), part, false), (50, WINDOW));
        assert_eq!(windows(Work::Time(&["pump"]), PUMP_WINDOW * 2, false), (2, PUMP_WINDOW));
        assert_eq!(windows(Work::Solo { pilot: 1 }, SOLO_WINDOW * 2, false), (2, SOLO_WINDOW));
        assert_eq!(windows(Work::SoloOf { ops: 8, turn: 2 }, part, false), (4, part / 4));
        assert_eq!(windows(Work::Time(&[]), WINDOW / 4, false), (1, WINDOW / 4));
    }

    #[test]
    fn windows_are_long_where_the_clock_is_coarse() {
        let windows = |words, part| windows(Work::Time(words), part, true);
        assert_eq!(windows(&[], Duration::from_millis(600)), (1, COARSE_WINDOW));
        assert_eq!(windows(&["pump"], COARSE_WINDOW * 3), (3, COARSE_WINDOW));
        assert_eq!(windows(&[], Duration::from_millis(1900)), (1, Duration::from_millis(1900)));
    }

    #[test]
    fn a_round_is_all_of_its_windows() {
        let window = |cost: f64, errors| Sample {
            costs: vec![cost],
            rates: vec![cost * 10.0],
            errors,
            complaint: (errors > 0).then(|| format!("status {errors}")),
            histogram: vec![(1, 1)],
        };
        let sample = Sample::of(Work::Time(&[]), vec![window(4.0, 0), window(2.0, 3), window(3.0, 1)])
            .expect("windows");
        assert_eq!(sample.costs, [4.0, 2.0, 3.0]);
        assert_eq!((sample.per_second(), sample.errors), (Some(30.0), 4));
        assert_eq!(sample.complaint.as_deref(), Some("status 3"));
        assert_eq!(sample.histogram.len(), 3);
        assert_eq!(Sample::of(Work::Time(&[]), Vec::new()), None);
    }

    #[test]
    fn turns_count_as_one() {
        let work = Work::SoloOf { ops: 2, turn: 1 };
        let turn = |cost, rate| Sample { costs: vec![cost], rates: vec![rate], ..Sample::default() };
        let sample = Sample::of(work, vec![turn(3.0, 1.0), turn(1.0, 3.0)]).expect("turns");
        assert_eq!((&sample.costs[..], sample.per_second()), (&[2.0][..], Some(1.5)));
        assert_eq!(Sample::of(work, Vec::new()), None);
    }
}
