//! What depends on the process: a seed is the same in another one, and the variable `UPCALL_SEEDS` chooses seeds. Each test runs
//! others of this program in processes of their own.
#![cfg(upcall_faults)]

mod common;

use std::process::{Command, Output};
use testing::{Explorer, explore};

/// Set in the processes that a test runs.
const CHILD: &str = "UPCALL_TESTING_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// What runs a test of this program in a process of its own.
fn process(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "--nocapture", test]).env(CHILD, "1").env_remove("UPCALL_SEEDS");
    command
}

fn lines_of(output: &Output, kind: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| Some(line.split_once(kind)?.1.to_owned())).collect()
}

#[test]
fn a_seed_is_the_same_in_every_process() {
    if is_child() {
        return print_traces();
    }
    let test = "a_seed_is_the_same_in_every_process";
    let runs = [(); 2].map(|()| process(test).output().expect("a process"));
    let [first, second] = runs.map(|output| {
        assert!(output.status.success(), "{output:?}");
        lines_of(&output, "trace: ")
    });
    assert!(first.len() > 1_000, "{} lines", first.len());
    let own = |line: &String| line.ends_with("not \0upcall-testing-0, and not 127.0.0.1:80");
    assert_eq!(first.iter().filter(|line| own(line)).count(), 20);
    let at = first.iter().zip(&second).position(|(first, second)| first != second);
    assert_eq!(at.map(|at| (&first[at], &second[at])), None, "line {at:?}");
    assert_eq!(first.len(), second.len());
}

fn print_traces() {
    let explorer = Explorer::new(|world| {
        log::trace!("not {}, and not {}:80", world.path().display(), world.loopback());
        common::every_line_comes_back(world, 2, 4)
    });
    for seed in 0..20 {
        let (outcome, trace) = explorer.replay(seed);
        println!("trace: seed {seed}: {outcome:?}");
        trace.iter().for_each(|line| println!("trace: {line}"));
    }
}

#[test]
fn the_variable_chooses_seeds() {
    if is_child() {
        return explore(0..3, |world| {
            println!("seed: {}", world.choose(u64::MAX));
            Ok(())
        });
    }
    let seeds = |text: Option<&str>| {
        let mut command = process("the_variable_chooses_seeds");
        let output = command.envs(text.map(|text| ("UPCALL_SEEDS", text))).output().expect("a process");
        assert!(output.status.success(), "{output:?}");
        let mut lines = lines_of(&output, "seed: ");
        // A run is repeated if it leaves memory that is made once.
        lines.dedup();
        lines
    };
    assert_eq!(seeds(None), seeds(Some("0..3")));
    let some = seeds(Some("5..9"));
    assert_eq!(some.len(), 4);
    assert_eq!(seeds(Some("7")), some[2..3]);
}

#[test]
fn a_bad_value_of_the_variable_is_refused() {
    if is_child() {
        return explore(0..3, |_| Ok(()));
    }
    for bad in ["", "many", "9..3", "5..5", "1,2"] {
        let mut command = process("a_bad_value_of_the_variable_is_refused");
        let output = command.env("UPCALL_SEEDS", bad).output().expect("a process");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{bad}: {output:?}");
        assert!(told.contains(&format!("UPCALL_SEEDS is {bad:?}, but has to be one seed")), "{bad}: {told}");
    }
}

#[test]
fn descriptors_that_cannot_be_counted_are_told() {
    if is_child() {
        return leave_no_descriptor();
    }
    let program = std::env::current_exe().expect("this program");
    let shell = "ulimit -n 64; exec \"$0\" --exact descriptors_that_cannot_be_counted_are_told";
    let output = Command::new("sh").args(["-c", shell]).arg(program).env(CHILD, "1").output();
    let output = output.expect("a shell");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}

fn leave_no_descriptor() {
    let explorer = Explorer::new(|_| {
        while let Ok(file) = std::fs::File::open("/dev/null") {
            std::mem::forget(file);
        }
        Ok(())
    });
    let failure = explorer.run(0).failure.unwrap_or_default();
    assert!(failure.starts_with("open descriptors cannot be counted: /proc/self/fd: "), "{failure}");
}

#[test]
fn a_process_without_descriptors_for_a_scenario_is_told() {
    if is_child() {
        return explore(0..1, |_| Ok(()));
    }
    let program = std::env::current_exe().expect("this program");
    let shell = "ulimit -n 64; exec \"$0\" --exact a_process_without_descriptors_for_a_scenario_is_told";
    let output = Command::new("sh").args(["-c", shell]).arg(program).env(CHILD, "1").output();
    let output = output.expect("a shell");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{output:?}");
    assert!(told.contains(" descriptors more, too few for a scenario"), "{told}");
}

#[test]
fn replays_leave_the_level_of_the_log_as_it_was() {
    if is_child() {
        return replay_in_some_threads();
    }
    let output = process("replays_leave_the_level_of_the_log_as_it_was").output().expect("a process");
    assert!(output.status.success(), "{output:?}");
}

fn replay_in_some_threads() {
    let replays = || {
        let explorer = Explorer::new(|_| Ok(()));
        (0..2_000).for_each(|seed| drop(explorer.replay(seed)));
    };
    std::thread::scope(|scope| {
        for thread in [(); 4].map(|()| scope.spawn(replays)) {
            thread.join().expect("the thread");
        }
    });
    assert_eq!(log::max_level(), log::LevelFilter::Off);
}
