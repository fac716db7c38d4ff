//! A program without clients: it does so many operations and says what they cost it, for all of them or turn by turn.

use super::child::{Child, Trouble};
use super::clients::failed;
use super::rig::Rig;
use super::round::Sample;
use crate::subjects::solo::Measured;
use crate::subjects::turns::READY;
use std::ffi::OsString;
use std::io::Write;
use std::process::ChildStdin;
use std::time::Duration;

/// How long a program may take for a turn, or beyond ten times what a run is meant to take.
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
    per_second: f64,
    time: Duration,
) -> Result<Sample, Trouble> {
    let count = ((per_second * time.as_secs_f64()) as u64).max(1);
    Ok(window(&run_once(rig, command, count, time * 10 + PATIENCE)?))
}

fn window(report: &Measured) -> Sample {
    let cost = report.cpu_ns as f64 / report.ops as f64;
    Sample { costs: vec![cost], rates: vec![rate(report)], ..Sample::default() }
}

/// Operations per second, from runs that grow until they are long enough.
pub(crate) fn find_rate(
    rig: &Rig,
    command: &[OsString],
    mut ops: u64,
    time: Duration,
) -> Result<f64, Trouble> {
    let mut report = run_once(rig, command, ops, time * 10 + PATIENCE)?;
    for _ in 1..PILOTS {
        if Duration::from_nanos(report.wall_ns) >= time / PILOT_PART {
            break;
        }
        ops *= PILOT_GROWTH;
        report = run_once(rig, command, ops, time * 10 + PATIENCE)?;
    }
    Ok(rate(&report))
}

fn rate(report: &Measured) -> f64 {
    report.ops as f64 / Duration::from_nanos(report.wall_ns.max(1)).as_secs_f64()
}

/// Runs the program from its start to its end, for at most `patience`.
pub(crate) fn run_once(
    rig: &Rig,
    command: &[OsString],
    ops: u64,
    patience: Duration,
) -> Result<Measured, Trouble> {
    let mut command = command.to_vec();
    command.extend(["--ops".into(), ops.to_string().into()]);
    let mut program = rig.launcher.start(rig.server_cpu, &command)?;
    let report = report_of(&mut program, patience)?;
    wait(&mut program).map(|()| report)
}

fn report_of(program: &mut Child, patience: Duration) -> Result<Measured, Trouble> {
    let line = program.line(patience)?;
    let report: Option<Measured> = serde_json::from_str(&line).ok();
    let report = report.filter(|report| report.ops > 0);
    report.ok_or_else(|| failed(format!("it printed {line:?} instead of what it cost")))
}

fn wait(program: &mut Child) -> Result<(), Trouble> {
    match program.wait() {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(failed(format!("it ended with {status}"))),
        None => Err(failed("it did not end and was killed")),
    }
}

/// A program that does its operations in turns, and waits in between.
pub(crate) struct InTurns {
    /// Before the program: its input ends first, so that it does not wait for another word.
    input: Option<ChildStdin>,
    program: Child,
}

impl InTurns {
    /// Starts the program that `command` names. It gets ready while others are started.
    pub(crate) fn start(rig: &Rig, command: &[OsString], ops: u64, turn: u64) -> Result<Self, Trouble> {
        let words = ["--ops".into(), ops.to_string().into(), "--turn".into(), turn.to_string().into()];
        let mut program = rig.launcher.start(rig.server_cpu, &[command, &words].concat())?;
        Ok(Self { input: program.take_input(), program })
    }

    pub(crate) fn get_ready(&mut self) -> Result<(), Trouble> {
        match self.program.line(PATIENCE)? {
            line if line == READY => Ok(()),
            line => Err(failed(format!("it printed {line:?} instead of {READY:?}"))),
        }
    }

    pub(crate) fn turn(&mut self) -> Result<Sample, Trouble> {
        // If it has ended, it says no more, and then it is asked why.
        let _told = self.input.as_mut().map(|input| input.write_all(b"\n"));
        Ok(window(&report_of(&mut self.program, PATIENCE)?))
    }

    /// It has had its last turn.
    pub(crate) fn end(mut self) -> Result<(), Trouble> {
        drop(self.input.take());
        wait(&mut self.program)
    }
}
