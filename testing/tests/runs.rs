//! One run of a seed: its outcome, its trace, its panics, and the options of a test.
#![cfg(upcall_faults)]

mod common;

use net::Socket;
use net::upcall::SocketHandler;
use std::panic::{AssertUnwindSafe, catch_unwind};
use testing::{Explorer, World, explore};

fn lines(world: &World) -> Result<(), String> {
    common::every_line_comes_back(world, 511, 1)
}

/// Sends lines back. The mistake: it takes what one read brings for whole lines.
struct Lines;

impl SocketHandler for Lines {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        for line in data.split_inclusive(|byte| *byte == b'\n') {
            // Fails if the client has closed.
            let _ = socket.write(&[b"> ", line].concat());
        }
    }
}

#[test]
fn without_a_mistake_every_seed_holds() {
    explore(0..500, lines);
}

#[test]
fn a_mistake_is_found_and_needs_few_faults() {
    let explorer = Explorer::new(|world| common::every_line_comes_back_from(world, 511, 1, || Lines));
    let failure = (0..200).find_map(|seed| explorer.check(seed).err()).expect("a seed that shows it");
    assert!(failure.reason.starts_with("received"), "{failure}");
    assert!(failure.faults.len() <= 2, "{failure}");
    assert!(failure.trace.iter().any(|line| line.contains("SocketHandler::on_data")), "{failure}");
    let again = explorer.check(failure.seed).expect_err("the same seed");
    assert_eq!((again.reason, again.faults, again.trace), (failure.reason, failure.faults, failure.trace));
}

#[test]
fn a_replay_shows_one_run_and_what_the_run_showed() {
    let explorer = Explorer::new(lines);
    for seed in 0..50 {
        let (outcome, trace) = explorer.replay(seed);
        assert_eq!(outcome.failure, None, "seed {seed}");
        assert_eq!(outcome.faults, explorer.run(seed).faults, "seed {seed}");
        let times: Vec<f64> =
            trace.iter().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        let is_played = outcome.turns > 0; // Otherwise there was no loop.
        assert!(!is_played || times.len() > 10, "seed {seed}: {trace:?}");
        assert!(times.is_sorted(), "seed {seed}: a second run begins in its trace");
    }
}

#[test]
fn a_replay_shows_a_leak() {
    let explorer = Explorer::new(|world| {
        std::mem::forget(vec![0_u8; 100]);
        lines(world)
    });
    let (outcome, trace) = explorer.replay(3);
    assert_eq!(outcome.failure.as_deref(), Some("100 bytes of memory are left"));
    assert!(!trace.is_empty());
}

const OTHER_LINE: u32 = line!() + 2;
fn panic_otherwise() -> Result<(), String> {
    panic!("the other one");
}

#[test]
fn a_panic_that_a_scenario_catches_is_not_told_of_another() {
    let catches = Explorer::new(|_| {
        let caught = catch_unwind(|| panic!("the caught one"));
        caught.map_or(Ok(()), |()| Err("it did not panic".to_owned()))
    });
    let panics = Explorer::new(|_| panic_otherwise());
    let both = Explorer::new(|_| {
        let caught = catch_unwind(|| panic!("the caught one"));
        if caught.is_err() { panic_otherwise() } else { Ok(()) }
    });
    assert_eq!(catches.run(0).failure, None);
    for outcome in [panics.run(0), both.run(0)] {
        let reason = format!("panic at testing/tests/runs.rs:{OTHER_LINE}: the other one");
        assert_eq!(outcome.failure, Some(reason));
    }
}

#[test]
fn rates_are_obeyed() {
    let faults =
        |rate| (0..30).map(|seed| Explorer::new(lines).rate(rate).run(seed).faults.len()).sum::<usize>();
    assert_eq!(faults(0), 0);
    assert!(faults(64) < faults(512), "{} and {}", faults(64), faults(512));
}

#[test]
fn bad_options_are_refused() {
    for bad in [
        catch_unwind(AssertUnwindSafe(|| drop(Explorer::new(lines).rate(1025)))),
        catch_unwind(AssertUnwindSafe(|| drop(Explorer::new(lines).turns_per_second(0)))),
    ] {
        assert!(bad.is_err());
    }
}

#[test]
fn a_failure_tells_how_to_run_it_again() {
    let told = catch_unwind(|| explore(5..6, |_| Err("as planted".to_owned())));
    let text = told.expect_err("the report");
    let text = text.downcast_ref::<String>().expect("a text");
    assert!(text.starts_with("seed 5: as planted\nwith 0 of 0 faults:\n"), "{text}");
    assert!(text.ends_with("UPCALL_SEEDS=5 runs this seed alone"), "{text}");
}
