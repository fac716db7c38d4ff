//! What each process was told of the others: in the master's order, so that nothing is known that is over, and nothing is
//! missing.

use super::facts::{Facts, Member, News, Process, sorted};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The members that a process knows are exactly these, and it was told of each change once, since it last came back.
pub(super) fn hold(process: &Process, members: &[Member]) -> Result<(), String> {
    let who = (&process.id, process.pid);
    let view = process.view.borrow();
    if *view != members {
        return Err(format!("{who:?} knows {view:?}, and {members:?} live"));
    }
    let news = process.news.borrow();
    let last = news.iter().rposition(|(_, news)| matches!(news, News::Replaced(_))).unwrap_or_default();
    let mut known = BTreeMap::new();
    // What a server has not answered is repeated when it comes back, ahead of all that it then has to know.
    for (at, news) in &news[last..] {
        match news {
            News::Replaced(all) => known = all.iter().cloned().collect(),
            News::Added(some) => {
                let again = some.iter().find(|(id, pid)| known.insert(id.clone(), *pid).is_some());
                if let Some(member) = again {
                    return Err(format!("{who:?} was told at {at:?} of {member:?}, which it knew"));
                }
            }
            News::Removed(ids) => known.retain(|id, _| !ids.contains(id)),
            News::Started | News::AllStarted => {}
        }
    }
    if sorted(known.into_iter().collect()) != *members {
        return Err(format!("{who:?} was told otherwise than it knows: {news:?}"));
    }
    Ok(())
}

/// All have started once every server of the configuration has, and each process is told of that once.
pub(super) fn hold_starts(master: &Process, facts: &Facts, servers: u64) -> Result<(), String> {
    let started = |process: &Rc<Process>| process.time_of(&News::Started);
    let first = |number| facts.of(&format!("chat-{number}")).iter().filter_map(started).min();
    // When the last of them had first started.
    let due = (1..=servers).map(first).collect::<Option<Vec<_>>>().map(|all| all.into_iter().max());
    let told = master.time_of(&News::AllStarted);
    match (due.flatten(), told) {
        (None, Some(_)) if servers > 0 => return Err("all have started, and one has not".to_owned()),
        (Some(due), Some(told)) if told < due => return Err("all have started too early".to_owned()),
        _ => {}
    }
    let living = facts.living();
    let is_there =
        |number| living.iter().any(|one| one.id == format!("chat-{number}") && started(one).is_some());
    if told.is_none() && (1..=servers).all(is_there) {
        return Err("the master was not told that all have started".to_owned());
    }
    let processes = facts.processes();
    let mut all = processes.iter().map(Rc::as_ref).chain([master]);
    match all.find(|process| process.count_of(&News::AllStarted) > 1) {
        Some(process) => Err(format!("{} was told twice that all have started", process.id)),
        None => Ok(()),
    }
}
