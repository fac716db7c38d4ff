//! A program without clients: it does so many operations and says what they cost it.

use super::catalogue::Work;
use super::child::Trouble;
use super::rig::Rig;
use super::round::Window;
use crate::subjects::solo::Measured;
use std::ffi::OsString;
use std::time::Duration;

/// How long a program may take beyond ten times what it is meant to.
const PATIENCE: Duration = Duration::from_secs(30);

/// A first run is long enough to reckon with if it takes this part of what is wanted.
const PILOT_PART: u32 = 8;

/// So many first runs, each of them with more operations.
const PILOTS: usize = 5;

/// How much more.
const PILOT_GROWTH: u64 = 8;

/// Lets the program that `command` starts do what takes it about `time`.
pub(crate) fn run(
    rig: &Rig,
    command: &[OsString],
    work: Work,
    per_second: f64,
    time: Duration,
) -> Result<Window, Trouble> {
    let count = match work {
        Work::SoloOf { ops } => ops,
        _ => ((per_second * time.as_secs_f64()) as u64).max(1),
    };
    let report = run_once(rig, command, count, time)?;
    Ok(Window {
        cost: report.cpu_ns as f64 / report.ops as f64,
        per_second: rate(&report),
        ..Window::default()
    })
}

/// Operations per second, from runs that grow until they are long enough; nothing where the number is given.
pub(crate) fn find_rate(rig: &Rig, command: &[OsString], work: Work, time: Duration) -> Result<f64, Trouble> {
    let Work::Solo { pilot: mut ops } = work else { return Ok(0.0) };
    let mut report = run_once(rig, command, ops, time)?;
    for _ in 1..PILOTS {
        if Duration::from_nanos(report.wall_ns) >= time / PILOT_PART {
            break;
        }
        ops *= PILOT_GROWTH;
        report = run_once(rig, command, ops, time)?;
    }
    Ok(rate(&report))
}

fn rate(report: &Measured) -> f64 {
    report.ops as f64 / Duration::from_nanos(report.wall_ns.max(1)).as_secs_f64()
}

fn run_once(rig: &Rig, command: &[OsString], ops: u64, part: Duration) -> Result<Measured, Trouble> {
    let mut command = command.to_vec();
    command.extend(["--ops".into(), ops.to_string().into()]);
    let mut program = rig.launcher.start(rig.server_cpu, &command)?;
    let line = program.line(part * 10 + PATIENCE)?;
    let report: Option<Measured> = serde_json::from_str(&line).ok();
    let report = report.filter(|report| report.ops > 0);
    let report =
        report.ok_or_else(|| Trouble::Failed(format!("it printed {line:?} instead of what it cost")))?;
    match program.wait() {
        Some(status) if status.success() => Ok(report),
        Some(status) => Err(Trouble::Failed(format!("it ended with {status}"))),
        None => Err(Trouble::Failed("it did not end and was killed".to_owned())),
    }
}
