//! A service whose system calls fail for a while.

use crate::client::{ask_again, connect};
use crate::shim::Failing;
use crate::site::{Outcome, Site, WAYS, command};
use std::thread;
use std::time::Instant;
use tests::running::DEADLINE;
use uv_core::Signal;
use uv_core::process::kill;

const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const EPROTO: i32 = 71;
const EOPNOTSUPP: i32 = 95;
const ENOBUFS: i32 = 105;
const ETOOMANYREFS: i32 = 109;

/// Starts a service in this way, makes its calls fail, and checks that a failure ends neither the service nor a
/// connection.
fn survives(way: &[&str], call: &str, errno: i32) -> Outcome {
    let mut command = command(&["serve", "--addr", "127.0.0.1:0"])?;
    let failing = Failing::preload(command.args(way));
    let site = Site::start_by(&mut command)?;
    let mut before = connect(site.address)?;
    ask_again(&mut before)?;
    failing.fail_always(call, errno);
    let mut meanwhile = connect(site.address)?;
    let until = Instant::now() + DEADLINE;
    while failing.failed() < 2 {
        assert!(Instant::now() < until, "it was not called twice");
        thread::yield_now();
    }
    ask_again(&mut before)?;
    failing.stop();
    ask_again(&mut meanwhile)?;
    ask_again(&mut before)?;
    ask_again(&mut connect(site.address)?)?;
    kill(site.running.pid(), Signal::SIGTERM)?;
    site.ends_well()?;
    Ok(())
}

#[test]
fn a_failing_accept_ends_nothing_in_any_way_to_serve() -> Outcome {
    for way in WAYS {
        for errno in [EPERM, ENOMEM, EPROTO, EOPNOTSUPP, ENOBUFS] {
            survives(way, "accept4", errno)
                .map_err(|error| format!("{}: {errno}: {error}", way.join(" ")))?;
        }
    }
    Ok(())
}

#[test]
fn a_failure_to_hand_connections_to_workers_ends_none_of_them() -> Outcome {
    for errno in [ENOMEM, ENOBUFS, ETOOMANYREFS] {
        survives(WAYS[1], "sendmsg+fds", errno).map_err(|error| format!("{errno}: {error}"))?;
    }
    Ok(())
}
