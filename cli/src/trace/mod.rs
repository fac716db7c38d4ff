//! `cargo xtask trace`: one real request climbing the chain, layer by layer.
//!
//! The layers say what they do in records of the `log` crate (see `async_wrap::layer::trace`). The [`collector`] is a backend that
//! keeps them as `step`s with the moment of each; a `story` puts these into the turns of the loop; `print` and
//! `page` show it.

mod alone;
mod client;
mod clustered;
pub mod collector;
pub mod live;
pub mod options;
mod page;
mod print;
mod step;
mod story;

use crate::args::Result;
use crate::say;
use crate::sources::Index;
use options::Options;
use page::Words;
use std::env;
use std::io::IsTerminal;
use story::Story;

/// What is to be known about every diagram.
const LEAD: &str = "Every call between the layers, from the moment at which the kernel says that a socket is ready. Time \
    runs down, in each turn of the loop from that moment on, and includes what it costs to record a step: a few hundred \
    nanoseconds each. The handler queues a tick and a microtask, to show where those run.";

/// What is to be known about a diagram of several processes.
const CLUSTER_LEAD: &str = "The primary to the left of the kernel, its workers to the right: how they agree to listen, how \
    a connection is accepted, sent as a descriptor and served. Time runs down and counts from the moment at which the \
    connection was ready; it includes what it costs to record a step: a few hundred nanoseconds each. The handler queues \
    a tick and a microtask, to show where those run.";

/// Runs the trace, and prints it or writes its page.
///
/// # Errors
/// What kept server or client from their work, or the page from being written.
pub fn run(options: &Options) -> Result<()> {
    let Some(story) = story_of(options)? else { return Ok(()) };
    if let Some(path) = &options.html {
        let page = page::html(&words(options), &story, &Index::read());
        std::fs::write(path, page).map_err(|error| format!("{}: {error}", path.display()))?;
        say::out(format_args!("wrote {}", path.display()));
        return Ok(());
    }
    let colours =
        std::io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    say::out(print::text(&story, colours).trim_end());
    Ok(())
}

fn words(options: &Options) -> Words<'static> {
    match (options.workers, options.requests()) {
        (0, 1) => Words { title: "One request climbs the chain", lead: LEAD },
        (0, _) => Words { title: "Requests climb the chain", lead: LEAD },
        _ => Words { title: "A connection passes from the primary to a worker", lead: CLUSTER_LEAD },
    }
}

/// What happened, from the client's connect to its end; `None` in a worker, which tells its primary.
///
/// # Errors
/// What kept server or client from their work.
fn story_of(options: &Options) -> Result<Option<Story>> {
    if options.workers > 0 { clustered::run(options) } else { alone::run(options).map(Some) }
}
