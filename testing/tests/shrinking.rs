//! The faults of a report: a smallest set with which the run still fails, and fails in the same way.
#![cfg(upcall_faults)]

use net::{ListenOptions, Server, ServerOptions};
use std::cell::Cell;
use testing::{Explorer, Fault, World};

/// Listens some times. Returns the number of sockets that were refused.
fn refused_sockets(world: &World) -> Result<usize, String> {
    let Ok(env) = world.environment("server") else { return Ok(0) };
    for _ in 0..40 {
        let server = Server::new(&env, ServerOptions::default());
        if server.listen_with(ListenOptions::path(world.path()), |_, _| ()).is_ok() {
            server.close().map_err(|error| error.to_string())?;
        }
    }
    world.run()?;
    let count = Cell::new(0);
    let is_counted = |fault: &Fault| {
        count.set(count.get() + usize::from(fault.call == "socket(2)"));
        false
    };
    let _ = world.has_met(is_counted);
    Ok(count.get())
}

#[test]
fn another_failure_is_not_taken_for_the_same() {
    let explorer = Explorer::new(|world| match refused_sockets(world)? {
        0 => Ok(()),
        1 | 2 => Err("few sockets were refused".to_owned()),
        count => Err(format!("many sockets were refused, {count}")),
    });
    let many = (0..200).filter_map(|seed| explorer.check(seed).err());
    let many: Vec<_> = many.filter(|failure| failure.reason.starts_with("many")).take(5).collect();
    assert_eq!(many.len(), 5);
    assert!(many.iter().any(|failure| failure.of > 3), "nothing is left out");
    for failure in many {
        assert_eq!(failure.reason, "many sockets were refused, 3", "{failure}");
        assert!(failure.faults.iter().all(|fault| fault.call == "socket(2)"), "{failure}");
        assert_eq!(
            (failure.faults.len(), failure.is_smallest, failure.is_repeated),
            (3, true, true),
            "{failure}"
        );
    }
}

#[test]
fn a_failure_that_does_not_come_again_is_told_as_such() {
    let runs = Cell::new(0);
    let explorer = Explorer::new(|world| {
        let refused = refused_sockets(world)?;
        runs.set(runs.get() + 1);
        if runs.get() == 1 && refused > 0 { Err("only once".to_owned()) } else { Ok(()) }
    });
    let failure = (0..200).find_map(|seed| {
        runs.set(0);
        explorer.check(seed).err()
    });
    let failure = failure.expect("a seed that refuses a socket");
    assert_eq!((&*failure.reason, failure.is_repeated, failure.is_smallest), ("only once", false, false));
    assert!(failure.to_string().contains("it did not fail again"), "{failure}");
}
