//! Children that no handle waits for any more, because it was closed or its loop dropped. A thread of the process collects
//! each when it ends, so that none stays a zombie. In libuv one does, once `uv_close` took its handle from the loop's list
//! (`uv__process_close`, `src/unix/process.c`).

use super::collect;
use crate::Errno;
use crate::failure::Call;
use crate::sys::fork::PerProcess;
use crate::sys::spawn::Child;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Ends fetched by one wait; more wait in the kernel.
const EVENTS_PER_WAIT: usize = 64;

/// Bytes of the thread's stack: it calls nobody.
const STACK_SIZE: usize = 128 << 10;

static REAPER: PerProcess<Reaper> = PerProcess::new();

#[derive(Default)]
struct Reaper(Mutex<Orphans>);

#[derive(Default)]
struct Orphans {
    children: Slab<Child>,
    /// Where their ends are watched; once there is a thread.
    registry: Option<Registry>,
}

/// Has a child collected when it ends.
pub(super) fn adopt(child: Child) {
    if collect(&child).is_some() {
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
        // Its end leaves a zombie. Without a thread the next orphan tries again to start one, for all of them.
        log::warn!(target: "uv_core", "{}: {errno}: a child that no handle waits for is not collected", Call::Spawn);
    }
}

fn watch(registry: &Registry, key: usize, child: &Child) -> Result<(), Errno> {
    Ok(registry.register(&mut SourceFd(&child.pidfd.as_raw_fd()), Token(key), Interest::READABLE)?)
}

impl Reaper {
    fn orphans(&self) -> MutexGuard<'_, Orphans> {
        // Nothing that runs under this lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread, which stays for as long as the process.
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
            // Fails only when a signal comes, with no events.
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
