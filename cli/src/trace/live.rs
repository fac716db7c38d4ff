//! `/chain` of `serve`: the page of the very request that fetched it.
//!
//! By the time that a handler is called with a request, it has climbed already. So the first request only asks that the next
//! event of its connection be recorded, and sends the client here again (303); the next one, on the same connection, is
//! recorded from its readiness on, and is answered with what was recorded. The head and the first part of that answer are
//! written before the rest is drawn, so that their way down is in the picture too; that of the rest is not. A client
//! that comes back on another connection, or whose request comes in pieces, is sent back again.
//!
//! Other connections are neither recorded nor delayed: the level of the log is raised for the one turn of the loop that the
//! event causes, and in that turn for `MAX_STEPS` at most, however much the client has sent.

use super::collector::{Collection, Steps};
use super::page::{self, Words};
use super::step::Step;
use super::story::Story;
use crate::sources::Index;
use http::upcall::ResponseHandler;
use http::{Request, Response, Result};
use std::sync::LazyLock;

/// Steps of one turn that are recorded, the first ones: a few hundred are the page's own.
const MAX_STEPS: usize = 2_000;

const WORDS: Words<'static> = Words {
    title: "This page's own request climbs the chain",
    lead: "This is the request that fetched the page you read, on the server's loop: from the moment at which the kernel \
           said that its connection is readable, up to the handler, and down again with the first part of this page. The \
           diagram is the second part, so its own way down is not in it. Times include what it costs to record a step: a \
           few hundred nanoseconds each. Reload for another one.",
};

/// Read once: the sources do not change while the server runs, or are not those that it was built from.
static INDEX: LazyLock<Index> = LazyLock::new(Index::read);

/// Answers `GET /chain`.
///
/// # Errors
/// The connection is closed.
pub fn answer(request: &Request<'_>, response: Response) -> Result<()> {
    response.set_header("Cache-Control", "no-store")?;
    if let Some(steps) = Collection::claim() {
        let handle = own_handle(&steps.borrow());
        if let Some(handle) = handle {
            return draw(request, response, Recorded { steps, handle });
        }
    }
    response.set_header("Content-Type", "text/plain")?;
    if !request.keep_alive {
        response.set_status(400)?;
        return response.end(b"the page shows the second request of a connection: keep it (curl -L does)\n");
    }
    // Records nothing where a collection is under way already.
    response.socket().stream().surround_next_event(|| Collection::begin(MAX_STEPS));
    response.set_status(303)?.set_header("Location", "/chain")?;
    response.end(b"the request that follows this redirect on this connection is drawn (curl -L)\n")
}

/// The handle whose readiness brought the request that is being handled, if that was recorded from the beginning.
fn own_handle(steps: &[Step]) -> Option<u64> {
    let story = Story::of("", steps);
    let turn = story.turns.last()?;
    let is_open = |name: &str| turn.rows.iter().find(|row| row.step.call == name && row.end.is_none());
    is_open("RequestHandler::on_request")?;
    turn.rows.first().filter(|row| row.is_wait())?;
    is_open("StreamUpcall::on_read")?.step.facts.handle
}

/// What was recorded of the request that is being answered.
struct Recorded {
    /// Grows until the turn is over.
    steps: Steps,
    handle: u64,
}

fn draw(request: &Request<'_>, response: Response, recorded: Recorded) -> Result<()> {
    response.set_header("Content-Type", "text/html; charset=utf-8")?;
    if request.is_head() {
        return response.end(b"");
    }
    response.write(page::beginning(&WORDS).as_bytes())?;
    response.set_handler(Rest(Some(recorded)));
    response.yield_now();
    Ok(())
}

/// Draws the rest of the page when its beginning is on its way.
struct Rest(Option<Recorded>);

impl ResponseHandler for Rest {
    fn on_drain(&mut self, response: &Response) {
        let Some(Recorded { steps, handle }) = self.0.take() else { return };
        let story = Story::of("", &steps.borrow()).about(handle);
        // Fails only if the connection is closed.
        let _ = response.end(page::ending(&story, &INDEX).as_bytes());
    }
}
