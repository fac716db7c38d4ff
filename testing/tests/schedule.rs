//! When loops run, and how long a lack lasts.
#![cfg(upcall_faults)]

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use testing::{Explorer, World};
use uv_core::{BindOptions, Errno, Tcp, Timer};

const SEEDS: u64 = 300;

/// Runs a scenario under many seeds with many faults, and returns in how many of them it saw what it looks for.
fn seen(scenario: impl Fn(&World) -> Result<bool, String>) -> usize {
    let found = Rc::new(Cell::new(false));
    let shown = Rc::clone(&found);
    let explorer = Explorer::new(move |world: &World| {
        found.set(scenario(world)?);
        Ok(())
    })
    .rate(512);
    (0..SEEDS)
        .filter(|seed| {
            shown.set(false);
            let outcome = explorer.run(*seed);
            assert_eq!(outcome.failure, None, "seed {seed}");
            shown.get()
        })
        .count()
}

fn bind(tcp: &Tcp) -> Result<(), Errno> {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    tcp.bind(any, BindOptions::default()).map_err(|error| error.errno())
}

#[test]
fn a_process_without_descriptors_may_have_none_for_a_while() {
    let count = seen(|world| {
        let Ok(event_loop) = world.event_loop("loop") else { return Ok(false) };
        let (first, second) = (Tcp::new(&event_loop), Tcp::new(&event_loop));
        let failed = bind(&first);
        let lasts = world.has_met(|fault| fault.lasts > Duration::from_millis(1));
        let is_lack = failed == Err(Errno::EMFILE) && lasts;
        if is_lack {
            assert_eq!(bind(&second), Err(Errno::EMFILE), "no call gets a descriptor");
        }
        first.close();
        second.close();
        world.run()?;
        Ok(is_lack)
    });
    assert!(count > 0);
}

#[test]
fn a_loop_may_run_later_than_it_could() {
    let count = seen(|world| {
        let Ok(event_loop) = world.event_loop("loop") else { return Ok(false) };
        let timer = Timer::new(&event_loop);
        let begin = world.now();
        let limit = Duration::from_millis(10);
        timer
            .start(limit, Duration::ZERO, |timer: &Timer| timer.close())
            .map_err(|error| error.to_string())?;
        world.run()?;
        let passed = world.now() - begin;
        assert!(passed >= limit, "{passed:?}");
        Ok(passed > limit * 2)
    });
    assert!(count > 0);
}

#[test]
fn a_loop_with_nothing_to_do_takes_no_turns() {
    let turns = |sleepers: u64| {
        let explorer = Explorer::new(move |world: &World| {
            world.calm();
            let idle: Vec<_> = (0..sleepers).map(|_| world.event_loop("sleeper").expect("a loop")).collect();
            let busy = world.event_loop("busy").expect("a loop");
            let timers: Vec<_> = idle.iter().chain([&busy]).map(Timer::new).collect();
            let hour = Duration::from_secs(3_600);
            for timer in &timers[..idle.len()] {
                timer.start(hour, Duration::ZERO, |timer: &Timer| timer.close()).expect("a timer");
            }
            let count = Cell::new(0);
            let tick = move |timer: &Timer| {
                count.set(count.get() + 1);
                if count.get() == 100 {
                    timer.close();
                }
            };
            let second = Duration::from_secs(1);
            timers[idle.len()].start(second, second, tick).expect("a timer");
            world.run()
        });
        let outcome = explorer.run(0);
        assert_eq!(outcome.failure, None);
        outcome.turns
    };
    assert!(turns(5) < turns(0) + 30, "{} and {}", turns(5), turns(0));
}
