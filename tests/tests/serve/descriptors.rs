//! The limit of descriptors: what a server makes of a low one.

use crate::client::{ask_again, connect};
use crate::site::{Outcome, Site, WAYS, program};
use std::process::Command;
use uv_core::Signal;

/// The soft limit with which the server begins: the usual one of 1024, made smaller.
const SOFT: usize = 64;

/// Connections at once, also for each of two workers more than the soft limit allows.
const CONNECTIONS: usize = 300;

/// A server in this way, begun with a low soft limit.
fn begin(way: &[&str]) -> Outcome<Site> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -S -n {SOFT}; exec \"$0\" serve --addr 127.0.0.1:0 \"$@\"")]);
    Site::start_by(command.arg(program()?).args(way).env("RUST_BACKTRACE", "1").env_remove("RUST_LOG"))
}

fn serves_all(way: &[&str]) -> Outcome {
    let site = begin(way)?;
    let line = site.running.line().ok_or("it does not say how many descriptors it may have")?;
    let count = line.strip_prefix("descriptors: at most ").and_then(|rest| rest.split(',').next());
    let count: usize = count.ok_or_else(|| format!("it says {line:?}"))?.parse()?;
    assert!(count > SOFT, "{line}");
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS.min(count - SOFT) {
        let mut client = connect(site.address)?;
        ask_again(&mut client)?;
        clients.push(client);
    }
    site.running.signal(Signal::SIGTERM)?;
    assert_eq!(site.ends_well()?, "");
    Ok(())
}

#[test]
fn a_low_soft_limit_of_descriptors_is_raised_and_said() -> Outcome {
    for way in WAYS {
        serves_all(way).map_err(|error| format!("serve {}: {error}", way.join(" ")))?;
    }
    Ok(())
}
