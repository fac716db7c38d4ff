//! Stops of all servers.

use super::server::Manners;
use super::site::{Plan, Site};
use std::time::Duration;
use testing::World;
use uv_core::{Signal, process};

/// A stop at any moment, of servers that start, run, stand still and die, ends all of them, and the master.
pub(crate) fn stops(world: &World) -> Result<(), String> {
    let manners = if world.choose(2) == 0 { Manners::Plain } else { Manners::Various };
    let plan = Plan { servers: 1 + world.choose(3), is_kept_up: world.choose(2) == 0, manners };
    let Some(site) = Site::new(world, plan) else { return Ok(()) };
    site.run_for(world, Duration::from_micros(world.choose(200_000)))?;
    for one in site.facts.living() {
        // Fails by a fault.
        let _ = match world.choose(5) {
            0 => process::kill(one.pid, Signal::SIGSTOP),
            1 => process::kill(one.pid, Signal::SIGKILL),
            2 => process::kill(one.pid, Signal::SIGTERM),
            _ => Ok(()),
        };
    }
    site.run_for(world, Duration::from_micros(world.choose(20_000_000)))?;
    site.stop_calmly(world)
}
