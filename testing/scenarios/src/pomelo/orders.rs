//! Users stop, restart and add servers that are slow, stand still and die: what counts in the end is the last command.

use super::console::question;
use super::facts::as_members;
use super::server::Manners;
use super::site::{Plan, Site};
use super::user::{ANSWER, Asked, Question, User};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::{Signal, process};

/// The time in which a command has all of its effect on servers that do not stand still: a slow server ends in ten seconds
/// and starts in ten, with a pause of at most a minute between.
const EFFECT: Duration = Duration::from_secs(100);

/// Commands at any moment, while anything fails.
fn disturb(world: &World, site: &Site) -> Result<(), String> {
    let users = [true, true].map(|is_admin| User::new(world, site, is_admin));
    let users: Vec<User> = users.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    for _ in 0..world.choose(8) {
        if let Some(user) = users.get(world.choose(2) as usize) {
            user.ask(world, site, question(world, site));
        }
        let living = site.facts.living();
        if let Some(one) = living.get(world.choose(4) as usize) {
            let signals = [Signal::SIGSTOP, Signal::SIGCONT, Signal::SIGCONT, Signal::SIGKILL];
            // Fails by a fault.
            let _ = process::kill(one.pid, signals[world.choose(4) as usize]);
        }
        let longest = [1_000, 100_000, 10_000_000][world.choose(3) as usize];
        site.run_for(world, Duration::from_micros(world.choose(longest)))?;
    }
    world.calm();
    for one in site.facts.living() {
        // Not there any more if it has just ended.
        let _ = process::kill(one.pid, Signal::SIGCONT);
    }
    site.run_for(world, ANSWER)?;
    users.iter().try_for_each(|user| user.hold(world))
}

/// What is to run, by the server's id: the process that it had before the last command, or none.
type Running = BTreeMap<String, Option<i32>>;

/// The effect of a command on servers that do nothing else meanwhile.
fn expect(running: &mut Running, asked: &Asked) -> Result<(), String> {
    let error = asked.error();
    let wrong = |what: &str| Err(format!("{:?}: {what}: {:?}", asked.question, asked.response.borrow()));
    match &asked.question {
        Question::Stop(ids) => {
            let is_unknown = ids.iter().any(|id| !running.contains_key(id));
            let says_unknown =
                error.as_ref().is_some_and(|text| text.contains("Cannot find the server to stop."));
            if is_unknown != says_unknown {
                return wrong("which servers run is not known");
            }
            running.retain(|id, _| !ids.contains(id));
        }
        Question::Restart(ids) => {
            for id in ids {
                if let Some(before) = running.get_mut(id) {
                    // Any process but the present one.
                    *before = before.map(|pid| -pid.abs());
                }
            }
        }
        Question::Add(id) => {
            if running.contains_key(id) != error.is_some() {
                return wrong("a server is added that runs, or a stopped server is refused");
            }
            running.entry(id.clone()).or_insert(None);
        }
        _ => {}
    }
    Ok(())
}

/// Whether what is to run does.
fn hold(running: &Running, site: &Site, asked: &Asked) -> Result<Running, String> {
    let living = as_members(&site.facts.living());
    let is_right = living.len() == running.len()
        && living.iter().all(|(id, pid)| match running.get(id) {
            Some(Some(before)) if *before < 0 => *pid != -before,
            Some(Some(before)) => pid == before,
            Some(None) => true,
            None => false,
        });
    if !is_right {
        let response = asked.response.borrow();
        return Err(format!("{:?}: {living:?} live, and not {running:?}: {response:?}", asked.question));
    }
    Ok(living.into_iter().map(|(id, pid)| (id, Some(pid))).collect())
}

/// Users command, two at once and one after the other: in the end the last command has had its effect, once.
pub(crate) fn orders(world: &World) -> Result<(), String> {
    let plan =
        Plan { servers: 1 + world.choose(3), is_kept_up: world.choose(2) == 0, manners: Manners::Various };
    let Some(site) = Site::new(world, plan) else { return Ok(()) };
    if !site.is_up(world)? {
        return site.stop(world);
    }
    disturb(world, &site)?;
    site.settle(world)?;
    let Some(user) = User::new(world, &site, true)? else { return Err("a user is not let in".to_owned()) };
    let living = as_members(&site.facts.living());
    let mut running: Running = living.into_iter().map(|(id, pid)| (id, Some(pid))).collect();
    for _ in 0..world.choose(5) {
        let asked: Rc<Asked> = user.ask(world, &site, question(world, &site));
        let until = world.now() + ANSWER;
        site.run_until(world, || asked.is_answered() || world.now() > until)?;
        user.hold(world)?;
        expect(&mut running, &asked)?;
        site.run_for(world, EFFECT)?;
        running = hold(&running, &site, &asked)?;
    }
    drop(user);
    site.settle(world)?;
    site.stop_calmly(world)
}
