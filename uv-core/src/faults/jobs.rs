//! Jobs of the thread pool, which run on this thread, each after a time of its own.

use super::plan::{Kind, moment};
use super::{clock, with};
use crate::Errno;
use crate::pool::{Job, Lane};
use std::sync::Arc;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Jobs(Vec<(Duration, Arc<dyn Job>)>);

/// Takes a job over from the pool. `None` without a world.
pub(crate) fn take_job(job: &Arc<dyn Job>, lane: Lane) -> Option<Result<(), Errno>> {
    with(|state| {
        if let Some((Kind::Refused(errno), _)) =
            state.decisions.meet("pthread_create(3)", &[Kind::Refused(Errno::EAGAIN)])
        {
            return Err(errno);
        }
        let late = match (state.decisions.meet("job", &[Kind::Late]), lane) {
            (None, _) => Duration::ZERO,
            (Some((_, number)), Lane::Every) => Duration::from_micros(number % 5_000),
            // A name server may be long in answering.
            (Some((_, number)), Lane::Slow) => moment(number),
        };
        state.jobs.0.push((clock::time() + late, Arc::clone(job)));
        Ok(())
    })
}

/// When the next job is done; `None` without jobs.
#[must_use]
pub fn next_job() -> Option<Duration> {
    with(|state| state.jobs.0.iter().map(|(due, _)| *due).min()).flatten()
}

/// Runs the jobs that are due. They post to their loops, as a thread of the pool would.
pub fn run_due() {
    while let Some(job) = with(|state| {
        let jobs = &mut state.jobs.0;
        let (first, (due, _)) = jobs.iter().enumerate().min_by_key(|(_, (due, _))| *due)?;
        (*due <= clock::time()).then(|| jobs.remove(first).1)
    })
    .flatten()
    {
        job.run();
    }
}
