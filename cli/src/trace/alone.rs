//! A trace of one process: server and client in two threads.

use super::client::Client;
use super::collector::Collection;
use super::options::Options;
use super::site::{Site, collect, steps_of};
use super::story::Story;
use crate::args::Result;
use async_wrap::{Environment, RunMode};
use http::{Server, ServerOptions};
use net::ListenOptions;
use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use uv_core::Async;

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
