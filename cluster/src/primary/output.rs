//! What silent workers write, read by their primary. Mirrors `worker.process.stdout` and `worker.process.stderr`.

use crate::WorkerHandle;
use crate::primary::PrimaryState;
use crate::primary::worker::WorkerState;
use async_wrap::{AsyncContext, Provider, StreamWrap};
use std::rc::Rc;
use tcp_wrap::PipeWrap;
use tcp_wrap::upcall::OnStream;
use uv_core::LoopHandle;
use uv_core::process::Stdio;

/// Where a worker wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// To standard output.
    Stdout,
    /// To standard error.
    Stderr,
}

/// The pipes of one worker, which is about to start.
pub(crate) struct Pipes([(Output, PipeWrap); 2]);

impl Pipes {
    pub(crate) fn new(lp: &LoopHandle) -> Self {
        Self([Output::Stdout, Output::Stderr].map(|output| (output, PipeWrap::new(lp))))
    }

    pub(crate) fn stdio(&self) -> [Stdio; 2] {
        self.0.each_ref().map(|(_, pipe)| Stdio::Pipe(pipe.handle().clone()))
    }

    /// There will be no worker.
    pub(crate) fn close(&self) {
        self.0.iter().for_each(|(_, pipe)| pipe.close());
    }

    /// Reads until whoever has the other ends, the worker and its children, is gone.
    pub(crate) fn read(self, primary: &Rc<PrimaryState>, worker: &Rc<WorkerState>) {
        for (output, pipe) in self.0 {
            let context = primary.env.new_context(Provider::PipeWrap);
            let (primary, worker) = (Rc::clone(primary), Rc::clone(worker));
            pipe.set_handler(Reading { primary, worker, output, context });
            if let Err(error) = pipe.read_start() {
                log::warn!(target: "cluster", "{output:?} of a worker: {error}");
                pipe.close();
            }
        }
    }
}

/// Stands on one pipe.
struct Reading {
    primary: Rc<PrimaryState>,
    worker: Rc<WorkerState>,
    output: Output,
    context: AsyncContext,
}

impl OnStream for Reading {
    fn on_read(&mut self, _: &StreamWrap, data: &[u8]) {
        let worker = WorkerHandle(Rc::clone(&self.worker));
        self.primary.emit("PrimaryHandler::on_output", self.context, |handler| {
            handler.on_output(&worker, self.output, data)
        });
    }

    fn on_end(&mut self, stream: &StreamWrap) {
        stream.close();
    }

    fn on_error(&mut self, stream: &StreamWrap, error: uv_core::Error) {
        log::debug!(target: "cluster", "worker {}: {error}", self.worker.id);
        stream.close();
    }

    fn on_close(&mut self, _: &StreamWrap) {
        self.primary.env.emit_destroy(self.context.async_id());
    }
}
