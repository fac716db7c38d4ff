//! A thread that wakes another one as often as it can, by an eventfd.

use super::threads::{Bell, Mailbox};
use crate::Result;
use crate::subjects::solo::{MILLION, Random, check, measure};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// One operation is a wake-up; further ones are none before it is heard.
pub(crate) fn one(ops: u64) -> Result<()> {
    let bell = Arc::new((Bell::new()?, AtomicBool::new(false)));
    let mut heard = bell.0.listen()?;
    let theirs = Arc::clone(&bell);
    pummelled(
        ops,
        move || if theirs.1.swap(true, Ordering::SeqCst) { Ok(()) } else { theirs.0.ring() },
        |count| {
            let mut calls = 0;
            while calls < count {
                heard.wait(None)?;
                calls += u64::from(bell.1.swap(false, Ordering::SeqCst));
            }
            check(calls, count)
        },
    )
}

/// One operation is a wake-up of one of a million, which are woken at random.
pub(crate) fn million(ops: u64) -> Result<()> {
    let (mailbox, mut poller) = Mailbox::new()?;
    let pending: Arc<Vec<AtomicBool>> = Arc::new((0..MILLION).map(|_| AtomicBool::new(false)).collect());
    let (theirs, their_mailbox, mut random) = (Arc::clone(&pending), mailbox.clone(), Random::new());
    let mut numbers = Vec::new();
    pummelled(
        ops,
        move || {
            let index = random.next_below(MILLION);
            let is_pending = theirs[index].swap(true, Ordering::SeqCst);
            if is_pending { Ok(()) } else { their_mailbox.put(index as u64) }
        },
        |count| {
            let mut calls = 0;
            while calls < count {
                mailbox.take(&mut poller, &mut numbers)?;
                for index in numbers.drain(..) {
                    calls += u64::from(pending[index as usize].swap(false, Ordering::SeqCst));
                }
            }
            // What came beyond is not waited for.
            check(calls.min(count), count)
        },
    )
}

/// Measures `answer` while another thread repeats `pummel`.
fn pummelled(
    ops: u64,
    mut pummel: impl FnMut() -> io::Result<()> + Send + 'static,
    answer: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let thread = thread::spawn(move || -> io::Result<()> {
        while !over.load(Ordering::Relaxed) {
            pummel()?;
        }
        Ok(())
    });
    measure(ops, answer)?;
    is_over.store(true, Ordering::Relaxed);
    thread.join().map_err(|_| "the other thread panicked")?.map_err(Into::into)
}
