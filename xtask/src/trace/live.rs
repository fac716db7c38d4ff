//! `/chain` of `serve`: the page of the very request that fetched it.
//!
//! By the time that a handler hears of a request, it has climbed already. So the first request only has the records of
//! its loop collected, and sends the client here again (303); the next one, on the same connection or a new one, is
//! recorded from its readiness on, and is answered with what was recorded. The head and the first part of that answer
//! are written before the rest is drawn, so that their way down is in the picture too; that of the rest can not be. A
//! client that meets another worker each time is sent back until it meets one that waits for it.
//!
//! Other requests cost nothing but what `log` costs when it is off, except while a page is awaited: then their steps are
//! recorded too, and thrown away. That ends with the page, at the latest after [`PATIENCE`].

use super::collector::Collection;
use super::page::{self, Words};
use super::step::Step;
use super::story::Story;
use crate::sources::Index;
use async_wrap::Timeout;
use http::upcall::ResponseHandler;
use http::{Request, Response, Result};
use std::cell::RefCell;
use std::sync::LazyLock;
use std::time::Duration;

/// How long a client may take to come back: many times what a browser needs.
const PATIENCE: Duration = Duration::from_secs(2);

/// Steps that are kept while a page is awaited, the last ones: a few hundred are the page's own.
const MAX_STEPS: usize = 20_000;

const WORDS: Words<'static> = Words {
    title: "This page's own request climbs the chain",
    lead: "This is the request that fetched the page you read, on the server's loop: from the moment at which the kernel \
           said that its connection is readable, up to the handler, and down again with the first part of this page. The \
           diagram is the second part, so its own way down is not in it. Times include what it costs to record a step: a \
           few hundred nanoseconds each. Reload for another one.",
};

/// Read once: the sources do not change while the server runs, or are not those that it was built from.
static INDEX: LazyLock<Index> = LazyLock::new(Index::read);

thread_local! {
    static AWAITED: RefCell<Option<Awaited>> = const { RefCell::new(None) };
}

/// A request is to come, and is being recorded.
struct Awaited {
    collection: Collection,
    patience: Timeout,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.patience.clear();
    }
}

/// Answers `GET /chain`.
///
/// # Errors
/// The client is gone.
pub(crate) fn answer(request: &Request<'_>, response: Response) -> Result<()> {
    response.set_header("Cache-Control", "no-store")?;
    if let Some(awaited) = AWAITED.take() {
        let (steps, _) = awaited.collection.take();
        if let Some(handle) = own_handle(&steps) {
            return draw(request, response, Recorded { awaited, steps, handle });
        }
    }
    let env = response.socket().environment().clone();
    let Some(collection) = Collection::begin(MAX_STEPS) else {
        return refuse(
            &response,
            "somebody else's page is being drawn, or the log goes elsewhere; try again\n",
        );
    };
    let patience = env.set_timeout(PATIENCE, || drop(AWAITED.take()));
    patience.unref();
    AWAITED.set(Some(Awaited { collection, patience }));
    response.set_status(303)?.set_header("Location", "/chain")?;
    response.set_header("Content-Type", "text/plain")?;
    response.end(b"records are on: the request that follows this redirect is drawn (curl -L)\n")
}

fn refuse(response: &Response, why: &str) -> Result<()> {
    response.set_status(503)?.set_header("Retry-After", "2")?.set_header("Content-Type", "text/plain")?;
    response.end(why.as_bytes())
}

/// The handle whose readiness brought the request that is being handled, if that was recorded from the beginning.
fn own_handle(steps: &[Step]) -> Option<u64> {
    let story = Story::of("", steps);
    let turn = story.turns.last()?;
    let is_open = |name: &str| turn.rows.iter().find(|row| row.step.call == name && row.end.is_none());
    is_open("RequestHandler::on_request")?;
    turn.rows.first().filter(|row| row.is_wait())?;
    is_open("StreamUpcall::on_read")?.facts().handle
}

/// What was recorded of the request that is being answered.
struct Recorded {
    awaited: Awaited,
    steps: Vec<Step>,
    handle: u64,
}

fn draw(request: &Request<'_>, response: Response, recorded: Recorded) -> Result<()> {
    response.set_header("Content-Type", "text/html; charset=utf-8")?;
    if request.is_head() {
        return response.end(b"");
    }
    response.write(page::beginning(&WORDS).as_bytes())?;
    response.set_handler(Rest { response: response.clone(), recorded: Some(recorded) });
    response.yield_now();
    Ok(())
}

/// Draws the rest of the page when its beginning is on its way.
struct Rest {
    response: Response,
    recorded: Option<Recorded>,
}

impl ResponseHandler for Rest {
    fn on_drain(&mut self) {
        let Some(Recorded { awaited, mut steps, handle }) = self.recorded.take() else { return };
        steps.extend(awaited.collection.take().0);
        drop(awaited);
        let story = Story::of("", &steps).about(handle);
        // Fails only if the client is gone.
        let _ = self.response.end(page::ending(&story, &INDEX).as_bytes());
    }
}
