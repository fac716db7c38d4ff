//! The ends of what a world can do: of its clock, of its process, and of worlds in worlds.
#![cfg(upcall_faults)]

use std::process::Command;
use std::time::Duration;
use testing::{Explorer, World, explore};
use uv_core::Timer;

/// The seed of a run that ends its process.
const SEED: u64 = 17;

/// Set for the process that runs it.
const IS_SECOND: &str = "UPCALL_TEST_IS_SECOND";

const FAR: [Duration; 3] = [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_nanos(u64::MAX)];

/// A panic of a destructor, while another panic unwinds, ends a process.
struct Late;

impl Drop for Late {
    fn drop(&mut self) {
        assert!(std::env::var_os("PATH").is_none(), "the second panic");
    }
}

#[test]
fn a_time_beyond_the_clock_passes_up_to_its_end() {
    for far in FAR {
        explore(0..3, move |world: &World| {
            let Ok(event_loop) = world.event_loop("server") else { return Ok(()) };
            let timer = Timer::new(&event_loop);
            let started = timer.start(Duration::from_secs(1), Duration::ZERO, |timer: &Timer| timer.close());
            started.map_err(|error| error.to_string())?;
            world.run_for(far)?;
            if event_loop.is_alive() { Err("the timer has not fired".to_owned()) } else { Ok(()) }
        });
    }
}

#[test]
fn a_deadline_beyond_the_clock_is_waited_for_in_vain() {
    for far in FAR {
        let outcome = Explorer::new(move |world: &World| {
            let Ok(event_loop) = world.event_loop("server") else { return Ok(()) };
            let timer = Timer::new(&event_loop);
            let started = timer.start(far, Duration::ZERO, |timer: &Timer| timer.close());
            started.map_err(|error| error.to_string())?;
            world.run()
        })
        .run(0);
        let failure = outcome.failure.unwrap_or_default();
        assert!(failure.contains("nothing happens any more"), "{failure}");
    }
}

#[test]
fn a_scenario_that_explores_fails() {
    let outcome = Explorer::new(|_| {
        explore(0..1, |_| Ok(()));
        Ok(())
    })
    .run(0);
    let failure = outcome.failure.unwrap_or_default();
    assert!(failure.contains("a scenario cannot explore"), "{failure}");
}

#[test]
fn the_seed_of_a_process_that_aborts_is_told() {
    if std::env::var_os(IS_SECOND).is_some() {
        explore(SEED..SEED + 1, |_| {
            let _late = Late;
            panic!("the first panic");
        });
    }
    let program = std::env::current_exe().expect("its path");
    let words = ["--exact", "the_seed_of_a_process_that_aborts_is_told"];
    let output = Command::new(program).args(words).env(IS_SECOND, "1").output().expect("it starts again");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for text in ["seed 17: panic in a destructor", "the first panic", "the second panic", "limits.rs:"] {
        assert!(said.contains(text), "{text:?} is not in: {said}");
    }
}
