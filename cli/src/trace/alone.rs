//! A trace of one process, server and client in two threads; and what is served while it is traced: `serve`'s application,
//! and beside it a tick and a microtask for each request, to show where those run.

use super::client::Client;
use super::collector::Collection;
use super::options::Options;
use super::step::Step;
use super::story::Story;
use crate::args::Result;
use app::App;
use async_wrap::Environment;
use http::upcall::RequestHandler;
use http::{Request, Response, Server, ServerOptions};
use net::ListenOptions;
use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use uv_core::{Async, RunMode};

/// Steps of one trace that are kept: a thousand requests.
const MAX_STEPS: usize = 400_000;

/// Serves the client's requests and returns what happened from its connect to its end.
pub(super) fn run(options: &Options) -> Result<Story> {
    let env = Environment::with_new_loop()?;
    let server = Server::new(&env, ServerOptions::default())?;
    server
        .listen(ListenOptions::addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))), Site { env: env.clone() })?;
    let address = server.address().and_then(|address| address.as_tcp()).ok_or("the server has no address")?;
    // What was queued by the start is no part of the trace.
    env.run(RunMode::NoWait)?;
    let collection: Cell<Option<Collection>> = Cell::new(Some(collect()?));
    let steps = Rc::new(RefCell::new(Vec::new()));
    let collected = Rc::clone(&steps);
    let end = Async::new(env.loop_handle(), move |end: &Async| {
        if let Some(collection) = collection.take() {
            *collected.borrow_mut() = steps_of(collection);
        }
        // Fails only for a server that does not listen.
        let _ = server.close();
        end.close();
    });
    let client = Client::start(address, options.requests(), options.pipeline, end.sender());
    env.run_to_end()?;
    let conversation = client.conversation().map_err(|error| format!("the client: {error}"))?;
    Ok(conversation.told_with(Story::of("", &steps.take())))
}

pub(super) struct Site {
    pub(super) env: Environment,
}

impl RequestHandler for Site {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        self.env.next_tick(|| {});
        self.env.queue_microtask(|| {});
        App::default().on_request(request, response);
    }
}

/// Begins to collect what this thread does.
pub(super) fn collect() -> Result<Collection> {
    Collection::begin(MAX_STEPS).ok_or_else(|| "another logger is in the way of the trace".into())
}

/// Ends the collection; the turn in which that happens is no part of it.
pub(super) fn steps_of(collection: Collection) -> Vec<Step> {
    let mut steps = collection.take();
    if let Some(last) = steps.iter().rposition(|step| step.call == "epoll_wait(2)") {
        steps.truncate(last);
    }
    steps
}
