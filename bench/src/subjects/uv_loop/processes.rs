//! Child processes, one after the other.

use crate::Result;
use crate::subjects::solo::{CHILD, check, measure_with_children};
use std::cell::Cell;
use std::rc::Rc;
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio};
use uv_core::{Loop, LoopHandle, RunMode};

/// One operation is a child from its start to its report.
pub(crate) fn spawn(ops: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    measure_with_children(ops, |count| {
        let family = Rc::new(Family {
            options: SpawnOptions::new(CHILD).stdio([0, 1, 2].map(Stdio::InheritFd)),
            to_spawn: Cell::new(count),
            succeeded: Cell::new(0),
        });
        family.spawn_one(&event_loop)?;
        event_loop.run(RunMode::Default)?;
        check(family.succeeded.get(), count)
    })
}

struct Family {
    options: SpawnOptions,
    to_spawn: Cell<u64>,
    succeeded: Cell<u64>,
}

impl Family {
    fn spawn_one(self: &Rc<Self>, event_loop: &LoopHandle) -> uv_core::Result<()> {
        let left = self.to_spawn.get();
        if left == 0 {
            return Ok(());
        }
        self.to_spawn.set(left - 1);
        let family = Rc::clone(self);
        Process::spawn(event_loop, &self.options, move |process: &Process, status: ExitStatus| {
            process.close();
            // A child that cannot be started is missing in the final count.
            if status.success() && family.spawn_one(process.loop_handle()).is_ok() {
                family.succeeded.set(family.succeeded.get() + 1);
            }
        })?;
        Ok(())
    }
}
