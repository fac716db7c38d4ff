//! Benchmarks without clients: so many operations, after a short warm-up, and what they cost.

mod spawn;
mod tasks;
mod threads;
mod timers;
mod turns;

use std::io;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
pub(crate) use turns::Turns;

/// Messages and work items under way at once.
const IN_FLIGHT: u64 = 64;

/// Operations that no warm-up exceeds.
const WARM_UP_MOST: u64 = 10_000;

/// Does so many operations and prints their cost.
pub(crate) enum Solo {
    AtOnce(fn(u64) -> io::Result<()>),
    InTurns(fn(Turns) -> io::Result<()>),
}

impl Solo {
    pub(crate) fn run(&self, ops: u64, turn: Option<NonZeroU64>) -> io::Result<()> {
        match self {
            Self::AtOnce(_) if turn.is_some() => Err(io::Error::other("--turn: this is done at once")),
            Self::AtOnce(run) => run(ops),
            Self::InTurns(run) => run(Turns::new(ops, turn.map(NonZeroU64::get))),
        }
    }
}

/// The solo benchmark of this name.
pub(crate) fn find(bench: &str) -> Option<Solo> {
    Some(Solo::AtOnce(match bench {
        "loop/ticks" => timers::ticks,
        "loop/timer-churn" => timers::churn,
        "loop/timer-fire" => return Some(Solo::InTurns(timers::fire)),
        "loop/wakeup" => threads::wakeup,
        "loop/post" => threads::post,
        "loop/work" => threads::work,
        "loop/spawn" => spawn::spawn,
        "loop/tasks" => tasks::life,
        "loop/tasks-wake" => tasks::wake,
        _ => return None,
    }))
}

/// Operations that come before `ops` measured ones.
fn warm_up(ops: u64) -> u64 {
    (ops / 10 + 1).min(WARM_UP_MOST)
}

/// The clocks at the beginning of what is measured.
struct Meter {
    cpu: Duration,
    wall: Instant,
}

impl Meter {
    fn start() -> io::Result<Self> {
        Ok(Self { wall: Instant::now(), cpu: cpu_time()? })
    }

    /// Prints the cost of `ops` operations.
    fn print(&self, ops: u64) -> io::Result<()> {
        let cpu = cpu_time()?.saturating_sub(self.cpu).as_nanos();
        let wall = self.wall.elapsed().as_nanos();
        println!("{{\"ops\":{ops},\"cpu_ns\":{cpu},\"wall_ns\":{wall}}}");
        Ok(())
    }
}

/// CPU time of this process, all its threads, and the children that it has waited for.
fn cpu_time() -> io::Result<Duration> {
    let own = Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?);
    let children = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = [children.user_time(), children.system_time()]
        .map(|time| time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_usec().unsigned_abs());
    Ok(own + Duration::from_micros(micros.iter().sum()))
}
