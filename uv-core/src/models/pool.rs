//! The model of the thread pool: every job gets a thread, and an idle thread is not forgotten.

use super::{Job, Lane, Pool};
use crate::Errno;
use crate::models::{check, check_within};
use crate::sync::{Condvar, Mutex, thread};
use std::sync::Arc;

/// A place where jobs and the model meet: each arrives, and waits until as many have as it needs.
#[derive(Default)]
struct Meeting {
    arrived: Mutex<usize>,
    changed: Condvar,
}

impl Meeting {
    fn arrive_and_wait(&self, needed: usize) {
        let mut arrived = self.arrived.lock().expect("a lock");
        *arrived += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(arrived, |arrived| *arrived < needed));
    }

    fn wait(&self, needed: usize) {
        let arrived = self.arrived.lock().expect("a lock");
        drop(self.changed.wait_while(arrived, |arrived| *arrived < needed));
    }

    fn arrived(&self) -> usize {
        *self.arrived.lock().expect("a lock")
    }
}

/// A job that arrives at a meeting, and there waits for this number of jobs.
struct Arrival(Arc<Meeting>, usize);

impl Job for Arrival {
    fn run(&self) {
        self.0.arrive_and_wait(self.1);
    }

    fn fail(&self, _: Errno) -> bool {
        false
    }

    fn abandon(&self, _: Errno) -> bool {
        false
    }
}

/// A job that ends its thread, as the threads of a model have to.
struct Leave;

impl Job for Leave {
    fn run(&self) {}

    fn fail(&self, _: Errno) -> bool {
        true
    }

    fn abandon(&self, _: Errno) -> bool {
        true
    }
}

fn submit(pool: &Pool, job: impl Job + 'static) {
    pool.queue(pool.lock(), Arc::new(job), Lane::Every);
}

fn submit_slow(pool: &Pool, job: impl Job + 'static) {
    pool.queue(pool.lock(), Arc::new(job), Lane::Slow);
}

/// A pool whose threads, `Pool::serve` but for its end, leave at the first `Leave`.
fn start(threads: usize) -> (&'static Pool, Vec<thread::JoinHandle<()>>) {
    let pool: &'static Pool = Box::leak(Box::new(Pool::new(threads)));
    pool.lock().threads = threads;
    let serve = move || {
        let mut last = Lane::Every;
        loop {
            let (job, lane) = pool.next(last);
            last = lane;
            // Only `Leave` fails.
            if job.fail(Errno::ECANCELED) {
                break;
            }
            job.run();
        }
    };
    (pool, (0..threads).map(|_| thread::spawn(serve)).collect())
}

fn end(pool: &Pool, threads: Vec<thread::JoinHandle<()>>) {
    threads.iter().for_each(|_| submit(pool, Leave));
    for thread in threads {
        thread.join().expect("a thread of the pool");
    }
}

#[test]
fn jobs_that_wait_for_each_other_get_a_thread_each() {
    check(|| {
        let (pool, threads) = start(2);
        let meeting = Arc::new(Meeting::default());
        submit(pool, Arrival(Arc::clone(&meeting), 2));
        submit(pool, Arrival(Arc::clone(&meeting), 2));
        // If a job found no thread, all would wait, which loom reports.
        meeting.wait(2);
        end(pool, threads);
        assert_eq!(meeting.arrived(), 2);
    });
}

#[test]
fn every_job_of_two_submitters_runs_once() {
    check_within(2, || {
        let (pool, threads) = start(2);
        let meeting = Arc::new(Meeting::default());
        let theirs = Arc::clone(&meeting);
        let other = thread::spawn(move || submit(pool, Arrival(theirs, 0)));
        submit(pool, Arrival(Arc::clone(&meeting), 0));
        meeting.wait(2);
        other.join().expect("the other submitter");
        end(pool, threads);
        assert_eq!(meeting.arrived(), 2);
    });
}

#[test]
fn a_thread_that_wakes_without_a_reason_keeps_no_job_waiting() {
    check_within(2, || {
        let (pool, threads) = start(2);
        let meeting = Arc::new(Meeting::default());
        let spurious = thread::spawn(move || pool.submitted.notify_one());
        submit(pool, Arrival(Arc::clone(&meeting), 2));
        submit(pool, Arrival(Arc::clone(&meeting), 2));
        meeting.wait(2);
        spurious.join().expect("the notifier");
        end(pool, threads);
        assert_eq!(meeting.arrived(), 2);
    });
}

#[test]
fn slow_jobs_leave_a_thread_to_others_and_all_of_them_run() {
    check_within(2, || {
        let (pool, threads) = start(2);
        let meetings = [(); 2].map(|()| Arc::new(Meeting::default()));
        // Each waits for a job that is queued behind both: if they had both threads, all would wait, which loom reports.
        meetings.iter().for_each(|meeting| submit_slow(pool, Arrival(Arc::clone(meeting), 2)));
        meetings.iter().for_each(|meeting| submit(pool, Arrival(Arc::clone(meeting), 2)));
        meetings.iter().for_each(|meeting| meeting.wait(2));
        end(pool, threads);
        assert_eq!(meetings.map(|meeting| meeting.arrived()), [2, 2]);
    });
}
