//! HTTP served by the workers of a cluster.

use super::options::Options;
use super::serving::{ANYWHERE, announce, end_on_sigterm};
use crate::Result;
use async_wrap::Environment;
use cluster::upcall::PrimaryHandler;
use cluster::{Policy, Primary, Settings, Worker, WorkerHandle};
use http::upcall::RequestHandler;
use http::{Request, Response, Server, ServerOptions};
use net::{Address, ListenOptions};
use std::cell::RefCell;
use std::rc::Rc;
use upcall::app::App;
use upcall::args;
use uv_core::process::ExitStatus;
use uv_core::{LoopHandle, RunMode};

/// Serves until SIGTERM. In a worker: until the primary ends.
pub(crate) fn run(options: &Options) -> Result<()> {
    // Who answers is told where it is asked for; elsewhere it would only cost.
    let is_named = match options.own_name() {
        "connect" => false,
        "evenness" => true,
        bench => return Err(format!("subject: no benchmark {bench:?} of clusters").into()),
    };
    let env = Environment::with_new_loop()?;
    match Worker::from_env(&env)? {
        Some(worker) => run_worker(&env, &worker, is_named),
        None => run_primary(&env, options),
    }
}

fn run_primary(env: &Environment, options: &Options) -> Result<()> {
    let policy = match options.policy {
        args::Policy::RoundRobin => Policy::round_robin(),
        args::Policy::Shared => Policy::shared(),
    };
    end_on_sigterm(env.loop_handle())?;
    let failure = Rc::new(RefCell::new(None));
    let watch = Watch {
        event_loop: env.loop_handle().clone(),
        awaited: options.workers,
        failure: Rc::clone(&failure),
    };
    let primary = Primary::new(env, Settings::default().policy(policy), watch);
    for _ in 0..options.workers {
        primary.fork()?;
    }
    env.run(RunMode::Default)?;
    failure.take().map_or(Ok(()), Err)
}

/// Waits for all workers, so that each takes part from the beginning, and ends when one is lost.
struct Watch {
    event_loop: LoopHandle,
    awaited: usize,
    failure: Rc<RefCell<Option<Box<dyn std::error::Error>>>>,
}

impl Watch {
    fn fail(&self, failure: impl Into<Box<dyn std::error::Error>>) {
        *self.failure.borrow_mut() = Some(failure.into());
        self.event_loop.stop();
    }
}

impl PrimaryHandler for Watch {
    fn on_listening(&mut self, _: &WorkerHandle, address: &Address) {
        self.awaited = self.awaited.saturating_sub(1);
        if let (0, Some(addr)) = (self.awaited, address.as_tcp()) {
            announce(addr);
        }
    }

    fn on_exit(&mut self, worker: &WorkerHandle, status: ExitStatus) {
        self.fail(format!("worker {} ended: {status}", worker.id()));
    }

    fn on_error(&mut self, _: Option<&WorkerHandle>, error: cluster::Error) {
        self.fail(error);
    }
}

fn run_worker(env: &Environment, worker: &Worker, is_named: bool) -> Result<()> {
    let server = Server::with_source(env, ServerOptions::default(), worker.source())?;
    let listen = ListenOptions::addr(ANYWHERE);
    if is_named {
        server.listen(listen, Named { app: App::default(), worker: worker.id().to_string() })?;
    } else {
        server.listen(listen, App::default())?;
    }
    env.run(RunMode::Default)?;
    Ok(())
}

/// Says in each answer who gives it: `Worker: N`.
struct Named {
    app: App,
    worker: String,
}

impl RequestHandler for Named {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        // Fails only if the connection is closed.
        let _ = response.set_header("Worker", &self.worker);
        self.app.on_request(request, response);
    }
}
