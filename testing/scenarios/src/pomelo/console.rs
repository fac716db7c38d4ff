//! Users ask, and peers send anything.

use super::server::Manners;
use super::site::{Plan, Site};
use super::user::{ANSWER, Question, User};
use testing::World;

/// A question that the seed decides.
pub(super) fn question(world: &World, site: &Site) -> Question {
    let ids = || {
        let count = world.choose(3);
        // One of them is in no configuration.
        (0..=count).map(|_| format!("chat-{}", 1 + world.choose(site.plan.servers + 1))).collect::<Vec<_>>()
    };
    match world.choose(10) {
        0 | 1 => Question::List,
        2 | 3 => Question::Stop(ids()),
        4..=6 => Question::Restart(ids()),
        7 => Question::Add(format!("chat-{}", 1 + world.choose(site.plan.servers + 1))),
        8 => Question::Strange,
        _ if world.choose(2) == 0 => Question::Nowhere,
        _ => Question::Modules,
    }
}

/// Peers that are no clients.
fn send_noise(world: &World, site: &Site) {
    for _ in 0..world.choose(4) {
        // Refused by a fault.
        let Ok(peer) = world.tcp_peer(site.address) else { continue };
        let length = world.choose(200);
        let noise: Vec<u8> = (0..length).map(|_| world.choose(256) as u8).collect();
        peer.send(b"\x10\x1a\x00\x04MQTT\x04\x02\x00\x00\x00\x0eMQTT_ADMIN_123");
        peer.send(noise);
        match world.choose(3) {
            0 => peer.finish(),
            1 => peer.close(),
            _ => {}
        }
    }
}

/// Users ask, also for what is not there, and peers send anything: each request has one answer, which is true.
pub(crate) fn console(world: &World) -> Result<(), String> {
    let manners = if world.choose(2) == 0 { Manners::Plain } else { Manners::Various };
    let plan = Plan { servers: 1 + world.choose(3), is_kept_up: world.choose(2) == 0, manners };
    let Some(site) = Site::new(world, plan) else { return Ok(()) };
    if !site.is_up(world)? {
        return site.stop(world);
    }
    send_noise(world, &site);
    let users = [true, false].map(|is_admin| User::new(world, &site, is_admin));
    let users: Vec<User> = users.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    for user in &users {
        for _ in 0..world.choose(8) {
            user.ask(world, &site, question(world, &site));
        }
    }
    site.run_for(world, ANSWER * 2)?;
    users.iter().try_for_each(|user| user.hold(world))?;
    drop(users);
    site.stop_calmly(world)
}
