//! A trace of a primary and its workers: each process collects its own steps, and the workers send theirs to the primary
//! as messages of the program when they are told to leave.

use super::alone::{Site, collect, steps_of};
use super::client::Client;
use super::collector::Collection;
use super::options::Options;
use super::step::{Step, Wire};
use super::story::Story;
use crate::args::Result;
use async_wrap::Environment;
use cluster::upcall::{PrimaryHandler, WorkerHandler};
use cluster::{Primary, Settings, Worker, WorkerHandle};
use http::{Server, ServerOptions};
use net::{Address, ListenOptions};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use uv_core::threads::AsyncSender;
use uv_core::{Async, RunMode};

/// Steps in one message to the primary, which may have a mebibyte: a few hundred bytes each.
const STEPS_PER_MESSAGE: usize = 1000;

/// How long a worker's connections may last after it was told to leave: they are over already.
const GRACE: Duration = Duration::from_secs(1);

/// The address of all workers; the kernel chooses the port for the first of them.
fn anywhere() -> ListenOptions {
    ListenOptions::addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// Serves the client's requests from workers and returns what happened; in a worker `None`, when that has ended.
pub(super) fn run(options: &Options) -> Result<Option<Story>> {
    let collection = collect()?;
    let env = Environment::with_new_loop()?;
    if let Some(worker) = Worker::from_env(&env)? {
        run_worker(&env, &worker, collection)?;
        return Ok(None);
    }
    run_primary(&env, options, collection).map(Some)
}

/// What the primary learns.
#[derive(Default)]
struct Told {
    listening: usize,
    /// Of the primary, and by the ids of the workers.
    own: Vec<Step>,
    steps: BTreeMap<u32, Vec<Step>>,
    client: Option<Client>,
    failure: Option<String>,
}

struct Watch {
    told: Rc<RefCell<Told>>,
    options: Options,
    done: AsyncSender,
}

fn run_primary(env: &Environment, options: &Options, collection: Collection) -> Result<Story> {
    let told = Rc::new(RefCell::new(Told::default()));
    let collection = Cell::new(Some(collection));
    let (collected, leaving) = (Rc::clone(&told), Rc::new(RefCell::new(None::<Primary>)));
    let primary = Rc::clone(&leaving);
    let end = Async::new(env.loop_handle(), move |end: &Async| {
        if let Some(collection) = collection.take() {
            collected.borrow_mut().own = steps_of(collection);
        }
        if let Some(primary) = primary.take() {
            primary.disconnect();
        }
        end.close();
    });
    let watch = Watch { told: Rc::clone(&told), options: options.clone(), done: end.sender() };
    let primary = Primary::new(env, Settings::default(), watch);
    for _ in 0..options.workers {
        primary.fork()?;
    }
    *leaving.borrow_mut() = Some(primary);
    env.run(RunMode::Default)?;
    let Told { own, steps, client, failure, .. } = told.take();
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    let conversation = client.ok_or("the workers did not listen")?.conversation();
    let conversation = conversation.map_err(|error| format!("the client: {error}"))?;
    let workers = steps.iter().map(|(id, steps)| Story::of(&format!("worker {id}"), steps));
    let story = Story::together(std::iter::once(Story::of("primary", &own)).chain(workers));
    Ok(conversation.told_with(story))
}

impl PrimaryHandler for Watch {
    fn on_listening(&mut self, _: &WorkerHandle, address: &Address) {
        let mut told = self.told.borrow_mut();
        told.listening += 1;
        if told.listening == self.options.workers
            && let Some(address) = address.as_tcp()
        {
            let (requests, pipeline) = (self.options.requests(), self.options.pipeline);
            told.client = Some(Client::start(address, requests, pipeline, self.done.clone()));
        }
    }

    fn on_message(&mut self, worker: &WorkerHandle, data: &[u8], _: Vec<OwnedFd>) {
        let mut told = self.told.borrow_mut();
        match serde_json::from_slice::<Vec<Wire>>(data) {
            Ok(steps) => told.steps.entry(worker.id()).or_default().extend(steps.into_iter().map(Step::from)),
            Err(error) => told.failure = Some(format!("worker {}: {error}", worker.id())),
        }
    }

    fn on_exit(&mut self, worker: &WorkerHandle, status: uv_core::process::ExitStatus) {
        let mut told = self.told.borrow_mut();
        if worker.exited_after_disconnect() != Some(true) && told.failure.is_none() {
            told.failure = Some(format!("worker {} ended: {status}", worker.id()));
            self.done.send();
        }
    }
}

fn run_worker(env: &Environment, worker: &Worker, collection: Collection) -> Result<()> {
    let server = Server::with_source(env, ServerOptions::default(), worker.source())?;
    worker.set_handler(Report { server: server.clone(), collection: Some(collection) });
    server.listen(anywhere(), Site { env: env.clone() })?;
    env.run(RunMode::Default)?;
    Ok(())
}

/// Sends the collected steps when the worker has to leave.
struct Report {
    server: Server,
    collection: Option<Collection>,
}

impl WorkerHandler for Report {
    fn on_leave(&mut self, worker: &Worker) {
        let steps = self.collection.take().map(steps_of).unwrap_or_default();
        let steps: Vec<Wire> = steps.into_iter().map(Wire::from).collect();
        for part in steps.chunks(STEPS_PER_MESSAGE) {
            // Fails only if the primary has ended.
            let _ = serde_json::to_vec(part).map(|part| worker.send(&part));
        }
        // Fails only if the server never listened.
        let _ = self.server.shutdown(GRACE);
    }
}
