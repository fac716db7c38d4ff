//! Servers that are kept up and crash: they are started again with the pauses that are promised.

use super::facts::{Facts, Process};
use super::is_fatal;
use super::server::{Manners, crash_after, play};
use super::site::{Plan, Site};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use testing::{Child, World};
use uv_core::faults;

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(60);

/// The time after which a start counts as successful.
const STABLE: u64 = 60_000;

/// How near to that no process ends: it runs for a moment before its master knows, and after its end.
const NEAR: u64 = 10_000;

/// How much later than it happens the scenario sees the end of a process.
const SEEN: Duration = Duration::from_millis(10);

/// What events may be late.
const LATE: Duration = Duration::from_secs(5);

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Before it has registered.
    None,
    Short,
    /// After it was up for long enough to count as started.
    Long,
    Endless,
}

type Lives = Rc<RefCell<BTreeMap<i32, Life>>>;

/// A process of a server that crashes a number of times.
fn crash(child: &Child<'_>, base: &Path, facts: &Facts, lives: &Lives) {
    let choose = |bound| faults::choose("life of a server", bound);
    let before = facts.processes().len() as u64;
    let (life, time) = match choose(4) {
        _ if before > 12 => (Life::Endless, 0),
        0 => (Life::None, 0),
        3 => (Life::Long, STABLE + NEAR + choose(60_000)),
        _ => (Life::Short, choose(STABLE - NEAR)),
    };
    lives.borrow_mut().insert(child.pid(), life);
    if life == Life::None {
        let id = child.args().iter().find_map(|arg| arg.strip_prefix("id=")).unwrap_or_default();
        facts.begin(id, child.pid());
        return child.exit()(7);
    }
    let app = play(child, base, facts, Manners::Plain);
    if let Some(app) = app.filter(|_| life != Life::Endless) {
        crash_after(&app, Duration::from_millis(time), child.exit());
    }
}

/// Whether each process of a server began as long after its predecessor's end as is promised.
fn hold(processes: &[Rc<Process>], lives: &Lives, was_fatal: bool) -> Result<(), String> {
    let mut failures = 0u32;
    for pair in processes.windows(2) {
        let [before, next] = pair else { continue };
        let life = lives.borrow()[&before.pid];
        let wrong = |failures: u32, what| {
            let (born, ended, again) = (before.born, before.ended.get(), next.born);
            Err(format!(
                "{}, {failures} failures, {life:?}: {born:?} to {ended:?}, {again:?}: {what}",
                next.id
            ))
        };
        // A lost connection begins the pause earlier.
        if next.born < before.born + FIRST {
            return wrong(failures, "no pause");
        }
        if was_fatal {
            continue;
        }
        let Some(ended) = before.ended.get() else { return wrong(failures, "it has not ended") };
        failures = if life == Life::Long { 0 } else { failures };
        let pause = FIRST.saturating_mul(1 << failures).min(LONGEST);
        failures = (failures + 1).min(10);
        if next.born + SEEN < ended + pause {
            return wrong(failures, "too early");
        }
        if next.born > ended + pause + LATE {
            return wrong(failures, "too late");
        }
    }
    Ok(())
}

/// Servers crash, before and after they have registered: each start comes after the pause that is promised, twice as long
/// after each failure, and in the end all run.
pub(crate) fn crashes(world: &World) -> Result<(), String> {
    let plan = Plan { servers: 1 + world.choose(2), is_kept_up: true, manners: Manners::Plain };
    let (facts, lives) = (Rc::<Facts>::default(), Lives::default());
    let base = Rc::new(RefCell::new(PathBuf::new()));
    let (theirs, own, folder) = (Rc::clone(&facts), Rc::clone(&lives), Rc::clone(&base));
    let program = move |child: &Child<'_>| crash(child, &folder.borrow(), &theirs, &own);
    let Some(site) = Site::with_program(world, plan, facts, program) else { return Ok(()) };
    base.replace(site.base());
    if !site.is_up(world)? {
        return site.stop(world);
    }
    site.run_for(world, Duration::from_secs(world.choose(3600)))?;
    world.calm();
    let is_done =
        || site.facts.living().iter().filter(|one| lives.borrow()[&one.pid] == Life::Endless).count();
    let until = world.now() + Duration::from_secs(4 * 3600);
    // A timer, so that there is always something that happens.
    let timer = site.env.set_timeout(Duration::from_secs(4 * 3600), || {});
    site.run_until(world, || is_done() as u64 == plan.servers || world.now() > until)?;
    timer.clear();
    let living = site.settle(world)? as u64;
    if living < plan.servers {
        return Err(format!("{living} of {} servers that are kept up run", plan.servers));
    }
    let was_fatal = world.has_met(is_fatal);
    site.ids().iter().try_for_each(|id| hold(&site.facts.of(id), &lives, was_fatal))?;
    site.stop_calmly(world)
}
