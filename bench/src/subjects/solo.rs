//! Programs without clients: so many operations, and one line of JSON about what they cost.

use super::tasks;
use super::turns::Turns;
use super::uv_loop::{datagrams, pairs, phases, pound, processes, pummel, threads, timers};
use crate::Result;
use crate::floor::solo as floor;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};
use upcall::say;
use uv_core::process::{UsageOf, resource_usage};

/// The share of operations that are done first and not measured, and how many they are at most.
const WARM_UP_SHARE: u64 = 10;
const WARM_UP_MOST: u64 = 10_000;

/// Timers of `timer-churn`: as many as a server with so many connections has.
pub(crate) const TIMERS: u64 = 1000;

/// Milliseconds over which the deadlines of timers spread. They come evenly and out of order: the stride is a prime.
pub(crate) const SPREAD: u64 = 1000;
const STRIDE: u64 = 7919;

/// Messages of `post` and requests of `work` that are under way at a time.
pub(crate) const IN_FLIGHT: u64 = 64;

/// Tasks of `tasks` that live at a time, and those of `tasks-wake`.
pub(crate) const TASKS: usize = 1000;
pub(crate) const RING: usize = 64;

/// The child of `spawn`: it does nothing. It has the standard input, output and error of its parent.
pub(crate) const CHILD: &str = "/bin/true";

/// What a child of libuv's `spawn` runs: it writes a line to its output.
pub(crate) const SAYING_CHILD: (&str, &str) = ("/bin/echo", "hello world");

/// Handles of `million_async`, as many as libuv has.
pub(crate) const MILLION: usize = 1 << 20;

/// Timers of `million_timers` that have the same deadline, one a millisecond.
pub(crate) const PER_MS: u64 = 1000;

/// What `ping_pongs` sends, and the buffer of a pump: libuv's.
pub(crate) const PING: &[u8] = b"PING\n";
pub(crate) static PUMPED: [u8; 8192] = [b'.'; 8192];

/// A datagram of the pummels, in the buffers that it is gathered from: libuv's.
pub(crate) const DATAGRAM: [&[u8]; 5] = [b"RANG TANG ", b"DING DONG ", b"I AM A ", b"JAPANESE ", b"ROBOT"];

/// Clients of a pound at a time.
pub(crate) const POUNDERS: u64 = 100;

/// Threads of `tcp_multi_accept2` that accept, and its clients at a time.
pub(crate) const ACCEPTORS: usize = 2;
pub(crate) const ACCEPTED: u64 = 40;

/// What `getaddrinfo` looks up, and how often at a time.
pub(crate) const LOOKED_UP: &str = "localhost";
pub(crate) const LOOK_UPS: u64 = 10;

/// Pseudo-random numbers, libuv's in `million_async`: the same in every run.
pub(crate) struct Random(u32);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0)
    }

    pub(crate) fn next_below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(214_013).wrapping_add(2_531_011);
        self.0 as usize % end
    }
}

/// The deadline of the timer of this number, in milliseconds.
pub(crate) fn deadline(index: u64) -> u64 {
    index * STRIDE % SPREAD
}

/// A benchmark without clients: its floor and its subject do as many operations as they are told.
pub(crate) struct Program {
    name: &'static str,
    /// Default: a good part of a second.
    ops: u64,
    floor: Run,
    ours: Run,
}

enum Run {
    AtOnce(fn(u64) -> Result<()>),
    InTurns(fn(Turns) -> Result<()>),
}

const fn at_once(
    name: &'static str,
    ops: u64,
    floor: fn(u64) -> Result<()>,
    ours: fn(u64) -> Result<()>,
) -> Program {
    Program { name, ops, floor: Run::AtOnce(floor), ours: Run::AtOnce(ours) }
}

const PROGRAMS: &[Program] = &[
    at_once("loop/ticks", 1_000_000, floor::ticks, phases::ticks),
    at_once("loop/timer-churn", 2_000_000, floor::timers::churn, timers::churn),
    Program {
        name: "loop/timer-fire",
        ops: 1_000_000,
        floor: Run::InTurns(floor::timers::fire),
        ours: Run::InTurns(timers::fire),
    },
    at_once("loop/wakeup", 50_000, floor::threads::wakeup, threads::wakeup),
    at_once("loop/post", 1_000_000, floor::threads::post, threads::post),
    at_once("loop/work", 200_000, floor::threads::work, threads::work),
    at_once("loop/spawn", 500, floor::spawn, processes::spawn),
    at_once("loop/tasks", 1_000_000, floor::tasks::life, tasks::life),
    at_once("loop/tasks-wake", 5_000_000, floor::tasks::wake, tasks::wake),
    // libuv's own, under their names.
    at_once("libuv/loop_count", 1_000_000, floor::ticks, phases::ticks),
    at_once("libuv/async1", 50_000, floor::threads::wakeup, threads::wakeup),
    at_once("libuv/async_pummel_1", 200_000, floor::pummel::one, pummel::one),
    at_once("libuv/million_async", 200_000, floor::pummel::million, pummel::million),
    at_once("libuv/million_timers", 500_000, floor::timers::million, timers::million),
    at_once("libuv/queue_work", 100_000, floor::threads::queue_work, threads::queue_work),
    at_once("libuv/spawn", 500, floor::spawn_and_read, processes::spawn_and_read),
    at_once("libuv/ping_pongs", 100_000, floor::pairs::ping_pongs, pairs::ping_pongs),
    at_once("libuv/tcp_pump1", 200_000, floor::pairs::tcp_pump, pairs::tcp_pump),
    at_once("libuv/pipe_pump1", 200_000, floor::pairs::pipe_pump, pairs::pipe_pump),
    at_once("libuv/tcp4_pound_100", 20_000, floor::pound::tcp4, pound::tcp4),
    at_once("libuv/tcp_multi_accept2", 20_000, floor::pound::multi_accept, pound::multi_accept),
    at_once("libuv/ping_udp1", 100_000, floor::datagrams::ping, datagrams::ping),
    at_once("libuv/udp_pummel_1v1", 200_000, floor::datagrams::pummel_1v1, datagrams::pummel_1v1),
    at_once("libuv/udp_pummel_10v10", 200_000, floor::datagrams::pummel_10v10, datagrams::pummel_10v10),
    at_once("libuv/getaddrinfo", 10_000, floor::getaddrinfo, threads::getaddrinfo),
];

