//! The output of silent workers, read by their primary. Mirrors `worker.process.stdout` and `worker.process.stderr`.

use super::worker::WorkerHandleInner;
use super::{PrimaryInner, WorkerHandle};
use async_wrap::{AsyncContext, Provider};
use std::rc::Rc;
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{PipeWrap, StreamWrap};
use uv_core::LoopHandle;
use uv_core::process::Stdio;

/// The stream that a worker wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The pipes of one worker.
pub(super) struct Pipes([(Output, PipeWrap); 2]);

impl Pipes {
    pub(super) fn new(event_loop: &LoopHandle) -> Self {
        Self([Output::Stdout, Output::Stderr].map(|output| (output, PipeWrap::new(event_loop))))
    }

    pub(super) fn stdio(&self) -> [Stdio; 2] {
        self.0.each_ref().map(|(_, pipe)| Stdio::Pipe(pipe.handle().clone()))
    }

    /// The worker could not be started.
    pub(super) fn close(&self) {
        self.0.iter().for_each(|(_, pipe)| pipe.close());
    }

    /// Reads until the worker and all of its children that have the other ends have closed them.
    pub(super) fn read(self, primary: &Rc<PrimaryInner>, worker: &Rc<WorkerHandleInner>) {
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

/// The handler of one pipe.
struct Reading {
    primary: Rc<PrimaryInner>,
    worker: Rc<WorkerHandleInner>,
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
        log::debug!(target: "cluster", "worker {}: {error}", self.worker.id.0);
        stream.close();
    }

    fn on_close(&mut self, _: &StreamWrap) {
        self.primary.env.emit_destroy(self.context.async_id());
    }
}
