//! The program `upcall-faults`: what it refuses, and what it says of processes that do not end as they should.
#![cfg(upcall_faults)]

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// More seeds than any test waits for.
const ENDLESS: &str = "1000000000";

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upcall-faults"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(words: &[&str]) -> (Option<i32>, String, String) {
    said(&program(words).output().expect("the program starts"))
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Waits for something of the system.
fn until<T>(mut find: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < limit, "it does not come");
        thread::yield_now();
    }
}

/// The only process that the program has started.
fn part_of(program: &Child) -> u32 {
    let path = format!("/proc/{0}/task/{0}/children", program.id());
    until(|| fs::read_to_string(&path).ok()?.split_whitespace().next()?.parse().ok())
}

fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(status.expect("kill(1) starts").success());
}

/// Starts an endless run of one process, and waits until that runs seeds.
fn endless(more: &[&str]) -> (Child, u32) {
    let words = ["core/timers", "--seeds", ENDLESS, "--jobs", "1"];
    let program = program(&[&words, more].concat()).spawn().expect("the program starts");
    let part = part_of(&program);
    let written = |io: String| io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse::<u64>().ok());
    until(|| written(fs::read_to_string(format!("/proc/{part}/io")).ok()?).filter(|count| *count > 0));
    (program, part)
}

#[test]
fn what_cannot_be_run_is_refused() {
    let (code, _, error) = output(&["core/timers", "no/such"]);
    assert_eq!((code, error.as_str()), (Some(2), "error: no scenario \"no/such\": --list has them all\n"));
    for words in [["--seeds", "0"], ["--jobs", "0"], ["--jobs", "100000"], ["--patience", "0"]] {
        assert_eq!(output(&[&["core/timers"], &words[..]].concat()).0, Some(2), "{words:?}");
    }
}

#[test]
fn the_last_seed_is_the_last_number() {
    let last = u64::MAX.to_string();
    let (code, table, _) = output(&["core/timers", "--from", &last, "--seeds", "1"]);
    assert_eq!(code, Some(0));
    assert!(table.contains("1 runs"), "{table}");
    let (code, _, error) = output(&["core/timers", "--from", &last, "--seeds", "2"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("the last seed is"), "{error}");
}

#[test]
fn a_seed_that_ends_its_process_has_failed() {
    let (program, part) = endless(&[]);
    signal(part, "ABRT");
    let (code, table, error) = said(&program.wait_with_output().expect("it ends"));
    assert_eq!(code, Some(1));
    assert!(table.contains("it has ended its process: signal: 6"), "{table}");
    assert!(table.contains("replay: cargo xtask faults core/timers --seed "), "{table}");
    assert!(error.contains("1 of 1 processes ended before"), "{error}");
}

#[test]
fn a_seed_that_does_not_end_has_failed() {
    let (program, part) = endless(&["--patience", "2"]);
    signal(part, "STOP");
    let (code, table, _) = said(&program.wait_with_output().expect("it ends"));
    assert_eq!(code, Some(1));
    assert!(table.contains("it does not end within 2 s"), "{table}");
}

#[test]
fn no_process_outlives_the_program() {
    let (mut program, part) = endless(&[]);
    program.kill().expect("it is killed");
    program.wait().expect("it ends");
    // Its parent may not have collected it.
    let is_over = |stat: String| stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'));
    until(|| fs::read_to_string(format!("/proc/{part}/stat")).map_or(true, is_over).then_some(()));
}
