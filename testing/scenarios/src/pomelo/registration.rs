//! Servers start and register, and learn of each other.

use super::is_fatal;
use super::server::Manners;
use super::site::{Plan, Site};
use std::time::Duration;
use testing::World;

/// All servers start and register; whatever a fault ends meanwhile, those that live are registered in the end, and each
/// process has learnt of the others in the order in which they came and left.
pub(crate) fn registration(world: &World) -> Result<(), String> {
    let manners = if world.choose(2) == 0 { Manners::Plain } else { Manners::Various };
    let plan = Plan { servers: 1 + world.choose(4), is_kept_up: false, manners };
    let Some(site) = Site::new(world, plan) else { return Ok(()) };
    if !site.is_up(world)? {
        return site.stop(world);
    }
    site.run_for(world, Duration::from_secs(world.choose(300)))?;
    let was_fatal = world.has_met(is_fatal);
    let living = site.settle(world)?;
    if (living as u64) < site.plan.servers && !was_fatal {
        return Err(format!("{living} of {} servers run", site.plan.servers));
    }
    site.stop_calmly(world)
}
