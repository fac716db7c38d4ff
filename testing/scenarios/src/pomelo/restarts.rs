//! Servers that are kept up, and end or stand still.

use super::server::Manners;
use super::site::{Plan, Site};
use std::time::Duration;
use testing::World;
use uv_core::{Signal, process};

/// Servers that are kept up are killed, and stand still for longer than a connection lasts: in the end each runs once.
pub(crate) fn restarts(world: &World) -> Result<(), String> {
    let manners = if world.choose(2) == 0 { Manners::Plain } else { Manners::Various };
    let plan = Plan { servers: 1 + world.choose(3), is_kept_up: true, manners };
    let Some(site) = Site::new(world, plan) else { return Ok(()) };
    if !site.is_up(world)? {
        return site.stop(world);
    }
    for _ in 0..=world.choose(5) {
        site.run_for(world, Duration::from_millis(1 + world.choose(20_000)))?;
        let living = site.facts.living();
        if let Some(one) = living.get(world.choose(living.len().max(1) as u64) as usize) {
            let signals = [
                Signal::SIGKILL,
                Signal::SIGKILL,
                Signal::SIGTERM,
                Signal::SIGSTOP,
                Signal::SIGSTOP,
                Signal::SIGCONT,
            ];
            // Fails by a fault.
            let _ = process::kill(one.pid, signals[world.choose(6) as usize]);
        }
        if world.choose(3) == 0 {
            site.run_for(world, Duration::from_secs(world.choose(400)))?;
        }
    }
    world.calm();
    for one in site.facts.living() {
        process::kill(one.pid, Signal::SIGCONT).map_err(|error| error.to_string())?;
    }
    let living = site.settle(world)?;
    if (living as u64) < site.plan.servers {
        return Err(format!("{living} of {} servers that are kept up run", site.plan.servers));
    }
    site.stop_calmly(world)
}
