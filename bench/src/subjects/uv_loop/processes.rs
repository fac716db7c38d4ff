//! Child processes, one after the other.

use crate::Result;
use crate::subjects::solo::{CHILD, SAYING_CHILD, check, measure_with_children};
use std::cell::Cell;
use std::rc::Rc;
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio};
use uv_core::upcall::StreamUpcall;
use uv_core::{Error, Loop, LoopHandle, Pipe, RunMode, Stream};

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

/// libuv's `spawn`: one operation is a child from its start to its report and the end of its output.
pub(crate) fn spawn_and_read(ops: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    measure_with_children(ops, |count| {
        let pipeline =
            Rc::new(Pipeline { to_spawn: Cell::new(count), heard: Cell::new(0), ends: Cell::new(0) });
        pipeline.spawn_one(&event_loop)?;
        event_loop.run(RunMode::Default)?;
        check(pipeline.heard.get(), count * (SAYING_CHILD.1.len() as u64 + 1))
    })
}

/// Children of which one begins when another has ended and was heard out.
struct Pipeline {
    to_spawn: Cell<u64>,
    /// Bytes of output.
    heard: Cell<u64>,
    /// Of the child and of its output.
    ends: Cell<u32>,
}

/// Reads the output of a child.
struct Output(Rc<Pipeline>);

impl Pipeline {
    fn spawn_one(self: &Rc<Self>, event_loop: &LoopHandle) -> uv_core::Result<()> {
        let left = self.to_spawn.get();
        if left == 0 {
            return Ok(());
        }
        self.to_spawn.set(left - 1);
        let (output, pipeline) = (Pipe::new(event_loop), Rc::clone(self));
        let (program, word) = SAYING_CHILD;
        let options = SpawnOptions::new(program).arg(word);
        let options = options.stdio([Stdio::Ignore, Stdio::Pipe(output.clone())]);
        Process::spawn(event_loop, &options, move |process: &Process, _: ExitStatus| {
            process.close();
            pipeline.note_end(process.loop_handle());
        })?;
        output.set_upcall(Output(Rc::clone(self)));
        output.read_start()
    }

    fn note_end(self: &Rc<Self>, event_loop: &LoopHandle) {
        self.ends.set(self.ends.get() + 1);
        // A child that cannot be started is missing in the final count.
        if self.ends.get().is_multiple_of(2) {
            let _ = self.spawn_one(event_loop);
        }
    }
}

impl StreamUpcall for Output {
    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        self.0.heard.set(self.0.heard.get() + data.len() as u64);
    }

    fn on_end(&mut self, output: &Stream) {
        output.close();
        self.0.note_end(output.loop_handle());
    }

    fn on_read_error(&mut self, output: &Stream, _: Error) {
        output.close();
    }
}