/// The benchmark of this name, with its group or without.
pub(crate) fn find(bench: &str) -> Result<&'static Program> {
    let own_name = |program: &&Program| program.name.split_once('/').is_some_and(|(_, name)| name == bench);
    let found = PROGRAMS.iter().find(|program| program.name == bench);
    let found = found.or_else(|| PROGRAMS.iter().find(own_name));
    found.ok_or_else(|| format!("{bench}: no such floor").into())
}

impl Program {
    pub(crate) fn run_floor(&self, ops: Option<u64>, turn: Option<NonZeroU64>) -> Result<()> {
        self.run(&self.floor, ops, turn)
    }

    pub(crate) fn run_ours(&self, ops: Option<u64>, turn: Option<NonZeroU64>) -> Result<()> {
        self.run(&self.ours, ops, turn)
    }

    fn run(&self, run: &Run, ops: Option<u64>, turn: Option<NonZeroU64>) -> Result<()> {
        let ops = ops.unwrap_or(self.ops);
        match run {
            Run::AtOnce(_) if turn.is_some() => Err(format!("--turn: {} is done at once", self.name).into()),
            Run::AtOnce(run) => run(ops),
            Run::InTurns(run) => run(Turns::new(ops, turn.map(NonZeroU64::get))),
        }
    }
}

/// Lets `work` do a few operations to warm up, then `ops` of them, and prints what these cost.
pub(crate) fn measure(ops: u64, mut work: impl FnMut(u64) -> Result<()>) -> Result<()> {
    work(warm_up(ops))?;
    let meter = Meter::start();
    work(ops)?;
    meter.print(ops)
}

/// So many operations, in bursts of so many and a rest.
pub(crate) fn bursts(ops: u64, most: usize) -> impl Iterator<Item = usize> {
    let mut left = ops;
    std::iter::from_fn(move || {
        let burst = usize::try_from(left).map_or(most, |left| left.min(most));
        left -= burst as u64;
        (burst > 0).then_some(burst)
    })
}

/// Like [`measure`], with what the child processes cost that ended meanwhile.
pub(crate) fn measure_with_children(ops: u64, mut work: impl FnMut(u64) -> Result<()>) -> Result<()> {
    work(warm_up(ops))?;
    let (children, mut meter) = (children_time()?, Meter::start());
    work(ops)?;
    meter.more = children_time()?.saturating_sub(children);
    meter.print(ops)
}

/// How many operations are done before those that count.
fn warm_up(ops: u64) -> u64 {
    (ops / WARM_UP_SHARE).clamp(1, WARM_UP_MOST)
}

/// That `did` operations happened where `wanted` should have, or what is wrong.
pub(crate) fn check(did: u64, wanted: u64) -> Result<()> {
    if did == wanted { Ok(()) } else { Err(format!("{did} operations happened instead of {wanted}").into()) }
}

/// What a number of operations cost: the line that a program prints and `bench` reads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) ops: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) wall_ns: u64,
}

pub(crate) struct Meter {
    cpu: Duration,
    wall: Instant,
    /// CPU time that the process's clock does not have.
    more: Duration,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), more: Duration::ZERO, cpu: process_time() }
    }

    /// Prints what happened since the start.
    pub(crate) fn print(&self, ops: u64) -> Result<()> {
        let cpu = process_time().saturating_sub(self.cpu) + self.more;
        let measured = Measured { ops, cpu_ns: nanoseconds(cpu), wall_ns: nanoseconds(self.wall.elapsed()) };
        say::out(serde_json::to_string(&measured)?);
        Ok(())
    }
}

/// The CPU time of all threads of this process.
fn process_time() -> Duration {
    // The kernel's clocks do not go below zero.
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// The CPU time of the child processes that have ended and were waited for.
fn children_time() -> Result<Duration> {
    let usage = resource_usage(UsageOf::Children)?;
    Ok(usage.user + usage.system)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
