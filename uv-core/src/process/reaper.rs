//! Children without a handle, because it was closed or its loop was dropped. A thread of this process collects each
//! when it ends, so that no child stays a zombie. In libuv a child does once `uv_close` has removed its handle from the
//! loop's list (`uv__process_close`, `src/unix/process.c`).

use super::collect;
use crate::Errno;
use crate::failure::Call;
use crate::sys::fork::PerProcess;
use crate::sys::spawn::Spawned;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Events per wait. The kernel keeps more for the next wait.
const EVENTS_PER_WAIT: usize = 64;

/// Stack size of the thread in bytes. It runs no user code.
const STACK_SIZE: usize = 128 << 10;

static REAPER: PerProcess<Reaper> = PerProcess::new();

#[derive(Default)]
struct Reaper(Mutex<Orphans>);

#[derive(Default)]
struct Orphans {
    children: Slab<Spawned>,
    /// The registry of the thread's poller, once the thread exists.
    registry: Option<Registry>,
}

/// Collects the child when it ends.
pub(super) fn adopt(child: Spawned) {
    if collect(&child).is_some() {
        return;
    }
    #[cfg(upcall_faults)]
    if crate::faults::adopt(child.pid) {
        return;
    }
    let reaper = REAPER.get(Reaper::default);
    let mut orphans = reaper.orphans();
    let key = orphans.children.insert(child);
    let watched = match &orphans.registry {
        Some(registry) => watch(registry, key, &orphans.children[key]),
        None => reaper.start(&mut orphans),
    };
    if let Err(errno) = watched {
        #[cfg(upcall_faults)]
        crate::faults::reached(crate::faults::Branch::OrphanUnwatched);
        // Without a thread the child becomes a zombie. The next orphan tries to start a thread, which then collects all
        // of them.
        log::warn!(target: "uv_core", "{}: {errno}: a child without a handle will not be collected", Call::Spawn);
    }
}

fn watch(registry: &Registry, key: usize, child: &Spawned) -> Result<(), Errno> {
    Ok(registry.register(&mut SourceFd(&child.pidfd.as_raw_fd()), Token(key), Interest::READABLE)?)
}

impl Reaper {
    fn orphans(&self) -> MutexGuard<'_, Orphans> {
        // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread, which runs until the process ends.
    fn start(&'static self, orphans: &mut Orphans) -> Result<(), Errno> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        for (key, child) in &orphans.children {
            watch(&registry, key, child)?;
        }
        let thread = thread::Builder::new().name("uv-reaper".to_owned()).stack_size(STACK_SIZE);
        thread.spawn(move || self.serve(poll))?;
        orphans.registry = Some(registry);
        Ok(())
    }

    fn serve(&self, mut poll: Poll) {
        let mut events = Events::with_capacity(EVENTS_PER_WAIT);
        loop {
            // Fails only when a signal interrupts it, without events.
            let _ = poll.poll(&mut events, None);
            for event in &events {
                let mut orphans = self.orphans();
                let key = event.token().0;
                if orphans.children.get(key).is_some_and(|child| collect(child).is_some()) {
                    orphans.children.remove(key);
                }
            }
        }
    }
}
